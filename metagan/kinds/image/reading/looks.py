"""How the pictures of a data set look: their levels, what was dropped, what is blank.

Shapes: N samples of C channels and H x W pixels.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metagan.data.dataset import DataError, Dataset
from metagan.data.paths.names import a_few
from metagan.kinds.image.notes import KEEPS_COLOUR
from metagan.kinds.image.reading.decode import LEAST_CONTRAST, Traits
from metagan.words import agreeing, counted

# Levels of 255: a whole data set below an eighth of the scale was scaled by the wrong white.
_DIM: Final = 32
# A median above this is a bright ground, one below its opposite a dark one.
_BRIGHT: Final = 191
# In drawings so large a share of the pixels is ground or ink, each within so many levels.
_DRAWN_SHARE: Final = 0.75
_DRAWN_LEVELS: Final = 32
_BLOCK: Final = 4096
_BLOCK_PIXELS: Final = 2**20


def count_traits(found: Iterable[tuple[str, Traits]]) -> dict[str, dict[str, int]]:
    """How many pictures of each domain have which trait, as `Dataset.origin` keeps it.

    Args:
        found: Domain and traits of every picture.

    Returns:
        By domain `pictures`, the traits' names, and `narrowed_largest`, the largest value of those
        that were narrowed, where there are any.
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
        count["clear"] += traits.clear
        count["faint"] += traits.faint
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


def count_levels(arrays: Iterable[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """How many pixels of some arrays have which level, (256,)."""
    counts = np.zeros(256, np.int64)
    for array in arrays:
        pixels = np.ravel(array)
        # In blocks, as numpy counts a copy of eight bytes a pixel.
        for start in range(0, pixels.size, _BLOCK_PIXELS):
            counts += np.bincount(pixels[start : start + _BLOCK_PIXELS], minlength=256)
    return counts


def middle_level(counts: NDArray[np.int64]) -> int:
    """The level in the middle of those that `count_levels` has counted."""
    return int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))


def level_counts(dataset: Dataset) -> dict[str, NDArray[np.int64]]:
    """How many pixels of each domain have which level, (256,); reads every sample."""
    return {
        domain: count_levels(map(dataset.class_samples, dataset.classes_of(domain)))
        for domain in dataset.domains
    }


def level_range(counts: NDArray[np.int64]) -> tuple[int, int, int]:
    """The darkest, the middle and the brightest of the levels that were counted."""
    present = np.flatnonzero(counts)
    return int(present[0]), middle_level(counts), int(present[-1])


def is_drawn(counts: NDArray[np.int64]) -> bool:
    """True if pixels of these levels are those of drawings: most are of an even ground, or ink.

    The ground is within 32 levels of the one in the middle, ink of the other end of the scale. Of
    letters 76 % or more of the pixels are one of the two (most often 85 to 95 %), of photographs up
    to 70 %; only of shoes and the like, cut out before black, up to 77 %.
    """
    middle = middle_level(counts)
    ground = counts[max(middle - _DRAWN_LEVELS, 0) : middle + _DRAWN_LEVELS + 1]
    ink = counts[-_DRAWN_LEVELS:] if middle < 128 else counts[:_DRAWN_LEVELS]
    return bool(ground.sum() + ink.sum() >= _DRAWN_SHARE * counts.sum())


def look_at(dataset: Dataset, repeats: Mapping[int, int]) -> dict[str, DomainLooks]:
    """How the pictures of each domain look; reads every sample.

    The levels are those of `Dataset.origin` where the data set was made with them.

    Args:
        dataset: The pictures.
        repeats: How many of each class repeat an earlier one of it; a class without is left out.
    """
    blank = blank_samples(dataset)
    known: Mapping[str, Any] = dataset.origin.get("pictures", {})
    levels: Mapping[str, Sequence[int]] = dataset.origin.get("levels", {})
    if levels.keys() != set(dataset.domains):  # Not of a file, or of an earlier version.
        levels = {domain: level_range(found) for domain, found in level_counts(dataset).items()}
    result = {}
    for domain in dataset.domains:
        indices = dataset.classes_of(domain)
        num_blank = pictures = 0
        for index in indices:
            where = slice(int(dataset.offsets[index]), int(dataset.offsets[index + 1]))
            num_blank += int(blank[where].sum())
            pictures += where.stop - where.start
        traits = known.get(domain, {})
        darkest, middle, brightest = levels[domain]
        result[domain] = DomainLooks(
            pictures,
            darkest,
            middle,
            brightest,
            num_blank,
            sum(repeats.get(index, 0) for index in indices),
            *(
                traits.get(name, 0) if traits else None
                for name in ("colour", "transparent", "deep")
            ),
        )
    return result


def check_looks(
    dataset: Dataset, counts: Mapping[str, NDArray[np.int64]] | None = None
) -> list[str]:
    """Notes on pictures that came out other than their owner will expect.

    Args:
        dataset: The pictures.
        counts: Their `level_counts`, where they have been counted already.

    Raises:
        DataError: If all pictures of a class, or most of all, are blank, or if deep colour pictures
            lose what they hold.
    """
    known: Mapping[str, Mapping[str, int]] = dataset.origin.get("pictures", {})
    total = Counter[str]()
    for found in known.values():
        total.update({name: n for name, n in found.items() if name != "narrowed_largest"})
    path = dataset.origin.get("path", "the data")
    _check_narrowed(known, total["narrowed"], str(path))
    notes = _blank_notes(dataset, known, total, str(path))
    notes += _level_notes(dataset, level_counts(dataset) if counts is None else counts, total)
    # Where all is generated the source may have said so already.
    if total["generated"] and not any(note.startswith("generated:") for note in dataset.notes):
        number = counted(total["generated"], "picture")
        were = agreeing(total["generated"], "was", "were")
        notes.append(f"generated: {number} {were} made by metagan generate, they are no real data")
    if total["colour"] and dataset.sample_shape[0] == 1:
        notes.append(
            f"colour: {total['colour']} of {counted(total['pictures'], 'picture')} are in colour "
            f"and read as grey; {KEEPS_COLOUR}"
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


def _blank_notes(
    dataset: Dataset, known: Mapping[str, Mapping[str, int]], total: Mapping[str, int], path: str
) -> list[str]:
    blank = blank_samples(dataset)
    number = int(blank.sum())
    if not number:
        return []
    for index, record in enumerate(dataset.classes):
        if blank[dataset.offsets[index] : dataset.offsets[index + 1]].all():
            number_of_class = counted(dataset.count(index), "picture")
            raise DataError(
                f"{path}: class {record.name} is blank, all {number_of_class} of it (no contrast); "
                f"{_fix_of_blank(dataset, known.get(record.domain, {}), total)}"
            )
    fix = _fix_of_blank(dataset, total, total)
    if 2 * number > len(blank):
        raise DataError(
            f"{path}: {number} of {counted(len(blank), 'picture')} are blank (no contrast); {fix}"
        )
    return [f"blank: {number} of {counted(len(blank), 'picture')} have no contrast; {fix}"]


def _fix_of_blank(dataset: Dataset, here: Mapping[str, int], total: Mapping[str, int]) -> str:
    """Why pictures are blank, and what to do, by what is known of those of a domain or of all."""
    if here.get("hidden"):
        inverted = bool(dataset.origin.get("inverted"))
        ink, ground = ("bright", "white") if inverted else ("dark", "black")
        fix = f"set data.invert={str(not inverted).lower()}"
        if total["hidden"] < total["pictures"]:
            fix = f"fill the ground, or {fix} if that suits all other pictures"
        return (
            f"their files hold {ink} ink on a transparent ground, which is read as {ground}: {fix}"
        )
    if here.get("clear"):
        return "every pixel of some is transparent: save them without transparency"
    if here.get("faint"):
        return (
            f"the levels of some differ, but by less than {LEAST_CONTRAST} of 255: spread them "
            "over 0..255 (a mask of 0 and 1 times 255)"
        )
    if here.get("deep"):
        white = " or ".join(f"{value:g}" for value in dataset.origin.get("white", {}).values())
        return (
            "some have more than 8 bits and may use a smaller scale than the others, as "
            f"{white or 'one value'} is read as white in all: scale them alike"
        )
    if here.get("colour") and dataset.sample_shape[0] == 1:
        return "some are in colour, which grey loses: set data.channels=3"
    return "look at the files, and remove or repair them"


def _level_notes(
    dataset: Dataset, counts: Mapping[str, NDArray[np.int64]], total: Mapping[str, int]
) -> list[str]:
    """Notes on domains that use an eighth of the scale at one end, or differ in polarity.

    Levels are those of the files. Of photographs nobody can say which polarity they should have.
    """
    inverted = bool(dataset.origin.get("inverted"))
    levels = {d: level_range(found[::-1] if inverted else found) for d, found in counts.items()}
    dim = {d: found[2] for d, found in levels.items() if found[2] < _DIM}
    fix = (
        "if their files use a smaller scale, set data.white to the value that is white"
        if total["deep"]
        else "if their files use a smaller scale, spread it over 0..255"
    )
    if len(dim) == len(levels):
        return [f"dim: the brightest pixel of all pictures is {max(dim.values())} of 255; {fix}"]
    if min(found[0] for found in levels.values()) > 255 - _DIM:
        darkest = min(found[0] for found in levels.values())
        return [f"dim: the darkest pixel of all pictures is {darkest} of 255"]
    notes = []
    if dim:
        named = a_few([f"{domain} ({top} of 255)" for domain, top in dim.items()])
        notes.append(
            f"dim: the brightest pixels of some domains are dark: {named}; if their files use a "
            "smaller scale than the others, scale them alike"
        )
    drawn = {domain: found for domain, found in levels.items() if is_drawn(counts[domain])}
    bright = [domain for domain, found in drawn.items() if found[1] > _BRIGHT]
    dark = [domain for domain, found in drawn.items() if found[1] < 255 - _BRIGHT]
    if bright and dark:
        notes.append(
            f"polarity: most pixels are bright in {a_few(bright)} and dark in {a_few(dark)}; if "
            "ink is dark in some and bright in others, invert the files of one side"
        )
    if len(dark if inverted else bright) == len(levels) and dataset.sample_shape[0] == 1:
        other = str(not inverted).lower()
        notes.append(
            "polarity: most pixels are bright, but ink should be: if these are drawings on a white "
            f"ground, set data.invert={other}"
        )
    return notes
