"""Drawings of one character: stroke weight, affine and elastic distortion, as a hand would vary it.

Each outline becomes a signed distance field, so that the stroke weight of a drawing is an offset
and its edge stays smooth at any size. All numbers of a drawing come from its own named draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metagan.data.dataset import Samples
from metagan.kinds.image.sources.glyph_shapes import Bitmap, Character, FontShelf
from metagan.seeding import generator

# n drawings of a character, S x S pixels each, K control points a side, F faces.
# "Output pixels" below are pixels of a 28 x 28 drawing; other sizes scale with S / 28.

_SEED = 0  # of the data, not of a run: every run sees the same drawings

_SUPERSAMPLE = 2  # per side, before averaging down to S
_OVERSIZE = 2.5  # pixels of the outline's bitmap per pixel of the drawing, at least
_BASE_EM = 96  # pixels

_FILL = (18.5, 21.5)  # longer side of the drawn glyph, output pixels
_HALF_STROKE = (0.75, 1.6)  # wanted half-width of a typical stroke, output pixels
_MAX_WEIGHT_CHANGE = 1.2  # output pixels to either side of the outline
_MIN_HALF_STROKE = 0.6  # thin strokes are not eroded below this, output pixels
_MIN_HALF_GAP = 0.7  # gaps are not closed below this, output pixels

_ROTATION = 0.11  # standard deviation, radians
_MAX_ROTATION = 0.24
_SHEAR = 0.15  # uniform to either side
_STRETCH = 0.1  # standard deviation of the log of width over height
_ELASTIC = 2.2  # standard deviation of a control point's displacement, output pixels
_MAX_ELASTIC = 2.0
_CONTROL_POINTS = 6
_BORDER = 0.9  # kept free at the edge of the picture, output pixels


@dataclass(frozen=True)
class Outline:
    """A character in one face, as distances to its edge.

    Attributes:
        field: (height, width), bitmap pixels to the edge, positive in the ink, clipped.
        edge: (2, points), y and x of the ink's border relative to the centre, bitmap pixels.
        longer_side: Of the ink, bitmap pixels.
        thin, typical: Half-widths of its strokes, 10th percentile and median, bitmap pixels.
        gap: Half-width of its narrow gaps, 10th percentile, bitmap pixels.
    """

    field: NDArray[np.float32]
    edge: NDArray[np.float64]
    longer_side: int
    thin: float
    typical: float
    gap: float


def _distance(target: NDArray[np.bool_], reach: int) -> NDArray[np.float32]:
    """Euclidean distance to the nearest True pixel, (height, width), at most `reach` + 1."""
    best = np.where(target, 0, (reach + 1) ** 2).astype(np.int16)
    for _ in (0, 1):  # columns, then rows: the square of a distance is a sum over the axes
        source = best.copy()
        for shift in range(1, reach + 1):
            further = source + np.int16(shift**2)
            np.minimum(best[shift:], further[:-shift], out=best[shift:])
            np.minimum(best[:-shift], further[shift:], out=best[:-shift])
        best = np.ascontiguousarray(best.T)
    return np.sqrt(best.astype(np.float32))


def _ridges(field: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Values at the local maxima of a distance field, sorted: half-widths along centre lines."""
    top = where.copy()
    top[1:] &= field[1:] >= field[:-1]
    top[:-1] &= field[:-1] >= field[1:]
    top[:, 1:] &= field[:, 1:] >= field[:, :-1]
    top[:, :-1] &= field[:, :-1] >= field[:, 1:]
    return np.sort(field[top])


def _smooth(field: NDArray[np.float32]) -> NDArray[np.float32]:
    """Binomial 3 x 3 smoothing, which rounds corners and removes the bitmap's steps."""
    for _ in (0, 1):
        inner = field.copy()
        inner[1:-1] = field[1:-1] * 0.5 + (field[:-2] + field[2:]) * 0.25
        field = inner.T
    return np.ascontiguousarray(field)


def trace(bitmap: Bitmap, unit: float) -> Outline:
    """Measure a cropped bitmap.

    Args:
        bitmap: (height, width), from `FontShelf.bitmap`.
        unit: How many bitmap pixels an output pixel is.
    """
    reach = int(np.ceil(3 * unit))
    ink = np.pad(bitmap > 127, reach)
    inside = _distance(~ink, reach)
    outside = _distance(ink, reach)
    gaps = _ridges(outside, ~ink & (outside < reach))
    strokes = _ridges(inside, ink)
    border = ink & (inside < 1.5)
    edge = np.stack(np.nonzero(border)).astype(np.float64)
    edge -= (edge.min(axis=1, keepdims=True) + edge.max(axis=1, keepdims=True)) / 2
    return Outline(
        field=_smooth(np.where(ink, inside - 0.5, 0.5 - outside)),
        edge=edge,
        longer_side=max(bitmap.shape),
        thin=float(strokes[len(strokes) // 10]),
        typical=float(strokes[len(strokes) // 2]),
        gap=float(gaps[len(gaps) // 10]) if gaps.size else float(reach),
    )


def _em_for(shelf: FontShelf, character: Character, face: str, longer_side: float) -> int:
    """A font size at which the glyph's longer side has at least so many pixels."""
    em = _BASE_EM
    side = max(shelf.bitmap(face, character.text, em).shape)
    while side < longer_side and em < 16 * _BASE_EM:
        em, side = em * 2, side * 2
    return em


def _spline_basis(size: int) -> NDArray[np.float64]:
    """Cubic B-spline weights of the control points along one axis, (size, K)."""
    position = np.linspace(0, _CONTROL_POINTS - 3, size, endpoint=False)[:, None] + 1
    distance = np.abs(position - np.arange(_CONTROL_POINTS)[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, near, far)


@dataclass(frozen=True)
class _Variations:
    """The random numbers of n drawings: uniform (n, 7) and normal (n, 2 + 2 K K)."""

    uniform: NDArray[np.float64]
    normal: NDArray[np.float64]

    @classmethod
    def of(cls, character: Character, num_drawings: int) -> "_Variations":
        """One named draw per drawing, so that none depends on how many others are made."""
        rngs = [generator(_SEED, "glyph", character.text, i) for i in range(num_drawings)]
        uniform = np.stack([rng.random(7) for rng in rngs])
        normal = np.stack([rng.standard_normal(2 + 2 * _CONTROL_POINTS**2) for rng in rngs])
        return cls(uniform, normal)

    def between(self, column: int, low: float, high: float) -> NDArray[np.float64]:
        """A column of uniform numbers, moved to [low, high)."""
        return low + (high - low) * self.uniform[:, column]

    def matrices(self) -> NDArray[np.float64]:
        """Rotation, shear and stretch of each drawing, (n, 2, 2) on (y, x), not yet scaled."""
        angle = np.clip(self.normal[:, 0] * _ROTATION, -_MAX_ROTATION, _MAX_ROTATION)
        shear = self.between(1, -_SHEAR, _SHEAR)
        stretch = np.exp(np.clip(self.normal[:, 1], -2, 2) * _STRETCH / 2)
        cos, sin = np.cos(angle), np.sin(angle)
        rotation = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
        zero = np.zeros_like(shear)
        slant = np.stack(
            [np.stack([1 / stretch, zero], -1), np.stack([shear * stretch, stretch], -1)], -2
        )
        return rotation @ slant

    def displacement(self, size: int) -> NDArray[np.float64]:
        """A smooth displacement field per drawing, (n, 2, size, size), output pixels of 28."""
        control = self.normal[:, 2:].reshape(-1, 2, _CONTROL_POINTS, _CONTROL_POINTS) * _ELASTIC
        basis = _spline_basis(size)
        field = basis @ control @ basis.T
        # A common shift would only move the glyph off the centre.
        field -= field.mean(axis=(2, 3), keepdims=True)
        return _MAX_ELASTIC * np.tanh(field / _MAX_ELASTIC)


def _weight_change(outline: Outline, half_stroke: float, unit: float) -> float:
    """How far to move the outline outwards for the wanted half-width, in bitmap pixels.

    Limited so that hairlines stay, narrow gaps stay open, and solid shapes stay what they are.
    """
    change = half_stroke * unit - outline.typical
    thinnest = -max(outline.thin - _MIN_HALF_STROKE * unit, 0.0)
    thickest = max(outline.gap - _MIN_HALF_GAP * unit, 0.0)
    limit = _MAX_WEIGHT_CHANGE * unit
    # A hairline below the minimum is thickened even where that narrows a gap.
    needed = max(0.5 * _MIN_HALF_STROKE * unit - outline.thin, 0.0)
    return float(np.clip(max(min(max(change, thinnest), thickest), needed), -limit, limit))


def bilinear(
    fields: NDArray[np.float32],
    which: NDArray[np.int64],
    y: NDArray[np.float64],
    x: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Values of fields[which] at (y, x), each (n, points) and inside the field."""
    _, height, width = fields.shape
    top, left = y.astype(np.int64), x.astype(np.int64)
    down, right = (y - top).astype(np.float32), (x - left).astype(np.float32)
    flat = fields.ravel()
    index = (which[:, None] * height + top) * width + left
    above = flat[index] * (1 - right) + flat[index + 1] * right
    below = flat[index + width] * (1 - right) + flat[index + width + 1] * right
    return above * (1 - down) + below * down


def stack_fields(outlines: Sequence[Outline]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The fields in the top left of equal frames, (F, height, width), and their sizes, (F, 2)."""
    sizes = np.array([outline.field.shape for outline in outlines], np.float64)
    height, width = sizes.max(axis=0).astype(int)
    frames = np.zeros((len(outlines), height, width), np.float32)
    for frame, outline in zip(frames, outlines, strict=True):
        frame[: outline.field.shape[0], : outline.field.shape[1]] = outline.field
    return frames, sizes


def draw(shelf: FontShelf, character: Character, num_drawings: int, *, image_size: int) -> Samples:
    """Drawings of a character: (n, S, S) uint8, ink 255 on black.

    Drawing i depends on the character, i and the fonts alone: it is the same whatever else is
    drawn, and however many.

    Args:
        shelf: The fonts.
        character: What to draw.
        num_drawings: n.
        image_size: S, pixels.
    """
    pixel = image_size / 28  # pixels of the drawing per output pixel
    unit = _OVERSIZE * pixel
    variations = _Variations.of(character, num_drawings)
    chosen = (variations.uniform[:, 0] * len(character.faces)).astype(np.int64)
    used, which = np.unique(chosen, return_inverse=True)
    outlines: list[Outline] = []
    units: list[float] = []
    for index in used:
        face = character.faces[index]
        em = _em_for(shelf, character, face, _FILL[1] * unit)
        bitmap = shelf.bitmap(face, character.text, em)
        units.append(max(bitmap.shape) / _FILL[1])
        outlines.append(trace(bitmap, units[-1]))

    matrices = variations.matrices()
    half_strokes = variations.between(2, *_HALF_STROKE)
    fills = variations.between(3, *_FILL) * pixel
    changes = np.empty(num_drawings)
    offsets = np.empty((num_drawings, 2))
    for i, face_index in enumerate(which):
        outline = outlines[face_index]
        changes[i] = _weight_change(outline, half_strokes[i], units[face_index])
        warped = matrices[i] @ outline.edge
        low, high = warped.min(axis=1) - changes[i], warped.max(axis=1) + changes[i]
        matrices[i] *= fills[i] / (high - low).max()
        offsets[i] = (low + high) / 2 * (fills[i] / (high - low).max())
    return _render(
        *stack_fields(outlines),
        which,
        matrices,
        changes,
        _positions(variations, fills, image_size) - offsets,
        variations.displacement(image_size * _SUPERSAMPLE) * pixel,
    )


def _positions(
    variations: _Variations, fills: NDArray[np.float64], image_size: int
) -> NDArray[np.float64]:
    """Centre of each glyph's bounding box, (n, 2) y and x, as far off as there is room."""
    pixel = image_size / 28
    room = np.maximum((image_size - fills) / 2 - (_BORDER + _MAX_ELASTIC) * pixel, 0)
    jitter = 2 * variations.uniform[:, 4:6] - 1
    return image_size / 2 + jitter * room[:, None]


def _render(
    frames: NDArray[np.float32],
    sizes: NDArray[np.float64],
    which: NDArray[np.int64],
    matrices: NDArray[np.float64],
    changes: NDArray[np.float64],
    positions: NDArray[np.float64],
    displacement: NDArray[np.float64],
) -> Samples:
    """Resample the fields and turn distances into ink: (n, S, S) uint8.

    Args:
        frames: (F, height, width) distances, bitmap pixels.
        sizes: (F, 2) height and width of each glyph's field, which it is in the centre of.
        which: (n,) the frame of each drawing.
        matrices: (n, 2, 2) from bitmap to drawing pixels.
        changes: (n,) added to the distances, bitmap pixels.
        positions: (n, 2) where the centre goes, drawing pixels.
        displacement: (n, 2, S', S') in drawing pixels, S' supersampled.
    """
    num, _, fine, _ = displacement.shape
    grid = (np.arange(fine) + 0.5) / _SUPERSAMPLE
    y = grid[None, :, None] + displacement[:, 0] - positions[:, 0, None, None]
    x = grid[None, None, :] + displacement[:, 1] - positions[:, 1, None, None]
    inverse = np.linalg.inv(matrices)[:, :, :, None, None]
    # Only the glyph's own size counts, not its frame's: no drawing depends on the others.
    last = sizes[which][:, :, None, None] - 1
    source_y = inverse[:, 0, 0] * y + inverse[:, 0, 1] * x + last[:, 0] / 2
    source_x = inverse[:, 1, 0] * y + inverse[:, 1, 1] * x + last[:, 1] / 2
    source_y = np.clip(source_y, 0, last[:, 0] - 0.001).reshape(num, -1)
    source_x = np.clip(source_x, 0, last[:, 1] - 0.001).reshape(num, -1)
    distance = bilinear(frames, which, source_y, source_x)
    # Distances in supersampled pixels: the edge fades over one of them.
    scale = np.sqrt(np.abs(np.linalg.det(matrices))) * _SUPERSAMPLE
    ink = np.clip((distance + changes[:, None]) * scale[:, None] + 0.5, 0, 1)
    coarse = fine // _SUPERSAMPLE
    blocks = ink.reshape(num, coarse, _SUPERSAMPLE, coarse, _SUPERSAMPLE).mean(axis=(2, 4))
    peak = np.maximum(blocks.max(axis=(1, 2), keepdims=True), 1e-6)
    return np.rint(255 * blocks / peak).astype(np.uint8)
