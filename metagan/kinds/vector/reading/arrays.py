"""Vectors in .npz files: `x` (N, D), `y` (N,) labels, and perhaps `domain`, `split`, `columns`.

Nothing is ever unpickled.

Shapes: N rows, D columns.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metagan.data.dataset import DataError
from metagan.data.npz_arrays import array_names, read_arrays
from metagan.data.paths.names import a_few, strip_invisible, table_name, whole_number
from metagan.data.paths.split_words import canonical_split
from metagan.kinds.vector.reading.spelling import respelled

GENERATED: Final = "generated"
"""The array that says that `metagan generate` wrote a file."""

# How an array may be called; the first is the usual name.
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "x": ("x", "data", "features"),
    "y": ("y", "label", "labels", "target", "targets"),
    "domain": ("domain", "domains"),
    "split": ("split", "splits"),
    "columns": ("columns", "feature_names"),
}


@dataclass(frozen=True)
class Arrays:
    """Contents of one file.

    Attributes:
        file: The file.
        x: (N, D) floats, NaN where a value is missing.
        y: (N,) values that name classes; None where there are none.
        domain: (N,) values that name domains; None where there are none.
        split: (N,) parts of the publisher's split; None where there are none.
        columns: (D,) names; None where there are none.
        is_generated: `metagan generate` wrote it.
        unread: The names of its other arrays.
    """

    file: Path
    x: NDArray[Any]
    y: Sequence[str | int] | None
    domain: Sequence[str | int] | None
    split: Sequence[str] | None
    columns: tuple[str, ...] | None
    is_generated: bool
    unread: tuple[str, ...] = ()

    def respelled(self, meant: Collection[str], shown: str) -> tuple["Arrays", list[str]]:
        """The arrays with the names that are meant, and a note where their own differ by case."""
        if self.columns is None:
            return self, []
        names, notes = respelled(self.columns, meant, shown)
        return replace(self, columns=names), notes

    def where(self, row: int) -> str:
        """File and row, for messages."""
        return f"{self.file}, row {row}"


def read_npz(file: Path) -> Arrays:
    """Read a file.

    Raises:
        DataError: If it is damaged, has no `x`, or arrays do not fit each other.
    """
    names = array_names(file)
    found = {role: _the_one(file, names, role) for role in _NAMES}
    if found["x"] is None:
        raise DataError(
            f"{file}: no array x (N, D); arrays are {a_few(sorted(names))}; save the vectors as x "
            "and their classes as y"
        )
    wanted = {role: name for role, name in found.items() if name is not None}
    read = read_arrays(file, list(wanted.values()))
    arrays = {role: read[name] for role, name in wanted.items()}
    x = _vectors(file, wanted["x"], arrays["x"])
    rows = len(x)

    def values(role: str) -> list[str | int] | None:
        if role not in arrays:
            return None
        return _names_of_rows(f"{file}: {wanted[role]}", arrays[role], rows)

    return Arrays(
        file,
        x,
        values("y"),
        values("domain"),
        _splits(file, values("split")),
        _columns(file, arrays.get("columns"), x.shape[1]),
        GENERATED in names,
        tuple(sorted(set(names) - set(wanted.values()) - {GENERATED})),
    )


def is_generated(file: Path) -> bool:
    """True if `metagan generate` wrote a file; False where it cannot be read."""
    try:
        return GENERATED in array_names(file)
    except DataError:
        return False


def _the_one(file: Path, names: Sequence[str], role: str) -> str | None:
    """The array of a role, by its name in any case."""
    found = [name for name in names if name.lower() in _NAMES[role]]
    usual = [name for name in found if name == _NAMES[role][0]]
    found = usual or found
    if len(found) > 1:
        raise DataError(
            f"{file}: {a_few(found)} may all be {role}; call the right one {_NAMES[role][0]}"
        )
    return found[0] if found else None


def _vectors(file: Path, name: str, x: NDArray[Any]) -> NDArray[Any]:
    if x.dtype.kind not in "biuf":
        raise DataError(f"{file}: {name} is {x.dtype}; floats or whole numbers are read")
    if x.ndim == 1:
        x = x[:, None]
    if x.ndim != 2 or not x.shape[1]:
        hint = "; pictures are read with data.kind=image" if x.ndim in (3, 4) else ""
        raise DataError(f"{file}: {name} has shape {x.shape}; vectors are (N, D){hint}")
    if not len(x):
        raise DataError(f"{file}: {name} has no rows")
    return x if x.dtype in (np.float32, np.float64) else x.astype(np.float64)


def _names_of_rows(name: str, values: NDArray[Any], rows: int) -> list[str | int]:
    """(N,) names of text or whole numbers."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (rows,):
        hint = "; save one-hot rows as their argmax(axis=1)" if values.ndim == 2 else ""
        raise DataError(
            f"{name} has shape {values.shape}; one value for each of {rows} rows is needed{hint}"
        )
    if values.dtype.kind == "S":
        try:
            values = np.char.decode(values, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{name} holds text that is not UTF-8") from error
    try:
        named: list[Any] = [whole_number(value) for value in values.tolist()]
    except ValueError as error:
        raise DataError(f"{name} holds what is no text ({error})") from error
    for row, value in enumerate(named):
        if isinstance(value, float) or not strip_invisible(str(value)):
            raise DataError(f"{name}, row {row}: {value!r}; text or whole numbers name classes")
    return named


def _splits(file: Path, values: Sequence[str | int] | None) -> list[str] | None:
    if values is None:
        return None
    known = {value: canonical_split(strip_invisible(str(value))) for value in set(values)}
    for row, value in enumerate(values):
        if known[value] is None:
            raise DataError(f"{file}: split, row {row}: {value!r}; use train, validation or test")
    return [str(known[value]) for value in values]


def _columns(file: Path, names: NDArray[Any] | None, width: int) -> tuple[str, ...] | None:
    if names is None:
        return None
    if names.shape != (width,) or names.dtype.kind not in "US":
        raise DataError(
            f"{file}: columns is {names.dtype} of shape {names.shape}; expected {width} texts, one "
            "for each column of x"
        )
    texts = np.char.decode(names, "utf-8") if names.dtype.kind == "S" else names
    clean = tuple(table_name(str(name)) for name in texts.tolist())
    if len(set(clean)) < width or not all(clean):
        raise DataError(f"{file}: columns has an empty name or one twice: {a_few(clean)}")
    return clean
