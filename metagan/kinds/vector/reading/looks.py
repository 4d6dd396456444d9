"""How the vectors of a data set look: columns that say nothing, too much, or something else.

Shapes: N samples, D columns.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metagan.data.dataset import DataError, Dataset
from metagan.data.paths.names import a_few
from metagan.data.reader import Looks
from metagan.kinds.vector.reading.domains import domain_notes
from metagan.kinds.vector.scales import REACH, center_and_scale, column_names
from metagan.words import agreeing, counted, short

_MAX_SHOWN: Final = 3
_SPREADS_DIFFER: Final = 1e6
_LOST_STEP: Final = 0.01
"""A step of float32 that is larger than this share of a column's scale loses what it holds."""
_WHOLE_UP_TO: Final = 2.0**24
"""Above this float32 does not hold every whole number."""
_MOST_DRAWN_IN: Final = 0.01
_STAND_FOR_MISSING: Final = (
    *(-99999.0, -9999.0, -999.0, -99.0, 99.0, 999.0, 9999.0, 99999.0),
    *(-32768.0, 65535.0, -2147483648.0, 2147483647.0),
)
_MOSTLY_FRACTIONS: Final = 0.9
_MANY_VALUES: Final = 10
_MAX_CODES: Final = 10
_MIN_ROWS_PER_CODE: Final = 10


def check_looks(dataset: Dataset) -> list[str]:
    """Notes on columns that came out other than their owner will expect; reads every sample.

    Raises:
        DataError: If no column has more than one value.
    """
    rows = np.asarray(dataset.samples)
    names = column_names(dataset)
    low, high = rows.min(axis=0), rows.max(axis=0)
    constant = low == high
    if constant.all():
        raise DataError(
            f"{dataset.origin.get('path', 'the data')}: every column has one value in all rows, so "
            "nothing can be learned; look at the file, or name other columns in data.columns"
        )
    center, scale = center_and_scale(rows)
    notes = _tells_class(dataset, names, constant)
    lost = _lost_by_float32(low, high, scale)
    if told := [name for name, is_lost in zip(names, lost, strict=True) if is_lost]:
        notes.append(
            f"columns: float32 keeps 7 digits, and the values of {a_few(told)} differ, if at all, "
            "behind these; subtract a constant from them before"
        )
    if same := [name for name, is_it in zip(names, constant & ~lost, strict=True) if is_it]:
        have = agreeing(len(same), "has", "have")
        notes.append(
            f"columns: {a_few(same)} {have} one value in all rows, which tells nothing; leave "
            f"{agreeing(len(same), 'it', 'them')} out by data.columns"
        )
    notes += _copies(rows, names, constant)
    notes += _codes(rows, names)
    notes += _stands_for_missing(rows, names, low, high)
    notes += _drawn_in(rows, names, center, scale)
    notes += _spreads(names, scale, constant)
    notes += domain_notes(dataset, names)
    return notes


def describe(dataset: Dataset, repeats: Mapping[int, int]) -> Looks:
    """The columns' ranges in every domain, in short, and the share of repeated samples.

    Args:
        dataset: Vectors.
        repeats: By class, how many samples repeat an earlier one of it.
    """
    names = column_names(dataset)
    clauses = {}
    for domain in dataset.domains:
        indices = dataset.classes_of(domain)
        rows = np.concatenate([dataset.class_samples(index) for index in indices])
        ends = [rows.min(axis=0), rows.max(axis=0), np.median(rows, axis=0)]
        told = [
            f"{name} {short(low, 4)}..{short(high, 4)}, median {short(middle, 4)}"
            for name, low, high, middle in list(zip(names, *ends, strict=True))[:_MAX_SHOWN]
        ]
        if len(names) > _MAX_SHOWN:
            told.append(counted(len(names) - _MAX_SHOWN, "more column"))
        if repeated := sum(repeats.get(index, 0) for index in indices):
            told.append(f"{100 * repeated / len(rows):.2g} % duplicate")
        clauses[domain] = "; ".join(told)
    return Looks(clauses, (f"a vector is {a_few(names, most=20)}",))


def _tells_class(
    dataset: Dataset, names: Sequence[str], constant: NDArray[np.bool_]
) -> list[str]:  # fmt: skip
    """A note on columns with one value in every class: often the label, in other words."""
    if max(map(dataset.count, range(dataset.num_classes))) < 2 or dataset.num_classes < 2:
        return []
    same = ~constant
    for index in range(dataset.num_classes):
        rows = dataset.class_samples(index)
        same &= (rows == rows[0]).all(axis=0)
    told = [name for name, is_same in zip(names, same, strict=True) if is_same]
    if not told:
        return []
    have = agreeing(len(told), "has", "have")
    return [
        f"leak: {a_few(told)} {have} one value in every class, as a label or domain has; leave "
        f"{agreeing(len(told), 'it', 'them')} out by data.columns unless measured"
    ]


def _copies(
    rows: NDArray[np.float32], names: Sequence[str], constant: NDArray[np.bool_]
) -> list[str]:
    """A note on columns that hold the values of an earlier one."""
    first: dict[bytes, str] = {}
    told = []
    for index in np.flatnonzero(~constant).tolist():
        digest = hashlib.sha256(np.ascontiguousarray(rows[:, index]).tobytes()).digest()
        if digest in first:
            told.append(f"{names[index]} = {first[digest]}")
        first.setdefault(digest, names[index])
    if not told:
        return []
    return [f"columns: {a_few(told)} are equal in every row; leave one out by data.columns"]


def _codes(rows: NDArray[np.float32], names: Sequence[str]) -> list[str]:
    """A note on columns of a few whole numbers, which may be codes and no quantities."""
    told = []
    for index, name in enumerate(names):
        column = rows[:, index]
        if len(column) < 3 * _MIN_ROWS_PER_CODE or (column != np.floor(column)).any():
            continue
        values = np.unique(column)
        if 3 <= len(values) <= min(_MAX_CODES, len(column) // _MIN_ROWS_PER_CODE):
            told.append(f"{name} ({counted(len(values), 'value')})")
    if not told:
        return []
    return [
        f"columns: {a_few(told)} {agreeing(len(told), 'holds', 'hold')} only a few whole numbers; "
        "if they are codes of categories and no quantities, write a column of 0 and 1 for "
        "each category"
    ]


def _stands_for_missing(
    rows: NDArray[np.float32],
    names: Sequence[str],
    low: NDArray[np.float32],
    high: NDArray[np.float32],
) -> list[str]:
    """A note on numbers such as -999 that lie far from all others of their column."""
    told = []
    for index, name in enumerate(names):
        column = rows[:, index]
        known = [value for value in _STAND_FOR_MISSING if low[index] <= value <= high[index]]
        for value in dict.fromkeys([*known, float(low[index]), float(high[index])]):
            is_it = column == np.float32(value)
            others = column[~is_it]
            if _is_odd_one_out(value, int(is_it.sum()), others, is_known=value in known):
                told.append(f"{name} ({short(value)} in {counted(int(is_it.sum()), 'row')})")
    if not told:
        return []
    return [
        f"columns: {a_few(told)} {agreeing(len(told), 'is', 'are')} unlike all other values; where "
        "that stands for a missing value, empty it"
    ]


def _is_odd_one_out(
    value: float, times: int, others: NDArray[np.float32], *, is_known: bool
) -> bool:
    """True if a value lies far from all others, or is a well-known code among fractions.

    Args:
        value: The value.
        times: How often it is there.
        others: All other values of the column.
        is_known: It is a usual sign of a missing value.
    """
    if not times or times > len(others) or len(others) < 2:
        return False
    if is_known and times > 2 and (others != np.floor(others)).mean() > _MOSTLY_FRACTIONS:
        return True
    is_far = np.abs(others - np.float32(value)).min() > 2 * np.ptp(others)
    if is_known or not is_far:
        return bool(is_far)
    # Any other value must be there often, beside many.
    return times > 2 and len(np.unique(others)) >= _MANY_VALUES


def _lost_by_float32(
    low: NDArray[np.float32], high: NDArray[np.float32], scale: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which columns have values so large that float32 does not tell them apart, (D,)."""
    largest = np.maximum(np.abs(low), np.abs(high))
    is_coarse = np.spacing(largest) > _LOST_STEP * scale
    return np.where(low == high, largest >= _WHOLE_UP_TO, is_coarse)


def _drawn_in(
    rows: NDArray[np.float32],
    names: Sequence[str],
    center: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> list[str]:
    """A note on columns with many values so far away that networks do not see how far."""
    told = []
    for index, name in enumerate(names):
        share = (np.abs(rows[:, index] - center[index]) > REACH * scale[index]).mean()
        if share > _MOST_DRAWN_IN:
            told.append(f"{name} ({100 * share:.2g} % of the rows)")
    if not told:
        return []
    return [
        f"columns: values farther than {REACH:g} scales from the median are drawn in to that, in "
        f"{a_few(told)}; if that loses what matters, take the logarithm before"
    ]


def _spreads(
    names: Sequence[str], scale: NDArray[np.float64], constant: NDArray[np.bool_]
) -> list[str]:
    """A note where the scales of columns differ by more than a million: perhaps the units do."""
    known = np.flatnonzero(~constant)
    smallest, largest = known[np.argmin(scale[known])], known[np.argmax(scale[known])]
    if scale[largest] <= _SPREADS_DIFFER * scale[smallest]:
        return []
    return [
        f"columns: the scale of {names[largest]} is {scale[largest]:.3g}, that of "
        f"{names[smallest]} {scale[smallest]:.3g}; each column is scaled by its own, but check "
        "their units"
    ]
