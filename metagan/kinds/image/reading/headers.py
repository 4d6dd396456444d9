"""Depth and transparent colour of an opened picture, read from its header."""

import struct
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

# Tags of TIFF.
BITS_PER_SAMPLE: Final = 258
_PHOTOMETRIC: Final = 262
_LARGEST_VALUES: Final = (281, 341)  # MaxSampleValue, SMaxSampleValue


@dataclass(frozen=True)
class HeaderDepth:
    """The depth of a picture by its file's header.

    Attributes:
        deep: More than 8 bits a channel.
        white: The value that is white; None where the header does not say.
        hint: The largest value that samples can have; None where the header does not say.
        white_is_zero: The values count from white to black, and Pillow leaves them so.
    """

    deep: bool
    white: float | None = None
    hint: float | None = None
    white_is_zero: bool = False


def depth_of(image: Image.Image, encoded: bytes) -> HeaderDepth:
    """Depth of an opened picture by its header."""
    tiles: Any = getattr(image, "tile", None)
    args = tiles[0].args if tiles else ()
    if image.format == "PPM":
        # The decoders that are given the largest value scale by it, to 65535 or to 255.
        scaled = args[1] if isinstance(args, tuple) else 65535 if image.mode == "I" else 255
        white = None if scaled == 65535 else 65535.0
        return HeaderDepth(scaled > 255, white if scaled > 255 else None)
    if image.format == "TIFF":
        tags: Any = getattr(image, "tag_v2", {})
        bits = max(tags.get(BITS_PER_SAMPLE, (1,)))
        largest = [tags[tag] for tag in _LARGEST_VALUES if tag in tags]
        values = [v for tag in largest for v in (tag if isinstance(tag, tuple) else (tag,))]
        numbers = [float(v) for v in values if isinstance(v, (int, float)) and v > 0]
        return HeaderDepth(
            bits > 8,
            float(2**bits - 1) if 8 < bits < 16 else None,
            _hint(max(numbers, default=0)),
            tags.get(_PHOTOMETRIC) == 0,
        )
    if image.format == "PNG":
        return HeaderDepth(
            ";16" in _rawmode(image), hint=_hint(2 ** _significant_bits(encoded) - 1)
        )
    return HeaderDepth(False)


def _rawmode(image: Image.Image) -> str:
    """How Pillow calls the samples that an opened file holds, such as L;4; empty once loaded."""
    tiles: Any = getattr(image, "tile", None)
    args = tiles[0].args if tiles else ()
    return str(args if isinstance(args, str) else args[0] if args else "")


def scale_key(image: Image.Image) -> None:
    """Bring a PNG's transparent colour to the 8 bits that its pixels will have.

    Pillow leaves it in the file's own bits. Of colour in 16 bits it keeps the upper 8.
    """
    key, rawmode = image.info.get("transparency"), _rawmode(image)
    if isinstance(key, int) and rawmode in ("L;2", "L;4"):
        image.info["transparency"] = key * (85 if rawmode == "L;2" else 17)
    elif isinstance(key, tuple) and ";16" in rawmode:
        image.info["transparency"] = tuple(value >> 8 for value in key)


def _hint(largest: float) -> float | None:
    """A largest value that tells more than the container does."""
    return float(largest) if 0 < largest < 65535 else None


def _significant_bits(encoded: bytes) -> int:
    """The largest number in a PNG's sBIT chunk, 0 without one: the bits that were measured."""
    place = 8
    while place + 8 <= len(encoded):
        length, kind = struct.unpack(">I4s", encoded[place : place + 8])
        if kind == b"sBIT":
            return max(encoded[place + 8 : place + 8 + length][:4], default=0)
        if kind in (b"IDAT", b"IEND"):
            break
        place += 12 + length
    return 0
