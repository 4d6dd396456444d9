"""Meaning of each level of a tree's folders: split, domain, class, or nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from metagan.data.dataset import DataError
from metagan.data.paths.names import a_few
from metagan.data.paths.split_words import (
    SplitName,
    is_fold,
    is_plain_split,
    names_of_parts,
    parts_among,
)
from metagan.data.paths.tree import Parts

_CONTAINERS: Final = frozenset(
    {"images", "image", "imgs", "img", "pictures", "pics", "photos", "jpegimages", "jpegs", "jpgs"}
    | {"jpeg", "jpg", "pngs", "png", "data", "samples", "files"}
)
_USUAL_WORDS: Final = frozenset(
    {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
)
MUST_LIE: Final = (
    "pictures must lie in <class>, <domain>/<class> or <split>/<domain>/<class> folders"
)
# So many class folders must hold the same one folder before its name is taken for no name.
_ENOUGH_TO_SAY: Final = 3


@dataclass(frozen=True)
class Place:
    """The class, domain and publisher's split, or None, of a folder's pictures."""

    domain: str
    label: str
    split: str | None


@dataclass(frozen=True)
class Plan:
    """The meaning of each level of folders, counted from the root."""

    label: int
    domain: int | None = None
    split: int | None = None
    parts: Mapping[str, SplitName] | None = None
    passed: Mapping[int, frozenset[str]] | None = None
    root_name: str = ""

    def place(self, folder: Parts) -> Place | None:
        """Class, domain and split of a folder's pictures; None for a folder of another layout."""
        if len(folder) <= self.label:
            return None
        above = {i: names for i, names in (self.passed or {}).items() if i < self.label}
        if any(folder[i] not in names for i, names in above.items()):
            return None
        part = None
        if self.split is not None:
            part = (self.parts or {}).get(folder[self.split])
            if part is None:
                return None
        domain = self.root_name if self.domain is None else folder[self.domain]
        if part is not None and not part.is_whole:
            domain = part.rest if self.domain is None else f"{part.rest}-{domain}"
        return Place(domain, folder[self.label], part.split if part else None)

    def is_inner(self, below: Parts) -> bool:
        """True if the folders below a class name nothing."""
        passed = self.passed or {}
        return all(
            is_container(name) or name in passed.get(self.label + 1 + i, ())
            for i, name in enumerate(below)
        )


def usual_depth(folders: Mapping[Parts, Sequence[str]]) -> int:
    """How deep most pictures lie; those directly in a split's folder have no say if others do."""
    votes: Counter[int] = Counter()
    flat: Counter[int] = Counter()
    for folder, pictures in folders.items():
        if folder:
            (flat if is_plain_split(folder[-1]) else votes)[len(folder)] += len(pictures)
    votes = votes or flat
    return max(votes, key=lambda depth: (votes[depth], depth))


def make_plan(
    usual: Mapping[Parts, Sequence[str]],
    root: str,
    root_name: str,
    lists: Sequence[str],
    notes: list[str],
) -> Plan:
    """Plan of the levels, from the folders of the usual depth.

    Args:
        usual: {folder of the usual depth: pictures in it}.
        root: The root, for messages.
        root_name: The domain's name where no folder is one.
        lists: Other files that may have labels, for messages.
        notes: Gets lines on what is passed through or merged.

    Raises:
        DataError: If the folders are no known layout.
    """
    folders = list(usual)
    names = [frozenset(folder[i] for folder in folders) for i in range(len(folders[0]))]
    levels = list(range(len(names)))
    split: int | None = None
    parts: dict[str, SplitName] = {}
    while len(levels) >= 2 and _names_nothing(folders, levels):
        if not all(map(is_container, names[levels[-1]])):
            notes.append(
                "labels: every class folder holds one folder of the same name, which is passed "
                f"through: {a_few(sorted(names[levels[-1]]))}"
            )
        levels.pop()
    while levels:
        top = names[levels[0]]
        found = (parts_among(top) if len(levels) >= 2 else names_of_parts(top)) or {}
        if found and split is None:
            split, parts = levels[0], found
        elif len(levels) >= 2 and all(map(is_fold, top)):
            notes.append(f"splits: numbered parts are merged: {a_few(sorted(top))}")
        elif not (
            (len(levels) >= 2 and _repeats_split(folders, split, parts, levels[0], found))
            or (len(levels) >= 2 and len(top) == 1 and all(map(is_container, top)))
            or (len(levels) >= 3 and len(top) == 1)
        ):
            break
        levels.pop(0)
    if len(levels) == 3 and split is None and (found := parts_among(names[levels[1]])):
        split, parts = levels.pop(1), found
    while len(levels) >= 3 and all(map(is_container, names[levels[1]])):
        levels.pop(1)
    levels = _without_stutter(folders, levels)
    _check_flat(names, levels, split, root, lists)
    if len(levels) > 2:
        raise DataError(f"{root}: {MUST_LIE}; found {'/'.join(folders[0])}/{usual[folders[0]][0]}")
    odd = sorted(name for name in parts if parts[name].split and name.lower() not in _USUAL_WORDS)
    if odd:
        read = [f"{name} ({parts[name].split})" for name in odd]
        notes.append(f"splits: folders read as parts of the published split: {a_few(read)}")
    passed = {i: names[i] for i in range(len(names)) if i not in levels and i != split}
    domain = levels[0] if len(levels) == 2 else None
    return Plan(levels[-1], domain, split, parts, passed, root_name)


def _names_nothing(folders: Sequence[Parts], levels: Sequence[int]) -> bool:
    """True if the lowest level says nothing: `images` or the like, or the same name everywhere."""
    names = {folder[levels[-1]] for folder in folders}
    if all(map(is_container, names)):
        # Two in one folder are told apart by something, such as jpg/ and png/.
        return len({folder[: levels[-1]] for folder in folders}) == len(folders)
    if len(names) > 1 or is_plain_split(next(iter(names))):
        return False
    # In one part of a split there may be a single class; the same one in each of several domains
    # says nothing.
    is_split = names_of_parts({folder[levels[0]] for folder in folders}) is not None
    above = Counter(folder[0 : levels[0] + 1] if is_split else () for folder in folders)
    return max(above.values()) >= _ENOUGH_TO_SAY


def _repeats_split(
    folders: Sequence[Parts],
    split: int | None,
    parts: Mapping[str, SplitName],
    level: int,
    found: Mapping[str, SplitName],
) -> bool:
    """True if a level repeats the split, as in train/train/cat."""
    return (
        split is not None
        and bool(found)
        and all(part.is_whole for part in found.values())
        and all(parts[folder[split]].split == found[folder[level]].split for folder in folders)
    )


def _without_stutter(folders: Sequence[Parts], levels: Sequence[int]) -> list[int]:
    """The levels but those at which each folder is called as the one above it.

    Unpacking often leaves `cat/cat/`; of a single folder nobody can tell.
    """
    pairs = pairwise(levels) if len(folders) > 1 else ()
    same = {
        below
        for above, below in pairs
        if all(f[above].lower() == f[below].lower() for f in folders)
    }
    return [level for level in levels if level not in same]


def _check_flat(
    names: Sequence[frozenset[str]],
    levels: Sequence[int],
    split: int | None,
    root: str,
    lists: Sequence[str],
) -> None:
    """Refuse pictures that lie directly in folders that are no classes."""
    lowest = names[levels[-1]] if levels else names[split or 0]
    is_split = names_of_parts(lowest) is not None and any(map(is_plain_split, lowest))
    if not levels or is_split:
        raise DataError(
            f"{root}: the folders {a_few(sorted(lowest))} are parts of a split, no classes, and "
            "pictures lie directly in them; put the pictures of every class into a folder "
            f"(train/<class>/, test/<class>/){labels_in(lists)}"
        )
    if len(levels) == 1 and all(map(is_container, lowest)):
        raise DataError(
            f"{root}: the folder {a_few(sorted(lowest))} is no class, and pictures lie directly in "
            f"it; put the pictures of every class into a folder{labels_in(lists)}"
        )


def is_container(name: str) -> bool:
    """True if a folder's name says only that there are pictures."""
    return name.strip().lower() in _CONTAINERS


def labels_in(lists: Sequence[str]) -> str:
    """Fix for data with lists that may have the labels; empty without such lists."""
    if not lists:
        return ""
    return (
        f"; if {a_few(lists, most=3)} has the labels, write one list with file_name, domain, label "
        "and split (data.source=manifest) and name it"
    )
