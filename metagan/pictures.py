"""Grids of pictures as PNG files.

Shapes: N pictures, C channels (1 or 3), H x W pixels.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metagan.files import write_bytes

Pictures = NDArray[np.uint8]


def grid(rows: Sequence[Sequence[Pictures]], *, gap: int = 1, scale: int = 2) -> Pictures:
    """Rows of groups of pictures as one picture; a wider gap stands between groups.

    Args:
        rows: Per row, groups of pictures (n, C, H, W); every row alike in numbers.
        gap: Pixels between pictures.
        scale: Each pixel becomes scale x scale.

    Returns:
        (H', W', 3) uint8.
    """
    lines = []
    for groups in rows:
        cells: list[Pictures] = []
        for index, group in enumerate(groups):
            if index:
                cells.append(_blank(group.shape[2], 3 * gap))
            for picture in group:
                colour = np.repeat(picture, 3, axis=0) if picture.shape[0] == 1 else picture
                cells += [colour.transpose(1, 2, 0), _blank(group.shape[2], gap)]
        lines += [np.concatenate(cells, axis=1)]
        lines += [_blank(gap, lines[0].shape[1])]
    sheet = np.concatenate(lines)
    return sheet.repeat(scale, axis=0).repeat(scale, axis=1)


def _blank(height: int, width: int) -> Pictures:
    return np.full((height, width, 3), 96, dtype=np.uint8)


def png_bytes(picture: Pictures) -> bytes:
    """A picture (H, W, 3), (H, W) or (C, H, W) with C in (1, 3) as PNG."""
    if picture.ndim == 3 and picture.shape[0] in (1, 3) and picture.shape[-1] not in (1, 3):
        picture = picture.transpose(1, 2, 0)
    if picture.ndim == 3 and picture.shape[-1] == 1:
        picture = picture[..., 0]
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def write_png(path: Path, picture: Pictures) -> None:
    """Write a picture, whole or not at all."""
    write_bytes(path, png_bytes(picture))
