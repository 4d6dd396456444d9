"""Equal samples: repeated in a class, shared by classes, or leaked across a split.

Shapes: N samples.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metagan.config.kinds import DEFAULT_KIND
from metagan.data.dataset import Dataset
from metagan.data.pairs import measured_classes
from metagan.data.reader import find_reader
from metagan.words import agreeing, counted

_MAX_EXAMPLES: Final = 5


@dataclass(frozen=True)
class Repeats:
    """Samples of equal content.

    Attributes:
        groups: For every content that occurs more than once the classes that have it, one entry
            per sample, in the order of the data set. Without blank samples, which tell nothing of
            their class.
        within_class: For every class, how many samples repeat an earlier one of it.
    """

    groups: tuple[tuple[int, ...], ...]
    within_class: Mapping[int, int]

    @property
    def across_classes(self) -> list[tuple[int, ...]]:
        """The classes of each content that several classes share."""
        return [tuple(sorted(set(group))) for group in self.groups if len(set(group)) > 1]

    def across(self, side: Sequence[str | None]) -> list[tuple[int, ...]]:
        """The same where these classes are on different sides; `side` has one entry per class."""
        return [group for group in self.across_classes if len({side[i] for i in group}) > 1]

    def across_published(self, dataset: Dataset) -> list[tuple[int, ...]]:
        """The same for the published split; the reference domain is on no side of it."""
        measured = set(measured_classes(dataset))
        kept = (tuple(i for i in group if i in measured) for group in self.groups)
        return Repeats(tuple(kept), {}).across([record.split for record in dataset.classes])


def contents(dataset: Dataset, classes: Iterable[int] | None = None) -> NDArray[np.uint64]:
    """A hash of every sample's content, (N,): equal samples have equal hashes.

    Args:
        dataset: The data.
        classes: Only samples of these classes, in their order; None: all.
    """
    samples: Any = dataset.samples
    if classes is not None:
        samples = (sample for index in classes for sample in dataset.class_samples(index))
    return np.array(
        [
            int.from_bytes(
                hashlib.blake2b(np.ascontiguousarray(sample).data, digest_size=8).digest()
            )
            for sample in samples
        ],
        np.uint64,
    )


def find_repeats(dataset: Dataset) -> Repeats:
    """All samples of equal content; hashes every sample once."""
    hashes = contents(dataset)
    owners = np.repeat(np.arange(dataset.num_classes), np.diff(dataset.offsets))
    order = np.argsort(hashes, kind="stable")
    starts = np.flatnonzero(np.diff(hashes[order], prepend=hashes[order[:1]] + np.uint64(1)))
    groups = [g for g in np.split(order, starts[1:]) if len(g) > 1]
    groups.sort(key=lambda group: int(group[0]))
    classes = tuple(tuple(owners[group].tolist()) for group in groups)
    within: Counter[int] = Counter()
    for group in classes:
        for index, times in Counter(group).items():
            within[index] += times - 1
    blank = find_reader(dataset.kind).blank(dataset)
    telling = zip(groups, classes, strict=True)
    return Repeats(tuple(own for group, own in telling if not blank[group[0]]), within)


def duplicate_notes(dataset: Dataset) -> list[str]:
    """Lines on equal samples across published splits, and within classes."""
    repeats = find_repeats(dataset)
    notes = []
    if across := repeats.across_published(dataset):
        named = " and ".join(dataset.classes[index].name for index in across[0][:3])
        are = agreeing(len(across), "sample is", "samples are")
        notes.append(
            f"leak: {len(across)} {are} byte-identical in classes on different sides of the "
            f"published split, such as in {named}"
        )
    if number := sum(repeats.within_class.values()):
        first = next(index for index, times in repeats.within_class.items() if times)
        are = agreeing(number, "sample is", "samples are")
        notes.append(
            f"duplicates: {number} {are} byte-identical to another one of their class, such as "
            f"in {dataset.classes[first].name}; support and query can share them"
        )
    return notes


@dataclass(frozen=True)
class Leak:
    """Samples that lie on several sides of a split.

    Attributes:
        samples: How many different ones.
        examples: A few pairs of classes, each as `domain/class (side)`.
        kind: The kind of these samples.
    """

    samples: int
    examples: tuple[tuple[str, str], ...]
    kind: str = DEFAULT_KIND

    def __str__(self) -> str:
        """In words, with the first example."""
        first, second = self.examples[0]
        number = counted(self.samples, find_reader(self.kind).word)
        are = agreeing(self.samples, "is", "are")
        return f"{number} {are} on both sides of the split, such as in {first} and {second}"

    def as_json(self) -> dict[str, Any]:
        """As run folders keep it."""
        kept = {"samples": self.samples, "examples": [list(pair) for pair in self.examples]}
        return kept if self.kind == DEFAULT_KIND else {**kept, "kind": self.kind}

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> "Leak":
        """Read what `as_json` gave."""
        examples = tuple((first, second) for first, second in kept["examples"])
        return cls(kept["samples"], examples, kept.get("kind", DEFAULT_KIND))


def find_leak(
    dataset: Dataset, repeats: Repeats, sides: Mapping[str, Collection[int]]
) -> Leak | None:
    """Samples that are in classes of several sides of a run's split; None where there are none.

    Args:
        dataset: The data.
        repeats: Of these data, see `find_repeats`.
        sides: Classes by side: train, validation, test.
    """
    side_of = {index: side for side, classes in sides.items() for index in classes}
    pairs = []
    for group in repeats.across_classes:
        used = sorted(
            (i for i in group if i in side_of), key=lambda i: list(sides).index(side_of[i])
        )
        if used and side_of[used[0]] != side_of[used[-1]]:
            ends = (used[0], next(i for i in used if side_of[i] != side_of[used[0]]))
            pairs.append(tuple(f"{dataset.classes[i].name} ({side_of[i]})" for i in ends))
    return _leak(pairs, dataset.kind)


def find_leak_into(
    dataset: Dataset, sides: Mapping[str, Sequence[int]], target: Dataset
) -> Leak | None:
    """Samples of a run's classes that are in other data too, which are to be measured on.

    Args:
        dataset: The run's data.
        sides: Its classes that were learned from or chosen on, by side.
        target: The other data.
    """
    held = _first_owners(target, range(target.num_classes))
    pairs = []
    for side, classes in sides.items():
        for content, owner in _first_owners(dataset, classes).items():
            if content in held:
                names = dataset.classes[owner].name, target.classes[held[content]].name
                pairs.append((f"{names[0]} ({side})", f"{names[1]} (target)"))
    return _leak(pairs, dataset.kind)


def _leak(pairs: Sequence[tuple[str, ...]], kind: str) -> Leak | None:
    examples = tuple((first, second) for first, second in dict.fromkeys(pairs))
    return Leak(len(pairs), examples[:_MAX_EXAMPLES], kind) if pairs else None


def _first_owners(dataset: Dataset, classes: Sequence[int]) -> dict[int, int]:
    """The first of the classes that has each content; blank samples are left out."""
    blank = find_reader(dataset.kind).blank(dataset)
    hashes = iter(contents(dataset, classes).tolist())
    found: dict[int, int] = {}
    for owner in classes:
        for is_blank in blank[dataset.offsets[owner] : dataset.offsets[owner + 1]].tolist():
            content = next(hashes)
            if not is_blank:
                found.setdefault(content, owner)
    return found
