"""Notes on a data set: with which words they begin, which come first, how many are shown.

A kind of sample has words of its own beside those here: `metagan.data.reader.Reader.note_words`.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import Final


class Weight(IntEnum):
    """Subject of a note, the gravest first; notes on one subject weigh the same."""

    SCORES = 0
    """What is measured is too good, or not what was meant."""
    LEFT_OUT = 1
    """Whole classes or domains, or many samples, are not read."""
    INCOMPLETE = 2
    """Parts of samples are not read."""
    MEANING = 3
    """Samples may be of another class, domain or split than meant, or be read in another way."""
    LOOKS = 4
    """Samples may look other than their owner thinks."""
    REPEATS = 5
    FILES = 6
    """Single files, and what is no data."""


WORDS: Final[Mapping[str, Weight]] = MappingProxyType(
    {
        "leak": Weight.SCORES,
        "leak by construction": Weight.SCORES,
        "generated": Weight.SCORES,
        "domains left out": Weight.LEFT_OUT,
        "files left out": Weight.LEFT_OUT,
        "labels": Weight.MEANING,
        "splits": Weight.MEANING,
        "domains": Weight.MEANING,
        "duplicates": Weight.REPEATS,
        "left out": Weight.FILES,
        "skipped": Weight.FILES,
        "other files ignored": Weight.FILES,
    }
)
"""Words before the colon of a note on samples of any kind."""
_UNKNOWN: Final = Weight.MEANING
"""Of notes that another version wrote into prepared data."""
MAX_LISTED: Final = 20


def weight(note: str, own: Mapping[str, Weight]) -> Weight:
    """The weight of a note.

    Args:
        note: The note.
        own: The words of the kind of sample.
    """
    word = note.partition(":")[0]
    return WORDS.get(word, own.get(word, _UNKNOWN))


def by_weight(notes: Iterable[str], own: Mapping[str, Weight]) -> tuple[str, ...]:
    """The notes, heaviest first, by the words of a kind; those of one weight in the order given."""
    return tuple(sorted(notes, key=lambda note: weight(note, own)))


def first_notes(notes: Sequence[str], own: Mapping[str, Weight], *, most: int = 5) -> list[str]:
    """The heaviest notes for a terminal, and how many more there are.

    All notes of the heaviest weight are shown, and others up to `most`.

    Args:
        notes: The notes.
        own: The words of the kind of sample.
        most: Of all weights together.
    """
    ordered = by_weight(notes, own)
    heaviest = sum(weight(note, own) == weight(ordered[0], own) for note in ordered)
    shown = list(ordered[: max(most, heaviest)])
    if left := len(ordered) - len(shown):
        shown.append(f"and {left} more: metagan data inspect")
    return shown


def listed(lines: Sequence[str], what: str, *, most: int = MAX_LISTED) -> list[str]:
    """The first lines, each prefixed with what they are, and how many more there are."""
    shown = [f"{what}: {line}" for line in lines[:most]]
    if len(lines) > most:
        shown.append(f"{what}: {len(lines) - most} more")
    return shown
