"""Pictures inside of the page: as small as they go without loss, and smaller if they must be.

Sheets of samples come from `metagan.kinds.image.pictures.grid`: groups of columns with a wider
line between them, every pixel drawn several times.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metagan.report.html import Html, el

Sheet = NDArray[np.uint8]  # (H, W) grey or (H, W, 3) colour

_GRID_GREY = 96
_GROUP_GAP = 3  # Lines between groups are at least this wide, those between pictures are not.
_COLOURS = 64
# What `grid` writes stays far below; more is not one of our pictures.
_MAX_PIXELS = 40_000_000


@dataclass(frozen=True)
class Embedded:
    """A picture that is part of the page.

    Attributes:
        png: The file.
        width: Pixels.
        height: Pixels.
    """

    png: bytes
    width: int
    height: int

    def img(self, alt: str) -> Html:
        """The element, with the picture in it."""
        text = base64.b64encode(self.png).decode()
        return el(
            "img",
            src=f"data:image/png;base64,{text}",
            alt=alt,
            width=self.width,
            height=self.height,
        )


def read_sheet(path: Path) -> Sheet | None:
    """The picture in a file, each of its pixels once; None if it cannot be read."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.width * image.height > _MAX_PIXELS:
                return None
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    for scale in (4, 3, 2):
        if _is_repeated(pixels, scale):
            pixels = pixels[::scale, ::scale]
            break
    if np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(
        pixels[..., 0], pixels[..., 2]
    ):
        pixels = pixels[..., 0]
    return np.ascontiguousarray(pixels)


def split_groups(sheet: Sheet) -> list[Sheet]:
    """The groups of columns of a sheet; the whole sheet alone where it has no groups."""
    is_line = (np.atleast_3d(sheet) == _GRID_GREY).all((0, 2))
    groups: list[Sheet] = []
    start = end = 0
    while end < len(is_line):
        stop = end
        while stop < len(is_line) and is_line[stop]:
            stop += 1
        if stop - end >= _GROUP_GAP:
            groups.append(sheet[:, start:end])
            start = stop
        end = max(stop, end + 1)
    groups.append(sheet[:, start:])
    return [_trim(group) for group in groups if group.shape[1]] or [sheet]


def _trim(sheet: Sheet) -> Sheet:
    """Without the line below the last row and the one after the last column."""
    is_line = np.atleast_3d(sheet) == _GRID_GREY
    height, width = sheet.shape[:2]
    bottom = height - 1 if height > 1 and is_line[-1].all() else height
    right = width - 1 if width > 1 and is_line[:, -1].all() else width
    return sheet[:bottom, :right]


def embed(sheets: Sequence[Sheet], *, max_bytes: int) -> list[Embedded]:
    """Pictures that together take at most `max_bytes`.

    What is too large without loss gets fewer colours, then fewer pixels.
    """
    share = max_bytes // max(1, len(sheets))
    return [_embed(sheet, share) for sheet in sheets]


def _embed(sheet: Sheet, max_bytes: int) -> Embedded:
    image = Image.fromarray(sheet)
    png = _encode(image)
    if len(png) > max_bytes:
        png = _encode(image.quantize(_COLOURS))
    while len(png) > max_bytes and min(image.size) > 16:
        image = image.reduce(2)
        png = _encode(image.quantize(_COLOURS))
    return Embedded(png, *image.size)


def _encode(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _is_repeated(pixels: NDArray[np.uint8], scale: int) -> bool:
    height, width = pixels.shape[:2]
    if height % scale or width % scale:
        return False
    small = pixels[::scale, ::scale]
    return np.array_equal(small.repeat(scale, axis=0).repeat(scale, axis=1), pixels)
