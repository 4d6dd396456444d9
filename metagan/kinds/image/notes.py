"""Notes on pictures: with which words they begin, and which of them concern a trained run."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from metagan.data.notes import Weight

WORDS: Final[Mapping[str, Weight]] = MappingProxyType(
    {
        "folders without pictures": Weight.LEFT_OUT,
        "pictures left out": Weight.LEFT_OUT,
        # Pictures that lie on their side.
        "orientation": Weight.MEANING,
        "blank": Weight.LOOKS,
        "depth": Weight.LOOKS,
        "dim": Weight.LOOKS,
        "polarity": Weight.LOOKS,
        "colour": Weight.LOOKS,
        "characters left out": Weight.FILES,
    }
)
"""Words before the colon of a note on pictures, beside those on samples of any kind."""
POLARITY: Final = "polarity:"
"""Beginning of a note on what is bright and dark, which in a run's own data may be as meant."""
IDLE_WHITE: Final = "depth: data.white is "
"""Beginning of a note on `data.white` where it changes nothing."""
KEEPS_COLOUR: Final = "data.channels=3 keeps it"
"""Advice of a note on lost colour."""
_RUN_IS_GREY: Final = (
    "the run reads grey, and colour needs another run, trained with data.channels=3"
)


def other_notes(notes: Iterable[str], said: Collection[str]) -> list[str]:
    """Notes on other pictures than a run's own, without what such a run cannot follow.

    What is bright and dark in them is for the run's own pictures to say.

    Args:
        notes: On the pictures.
        said: Names of fields of `data` that are said of these pictures, not of the run's own.
    """
    return [
        note.replace(KEEPS_COLOUR, _RUN_IS_GREY)
        for note in notes
        if not note.startswith(POLARITY) and ("white" in said or not note.startswith(IDLE_WHITE))
    ]
