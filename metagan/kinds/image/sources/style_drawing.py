"""Characters drawn in a style: slant, weight, width, waves, contrast, filled or outlined.

Contrast is that of type: how much thinner the horizontal strokes are than the upright ones. It
changes the shapes of all characters; another level of ink would only be a factor.

Each outline becomes a signed distance field, as in `metagan.kinds.image.sources.glyph_drawing`.
Lengths are in heights of a capital; y points upwards from the baseline.

Shapes: n characters, S x S pixels each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label, maximum

from metagan.data.dataset import Samples
from metagan.kinds.image.sources.face_drawing import BASELINE, CAP_HEIGHT, SUPERSAMPLE, ink
from metagan.kinds.image.sources.glyph_drawing import Outline, bilinear, stack_fields, trace
from metagan.kinds.image.sources.glyph_shapes import FontShelf

_CAPITAL: Final = 96  # pixels of the bitmap that a field is made of
_UNIT: Final = _CAPITAL / 16  # a field reaches three of these to either side of the edge
_WIDEST: Final = (1 - 2 / 28) / CAP_HEIGHT  # of the drawn ink, so that it stays in the picture
_THINNEST: Final = 0.028  # half-width that thin strokes keep
_NARROWEST: Final = 0.04  # half-width that holes keep
_HEAVIEST: Final = 0.07  # added to half-widths at most


@dataclass(frozen=True)
class Style:
    """How all characters of a domain are drawn.

    Attributes:
        face: The font face.
        slant: To the right for every unit upwards.
        weight: Of strokes: 1 as heavy as the holes of the face's characters allow, -1 as light as
            its thin strokes do, 0 as the face has them.
        width: Stretch from left to right.
        wave: How far rows are moved to the side.
        wave_length: Height of a whole wave.
        wave_phase: Of the wave at the baseline, radians.
        contrast: Added to the half-width of upright strokes and taken from that of horizontal ones.
        line: Width of the lines where characters are outlined; 0 where they are filled.
    """

    face: str
    slant: float
    weight: float
    width: float
    wave: float
    wave_length: float
    wave_phase: float
    contrast: float
    line: float

    def moved(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far to the right the slant and the wave move what is at these heights."""
        waves = np.sin(2 * np.pi * y / self.wave_length + self.wave_phase)
        return self.slant * y + self.wave * waves


@dataclass(frozen=True)
class Fields:
    """The characters of one face as distances to their edges.

    Attributes:
        distance: (n, height, width), pixels of the bitmap, positive in the ink.
        upright: (n, height, width), how upright the nearest edge is: 1 upright, -1 horizontal.
        sizes: (n, 2) height and width of each character's own field.
        baseline: (n,) the row of each field that is on the baseline, pixels.
        edges: For each character the border of its ink, (2, points): y from the baseline, x from
            the centre of the ink.
        thin: Half-width of thin strokes.
        hole: Half-width of the narrowest hole, such as that of e.
    """

    distance: NDArray[np.float32]
    upright: NDArray[np.float32]
    sizes: NDArray[np.float64]
    baseline: NDArray[np.float64]
    edges: tuple[NDArray[np.float64], ...]
    thin: float
    hole: float


def face_fields(shelf: FontShelf, face: str, characters: Sequence[str]) -> Fields:
    """Distance fields of a face's characters.

    Args:
        shelf: The fonts.
        face: Name of the face.
        characters: n characters, all with ink.
    """
    _, rise = ink(shelf.font(face, 256), "H")
    font = shelf.font(face, _CAPITAL * 256 / rise)
    outlines: list[Outline] = []
    baselines: list[float] = []
    edges = []
    for text in characters:
        bitmap, rise = ink(font, text)
        outline = trace(bitmap, _UNIT)
        outlines.append(outline)
        above = (outline.field.shape[0] - bitmap.shape[0]) // 2  # rows added around the bitmap
        baselines.append(above + rise)
        y, x = outline.edge
        edges.append(np.stack([(rise - bitmap.shape[0] / 2) - y, x]) / _CAPITAL)
    distance, sizes = stack_fields(outlines)
    return Fields(
        distance,
        _upright(distance),
        sizes,
        np.array(baselines),
        tuple(edges),
        float(np.median([outline.thin for outline in outlines])) / _CAPITAL,
        min(min(_holes(outline.field), default=np.inf) for outline in outlines) / _CAPITAL,
    )


def _holes(field: NDArray[np.float32]) -> list[float]:
    """Half-widths of the grounds that ink encloses, pixels."""
    grounds, number = label(field < 0)
    sizes: list[float] = maximum(-field, grounds, np.arange(1, number + 1))
    # The ground around the character comes first, as its first pixel does.
    return list(sizes)[1:]


def _upright(distance: NDArray[np.float32]) -> NDArray[np.float32]:
    """How upright the edge is that each pixel is nearest to: the gradient's turned double angle."""
    y, x = np.gradient(distance, axis=(1, 2))
    length = np.maximum(x**2 + y**2, 1e-6)
    return ((x**2 - y**2) / length * np.minimum(length, 1)).astype(np.float32)


def draw_style(fields: Fields, style: Style, *, image_size: int) -> Samples:
    """Pictures of all characters of a face in a style: (n, S, S) uint8, ink 255 on black."""
    weight, contrast = _strokes(fields, style)
    # Heavier strokes grow beyond the baseline and the height of a capital: the characters are made
    # so much lower.
    grown = weight - contrast
    width, centres = _fitted(fields, style, max(weight + abs(contrast), 0.0))
    fine = image_size * SUPERSAMPLE
    capital = CAP_HEIGHT * fine
    places: NDArray[np.float64] = np.arange(fine, dtype=np.float64) + 0.5
    y = (BASELINE * fine - places) / capital
    x = (places - fine / 2) / capital
    rows = _CAPITAL * (y * (1 + 2 * grown) - grown)
    columns = x[None, None, :] + centres[:, None, None] - style.moved(y)[None, :, None]
    last = fields.sizes[:, :, None, None] - 1
    source_y = np.clip(fields.baseline[:, None, None] - rows[:, None] - 0.5, 0, last[:, 0] - 0.001)
    source_x = np.clip(columns / width * _CAPITAL + last[:, 1] / 2, 0, last[:, 1] - 0.001)
    num = len(fields.sizes)
    source_y = np.broadcast_to(source_y, source_x.shape).reshape(num, -1)
    source_x = source_x.reshape(num, -1)
    which = np.arange(num)
    inside = bilinear(fields.distance, which, source_y, source_x) / _CAPITAL + weight
    if contrast:
        inside += contrast * bilinear(fields.upright, which, source_y, source_x)
    if style.line:
        inside = np.minimum(inside, style.line - inside)
    shade = np.clip(inside * capital * np.sqrt(width) + 0.5, 0, 1)
    blocks = shade.reshape(num, image_size, SUPERSAMPLE, image_size, SUPERSAMPLE)
    return np.rint(255 * blocks.mean(axis=(2, 4))).astype(np.uint8)


def _strokes(fields: Fields, style: Style) -> tuple[float, float]:
    """Additions to all half-widths, and to those of upright strokes alone."""
    lighter = max(fields.thin - _THINNEST, 0.0)
    heavier = min(max(fields.hole - _NARROWEST, 0.0), _HEAVIEST)
    weight = style.weight * (heavier if style.weight > 0 else lighter)
    most = max(fields.thin + weight - _THINNEST, 0.0)
    return weight, min(max(style.contrast, -most), most)


def _fitted(fields: Fields, style: Style, grown: float) -> tuple[float, NDArray[np.float64]]:
    """The width at which all characters fit into the picture, and the centre of each one's ink.

    Args:
        fields: The characters.
        style: Its width is the largest.
        grown: How far strokes grow to either side.
    """
    width = style.width
    while True:
        ends = []
        for y, x in fields.edges:
            moved = width * x + style.moved(y)
            ends.append((moved.min(), moved.max()))
        low, high = np.array(ends).T
        widest = (high - low).max() + 2 * grown * width
        if widest <= _WIDEST:
            return width, (low + high) / 2
        width *= min(_WIDEST / widest, 0.99)
