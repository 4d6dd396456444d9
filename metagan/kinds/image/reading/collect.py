"""From single samples to a `Dataset`: the last step of every source of picture files.

Shapes: N samples, C channels, H x W pixels.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metagan.config.image import ImageData
from metagan.data.class_splits import check_names, splits_of_classes
from metagan.data.dataset import ClassRecord, DataError, Dataset, Samples
from metagan.data.notes import listed
from metagan.kinds.image.reading.decode import Traits, decode_image
from metagan.kinds.image.reading.depth import Deep, Given, Levels, Whites, choose_whites
from metagan.kinds.image.reading.looks import count_traits
from metagan.kinds.image.reading.record import Reading


@dataclass(frozen=True)
class Decoded:
    """A picture that was read, or the reason why there is none.

    Attributes:
        pixels: (C, H, W) uint8, or a deep picture; None where it could not be read.
        size: Width and height as stored, pixels; None where it could not be read.
        problem: Why it could not be read.
        traits: What else its file holds.
    """

    pixels: Samples | Deep | None = None
    size: tuple[int, int] | None = None
    problem: str = ""
    traits: Traits = field(default_factory=Traits)


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


def try_decode(
    content: bytes | None, problem: str, name: str, config: ImageData | Reading, *, invert: bool
) -> Decoded:
    """The picture of a file that was read; else the reason why there is none."""
    if content is None:
        return Decoded(problem=problem)
    try:
        picture = decode_image(
            content, name, image_size=config.image_size, channels=config.channels, invert=invert
        )
    except DataError as error:
        return Decoded(problem=str(error).removeprefix(f"{name}: "))
    return Decoded(picture.pixels, picture.size, traits=picture.traits)


def scale_deep(
    pictures: Sequence[Samples | Deep], given: Given, where: str
) -> tuple[list[Samples], dict[str, float], list[str]]:
    """Bring deep pictures to 8 bits, all by the same white.

    Args:
        pictures: All pictures of a data set, deep ones among them.
        given: `data.white`, or the whites that a run's own pictures were read by.
        where: The path, for messages.

    Returns:
        The pictures, (C, H, W) uint8; the whites that were used, by "integers" and "floats"; notes.

    Raises:
        DataError: If a value is larger than white.
    """
    whites = known_whites((p.levels for p in pictures if isinstance(p, Deep)), given, where)
    scaled = [p.scaled(whites.of(p.levels)) if isinstance(p, Deep) else p for p in pictures]
    return scaled, whites.known(), list(whites.notes)


def describe_origin(
    source: str,
    path: Path,
    config: ImageData,
    *,
    sha256: Mapping[str, str] | None = None,
    inverted: bool | None = None,
) -> dict[str, Any]:
    """Origin of a file source for `Dataset.origin`: the files, and what was done to the pictures.

    Args:
        source: Its name.
        path: What was read.
        config: The settings that shaped it.
        sha256: Of files that are read as a whole.
        inverted: Whether dark and bright were swapped; None: where `data.invert` says so.
    """
    return {
        "source": source,
        "path": str(path),
        "image_size": config.image_size,
        "channels": config.channels,
        "invert": config.invert,
        "inverted": config.invert if inverted is None else inverted,
        "white": config.white,
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
    found: dict[tuple[str, str], list[Decoded]] = defaultdict(list)
    splits: dict[tuple[str, str], set[str | None]] = defaultdict(set)
    problems: dict[tuple[str, str], list[str]] = defaultdict(list)
    for sample in samples:
        key = (sample.domain, sample.label)
        splits[key].add(sample.split)
        if sample.picture.pixels is None:
            problems[key].append(f"{sample.name}: {sample.picture.problem}")
        else:
            found[key].append(sample.picture)
    path = str(origin["path"])
    for key in problems:
        if key not in found:
            raise DataError(
                f"{path}: class {'/'.join(key)} has no readable sample "
                f"({'; '.join(problems[key][:3])}); repair the files or remove the class"
            )
    if not found:
        raise DataError(f"{path}: no samples found")
    kept, split_notes = splits_of_classes(splits, one_is_enough=class_splits)
    left_out = [line for key in sorted(problems) for line in problems[key]]
    pictures = [picture for items in found.values() for picture in items]
    scaled, whites, depth_notes = scale_deep(
        [p.pixels for p in pictures if p.pixels is not None], origin.get("white"), path
    )
    in_order = iter(scaled)
    records = {
        ClassRecord(*key, split=kept.get(key)): [next(in_order) for _ in items]
        for key, items in found.items()
    }
    check_names(records, path)
    return Dataset.from_classes(
        records,
        notes=[*notes, *split_notes, *depth_notes, *listed(left_out, "left out")],
        origin={
            **origin,
            "white": whites,
            "sizes": describe_sizes(Counter(p.size for p in pictures if p.size is not None)),
            "pictures": count_traits(
                (domain, picture.traits)
                for (domain, _), items in found.items()
                for picture in items
            ),
        },
    )


def known_whites(levels: Iterable[Levels], given: Given, path: str) -> Whites:
    """The whites of a data set; an error also names the path."""
    try:
        return choose_whites(levels, given)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


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
