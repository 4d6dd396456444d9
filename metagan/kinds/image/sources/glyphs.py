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
from metagan.kinds.image.sources.glyph_drawing import draw
from metagan.kinds.image.sources.glyph_shapes import (
    SCRIPTS,
    Catalogue,
    Character,
    FontShelf,
    catalogue,
)
from metagan.seeding import generator

__all__ = ["SCRIPTS", "VERSION", "load"]

VERSION = 1
"""Raised whenever the same settings give other drawings, so that prepared ones are not reused."""

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
    if config.path is not None:
        raise DataError(
            f"data.path is {config.path}, but data.source glyphs reads no files; "
            "set data.source (or data.source auto) to use that path"
        )
    if config.white is not None:
        raise DataError(
            f"data.white is {config.white:g}, but data.source glyphs draws in 8 bits; leave it out"
        )
    shelf = FontShelf()
    found = catalogue(shelf)
    characters = _chosen(found, config.max_classes_per_domain)
    _LOG.info("drawing %d characters, %d times each", len(characters), config.drawings_per_class)
    return Dataset.from_classes(
        {
            ClassRecord(character.script, character.label): _samples(shelf, character, config)
            for character in characters
        },
        notes=_notes(found, characters, config),
        origin={
            "source": "glyphs",
            "version": VERSION,
            "fonts": list(shelf.faces),
            "image_size": config.image_size,
            "channels": config.channels,
            "invert": config.invert,
            "inverted": config.invert,
            "drawings_per_class": config.drawings_per_class,
            "max_classes_per_domain": config.max_classes_per_domain,
        },
    )


def _chosen(found: Catalogue, limit: int | None) -> list[Character]:
    """The first `limit` characters of each script, in an order fixed by a named draw."""
    chosen: list[Character] = []
    for script in SCRIPTS:
        members = [character for character in found.characters if character.script == script]
        order = generator(_SEED, "glyph classes", script).permutation(len(members))
        chosen.extend(members[index] for index in order[:limit])
    return chosen


def _samples(shelf: FontShelf, character: Character, config: ImageData) -> Samples:
    """All drawings of a character, (n, C, S, S) uint8."""
    drawings = draw(shelf, character, config.drawings_per_class, image_size=config.image_size)
    if config.invert:
        drawings = 255 - drawings
    return np.repeat(drawings[:, None], config.channels, axis=1)


def _notes(found: Catalogue, characters: Sequence[Character], config: ImageData) -> list[str]:
    left = len(found.characters) - len(characters)
    if not left:
        return list(found.notes)
    limit = config.max_classes_per_domain
    return [*found.notes, f"characters left out: {left}, as data.max_classes_per_domain is {limit}"]
