"""Contents of a data set, as numbers and as text for a terminal.

How its samples look is said by their kind's `metagan.data.reader.Reader`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metagan.data.dataset import Dataset
from metagan.data.notes import by_weight
from metagan.data.reader import find_reader
from metagan.data.repeats import Repeats, find_repeats
from metagan.words import agreeing, counted, printable

_MAX_EXAMPLES = 5
_MAX_LABELS = 5
_MAX_LABELS_WIDTH = 60
_MAX_DOMAINS = 100
_MIN_WIDTH = 20
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class DomainSummary:
    """One domain.

    Attributes:
        name: Its name.
        num_classes: How many classes it has.
        num_samples: How many samples all of them have.
        smallest, median, largest: Samples per class.
        splits: Publisher's split to number of classes; without the classes that have none.
        labels: Names of its first classes.
        looks: How its samples look, in words.
    """

    name: str
    num_classes: int
    num_samples: int
    smallest: int
    median: float
    largest: int
    splits: tuple[tuple[str, int], ...]
    labels: tuple[str, ...]
    looks: str


@dataclass(frozen=True)
class DuplicateSummary:
    """Samples that are byte-identical to another one.

    Attributes:
        within_class: Samples that repeat an earlier one of their class.
        across_classes: Different samples that occur in more than one class.
        across_splits: Of those, how many occur on both sides of a published split: a leak.
        examples: A few pairs of class names that share a sample.
    """

    within_class: int
    across_classes: int
    across_splits: int
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class DatasetSummary:
    """A data set in numbers.

    Attributes:
        kind: The sample kind.
        word: A sample in messages.
        sample_shape: Shape of a sample, (C, H, W) for images.
        num_samples: In all domains.
        num_classes: In all domains.
        domains: One per domain, sorted by name.
        remarks: What else is to say of such samples.
        notes: What the source left out and why.
        duplicates: Byte-identical samples.
    """

    kind: str
    word: str
    sample_shape: tuple[int, ...]
    num_samples: int
    num_classes: int
    domains: tuple[DomainSummary, ...]
    remarks: tuple[str, ...]
    notes: tuple[str, ...]
    duplicates: DuplicateSummary


def inspect_dataset(dataset: Dataset, repeats: Repeats | None = None) -> DatasetSummary:
    """Look at all of a data set; reads every sample.

    Args:
        dataset: The data.
        repeats: Its samples of equal content, where they have been found already.
    """
    repeats = find_repeats(dataset) if repeats is None else repeats
    reader = find_reader(dataset.kind)
    looks = reader.describe(dataset, repeats.within_class)
    return DatasetSummary(
        kind=dataset.kind,
        word=reader.word,
        sample_shape=dataset.sample_shape,
        num_samples=len(dataset.samples),
        num_classes=dataset.num_classes,
        domains=tuple(
            _summarize(dataset, domain, looks.domains[domain]) for domain in dataset.domains
        ),
        remarks=looks.remarks,
        notes=by_weight(dataset.notes, reader.note_words),
        duplicates=_count_duplicates(dataset, repeats),
    )


def _summarize(dataset: Dataset, domain: str, looks: str) -> DomainSummary:
    indices = dataset.classes_of(domain)
    counts = np.array([dataset.count(index) for index in indices])
    splits = Counter(dataset.classes[index].split for index in indices)
    return DomainSummary(
        name=domain,
        num_classes=len(indices),
        num_samples=int(counts.sum()),
        smallest=int(counts.min()),
        median=float(np.median(counts)),
        largest=int(counts.max()),
        splits=tuple((split, splits[split]) for split in _SPLITS if splits[split]),
        labels=tuple(dataset.classes[index].label for index in indices[:_MAX_LABELS]),
        looks=looks,
    )


def _count_duplicates(dataset: Dataset, repeats: Repeats) -> DuplicateSummary:
    shared = repeats.across_classes
    leaks = repeats.across_published(dataset)
    pairs = dict.fromkeys(
        (dataset.classes[classes[0]].name, dataset.classes[classes[1]].name)
        for classes in (*leaks, *shared)
    )
    return DuplicateSummary(
        within_class=sum(repeats.within_class.values()),
        across_classes=len(shared),
        across_splits=len(leaks),
        examples=tuple(pairs)[:_MAX_EXAMPLES],
    )


def domain_lines(summary: DatasetSummary, *, most: int) -> list[str]:
    """A line per domain: some classes, the number of samples, and how these look.

    Args:
        summary: The data set.
        most: So many domains at most; a line says how many more there are.
    """
    lines = [
        f"{printable(domain.name)}: {counted(domain.num_classes, 'class', 'classes')} "
        f"({_labels(domain)}), {counted(domain.num_samples, 'sample')}, {domain.looks}"
        for domain in summary.domains[:most]
    ]
    if left := len(summary.domains) - len(lines):
        lines.append(f"and {counted(left, 'more domain')}: metagan data inspect")
    return lines


def _labels(domain: DomainSummary) -> str:
    """The first names, as many as a line has room for, and how many more there are."""
    named = [printable(label) for label in domain.labels]
    while len(named) > 1 and len(", ".join(named)) > _MAX_LABELS_WIDTH:
        named.pop()
    left = domain.num_classes - len(named)
    return ", ".join([*named, f"{left} more"] if left else named)


def format_summary(summary: DatasetSummary, width: int = 80) -> str:
    """A summary as plain text, no line longer than `width` characters (at least 20).

    Columns that do not fit are left out from the right, then names are cut.
    """
    width = max(width, _MIN_WIDTH)
    shape = " x ".join(str(size) for size in summary.sample_shape)
    lines = [
        f"{counted(summary.num_samples, 'sample')} of {shape} ({summary.kind})",
        f"{counted(summary.num_classes, 'class', 'classes')} in "
        f"{counted(len(summary.domains), 'domain')}",
        "",
        *_table(summary.domains, width),
        "",
        *(line for text in domain_lines(summary, most=_MAX_DOMAINS) for line in _wrap(text, width)),
    ]
    # Sources count duplicates too; here they are counted afresh, with examples.
    notes = [note for note in summary.notes if "byte-identical" not in note]
    counted_here = _duplicate_lines(summary.duplicates, summary.word)
    own = find_reader(summary.kind).note_words
    remarks = [*by_weight([*counted_here, *notes], own), *summary.remarks]
    if remarks:
        lines += ["", *(line for remark in remarks for line in _wrap(remark, width))]
    return "\n".join(_cut(line, width).rstrip() for line in lines) + "\n"


def _table(domains: Sequence[DomainSummary], width: int) -> list[str]:
    """One row per domain; the name gets the room that the numbers leave."""
    columns = {
        "classes": [str(domain.num_classes) for domain in domains],
        "samples": [str(domain.num_samples) for domain in domains],
        "per class": [_per_class(domain) for domain in domains],
    }
    if any(domain.splits for domain in domains):
        columns["published split"] = [
            ", ".join(f"{count} {split}" for split, count in domain.splits) for domain in domains
        ]
    names = [printable(domain.name) for domain in domains]
    wanted = max(len(name) for name in ["domain", *names])
    sizes = {title: max(map(len, [title, *cells])) for title, cells in columns.items()}
    while sizes and min(wanted, 16) + sum(size + 2 for size in sizes.values()) > width:
        sizes.popitem()
    room = min(wanted, width - sum(size + 2 for size in sizes.values()))
    rows = [["domain", *sizes]]
    rows += [[name, *(columns[title][i] for title in sizes)] for i, name in enumerate(names)]
    return [
        _cut(name, room).ljust(room)
        + "".join("  " + cell.rjust(size) for cell, size in zip(cells, sizes.values(), strict=True))
        for name, *cells in rows
    ]


def _per_class(domain: DomainSummary) -> str:
    """`20`, or smallest / median / largest where they differ."""
    if domain.smallest == domain.largest:
        return str(domain.smallest)
    return f"{domain.smallest} / {domain.median:g} / {domain.largest}"


def _duplicate_lines(duplicates: DuplicateSummary, word: str) -> list[str]:
    lines = []
    if duplicates.across_splits:
        lines.append(
            f"leak: {duplicates.across_splits} {word}s are in classes on different sides of the "
            "published split"
        )
    if duplicates.across_classes:
        examples = ", ".join(f"{first} = {second}" for first, second in duplicates.examples)
        number = counted(duplicates.across_classes, word)
        are = agreeing(duplicates.across_classes, "is", "are")
        lines.append(f"labels: {number} {are} in several classes: {examples}")
    if duplicates.within_class:
        number = counted(duplicates.within_class, "sample")
        repeat = agreeing(duplicates.within_class, "repeats", "repeat")
        lines.append(f"duplicates: {number} {repeat} another one of their class")
    return lines


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 2, 0)] + ".."


def _wrap(text: str, width: int) -> list[str]:
    """Lines of whole words, the further ones indented; longer words are cut."""
    lines = ["-"]
    for word in printable(text).split():
        word = _cut(word, width - 2)
        if len(lines[-1]) + 1 + len(word) > width:
            lines.append(" ")
        lines[-1] += " " + word
    return lines
