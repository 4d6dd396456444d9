"""From rows of numbers with names of classes to a `Dataset`: the last step of every source.

Shapes: N rows, D columns.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metagan.data.class_splits import check_names, splits_of_classes
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.kinds.vector.samples import LARGEST
from metagan.words import agreeing, counted

Key = tuple[str, str]

_NO_NAMES: Final = frozenset(
    {"na", "n/a", "#n/a", "nan", "null", "?", "-", "--", ".", "missing", "unlabeled", "unlabelled"}
)
_SUMS: Final = frozenset(
    {"total", "sum", "mean", "average", "median", "std", "min", "max", "count"}
)


@dataclass(frozen=True)
class Part:
    """The rows of one file.

    Attributes:
        shown: The file, for messages.
        where: Names a row, for messages.
        values: (N, D) floats; NaN where a value is missing.
        domains: (N,) names.
        labels: (N,) names.
        splits: (N,) parts of the publisher's split, or None.
    """

    shown: str
    where: Callable[[int], str]
    values: NDArray[Any]
    domains: Sequence[str]
    labels: Sequence[str]
    splits: Sequence[str | None]


def assemble_rows(
    parts: Sequence[Part],
    columns: Sequence[str],
    *,
    origin: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> Dataset:
    """Group rows into classes, in the order given; rows with a missing value are left out.

    Args:
        parts: The files.
        columns: D names, the same for all.
        origin: Source, path and settings that shaped it.
        notes: Lines put before those on rows that were left out.

    Raises:
        DataError: If a value is infinite or too large, a class has no complete row, or more than
            half of all rows are not complete.
    """
    path = str(origin["path"])
    for part in parts:
        check_finite(part, columns)
    complete = [~np.isnan(part.values).any(axis=1) for part in parts]
    _check_complete(path, parts, columns, complete)
    rows: dict[Key, list[NDArray[np.float32]]] = defaultdict(list)
    splits: dict[Key, set[str | None]] = defaultdict(set)
    lost: set[Key] = set()
    for part, whole in zip(parts, complete, strict=True):
        for key, own in rows_by_class(part).items():
            kept = own[whole[own]]
            splits[key] |= {part.splits[row] for row in own.tolist()}
            if len(kept):
                rows[key].append(part.values[kept].astype(np.float32))
            else:
                lost.add(key)
    if gone := sorted(lost - rows.keys()):
        raise DataError(
            f"{path}: class {'/'.join(gone[0])} has no row without a missing value; fill the "
            "values, remove the class, or leave out columns by data.columns"
        )
    kept_splits, split_notes = splits_of_classes(splits)
    records = {
        ClassRecord(*key, split=kept_splits.get(key)): np.concatenate(chunks)
        for key, chunks in rows.items()
    }
    check_names(records, path)
    return Dataset.of_stored(
        records,
        kind="vector",
        notes=[
            *notes,
            *split_notes,
            *_name_notes(records),
            *_missing_notes(parts, columns, complete),
        ],
        origin={**origin, "columns": list(columns)},
    )


def rows_by_class(part: Part) -> dict[Key, NDArray[np.intp]]:
    """The rows of each class, in their order."""
    found: dict[Key, list[int]] = defaultdict(list)
    for row, key in enumerate(zip(part.domains, part.labels, strict=True)):
        found[key].append(row)
    return {key: np.asarray(rows, np.intp) for key, rows in found.items()}


def check_finite(part: Part, columns: Sequence[str]) -> None:
    """Refuse infinity, and what float32 does not hold.

    Raises:
        DataError: With the first row and column.
    """
    with np.errstate(invalid="ignore"):
        odd = np.abs(part.values) >= LARGEST
    if odd.any():
        row, column = np.argwhere(odd)[0].tolist()
        raise DataError(
            f"{part.where(row)}, column {columns[column]}: {part.values[row, column]:g}; values "
            f"must be finite and smaller than {LARGEST:g}: correct or empty it"
        )


def _check_complete(
    path: str, parts: Sequence[Part], columns: Sequence[str], complete: Sequence[NDArray[np.bool_]]
) -> None:
    total = sum(map(len, complete))
    number = total - sum(int(whole.sum()) for whole in complete)
    if not total:
        raise DataError(f"{path}: no rows found")
    if 2 * number > total:
        raise DataError(
            f"{path}: {number} of {counted(total, 'row')} have a missing value, most in column "
            f"{_emptiest(parts, columns)}; fill the values, or name other columns "
            "in data.columns"
        )


def _missing_notes(
    parts: Sequence[Part], columns: Sequence[str], complete: Sequence[NDArray[np.bool_]]
) -> list[str]:
    number = sum(int((~whole).sum()) for whole in complete)
    if not number:
        return []
    total = sum(map(len, complete))
    part, whole = next((p, w) for p, w in zip(parts, complete, strict=True) if not w.all())
    first = part.where(int(np.argmin(whole)))
    have = agreeing(number, "has", "have")
    return [
        f"rows left out: {number} of {counted(total, 'row')} {have} a missing value, most in "
        f"column {_emptiest(parts, columns)}, the first in {first}{_poorest(parts, complete)}"
    ]


def _poorest(parts: Sequence[Part], complete: Sequence[NDArray[np.bool_]]) -> str:
    """`; class oak keeps 1 of 15`: the class that lost the largest share, if more than half."""
    rows: Counter[Key] = Counter()
    kept: Counter[Key] = Counter()
    for part, whole in zip(parts, complete, strict=True):
        for key, own in rows_by_class(part).items():
            rows[key] += len(own)
            kept[key] += int(whole[own].sum())
    key = min(rows, key=lambda key: kept[key] / rows[key])
    if 2 * kept[key] >= rows[key]:
        return ""
    return f"; class {'/'.join(key)} keeps {kept[key]} of {rows[key]}"


def _name_notes(records: Mapping[ClassRecord, NDArray[np.float32]]) -> list[str]:
    """Questions on classes and domains whose names stand for something else."""
    notes = []
    labels = [record for record in records if record.label.casefold() in _NO_NAMES]
    domains = sorted({record.domain for record in records if record.domain.casefold() in _NO_NAMES})
    if labels or domains:
        rows = sum(len(own) for record, own in records.items() if record in labels)
        told = [*(f"{record.name} ({counted(rows, 'row')})" for record in labels[:1]), *domains]
        more = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        notes.append(
            f"labels: {', '.join(told)}{more} may stand for a missing name; if so, drop these rows"
        )
    sums = [
        record
        for record, own in records.items()
        if len(own) == 1 and record.label.casefold() in _SUMS
    ]
    if sums:
        notes.append(
            f"labels: class {sums[0].name} has one row; if that sums up others, drop the row"
        )
    return notes


def _emptiest(parts: Sequence[Part], columns: Sequence[str]) -> str:
    """`income (12 rows)`: the columns with the most missing values, three at most."""
    counts = np.sum([np.isnan(part.values).sum(axis=0) for part in parts], axis=0)
    most = [int(i) for i in np.argsort(-counts, kind="stable")[:3] if counts[i]]
    return ", ".join(f"{columns[i]} ({counted(int(counts[i]), 'row')})" for i in most)
