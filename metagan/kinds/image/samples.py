"""Pictures that Python code hands in: looked at once, by all functions of the library alike.

The system holds a picture as (C, H, W) uint8, ink or white 255. What else is common is converted
with a warning where one meaning alone is likely, and refused with the fix where it is not.

Shapes: N pictures, C channels (1 or 3), H x W pixels.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metagan.data.dataset import DataError
from metagan.data.handed_in import array_of, type_in_words
from metagan.warn import warn

Pictures = NDArray[np.uint8]

# Floats are rounded on their way; a brightest value between this and 1 is 1.
_ALMOST = 1e-3
# Floats whose brightest is above this have a scale up to 255; between 1 and this lies a mistake.
FAR_ABOVE_WHITE = 16.0
_MODES = {"1": 1, "L": 1, "RGB": 3}
NO_PICTURES = "if these are rows of numbers and no pictures, add data.kind=vector"
"""Advice where a file that should hold pictures may hold vectors."""


def picture_classes(
    classes: object, *, name: str = "classes", shape: Sequence[int] | None = None
) -> dict[Any, Pictures]:
    """Classes of pictures as the system holds them; all are brought to 0..255 by one scale.

    Args:
        classes: {label: (N, C, H, W) array, tensor, or a list of pictures, arrays or PIL's}.
        name: What they are called in messages.
        shape: (C, H, W) that every picture must have; None: that of the first one.

    Returns:
        {label: (N, C, H, W) uint8}, in the order given.

    Raises:
        DataError: If they cannot be used; the message names the class and the fix.
    """
    if not isinstance(classes, Mapping):
        raise DataError(
            f"{name} is {type_in_words(classes)}; give a mapping of labels to pictures, "
            "such as {'a': array of (n, C, H, W)}"
        )
    if not classes:
        raise DataError(f"{name} is empty; it needs at least one class, with a picture or more")
    names = {label: f"{name}[{getattr(label, 'name', label)!r}]" for label in classes}
    found = {label: pictures_of(given, names[label]) for label, given in classes.items()}
    wanted = tuple(next(iter(found.values())).shape[1:] if shape is None else shape)
    for label, array in found.items():
        _check_shape(names[label], array, wanted, given=shape is not None)
    if shape is not None and {array.dtype.kind for array in found.values()} <= {"i", "u"}:
        _check_contrast(list(found.values()), name)
    return dict(zip(found, in_bytes(list(found.values()), name), strict=True))


def in_bytes(arrays: Sequence[NDArray[Any]], name: str) -> list[Pictures]:
    """Arrays of pixels as uint8, 0..255, all by the scale that all of them together show.

    Args:
        arrays: Of any shape; one type of numbers.
        name: What they are called in messages.

    Raises:
        DataError: If the values have no plain meaning as brightness.
    """
    kinds = {_numbers(array, name) for array in arrays}
    if len(kinds) > 1:
        raise DataError(
            f"{name} has {' and '.join(sorted(kinds))} together; give all pictures as one type, "
            "best uint8 from 0 to 255"
        )
    filled = [array for array in arrays if array.size]
    if kinds == {"uint8"} or not filled:
        return [array.astype(np.uint8, copy=False) for array in arrays]
    if kinds == {"booleans"}:
        return [array.astype(np.uint8) * np.uint8(255) for array in arrays]
    if kinds == {"whole numbers"}:
        _check_contrast(filled, name)
    low = float(min(array.min() for array in filled))
    high = float(max(array.max() for array in filled))
    if not np.isfinite([low, high]).all():
        raise DataError(f"{name} holds NaN or infinity; replace it before, as by numpy.nan_to_num")
    add, times = _scale(low, high, kinds == {"whole numbers"}, name)
    return [
        np.clip(np.rint((array.astype(np.float64) + add) * times), 0, 255).astype(np.uint8)
        for array in arrays
    ]


def _check_contrast(arrays: Sequence[NDArray[Any]], name: str) -> None:
    """Refuse whole numbers 0 and 1 alone, which on a scale up to 255 are all black."""
    if max(int(array.max()) for array in arrays) == 1 and min(int(a.min()) for a in arrays) == 0:
        raise DataError(
            f"{name} has values 0 and 1 alone, which would be black of 255; give booleans, or "
            "multiply by 255"
        )


def _scale(low: float, high: float, whole: bool, name: str) -> tuple[float, float]:
    """Summand and then factor that bring values between these to 0..255."""
    values = f"{name} has values from {low:g} to {high:g}"
    fix = "give uint8 from 0 to 255"
    if whole:
        if low < 0 or high > 255:
            by = "; divide by 257" if low >= 0 and 255 < high <= 65535 else ""
            raise DataError(f"{values}, and pixels are from 0 to 255{by}; {fix}")
        return 0.0, 1.0
    if -1 - _ALMOST <= low < 0 and high <= 1 + _ALMOST:
        warn(f"{values}: taken as [-1, 1] and scaled to 0..255; {fix} to be sure")
        return 1.0, 127.5
    if low >= 0 and high <= 1 + _ALMOST:
        if high > 0:
            warn(f"{values}: taken as [0, 1] and scaled to 0..255; {fix} to be sure")
        return 0.0, 255.0
    if low < 0 or high > 255.5 or high < FAR_ABOVE_WHITE:
        raise DataError(f"{values}, which is neither [0, 1], [-1, 1] nor [0, 255]; {fix}")
    return 0.0, 1.0


def pictures_of(given: object, name: str) -> NDArray[Any]:
    """(N, C, H, W) of an array, a tensor or a list of pictures, in the numbers that they came in.

    Raises:
        DataError: If it is something else; the message names it and the fix.
    """
    if isinstance(given, (str, bytes)) or hasattr(given, "__fspath__"):
        raise DataError(f"{name} is {type_in_words(given)}; read files by metagan.read_support")
    if isinstance(given, Mapping):
        raise DataError(f"{name} is {type_in_words(given)}; give an array of (n, C, H, W)")
    if isinstance(given, Image.Image):
        raise DataError(f"{name} is a single picture; give a list of pictures")
    if hasattr(given, "dtype"):
        array = array_of(given)
    elif isinstance(given, Iterable):
        array = _stacked(name, list(given))
    else:
        raise DataError(f"{name} is {type_in_words(given)}; give an array of (n, C, H, W)")
    if array.ndim == 0 or not len(array):
        raise DataError(f"{name} has no picture; a class needs at least one, or leave it out")
    _numbers(array, name)
    if array.ndim != 4:
        fix = ""
        if array.ndim == 3:
            fix = " (of grey pictures: array[:, None]; of one picture: array[None])"
        elif array.ndim == 2:
            fix = " (of one grey picture: array[None, None])"
        raise DataError(f"{name} has shape {array.shape}; expected (n, C, H, W){fix}")
    if array.shape[1] not in (1, 3):
        last = array.shape[3]
        if last in (1, 3):
            fix = "the channels are last; use array.transpose(0, 3, 1, 2)"
        elif last == 4 or array.shape[1] == 4:
            fix = "four channels are one too many; leave the transparency out"
        else:
            fix = "there must be 1 channel or 3"
        raise DataError(f"{name} has shape {array.shape}; expected (n, C, H, W): {fix}")
    return array


def _stacked(name: str, pictures: list[Any]) -> NDArray[Any]:
    """A list of pictures as one array."""
    arrays = []
    for number, picture in enumerate(pictures):
        if isinstance(picture, Image.Image):
            if picture.mode not in _MODES:
                raise DataError(
                    f"{name}[{number}] is a picture of mode {picture.mode}; use "
                    "picture.convert('L') for grey or picture.convert('RGB') for colour"
                )
            pixels = np.asarray(picture)
            arrays.append(pixels[None] if _MODES[picture.mode] == 1 else pixels.transpose(2, 0, 1))
        elif isinstance(picture, (str, bytes)) or hasattr(picture, "__fspath__"):
            raise DataError(f"{name}[{number}] is text; read files by metagan.read_support")
        else:
            try:
                arrays.append(array_of(picture))
            except ValueError:
                raise DataError(f"{name}[{number}] has rows of different lengths") from None
    for number, array in enumerate(arrays):
        _numbers(array, f"{name}[{number}]")
        if array.shape != arrays[0].shape:
            raise DataError(
                f"{name} has pictures of different shapes, {arrays[0].shape} and {array.shape} "
                f"(number {number}); {_one_shape(arrays[0], array)}"
            )
    kinds = sorted({_numbers(array, name) for array in arrays})
    if len(kinds) > 1:
        raise DataError(f"{name} has {' and '.join(kinds)} together; give all as one type")
    return np.stack(arrays) if arrays else np.empty(0, np.uint8)


def _one_shape(first: NDArray[Any], other: NDArray[Any]) -> str:
    """Fix for two pictures of different shapes."""
    if first.ndim == other.ndim == 3 and first.shape[0] != other.shape[0]:
        return "make all of them grey, or all colour"
    return "resize them to one"


def _numbers(array: NDArray[Any], name: str) -> str:
    """Type of an array's numbers, in words.

    Raises:
        DataError: If they are no numbers that a pixel could be.
    """
    if array.dtype == np.uint8:
        return "uint8"
    words = {"b": "booleans", "u": "whole numbers", "i": "whole numbers", "f": "floats"}
    if array.dtype.kind not in words:
        raise DataError(f"{name} holds {array.dtype}; expected numbers, best uint8 from 0 to 255")
    return words[array.dtype.kind]


def _check_shape(name: str, array: NDArray[Any], wanted: tuple[int, ...], *, given: bool) -> None:
    """Refuse pictures of another shape than (C, H, W) wanted; say what changes them."""
    shape = array.shape[1:]
    if shape == wanted:
        return
    whose = "expected are" if given else "those of the first class are"
    if shape[0] != wanted[0]:
        fix = (
            "make grey of it, as by array.mean(1, keepdims=True)"
            if shape[0] == 3
            else "repeat the grey channel, as by array.repeat(3, axis=1)"
        )
    else:
        fix = f"resize them to {wanted[1]} x {wanted[2]}"
    raise DataError(f"{name} has pictures of (C, H, W) {shape}, {whose} {wanted}; {fix}")
