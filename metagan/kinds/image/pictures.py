"""Grids of pictures as PNG files.

Shapes: N pictures, C channels (1 or 3), H x W pixels.
"""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from metagan.data.dataset import DataError
from metagan.data.handed_in import array_of
from metagan.files import write_bytes
from metagan.kinds.image.samples import in_bytes, pictures_of

Pictures = NDArray[np.uint8]

GENERATED_MARK: Final = ("metagan", "generated")
"""Keyword and text in the PNG files of generated pictures, which are no data to learn from."""


def grid(rows: Sequence[Sequence[Pictures]], *, gap: int = 1, scale: int = 2) -> Pictures:
    """Rows of groups of pictures as one picture; a wider gap stands between groups.

    Args:
        rows: Per row, groups of pictures (n, C, H, W), as `samples.in_bytes` of this package takes
            them; every row alike in numbers.
        gap: Pixels between pictures.
        scale: Each pixel becomes scale x scale.

    Returns:
        (H', W', 3) uint8.

    Raises:
        DataError: If rows are not that, or not alike.
    """
    lines = []
    for groups in _checked(rows):
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


def _checked(rows: Sequence[Sequence[Pictures]]) -> list[list[Pictures]]:
    """The groups as uint8, all rows alike."""
    try:
        groups = [[pictures_of(group, "a group of rows") for group in row] for row in rows]
    except DataError as error:
        raise DataError(f"{error}; grid takes rows of groups: grid([[pictures]])") from None
    if not any(groups):
        raise DataError("rows is empty; give rows of groups of pictures (n, C, H, W)")
    widths = {sum(group.shape[0] * group.shape[3] for group in row) for row in groups}
    heights = [{group.shape[2] for group in row} for row in groups]
    if len(widths) > 1 or any(len(row) != 1 for row in heights):
        raise DataError(
            "rows are not alike; every row needs as many pictures of the same size as the first"
        )
    flat = iter(in_bytes([group for row in groups for group in row], "rows"))
    return [[next(flat) for _ in row] for row in groups]


def png_bytes(picture: Pictures, *, is_generated: bool = False) -> bytes:
    """A picture (H, W, 3), (H, W) or (C, H, W) with C in (1, 3) as PNG.

    Args:
        picture: The picture.
        is_generated: A GAN drew it: a text in the file says so, wherever the file is copied.

    Raises:
        DataError: If it is not one picture.
    """
    stream = io.BytesIO()
    text = PngInfo()
    if is_generated:
        text.add_text(*GENERATED_MARK)
    if isinstance(picture, Image.Image):
        picture.save(stream, format="PNG", optimize=True, pnginfo=text)
        return stream.getvalue()
    [picture] = in_bytes([array_of(picture)], "picture")
    if picture.ndim == 3 and picture.shape[0] in (1, 3) and picture.shape[-1] not in (1, 3):
        picture = picture.transpose(1, 2, 0)
    if picture.ndim == 3 and picture.shape[-1] == 1:
        picture = picture[..., 0]
    if picture.ndim != 2 and not (picture.ndim == 3 and picture.shape[-1] == 3):
        raise DataError(
            f"picture has shape {picture.shape}; expected (H, W), (H, W, 3) or (C, H, W); "
            "metagan.grid puts several on one"
        )
    image = Image.fromarray(np.ascontiguousarray(picture))
    image.save(stream, format="PNG", optimize=True, pnginfo=text)
    return stream.getvalue()


def write_png(path: str | os.PathLike[str], picture: Pictures) -> None:
    """Write a picture, whole or not at all."""
    write_bytes(Path(path), png_bytes(picture))
