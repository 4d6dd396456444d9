"""Contents of a data set, as numbers, as text for a terminal, and as one picture."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from metagan.data.dataset import DataError, Dataset
from metagan.data.notes import by_weight
from metagan.data.repeats import Repeats, find_repeats
from metagan.kinds.image.pictures import write_png
from metagan.kinds.image.reading.looks import DomainLooks, look_at
from metagan.words import agreeing, counted

# C channels, H x W pixels.

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
        looks: How its pictures look.
    """

    name: str
    num_classes: int
    num_samples: int
    smallest: int
    median: float
    largest: int
    splits: tuple[tuple[str, int], ...]
    labels: tuple[str, ...]
    looks: DomainLooks


@dataclass(frozen=True)
class DuplicateSummary:
    """Samples that are byte-identical to another one.

    Attributes:
        within_class: Samples that repeat an earlier one of their class.
        across_classes: Different pictures that occur in more than one class.
        across_splits: Of those, how many occur on both sides of a published split: a leak.
        examples: A few pairs of class names that share a picture.
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
        sample_shape: Shape of a sample, (C, H, W) for images.
        num_samples: In all domains.
        num_classes: In all domains.
        domains: One per domain, sorted by name.
        sizes: The pictures' sizes as stored, in words; empty where the source does not know them.
        notes: What the source left out and why.
        duplicates: Byte-identical samples.
    """

    kind: str
    sample_shape: tuple[int, ...]
    num_samples: int
    num_classes: int
    domains: tuple[DomainSummary, ...]
    sizes: str
    notes: tuple[str, ...]
    duplicates: DuplicateSummary


def inspect_dataset(dataset: Dataset, repeats: Repeats | None = None) -> DatasetSummary:
    """Look at all of a data set; reads every sample.

    Args:
        dataset: The data.
        repeats: Its samples of equal content, where they have been found already.
    """
    repeats = find_repeats(dataset) if repeats is None else repeats
    looks = look_at(dataset, repeats)
    return DatasetSummary(
        kind=dataset.kind,
        sample_shape=dataset.sample_shape,
        num_samples=len(dataset.samples),
        num_classes=dataset.num_classes,
        domains=tuple(_summarize(dataset, domain, looks[domain]) for domain in dataset.domains),
        sizes=str(dataset.origin.get("sizes", "")),
        notes=by_weight(dataset.notes),
        duplicates=_count_duplicates(dataset, repeats),
    )


def _summarize(dataset: Dataset, domain: str, looks: DomainLooks) -> DomainSummary:
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
    leaks = repeats.across([record.split for record in dataset.classes])
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
    """A line per domain: some classes, levels, and what share of its pictures is out of the usual.

    Args:
        summary: The data set.
        most: So many domains at most; a line says how many more there are.
    """
    lines = [
        f"{_printable(domain.name)}: {counted(domain.num_classes, 'class', 'classes')} "
        f"({_labels(domain)}), {counted(domain.num_samples, 'sample')}, {_looks(domain.looks)}"
        for domain in summary.domains[:most]
    ]
    if left := len(summary.domains) - len(lines):
        lines.append(f"and {counted(left, 'more domain')}: metagan data inspect")
    return lines


def _labels(domain: DomainSummary) -> str:
    """The first names, as many as a line has room for, and how many more there are."""
    named = [_printable(label) for label in domain.labels]
    while len(named) > 1 and len(", ".join(named)) > _MAX_LABELS_WIDTH:
        named.pop()
    left = domain.num_classes - len(named)
    return ", ".join([*named, f"{left} more"] if left else named)


def _looks(looks: DomainLooks) -> str:
    """`levels 0..255, median 12; 30 % colour`."""
    shares = {
        "in colour": looks.colour,
        "blank": looks.blank,
        "transparent": looks.transparent,
        "above 8 bits": looks.deep,
        "duplicate": looks.duplicates,
    }
    told = [f"{_percent(n, looks.pictures)} {what}" for what, n in shares.items() if n]
    levels = f"levels {looks.darkest}..{looks.brightest}, median {looks.median}"
    return "; ".join([levels, *told])


def _percent(part: int, whole: int) -> str:
    """A share that never rounds to none or all."""
    share = 100 * part / whole
    if part and share < 1:
        return "under 1 %"
    return f"{share:.0f} %" if part == whole or share < 99.5 else "over 99 %"


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
    sizes = [f"sizes as stored: {summary.sizes}"] if summary.sizes else []
    counted_here = _duplicate_lines(summary.duplicates)
    remarks = [*by_weight([*counted_here, *notes]), *sizes]
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
    names = [_printable(domain.name) for domain in domains]
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


def _duplicate_lines(duplicates: DuplicateSummary) -> list[str]:
    lines = []
    if duplicates.across_splits:
        lines.append(
            f"leak: {duplicates.across_splits} pictures are in classes on different sides of the "
            "published split"
        )
    if duplicates.across_classes:
        examples = ", ".join(f"{first} = {second}" for first, second in duplicates.examples)
        number = counted(duplicates.across_classes, "picture")
        are = agreeing(duplicates.across_classes, "is", "are")
        lines.append(f"labels: {number} {are} in several classes: {examples}")
    if duplicates.within_class:
        number = counted(duplicates.within_class, "sample")
        repeat = agreeing(duplicates.within_class, "repeats", "repeat")
        lines.append(f"duplicates: {number} {repeat} another one of their class")
    return lines


def _printable(text: str) -> str:
    """Names come from files: nothing in them may steer the terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 2, 0)] + ".."


def _wrap(text: str, width: int) -> list[str]:
    """Lines of whole words, the further ones indented; longer words are cut."""
    lines = ["-"]
    for word in _printable(text).split():
        word = _cut(word, width - 2)
        if len(lines[-1]) + 1 + len(word) > width:
            lines.append(" ")
        lines[-1] += " " + word
    return lines


def contact_sheet(
    dataset: Dataset,
    path: Path,
    *,
    classes_per_domain: int = 12,
    samples_per_class: int = 3,
    zoom: int = 2,
) -> Path:
    """Write a PNG with a band per domain: some of its classes side by side, samples below.

    Classes are spread evenly over the domain's list, so that the sheet is the same every time.

    Args:
        dataset: Images.
        path: The file; its folder is made if need be.
        classes_per_domain: Columns, at most.
        samples_per_class: Rows of a band, at most.
        zoom: Screen pixels per pixel.

    Returns:
        The file.

    Raises:
        DataError: If the samples are no images of one or three channels.
    """
    if dataset.kind != "image" or dataset.sample_shape[0] not in (1, 3):
        raise DataError(f"a contact sheet needs images, not {dataset.kind} {dataset.sample_shape}")
    bands = [
        _band(dataset, domain, classes_per_domain, samples_per_class).repeat(zoom, 0)
        for domain in dataset.domains
    ]
    bands = [band.repeat(zoom, 1) for band in bands]
    font = ImageFont.load_default(12)
    names = [_printable(domain) for domain in dataset.domains]
    margin = round(max(font.getlength(name) for name in names)) + 12
    gap = 6
    size = (
        margin + max(band.shape[1] for band in bands) + gap,
        gap + sum(band.shape[0] + gap for band in bands),
    )
    sheet = Image.new("RGB", size, (48, 48, 48))
    pen = ImageDraw.Draw(sheet)
    top = gap
    for name, band in zip(names, bands, strict=True):
        pen.text((6, top + band.shape[0] // 2), name, font=font, fill=(230, 230, 230), anchor="lm")
        sheet.paste(Image.fromarray(band), (margin, top))
        top += band.shape[0] + gap
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, np.asarray(sheet))
    return path


def _band(dataset: Dataset, domain: str, num_classes: int, num_samples: int) -> NDArray[np.uint8]:
    """A domain's classes as columns, (rows H, columns W, 3); dark where a class has fewer."""
    indices = np.array(dataset.classes_of(domain))
    num_columns = min(num_classes, len(indices))
    chosen = indices[np.linspace(0, len(indices) - 1, num_columns).round().astype(int)]
    _, height, width = dataset.sample_shape
    num_rows = min(num_samples, max(dataset.count(int(index)) for index in chosen))
    band = np.zeros((num_rows, height, num_columns, width, 3), np.uint8)
    for column, index in enumerate(chosen):
        for row, sample in enumerate(dataset.class_samples(int(index))[:num_rows]):
            band[row, :, column] = np.moveaxis(sample, 0, -1)  # one channel spreads over three
    return band.reshape(num_rows * height, num_columns * width, 3)
