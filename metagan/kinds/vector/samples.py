"""Vectors that Python code hands in: arrays, tensors and lists, checked and as float32.

Shapes: n samples of a class, D columns.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metagan.data.dataset import DataError
from metagan.data.handed_in import array_of, type_in_words
from metagan.data.paths.names import a_few

Vectors = NDArray[np.float32]

LARGEST: Final = 1e37
"""The largest value that is read: float32, and a scale times ten, end not far above it."""


def vector_classes(
    classes: object,
    *,
    name: str = "classes",
    columns: Sequence[str] | None = None,
    width: int | None = None,
) -> dict[Any, Vectors]:
    """Classes of vectors as the system holds them.

    Args:
        classes: {label: (n, D) array, tensor or list of rows}; floats, whole numbers or booleans.
        name: What they are called in messages.
        columns: The names of the D columns, for messages.
        width: D that every row must have; None: that of the first class.

    Returns:
        {label: (n, D) float32}, in the order given.

    Raises:
        DataError: If they cannot be used; the message names the class, the row and the column.
    """
    if not isinstance(classes, Mapping):
        raise DataError(
            f"{name} is {type_in_words(classes)}; give a mapping of labels to vectors, such as "
            "{'a': array of (n, D)}"
        )
    if not classes:
        raise DataError(f"{name} is empty; it needs at least one class, with a sample or more")
    names = {label: f"{name}[{getattr(label, 'name', label)!r}]" for label in classes}
    found = {label: vectors_of(given, names[label], columns) for label, given in classes.items()}
    wanted = next(iter(found.values())).shape[1] if width is None else width
    whose = "those of the first class have" if width is None else "expected are"
    for label, array in found.items():
        if array.shape[1] != wanted:
            raise DataError(
                f"{names[label]} has shape {array.shape}, so its samples have {array.shape[1]} "
                f"values; {whose} {wanted}{_named(columns)}; give the same columns in every class"
            )
    return found


def vectors_of(given: object, name: str, columns: Sequence[str] | None = None) -> Vectors:
    """(n, D) float32 of an array, a tensor or a list of rows.

    Raises:
        DataError: If it is something else; the message names it and the fix.
    """
    if isinstance(given, (str, bytes)) or hasattr(given, "__fspath__"):
        raise DataError(f"{name} is {type_in_words(given)}; read files by metagan.read_support")
    if isinstance(given, Mapping):
        raise DataError(f"{name} is {type_in_words(given)}; give an array of (n, D)")
    if not hasattr(given, "dtype") and not isinstance(given, Iterable):
        raise DataError(f"{name} is {type_in_words(given)}; give an array of (n, D)")
    array = _stacked(given, name)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} holds {array.dtype}; expected numbers, best float32")
    if array.ndim == 0 or not len(array):
        raise DataError(f"{name} has no sample; a class needs at least one, or leave it out")
    if array.ndim != 2 or not array.shape[1]:
        fix = " (of one sample: array[None]; of one column: array[:, None])"
        raise DataError(
            f"{name} has shape {array.shape}; expected (n, D){fix if array.ndim == 1 else ''}"
        )
    check_values(array, name, columns)
    return array.astype(np.float32, copy=False)


def check_values(array: NDArray[Any], name: str, columns: Sequence[str] | None = None) -> None:
    """Refuse what float32 does not hold, and what is no number.

    Args:
        array: (n, D).
        name: What it is called in messages.
        columns: The names of its columns.

    Raises:
        DataError: With the first row and column that has such a value.
    """
    # NaN is not smaller than anything.
    odd = ~(np.abs(array.astype(np.float64, copy=False)) < LARGEST)
    if odd.any():
        row, column = np.argwhere(odd)[0].tolist()
        where = repr(columns[column]) if columns and column < len(columns) else str(column)
        raise DataError(
            f"{name}, row {row}, column {where}: {array[row, column]}; values must be finite and "
            f"smaller than {LARGEST:g}: leave the row out, or replace the value"
        )


def _stacked(given: Any, name: str) -> NDArray[Any]:
    """A numpy array of an array, a tensor or a list of rows."""
    if isinstance(given, Iterable) and not hasattr(given, "dtype"):
        given = [array_of(row) if hasattr(row, "detach") else row for row in given]
    try:
        return array_of(given)
    except ValueError:
        raise DataError(f"{name} has rows of different lengths") from None


def _named(columns: Sequence[str] | None) -> str:
    return f" ({a_few(columns)})" if columns else ""
