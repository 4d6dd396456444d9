"""Columns that one domain measures otherwise than another: in other units, or not at all.

Shapes: N samples, D columns, M domains.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metagan.data.dataset import Dataset
from metagan.data.paths.names import a_few
from metagan.kinds.vector.scales import REACH, center_and_scale
from metagan.words import short

_UNITS_DIFFER: Final = 100.0
_MOST_DOMAINS: Final = 100
_MANY_VALUES: Final = 10
_MAX_SHOWN: Final = 3


def domain_notes(dataset: Dataset, names: Sequence[str]) -> list[str]:
    """Notes on columns that are far apart in two domains, or have one value in all of a domain.

    Args:
        dataset: Vectors.
        names: Of the D columns.
    """
    domains = dataset.domains
    if not 2 <= len(domains) <= _MOST_DOMAINS:
        return []
    rows = [
        np.concatenate([dataset.class_samples(index) for index in dataset.classes_of(domain)])
        for domain in domains
    ]
    constant = np.stack([np.ptp(own, axis=0) == 0 for own in rows])
    known = np.flatnonzero(~constant.any(axis=0)).tolist()
    found = [center_and_scale(own[:, known]) for own in rows]
    centers, scales = (np.stack(each) for each in zip(*found, strict=True))
    told = [
        told
        for column, index in enumerate(known)
        if (told := _far_apart(names[index], domains, centers[:, column], scales[:, column]))
    ]
    notes = []
    if told:
        notes.append(
            f"columns: domains may have other units, so far apart are "
            f"{a_few(told, most=_MAX_SHOWN)}; write every domain in the same units"
        )
    if same := _not_measured(rows, constant, names, domains):
        notes.append(
            f"columns: one domain has one value where others have many: "
            f"{a_few(same, most=_MAX_SHOWN)}; if it was not measured there, leave the "
            "column out by data.columns"
        )
    return notes


def _far_apart(
    name: str, domains: Sequence[str], center: NDArray[np.float64], scale: NDArray[np.float64]
) -> str:
    """The two domains, each (M,), between which a column is farthest apart; empty if not far."""
    if scale.max() > _UNITS_DIFFER * scale.min():
        first, second = int(scale.argmin()), int(scale.argmax())
    elif np.ptp(center) > REACH * scale.max():
        first, second = int(center.argmin()), int(center.argmax())
    else:
        return ""
    return (
        f"{name} ({domains[first]}: median {short(center[first], 4)}, "
        f"{domains[second]}: median {short(center[second], 4)})"
    )


def _not_measured(
    rows: Sequence[NDArray[np.float32]],
    constant: NDArray[np.bool_],
    names: Sequence[str],
    domains: Sequence[str],
) -> list[str]:
    """Columns with one value in fewer than half of the domains, which have several rows."""
    told = []
    for index in np.flatnonzero(constant.any(axis=0)).tolist():
        where = [d for d, own in enumerate(rows) if constant[d, index] and len(own) > 2]
        others = [own[:, index] for d, own in enumerate(rows) if not constant[d, index]]
        if not where or len(where) > len(others):
            continue
        if len(np.unique(np.concatenate(others))) > _MANY_VALUES:
            value = short(rows[where[0]][0, index])
            told.append(f"{names[index]} ({value} in {domains[where[0]]})")
    return told
