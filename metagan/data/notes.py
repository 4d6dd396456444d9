"""Notes on a data set: with which words they begin, which come first, how many are shown."""

from collections.abc import Iterable, Sequence
from typing import Final

# A note begins with one of these and a colon; those of one row weigh the same.
_BY_WEIGHT: Final = (
    # What is measured is too good, or not what was meant.
    ("leak", "leak by construction", "generated"),
    # Whole classes or domains, or many samples, are not read; then what a sample lacks.
    ("domains left out", "files left out", "folders without pictures", "pictures left out"),
    ("columns left out", "rows left out"),
    # Pictures may be of another class, domain or split, or lie on their side.
    ("labels", "splits", "domains", "orientation"),
    # Samples may look other than their owner thinks.
    ("blank", "depth", "dim", "polarity", "units", "colour", "columns"),
    ("duplicates",),
    # Single files, and what is no data.
    ("left out", "skipped", "other files ignored", "characters left out"),
)
_UNKNOWN: Final = 3
"""Of notes that another version wrote into prepared data."""

FIRST_WORDS: Final = frozenset(word for row in _BY_WEIGHT for word in row)
MAX_LISTED: Final = 20
POLARITY: Final = "polarity:"
"""How a note begins on what is bright and what is dark; of a run's own data it may be as meant."""
WARNED: Final = (POLARITY, "units:")
"""How notes begin which `metagan adapt` shows as warnings: the support is read in another way."""
IDLE_WHITE: Final = "depth: data.white is "
"""How a note begins on `data.white` where it changes nothing."""
KEEPS_COLOUR: Final = "data.channels=3 keeps it"
"""What a note on lost colour advises."""
_RUN_IS_GREY: Final = (
    "the run reads grey, and colour needs another run, trained with data.channels=3"
)


def for_a_trained_run(notes: Iterable[str], *, white_given: bool) -> list[str]:
    """Notes on other pictures than a run's own, without what such a run cannot follow.

    What is bright and dark in them is for the run's own pictures to say.

    Args:
        notes: On the pictures.
        white_given: `data.white` was said of these pictures, not of the run's own.
    """
    return [
        note.replace(KEEPS_COLOUR, _RUN_IS_GREY)
        for note in notes
        if not note.startswith(POLARITY) and (white_given or not note.startswith(IDLE_WHITE))
    ]


def weight(note: str) -> int:
    """The rank of a note, 0 the heaviest: leaks, whole classes, labels, looks, repeats, files."""
    word = note.partition(":")[0]
    ranks = (rank for rank, words in enumerate(_BY_WEIGHT) if word in words)
    return next(ranks, _UNKNOWN)


def by_weight(notes: Iterable[str]) -> tuple[str, ...]:
    """The notes, heaviest first; those of one weight in the order given."""
    return tuple(sorted(notes, key=weight))


def first_notes(notes: Sequence[str], *, most: int = 5) -> list[str]:
    """The heaviest notes for a terminal, and how many more there are.

    All notes of the heaviest kind are shown, and others up to `most`.
    """
    ordered = by_weight(notes)
    heaviest = sum(weight(note) == weight(ordered[0]) for note in ordered) if ordered else 0
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
