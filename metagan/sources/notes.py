"""Which notes on a data set come first, and how many are shown."""

from collections.abc import Iterable, Sequence
from typing import Final

# A note begins with one of these words and a colon; those of one row weigh the same.
_BY_WEIGHT: Final = (
    ("leak", "leak by construction"),
    ("domains left out", "classes left out", "files left out", "folders without pictures"),
    ("labels", "splits", "domains", "generated", "orientation", "skipped"),
    ("blank", "depth", "dim", "polarity", "colour"),
    ("duplicates",),
    ("left out", "other files ignored"),
)
_UNKNOWN: Final = 2


def weight(note: str) -> int:
    """The rank of a note, 0 the heaviest: leaks, whole classes, labels, looks, files."""
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
