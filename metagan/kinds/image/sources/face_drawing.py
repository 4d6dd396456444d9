"""Characters of a font face on one common baseline: the pictures that styles and fonts share.

A capital is 58 % of the picture high, the baseline lies at 75 % of its height, and the ink is
centred from left to right. Characters are drawn at four times the size and averaged down.

Shapes: n characters, S x S pixels.
"""

import string
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from metagan.data.dataset import Samples
from metagan.kinds.image.sources.glyph_shapes import Bitmap

CHARACTERS: Final = string.ascii_uppercase + string.ascii_lowercase + string.digits
REFERENCE: Final = "DejaVu Sans"
"""The domain that inputs of pairs come from where nobody says otherwise."""
REFERENCE_FACE: Final = "DejaVuSans"
"""Its face among the fonts of matplotlib."""

CAP_HEIGHT: Final = 7 / 12  # of the picture's height
BASELINE: Final = 0.75  # of the picture's height, from its top
SUPERSAMPLE: Final = 4  # per side, before averaging down

_MARGIN: Final = 1  # pixels on each side that are kept free
_MEASURED_EM: Final = 256  # pixels
_CAPITALS: Final = "HEITZX"  # flat at top and bottom
_USUAL_CAP_HEIGHT: Final = 0.7  # of the em, for a face without any of these
_MAX_PIXELS: Final = 2**24  # of one character's bitmap; a damaged font can ask for any number

Open = Callable[[float], ImageFont.FreeTypeFont]
"""Opens a face at a size, pixels an em."""


def ink(font: ImageFont.FreeTypeFont, text: str) -> tuple[Bitmap, int]:
    """Ink of a character, cropped, and how many rows its top is above the baseline.

    Returns:
        (height, width) uint8, 255 inside the outline, (0, 0) if blank.

    Raises:
        ValueError: If the font makes it larger than any character is.
    """
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text, anchor="ls"))
    if right <= left or bottom <= top:
        return np.zeros((0, 0), np.uint8), 0
    if (right - left) * (bottom - top) > _MAX_PIXELS:
        raise ValueError(f"a character of {right - left} x {bottom - top} pixels")
    page = Image.new("L", (right - left + 2, bottom - top + 2))
    ImageDraw.Draw(page).text((1 - left, 1 - top), text, font=font, fill=255, anchor="ls")
    box = page.getbbox()
    if box is None:
        return np.zeros((0, 0), np.uint8), 0
    return np.asarray(page.crop(box)), 1 - top - box[1]


def draw_face(
    open_face: Open, characters: Iterable[str], *, image_size: int
) -> tuple[dict[str, Samples], float]:
    """Pictures of a face's characters.

    Where one of them would not fit, the whole face is drawn smaller.

    Args:
        open_face: Opens the face.
        characters: What to draw; those without ink are left out.
        image_size: S.

    Returns:
        {character: (S, S) uint8, ink 255}, and how large they are drawn: 1 where capitals have the
        usual height, 0.8 where they have 80 % of it.
    """
    fine = image_size * SUPERSAMPLE
    em = CAP_HEIGHT * fine / _cap_height(open_face)
    texts = tuple(characters)
    drawn, size = _inks(open_face(em), texts), 1.0
    # A font's own instructions round its sizes, so that once may not be enough.
    while (room := min((_room(*found, fine) for found in drawn.values()), default=1.0)) < 1:
        size *= min(room, 0.98)
        drawn = _inks(open_face(em * size), texts)
    return {text: _picture(*found, image_size) for text, found in drawn.items()}, size


def _cap_height(open_face: Open) -> float:
    """Height of a capital over the size of the em."""
    font = open_face(_MEASURED_EM)
    for capital in _CAPITALS:
        bitmap, rise = ink(font, capital)
        if bitmap.size and rise > 0:
            return rise / _MEASURED_EM
    return _USUAL_CAP_HEIGHT


def _inks(font: ImageFont.FreeTypeFont, texts: Iterable[str]) -> dict[str, tuple[Bitmap, int]]:
    found = {text: ink(font, text) for text in texts}
    return {text: (bitmap, rise) for text, (bitmap, rise) in found.items() if bitmap.size}


def _room(bitmap: Bitmap, rise: int, fine: int) -> float:
    """The room that a picture has for a character over what the character takes."""
    height, width = bitmap.shape
    margin, base = _MARGIN * SUPERSAMPLE, round(BASELINE * fine)
    above, below = max(rise, 1), max(height - rise, 1)
    return min((fine - 2 * margin) / width, (base - margin) / above, (fine - base - margin) / below)


def _picture(bitmap: Bitmap, rise: int, image_size: int) -> NDArray[np.uint8]:
    """The character in its place, averaged down: (S, S)."""
    fine = image_size * SUPERSAMPLE
    height, width = bitmap.shape
    y, x = round(BASELINE * fine) - rise, (fine - width) // 2
    page = np.zeros((fine, fine))
    page[y : y + height, x : x + width] = bitmap
    blocks = page.reshape(image_size, SUPERSAMPLE, image_size, SUPERSAMPLE)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)
