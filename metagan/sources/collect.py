"""From single samples, or labelled arrays, to a `Dataset`: the last step of every file source.

Shapes: N samples, C channels, H x W pixels.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metagan.dataset import ClassRecord, DataError, Dataset, Samples
from metagan.settings import DataConfig
from metagan.sources.decode import decode_image, resize_pixels
from metagan.sources.split_words import canonical_split as canonical_split
from metagan.sources.tree import clean_name

_MAX_LISTED: Final = 20


@dataclass(frozen=True)
class Decoded:
    """A picture that was read, or the reason why there is none.

    Attributes:
        pixels: (C, H, W) uint8; None where it could not be read.
        size: Width and height as stored, pixels; None where it could not be read.
        problem: Why it could not be read.
    """

    pixels: Samples | None = None
    size: tuple[int, int] | None = None
    problem: str = ""


@dataclass(frozen=True)
class Sample:
    """One sample, or the reason why there is none.

    Attributes:
        domain: Its domain's name.
        label: Its class's name inside the domain.
        name: File or row it came from, for messages.
        picture: Its pixels, or why they could not be read.
        split: The publisher's split it is in, or None.
    """

    domain: str
    label: str
    name: str
    picture: Decoded
    split: str | None = None


@dataclass(frozen=True)
class LabelledPart:
    """One array of pictures with a label each, such as the test part of MNIST.

    Attributes:
        name: File and array, for messages.
        images: (N, H, W) or (N, H, W, C) uint8.
        labels: The N class names.
    """

    name: str
    images: NDArray[np.uint8]
    labels: Sequence[str]


def try_decode(
    content: bytes | None, problem: str, name: str, config: DataConfig, *, invert: bool
) -> Decoded:
    """The picture of a file that was read; else the reason why there is none."""
    if content is None:
        return Decoded(problem=problem)
    try:
        pixels, size = decode_image(
            content, name, image_size=config.image_size, channels=config.channels, invert=invert
        )
    except DataError as error:
        return Decoded(problem=str(error).removeprefix(f"{name}: "))
    return Decoded(pixels, size)


def describe_origin(
    source: str, path: Path, config: DataConfig, *, sha256: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What `Dataset.origin` says of a file source: the files and the settings that shaped it."""
    return {
        "source": source,
        "path": str(path),
        "image_size": config.image_size,
        "channels": config.channels,
        "invert": config.invert,
        "sha256": dict(sha256 or {}),
    }


def assemble(
    samples: Iterable[Sample],
    *,
    origin: Mapping[str, Any],
    notes: Sequence[str] = (),
    class_splits: bool = False,
) -> Dataset:
    """Group samples into classes, in the order given.

    A published split is kept only where it holds out classes: every class lies in one part, and
    there are two parts or more. A split of each class's samples is dropped, with a note, because
    episodes draw support and query from all samples of a class.

    Args:
        samples: In the order they shall have inside their class.
        origin: See `describe_origin`.
        notes: Lines put before those on samples that were left out.
        class_splits: The split is known to be one of classes: keep it even if only one part is
            here.

    Raises:
        DataError: If there is no sample at all, or a class without a readable one.
    """
    pixels: dict[tuple[str, str], list[Samples]] = defaultdict(list)
    splits: dict[tuple[str, str], set[str | None]] = defaultdict(set)
    problems: dict[tuple[str, str], list[str]] = defaultdict(list)
    sizes: Counter[tuple[int, int]] = Counter()
    for sample in samples:
        key = (sample.domain, sample.label)
        splits[key].add(sample.split)
        if sample.picture.pixels is None or sample.picture.size is None:
            problems[key].append(f"{sample.name}: {sample.picture.problem}")
        else:
            pixels[key].append(sample.picture.pixels)
            sizes[sample.picture.size] += 1
    for key in problems:
        if key not in pixels:
            raise DataError(
                f"{origin['path']}: class {'/'.join(key)} has no readable sample "
                f"({'; '.join(problems[key][:3])}); repair the files or remove the class"
            )
    if not pixels:
        raise DataError(f"{origin['path']}: no samples found")
    kept, split_notes = _class_splits(splits, class_splits)
    left_out = [line for key in sorted(problems) for line in problems[key]]
    records = {ClassRecord(*key, split=kept.get(key)): items for key, items in pixels.items()}
    _check_names(records, str(origin["path"]))
    return Dataset.from_classes(
        records,
        notes=[*notes, *split_notes, *listed(left_out, "left out")],
        origin={**origin, "sizes": describe_sizes(sizes)},
    )


def assemble_parts(
    parts: Sequence[LabelledPart], *, domain: str, config: DataConfig, origin: Mapping[str, Any]
) -> Dataset:
    """One domain from labelled arrays; a class that is in several parts is one class.

    Raises:
        DataError: If a part's pictures cannot be used, or there are none.
    """
    by_label: dict[str, list[Samples]] = defaultdict(list)
    sizes: Counter[tuple[int, int]] = Counter()
    for part in parts:
        pixels = resize_pixels(
            part.images,
            part.name,
            image_size=config.image_size,
            channels=config.channels,
            invert=config.invert,
        )
        sizes[part.images.shape[2], part.images.shape[1]] += len(part.images)
        labels = np.asarray(part.labels)
        for label in sorted(set(part.labels)):
            by_label[label].append(pixels[labels == label])
    if not by_label:
        raise DataError(f"{origin['path']}: no samples found")
    notes = []
    if len(parts) > 1:
        names = ", ".join(part.name for part in parts)
        notes.append(f"parts merged, as every class is the unit that is held out: {names}")
    records = {
        ClassRecord(domain, label): np.concatenate(chunks) for label, chunks in by_label.items()
    }
    sized = {**origin, "sizes": describe_sizes(sizes)}
    return Dataset.from_classes(records, notes=notes, origin=sized)


def describe_sizes(sizes: Mapping[tuple[int, int], int], *, most: int = 3) -> str:
    """`105 x 105 (300), 28 x 28 (12)`: stored sizes, width x height, the most frequent first.

    However many sizes there are, the text stays short.

    Args:
        sizes: How many pictures have which (width, height).
        most: So many are named; of the others the smallest and the largest.
    """
    ordered = sorted(sizes, key=lambda size: (-sizes[size], size))
    shown = [f"{width} x {height} ({sizes[width, height]})" for width, height in ordered[:most]]
    others = sorted(ordered[most:], key=lambda size: (size[0] * size[1], size))
    if others:
        smallest, largest = (f"{width} x {height}" for width, height in (others[0], others[-1]))
        ends = smallest if len(others) == 1 else f"from {smallest} to {largest}"
        shown.append(f"{len(others)} more, {ends}")
    return ", ".join(shown)


def listed(lines: Sequence[str], what: str, *, most: int = _MAX_LISTED) -> list[str]:
    """The first lines, each prefixed with what they are, and how many more there are."""
    shown = [f"{what}: {line}" for line in lines[:most]]
    if len(lines) > most:
        shown.append(f"{what}: {len(lines) - most} more")
    return shown


def bare_folders(names: Iterable[str]) -> list[str]:
    """A note on folders that look like a class or domain but hold no picture; none without them."""
    found = sorted(set(names))
    return [f"folders without pictures: {a_few(found, most=10)}"] if found else []


def a_few(names: Sequence[str], *, most: int = 5) -> str:
    """The first of names that come from files, fit to be printed, and how many more there are."""
    shown = [clean_name(name) for name in names[:most]]
    if len(names) > most:
        shown.append(f"{len(names) - most} more")
    return ", ".join(shown) or "none"


def endings(names: Iterable[str]) -> str:
    """`.txt (12), .md (1)`: how many names have which ending, most frequent first."""
    counts = Counter(Path(name).suffix.lower() or "no ending" for name in names)
    return ", ".join(f"{suffix} ({count})" for suffix, count in counts.most_common(5))


def _class_splits(
    splits: Mapping[tuple[str, str], set[str | None]], one_is_enough: bool
) -> tuple[dict[tuple[str, str], str | None], list[str]]:
    """The split of each class, where the published split is one of classes; and notes."""
    parts = sorted({split or "none" for found in splits.values() for split in found})
    if parts == ["none"]:
        return {}, []
    if any(len(found) > 1 for found in splits.values()):
        return {}, [f"published split ({', '.join(parts)}) is inside classes: its parts are merged"]
    if len(parts) == 1 and not one_is_enough:
        return {}, [f"only the published part {parts[0]} is here: it is used as a whole"]
    return {key: next(iter(found)) for key, found in splits.items()}, []


def _check_names(records: Iterable[ClassRecord], path: str) -> None:
    counts = Counter(record.name for record in records)
    name, count = counts.most_common(1)[0]
    if count > 1:
        raise DataError(
            f"{path}: two classes are both called {name!r} once domain and label are joined; "
            "take the slash out of one of the names"
        )
