"""The built-in data with hidden manners: letters and digits in many styles.

A domain is a style: a font face of matplotlib's with a slant, weight, width, waves and contrast of
its own, filled or outlined. All its characters share them, and nothing says what they are but its
pictures. A class is a character, with one picture. Nothing is downloaded and nothing depends on the
seed of a run.
"""

import logging
from collections import defaultdict
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metagan.config.image import ImageData
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.kinds.image.files import SOURCES
from metagan.kinds.image.sources.face_drawing import (
    CHARACTERS,
    REFERENCE,
    REFERENCE_FACE,
    draw_face,
)
from metagan.kinds.image.sources.glyph_shapes import FontShelf, label_of
from metagan.kinds.image.sources.glyphs import as_samples, check_built_in
from metagan.kinds.image.sources.style_drawing import Style, draw_style, face_fields
from metagan.seeding import generator

_LOG = logging.getLogger(__name__)
_SEED: Final = 0  # of the styles; the data must not change with the seed of a run

# Of matplotlib's faces those with all characters, less the one that stands in for missing fonts.
_FACES: Final = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique"),
    *("DejaVuSansMono-BoldOblique", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic"),
    *("DejaVuSerif-BoldItalic", "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic"),
    *("STIXGeneralBolIta", "cmr10", "cmb10", "cmss10", "cmti10", "cmtt10"),
)
# Lines are seen beside each other only where strokes are heavy.
_OUTLINED: Final = frozenset(
    {
        *("DejaVuSans-Bold", "DejaVuSans-BoldOblique", "DejaVuSansMono-Bold"),
        *("DejaVuSansMono-BoldOblique", "DejaVuSerif-Bold", "DejaVuSerif-BoldItalic"),
        *("STIXGeneralBol", "STIXGeneralBolIta"),
    }
)

_CANDIDATES: Final = 8
_OUTLINED_SHARE: Final = 0.5  # of the styles with a heavy face
_WAVED_SHARE: Final = 0.6
# Lengths are in heights of a capital.
_SLANT: Final = (-0.25, 0.35)
_WIDTH: Final = (0.68, 1.4)
_WAVE: Final = (0.03, 0.09)
_WAVE_LENGTH: Final = (0.45, 1.3)
_STEEPEST: Final = 0.1  # wave over its length; of outlined characters, whose lines meet, half of it
_CONTRAST: Final = (-0.03, 0.05)
_LINE: Final = (0.055, 0.075)


def styles_of(number: int) -> list[Style]:
    """The first styles, so many; each depends on those before it alone.

    Of some candidates that one is taken which is the farthest from all earlier styles of its face,
    so that no two styles are nearly one.
    """
    found: list[Style] = []
    of_face: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for place in range(number):
        block, rank = divmod(place, len(_FACES))
        face = _FACES[generator(_SEED, "style faces", block).permutation(len(_FACES))[rank]]
        rng = generator(_SEED, "style", place)
        candidates = [_candidate(face, rng) for _ in range(_CANDIDATES)]
        points = np.stack([_point(style) for style in candidates])
        earlier = np.array(of_face[face]).reshape(-1, 1, points.shape[1])
        nearest = np.linalg.norm(points - earlier, axis=2).min(axis=0, initial=np.inf)
        best = int(nearest.argmax())
        found.append(candidates[best])
        of_face[face].append(points[best])
    return found


def _candidate(face: str, rng: np.random.Generator) -> Style:
    """A style of a face; every number is drawn, whether it is used or not."""
    slant = rng.uniform(*_SLANT)
    weight = rng.uniform(-1, 1)
    width = float(np.exp(rng.uniform(*np.log(_WIDTH))))
    wave, is_waved = rng.uniform(*_WAVE), rng.random() < _WAVED_SHARE
    wave_length, wave_phase = rng.uniform(*_WAVE_LENGTH), rng.uniform(0, 2 * np.pi)
    contrast = rng.uniform(*_CONTRAST)
    line, is_outlined = rng.uniform(*_LINE), rng.random() < _OUTLINED_SHARE
    if face in _OUTLINED and is_outlined:
        weight, width = abs(weight), max(width, 1.0)
    else:
        line = 0.0
    steepest = _STEEPEST / 2 if line else _STEEPEST
    return Style(
        face=face,
        slant=slant,
        weight=weight,
        width=width,
        wave=min(wave, steepest * wave_length) if is_waved else 0.0,
        wave_length=wave_length,
        wave_phase=wave_phase,
        contrast=contrast,
        line=line,
    )


def _point(style: Style) -> NDArray[np.float64]:
    """A style as a point; what looks different is far apart."""
    rows = style.moved(np.linspace(0, 1, 12)) / (0.1 * np.sqrt(12))
    others = [style.weight, np.log(style.width) / 0.4, style.contrast / 0.05, bool(style.line) * 2]
    return np.concatenate([rows, others])


def load(config: ImageData) -> Dataset:
    """Draw the built-in styles, and the plain face that pairs have as their inputs.

    Uses `styles`, `image_size`, `channels` (3 repeats the grey picture) and `invert` of the
    settings. Fewer styles are the first of more.

    Args:
        config: The data settings.

    Returns:
        Domains are "DejaVu Sans", undistorted, and the styles by their numbers; labels are code
        point and Unicode name; one sample a class, (C, S, S) uint8, ink 255 on 0.

    Raises:
        DataError: If data.path or data.white is set, or matplotlib's fonts are missing.
    """
    check_built_in("styles", config)
    shelf = FontShelf(faces=_FACES)
    if missing := [face for face in _FACES if face not in shelf.faces]:
        raise DataError(
            f"data.source styles: matplotlib has no {missing[0]}.ttf; reinstall matplotlib"
        )
    _LOG.info("drawing %d styles of %d characters", config.styles, len(CHARACTERS))
    plain, _ = draw_face(
        partial(shelf.font, REFERENCE_FACE), CHARACTERS, image_size=config.image_size
    )
    drawn = {REFERENCE: np.stack([plain[text] for text in CHARACTERS])}
    wanted = list(enumerate(styles_of(config.styles), start=1))
    for face in sorted({style.face for _, style in wanted}):
        fields = face_fields(shelf, face, CHARACTERS)
        for number, style in wanted:
            if style.face == face:
                drawn[f"style {number:04d}"] = draw_style(
                    fields, style, image_size=config.image_size
                )
    return Dataset.from_classes(
        {
            ClassRecord(domain, label_of(text)): as_samples(picture[None], config)
            for domain, pictures in drawn.items()
            for text, picture in zip(CHARACTERS, pictures, strict=True)
        },
        origin={
            "source": "styles",
            "version": SOURCES["styles"].version,
            "reference_domain": REFERENCE,
            "fonts": list(shelf.faces),
            "image_size": config.image_size,
            "channels": config.channels,
            "invert": config.invert,
            "inverted": config.invert,
            "styles": config.styles,
        },
    )
