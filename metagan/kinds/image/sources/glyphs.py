"""The built-in data: letters and symbols of 24 scripts, drawn as by many hands.

A domain is a script, a class is a character, a sample is one drawing of it. Nothing is downloaded
and nothing depends on the seed of a run: everyone who asks for the same settings with the same
fonts gets the same bytes.
"""

import logging
from collections.abc import Sequence

import numpy as np

from metagan.config.image import ImageData
from metagan.data.dataset import ClassRecord, DataError, Dataset, Samples
from metagan.kinds.image.files import SOURCES
from metagan.kinds.image.sources.glyph_drawing import draw
from metagan.kinds.image.sources.glyph_shapes import (
    SCRIPTS,
    Catalogue,
    Character,
    FontShelf,
    catalogue,
)
from metagan.seeding import generator

__all__ = ["SCRIPTS", "load"]

_LOG = logging.getLogger(__name__)
_SEED = 0  # of the choice of characters; the data must not change with the seed of a run


def load(config: ImageData) -> Dataset:
    """Draw the built-in data.

    Uses `drawings_per_class`, `max_classes_per_domain`, `image_size`, `channels` (3 repeats the
    grey picture) and `invert` of the settings. A smaller number of classes or drawings gives a
    part of what a larger one gives.

    Args:
        config: The data settings.

    Returns:
        Domains are the `SCRIPTS`, labels are code point and Unicode name; samples (C, H, W)
        uint8, ink 255 on 0. Notes count the characters left out, by reason.

    Raises:
        DataError: If data.path is set, or matplotlib's fonts are missing.
    """
    check_built_in("glyphs", config)
    shelf = FontShelf()
    found = catalogue(shelf)
    characters = _chosen(found, config.max_classes_per_domain)
    _LOG.info("drawing %d characters, %d times each", len(characters), config.drawings_per_class)
    return Dataset.from_classes(
        {
            ClassRecord(character.script, character.label): as_samples(
                draw(shelf, character, config.drawings_per_class, image_size=config.image_size),
                config,
            )
            for character in characters
        },
        notes=_notes(found, characters, config),
        origin={
            "source": "glyphs",
            "version": SOURCES["glyphs"].version,
            "fonts": list(shelf.faces),
            "image_size": config.image_size,
            "channels": config.channels,
            "invert": config.invert,
            "inverted": config.invert,
            "drawings_per_class": config.drawings_per_class,
            "max_classes_per_domain": config.max_classes_per_domain,
        },
    )


def check_built_in(source: str, config: ImageData) -> None:
    """Refuse settings of files where pictures are drawn.

    Raises:
        DataError: If data.path or data.white is set.
    """
    if config.path is not None:
        raise DataError(
            f"data.path is {config.path}, but data.source {source} reads no files; "
            "set data.source (or data.source auto) to use that path"
        )
    if config.white is not None:
        raise DataError(
            f"data.white is {config.white:g}, but data.source {source} draws in 8 bits; "
            "leave it out"
        )


def as_samples(drawings: Samples, config: ImageData) -> Samples:
    """Drawings (n, S, S) as samples (n, C, S, S), swapped where the settings say so."""
    if config.invert:
        drawings = 255 - drawings
    return np.repeat(drawings[:, None], config.channels, axis=1)


def _chosen(found: Catalogue, limit: int | None) -> list[Character]:
    """The first `limit` characters of each script, in an order fixed by a named draw."""
    chosen: list[Character] = []
    for script in SCRIPTS:
        members = [character for character in found.characters if character.script == script]
        order = generator(_SEED, "glyph classes", script).permutation(len(members))
        chosen.extend(members[index] for index in order[:limit])
    return chosen


def _notes(found: Catalogue, characters: Sequence[Character], config: ImageData) -> list[str]:
    left = len(found.characters) - len(characters)
    if not left:
        return list(found.notes)
    limit = config.max_classes_per_domain
    return [*found.notes, f"characters left out: {left}, as data.max_classes_per_domain is {limit}"]
