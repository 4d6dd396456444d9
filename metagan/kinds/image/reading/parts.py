"""From labelled arrays to a `Dataset`: the last step of the sources that read arrays.

Shapes: N samples, C channels, H x W pixels.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metagan.config.image import ImageData
from metagan.data.class_splits import check_names, kept_splits
from metagan.data.dataset import ClassRecord, DataError, Dataset, Samples
from metagan.data.notes import MAX_LISTED
from metagan.data.paths.names import a_few
from metagan.kinds.image.reading.collect import describe_sizes, known_whites
from metagan.kinds.image.reading.decode import Traits, array_traits, resize_pixels
from metagan.kinds.image.reading.depth import Given, Levels, Whites, levels_of, scale_array
from metagan.kinds.image.reading.looks import count_traits


@dataclass(frozen=True)
class LabelledPart:
    """One array of pictures with a label each, such as the test part of MNIST.

    Attributes:
        name: File and array, for messages.
        domain: Name of the domain that its classes belong to.
        images: (N, H, W) or (N, H, W, C), as stored: bool, whole numbers or floats.
        labels: The N class names.
        split: The publisher's split that it is, or None.
    """

    name: str
    domain: str
    images: NDArray[Any]
    labels: Sequence[str]
    split: str | None = None


def assemble_parts(
    parts: Iterable[LabelledPart], *, config: ImageData, origin: Mapping[str, Any]
) -> Dataset:
    """Classes from labelled arrays; a class that is in several parts of a domain is one class.

    The published split is kept where every class lies in one part, and dropped, with a note, where
    the parts divide the samples of a class.

    Args:
        parts: Read one after the other, so that only one is held in its stored size.
        config: How pictures are resized.
        origin: See `describe_origin`.

    Raises:
        DataError: If a part's pictures cannot be used, or there are none.
    """
    splits: dict[tuple[str, str], set[str | None]] = defaultdict(set)
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    sizes: Counter[tuple[int, int]] = Counter()
    traits: list[tuple[str, Traits]] = []
    read: list[_ReadPart] = []
    for part in map(_with_levels, parts):
        read.append(_read_part(part, config))
        if part.images.ndim > 2:
            sizes[part.images.shape[2], part.images.shape[1]] += len(part.images)
        traits += [(part.domain, found) for found in array_traits(part.images)]
        for label in set(part.labels):
            splits[part.domain, label].add(part.split)
            names[part.domain, label].append(part.name)
    path = str(origin["path"])
    if not splits:
        raise DataError(f"{path}: no samples found")
    whites = _whites_by_file(read, config.white, path)
    pixels: dict[tuple[str, str], list[Samples]] = defaultdict(list)
    for kept_part in read:
        resized = kept_part.resized(whites[kept_part.file], config)
        labels = np.asarray(kept_part.labels)
        for label in sorted(set(kept_part.labels)):
            pixels[kept_part.domain, label].append(resized[labels == label])
    divided = [key for key, found in splits.items() if len(found) > 1]
    merged = list(dict.fromkeys(name for key in divided for name in names[key]))
    kept: dict[tuple[str, str], str | None] = {}
    notes = list(dict.fromkeys(note for found in whites.values() for note in found.notes))
    if merged:
        notes.append(
            "splits: parts merged, as every class is the unit that is held out: "
            f"{a_few(merged, most=MAX_LISTED)}"
        )
    elif len({split for found in splits.values() for split in found}) > 1:
        kept, split_notes = kept_splits(splits)
        notes += split_notes
    records = {
        ClassRecord(*key, split=kept.get(key)): np.concatenate(chunks)
        for key, chunks in pixels.items()
    }
    check_names(records, path)
    looked_at = {
        **origin,
        "white": _common(whites.values()),
        "sizes": describe_sizes(sizes),
        "pictures": count_traits(traits),
    }
    return Dataset.from_classes(records, notes=notes, origin=looked_at)


@dataclass(frozen=True)
class _ReadPart:
    """A part of which only what is needed is kept.

    Attributes:
        name, domain, labels: Those of the part.
        images: Resized, (N, C, H, W) uint8; as stored where they are deeper than 8 bits.
        levels: Of deep pictures; None for others.
    """

    name: str
    domain: str
    labels: Sequence[str]
    images: NDArray[Any]
    levels: Levels | None

    @property
    def file(self) -> str:
        """The file that it is a part of."""
        return self.name.rpartition(":")[0] or self.name

    def resized(self, whites: Whites, config: ImageData) -> NDArray[np.uint8]:
        """The pictures, (N, C, H, W)."""
        if self.levels is None:
            return self.images
        return _resized(scale_array(self.images, whites.of(self.levels)), self.name, config)


def _with_levels(part: LabelledPart) -> LabelledPart:
    """A part of booleans as black and white in 8 bits; others as they are."""
    is_boolean = part.images.dtype == np.bool_
    return replace(part, images=part.images * np.uint8(255)) if is_boolean else part


def _read_part(part: LabelledPart, config: ImageData) -> _ReadPart:
    images, levels = part.images, None
    if images.dtype == np.uint8:
        images = _resized(images, part.name, config)
    else:
        levels = levels_of(images, part.name)
    return _ReadPart(part.name, part.domain, part.labels, images, levels)


def _resized(images: NDArray[np.uint8], name: str, config: ImageData) -> NDArray[np.uint8]:
    return resize_pixels(
        images,
        name,
        image_size=config.image_size,
        channels=config.channels,
        invert=config.invert,
    )


def _whites_by_file(read: Sequence[_ReadPart], given: Given, path: str) -> dict[str, Whites]:
    """The whites of each file: one for the whole numbers of all, one for the floats of each.

    Whether floats run over 0..1 or 0..255 is a habit of the program that wrote the file.
    """
    deep = [(part.file, part.levels) for part in read if part.levels is not None]
    whole = known_whites((levels for _, levels in deep if not levels.real), given, path)
    found = {}
    for file in dict.fromkeys(part.file for part in read):
        floats = (levels for name, levels in deep if levels.real and name == file)
        found[file] = replace(known_whites(floats, given, path), integers=whole.integers)
        found[file] = replace(found[file], notes=(*whole.notes, *found[file].notes))
    return found


def _common(whites: Iterable[Whites]) -> dict[str, float]:
    """The whites on which all files agree."""
    known = [found.known() for found in whites]
    return {
        name: white
        for name, white in known[0].items()
        if all(other.get(name, white) == white for other in known)
    }
