"""How the pictures of a data set look: their levels, what was dropped, what is blank.

Shapes: N samples of C channels and H x W pixels.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metagan.dataset import DataError, Dataset
from metagan.sources.decode import LEAST_CONTRAST, Traits
from metagan.sources.repeats import Repeats
from metagan.words import agreeing, counted

# Levels of 255: a whole data set below an eighth of the scale was scaled by the wrong white.
_DIM: Final = 32
_BLOCK: Final = 4096


def count_traits(found: Iterable[tuple[str, Traits]]) -> dict[str, dict[str, int]]:
    """How many pictures of each domain have which trait, as `Dataset.origin` keeps it.

    Args:
        found: Domain and traits of every picture.

    Returns:
        By domain: pictures, colour, transparent, deep, narrowed, hidden, generated; and
        `narrowed_largest`, the largest value of those that were narrowed, where there are any.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for domain, traits in found:
        count = counts[domain]
        count["pictures"] += 1
        count["colour"] += traits.colour
        count["transparent"] += traits.transparent
        count["deep"] += traits.deep
        count["hidden"] += traits.hidden
        count["generated"] += traits.generated
        if traits.narrowed is not None:
            count["narrowed"] += 1
            count["narrowed_largest"] = max(count["narrowed_largest"], traits.narrowed)
    return {domain: dict(counts[domain]) for domain in sorted(counts)}


@dataclass(frozen=True)
class DomainLooks:
    """How the pictures of one domain look.

    Attributes:
        pictures: How many there are.
        darkest: Smallest grey or colour level as it was read, 0 to 255.
        median: The level in the middle.
        brightest: Largest level.
        blank: Pictures without any contrast.
        duplicates: Pictures that repeat an earlier one of their class.
        colour: Pictures whose file is in colour; None where that is not known.
        transparent: Pictures with transparent pixels; None where that is not known.
        deep: Pictures of more than 8 bits a channel; None where that is not known.
    """

    pictures: int
    darkest: int
    median: int
    brightest: int
    blank: int
    duplicates: int
    colour: int | None
    transparent: int | None
    deep: int | None


def blank_samples(dataset: Dataset) -> NDArray[np.bool_]:
    """Which samples have no contrast in any channel, (N,)."""
    found = np.zeros(len(dataset.samples), np.bool_)
    for start in range(0, len(found), _BLOCK):
        block = dataset.samples[start : start + _BLOCK]
        planes = block.reshape(*block.shape[:2], -1)
        found[start : start + _BLOCK] = (np.ptp(planes, axis=-1) < LEAST_CONTRAST).all(axis=-1)
    return found


def look_at(dataset: Dataset, repeats: Repeats) -> dict[str, DomainLooks]:
    """How the pictures of each domain look; reads every sample."""
    blank = blank_samples(dataset)
    known: Mapping[str, Any] = dataset.origin.get("pictures", {})
    result = {}
    for domain in dataset.domains:
        indices = dataset.classes_of(domain)
        levels = np.zeros(256, np.int64)
        num_blank = pictures = 0
        for index in indices:
            where = slice(int(dataset.offsets[index]), int(dataset.offsets[index + 1]))
            levels += np.bincount(dataset.samples[where].ravel(), minlength=256)
            num_blank += int(blank[where].sum())
            pictures += where.stop - where.start
        present = np.flatnonzero(levels)
        middle = int(np.searchsorted(np.cumsum(levels), levels.sum() / 2))
        traits = known.get(domain, {})
        result[domain] = DomainLooks(
            pictures,
            int(present[0]),
            middle,
            int(present[-1]),
            num_blank,
            sum(repeats.within_class[index] for index in indices),
            *(
                traits.get(name, 0) if traits else None
                for name in ("colour", "transparent", "deep")
            ),
        )
    return result


def check_looks(dataset: Dataset) -> list[str]:
    """Notes on pictures that came out other than their owner will expect.

    Raises:
        DataError: If all pictures of a class, or most of all, are blank, or if deep colour pictures
            lose what they hold.
    """
    known: Mapping[str, Mapping[str, int]] = dataset.origin.get("pictures", {})
    total = {
        name: sum(counts.get(name, 0) for counts in known.values())
        for name in ("pictures", "colour", "hidden", "narrowed", "generated")
    }
    path = dataset.origin.get("path", "the data")
    _check_narrowed(known, total["narrowed"], str(path))
    notes = [*_blank_notes(dataset, total["hidden"], str(path)), *_dim_notes(dataset)]
    # Where all is generated the source may have said so already.
    if total["generated"] and not any(note.startswith("generated:") for note in dataset.notes):
        number = counted(total["generated"], "picture")
        were = agreeing(total["generated"], "was", "were")
        notes.append(f"generated: {number} {were} made by metagan generate, they are no real data")
    if total["colour"] and dataset.sample_shape[0] == 1:
        notes.append(
            f"colour: {total['colour']} of {counted(total['pictures'], 'picture')} are in colour "
            "and read as grey; data.channels=3 keeps it"
        )
    return notes


def _check_narrowed(known: Mapping[str, Mapping[str, int]], number: int, path: str) -> None:
    largest = max((counts.get("narrowed_largest", 0) for counts in known.values()), default=0)
    if number and largest < _DIM:
        raise DataError(
            f"{path}: {counted(number, 'colour picture')} of 16 bits a channel can be read by the "
            f"upper 8 bits only, which hold 0..{largest}: they seem to use fewer bits than 16; "
            "save them with 8 bits a channel"
        )


def _blank_notes(dataset: Dataset, hidden: int, path: str) -> list[str]:
    blank = blank_samples(dataset)
    number = int(blank.sum())
    if not number:
        return []
    fix = (
        "their files hold dark ink on a transparent ground, which is read as black: set "
        "data.invert=true"
        if hidden
        else "look at the files, and remove or repair them"
    )
    for index, record in enumerate(dataset.classes):
        if blank[dataset.offsets[index] : dataset.offsets[index + 1]].all():
            number_of_class = counted(dataset.count(index), "picture")
            raise DataError(
                f"{path}: class {record.name} is blank, all {number_of_class} of it (every pixel "
                f"alike); {fix}"
            )
    if 2 * number > len(blank):
        raise DataError(
            f"{path}: {number} of {counted(len(blank), 'picture')} are blank (every pixel alike); "
            f"{fix}"
        )
    return [f"blank: {number} of {counted(len(blank), 'picture')} have every pixel alike; {fix}"]


def _dim_notes(dataset: Dataset) -> list[str]:
    """A note on a data set that uses less than an eighth of the scale at one end of it."""
    levels = (int(dataset.samples.min()), int(dataset.samples.max()))
    if dataset.origin.get("inverted"):
        levels = (255 - levels[1], 255 - levels[0])
    darkest, brightest = levels
    if brightest < _DIM:
        return [
            f"dim: the brightest pixel of all pictures is {brightest} of 255; if their files use a "
            "smaller scale, set data.white to the value that is white"
        ]
    if darkest > 255 - _DIM:
        return [f"dim: the darkest pixel of all pictures is {darkest} of 255"]
    return []
