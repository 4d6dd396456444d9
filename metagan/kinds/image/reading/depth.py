"""Pictures deeper than 8 bits: which value is white, decided for a whole data set at once.

A container of 16 or 32 bits says little about its content: scanners and cameras fill 10, 12 or 14
of 16 bits, and array programs write 0..255 as 32-bit integers. Scaling each picture by itself
would destroy relative brightness, so deep pictures stay unscaled until all are known.

Shapes: C channels, H x W pixels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metagan.data.dataset import DataError

# Full scale of 8, 10, 12, 14 and 16 bits: what cameras, scanners and programs produce.
_FULL_SCALES: Final = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)
# Floats whose largest value is below this do not run over 0..255.
_LEAST_OF_255: Final = 32.0
_FIX: Final = "scale them, or set data.white to the value that is white"

Given = float | None | Mapping[str, float]


@dataclass(frozen=True)
class Levels:
    """The values that one deep picture, or one array of them, holds.

    Attributes:
        name: File, row or array, for messages.
        low: Smallest value.
        high: Largest value.
        real: The values are floats.
        white: The value that the file itself says is white; None where it says nothing.
        hint: The largest value that the file says its samples can have; not always meant.
    """

    name: str
    low: float
    high: float
    real: bool
    white: float | None = None
    hint: float | None = None


@dataclass(frozen=True)
class Deep:
    """A grey picture deeper than 8 bits, resized but not scaled.

    Attributes:
        values: (H, W) float32, multiplied by the opacity where there is one.
        opacity: (H, W) float32 in [0, 1]; None for an opaque picture.
        levels: What the full-size picture holds.
        white_is_zero: The file counts from white to black.
        channels: How many equal channels the result has.
        invert: Swap dark and bright at the end.
    """

    values: NDArray[np.float32]
    opacity: NDArray[np.float32] | None
    levels: Levels
    white_is_zero: bool
    channels: int
    invert: bool

    def scaled(self, white: float) -> NDArray[np.uint8]:
        """The picture on the scale 0..255, (channels, H, W) uint8."""
        grey = self.values / np.float32(white)
        opacity = np.float32(1) if self.opacity is None else self.opacity
        if self.white_is_zero:
            grey = opacity - grey
        if self.invert:
            # Transparent pixels end up dark either way, as in pictures of 8 bits.
            grey = opacity - grey
        pixels = np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)
        return np.repeat(pixels[None], self.channels, axis=0)


@dataclass(frozen=True)
class Whites:
    """Which value is white in the deep pictures of a data set.

    Attributes:
        integers: For pictures of whole numbers; None where there are none.
        floats: For pictures of floats; None where there are none.
        notes: What was concluded from the largest value, in words.
    """

    integers: float | None = None
    floats: float | None = None
    notes: tuple[str, ...] = ()

    def known(self) -> dict[str, float]:
        """Those that there are, by name."""
        found = {"integers": self.integers, "floats": self.floats}
        return {name: white for name, white in found.items() if white is not None}

    def of(self, levels: Levels) -> float:
        """The white of one picture: what its file says, else that of its kind."""
        white = levels.white or (self.floats if levels.real else self.integers)
        assert white is not None
        return white


def levels_of(
    values: NDArray[Any], name: str, *, white: float | None = None, hint: float | None = None
) -> Levels:
    """The range of a picture's values.

    Raises:
        DataError: If they are no numbers, or hold NaN, infinity or negative values.
    """
    if values.dtype.kind not in "iuf":
        raise DataError(f"{name}: pixels are {values.dtype}; numbers are needed")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"{name}: pixels hold NaN or infinity; repair or drop those pictures")
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if low < 0:
        raise DataError(
            f"{name}: pixels run over {low:g}..{high:g}; negative values are not read, shift "
            "them so that black is 0"
        )
    return Levels(name, low, high, values.dtype.kind == "f", white, hint)


def choose_whites(levels: Iterable[Levels], given: Given) -> Whites:
    """The white of all deep pictures of a data set.

    A file's own word wins (TIFF's bits per sample, PGM's maximum). Else `data.white` where it is
    set. Else, for whole numbers, the full scale of the smallest usual depth (8, 10, 12, 14 or 16
    bits) that holds the largest value of all, or the largest value that the files say is possible;
    for floats 1 where none is larger, or 255.

    Args:
        levels: Of every deep picture.
        given: `data.white`, or those of other pictures by name, see `Whites.known`.

    Raises:
        DataError: If values are larger than the white that is given, or than any that is known.
    """
    undeclared = []
    for item in levels:
        if item.white is None:
            undeclared.append(item)
        elif item.high > item.white:
            raise DataError(
                f"{item.name}: holds the value {item.high:g}, but says that {item.white:g} is white"
            )
    notes: list[str] = []
    known = given if isinstance(given, Mapping) else {"integers": given, "floats": given}
    whole, real = ([i for i in undeclared if i.real == kind] for kind in (False, True))
    integers = _white(whole, known.get("integers"), notes)
    floats = _white(real, known.get("floats"), notes)
    return Whites(integers, floats, tuple(notes))


def _white(levels: Sequence[Levels], given: float | None, notes: list[str]) -> float | None:
    if not levels:
        return None
    brightest = max(levels, key=lambda item: item.high)
    largest = brightest.high
    if given is not None:
        if largest > given:
            raise DataError(
                f"{brightest.name}: holds the value {largest:g}, above data.white {given:g}; set "
                "data.white to the value that is white in all pictures"
            )
        return given
    hint = max((item.hint for item in levels if item.hint), default=0.0)
    scales = (1.0, 255.0) if brightest.real else _FULL_SCALES
    white = hint if largest <= hint else next((top for top in scales if largest <= top), None)
    if brightest.real and 1 < largest < _LEAST_OF_255:
        white = None  # Resampling overshoots 1; read over 0..255 such pictures would be black.
    if white is None:
        raise DataError(
            f"{brightest.name}: pixels run up to {largest:g}; 0..65535 (whole numbers), 0..255 or "
            f"0..1 (floats) is read; {_FIX}"
        )
    # Bytes that an array program keeps as wider integers are no news.
    if not brightest.real and white != 65535.0 and not 127 < largest <= white == 255.0:
        notes.append(
            f"depth: the largest value of all pictures deeper than 8 bits is {largest:g}, so "
            f"{white:g} is read as white; if it is another value, set data.white"
        )
    return white


def scale_array(values: NDArray[Any], white: float) -> NDArray[np.uint8]:
    """Raw values on the scale 0..255, as `Deep.scaled` gives them, in the same shape."""
    return np.rint(np.clip(values / np.float64(white), 0, 1) * 255).astype(np.uint8)
