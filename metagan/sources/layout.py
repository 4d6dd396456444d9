"""Which folder of a tree of pictures is a split, a domain, a class: told by its names alone.

    <domain>/<class>/*          several domains
    <class>/*                   one domain, called like the root
    <split>/<domain>/<class>/*  or <split>/<class>/* or <domain>/<split>/<class>/*

Levels that name nothing are passed through: a single folder around a whole layout that has domains
(around classes alone it is the domain), and a lowest level called `images` or the like, or called
the same everywhere. What is doubtful is an error, never a guess: a wrong class looks right later.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from metagan.dataset import DataError
from metagan.sources.collect import a_few
from metagan.sources.split_words import SplitName, is_fold, names_of_parts, split_name
from metagan.sources.tree import Parts
from metagan.words import counted

_CONTAINERS: Final = frozenset(
    {"images", "image", "imgs", "img", "pictures", "pics", "photos", "jpegimages", "jpegs", "jpgs"}
    | {"jpeg", "jpg", "pngs", "png", "data", "samples", "files"}
)
_USUAL_WORDS: Final = frozenset(
    {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
)
_MUST_LIE: Final = (
    "pictures must lie in <class>, <domain>/<class> or <split>/<domain>/<class> folders"
)
# So many class folders must hold the same one folder before its name is taken for no name.
_ENOUGH_TO_SAY: Final = 3


@dataclass(frozen=True)
class Place:
    """What a folder's pictures are: class, domain, and the publisher's split or None."""

    domain: str
    label: str
    split: str | None


@dataclass(frozen=True)
class Layout:
    """How a tree is read.

    Attributes:
        places: What the pictures of each folder are.
        loose: Folders whose own pictures are beside the classes, and are left out.
        class_depth: Folders from the root to a class, itself included.
        notes: Lines on what was passed through, merged, or is doubtful.
    """

    places: Mapping[Parts, Place]
    loose: Sequence[Parts]
    class_depth: int
    notes: Sequence[str]


@dataclass(frozen=True)
class _Plan:
    """What each level of folders, counted from the root, stands for."""

    label: int
    domain: int | None = None
    split: int | None = None
    parts: Mapping[str, SplitName] | None = None
    passed: Mapping[int, frozenset[str]] | None = None
    root_name: str = ""

    def place(self, folder: Parts) -> Place | None:
        """What a folder's pictures are; None where the folder is not of this layout."""
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
        """Whether folders below a class name nothing."""
        passed = self.passed or {}
        return all(
            _is_container(name) or name in passed.get(self.label + 1 + i, ())
            for i, name in enumerate(below)
        )


def find_layout(
    folders: Mapping[Parts, Sequence[str]], root: str, root_name: str, *, lists: Sequence[str] = ()
) -> Layout:
    """Tell splits, domains and classes from the paths of folders.

    Args:
        folders: {path below the root: pictures directly in it}, none of them without.
        root: The root, for messages.
        root_name: The domain's name where there is only one.
        lists: Other files that may have labels, for messages.

    Raises:
        DataError: If the folders are no known layout, or pictures of a whole folder would be lost.
    """
    if not any(folders):
        raise DataError(
            f"{root}: {_MUST_LIE}; found {folders[()][0]} and {len(folders[()]) - 1} more in no "
            f"folder; if they are one class, give the folder around it{_labels_in(lists)}"
        )
    depth = _usual_depth(folders)
    notes: list[str] = []
    usual = {folder: names for folder, names in folders.items() if len(folder) == depth}
    plan = _make_plan(usual, root, root_name, lists, notes)
    places = {folder: place for folder in folders if (place := plan.place(folder))}
    loose = _check_lost(folders, places, plan, root)
    notes += _check_deeper(places, plan, root)
    notes += _check_names(places.values(), root, lists)
    return Layout(places, loose, plan.label + 1, notes)


def _usual_depth(folders: Mapping[Parts, Sequence[str]]) -> int:
    """How deep most pictures lie; those directly in a split's folder have no say if others do."""
    votes: Counter[int] = Counter()
    flat: Counter[int] = Counter()
    for folder, pictures in folders.items():
        if folder:
            (flat if _is_plain_split(folder[-1]) else votes)[len(folder)] += len(pictures)
    votes = votes or flat
    return max(votes, key=lambda depth: (votes[depth], depth))


def _make_plan(
    usual: Mapping[Parts, Sequence[str]],
    root: str,
    root_name: str,
    lists: Sequence[str],
    notes: list[str],
) -> _Plan:
    """What each level is, from the folders of the usual depth."""
    folders = list(usual)
    names = [frozenset(folder[i] for folder in folders) for i in range(len(folders[0]))]
    levels = list(range(len(names)))
    split: int | None = None
    parts: dict[str, SplitName] = {}
    while len(levels) >= 2 and _names_nothing(folders, levels):
        if not all(map(_is_container, names[levels[-1]])):
            notes.append(
                "labels: every class folder holds one folder of the same name, which is passed "
                f"through: {a_few(sorted(names[levels[-1]]))}"
            )
        levels.pop()
    while levels:
        top = names[levels[0]]
        found = names_of_parts(top)
        if found and split is None:
            split, parts = levels[0], found
        elif len(levels) >= 2 and all(map(is_fold, top)):
            notes.append(f"splits: numbered parts are merged: {a_few(sorted(top))}")
        elif not (
            (len(levels) >= 2 and _repeats_split(folders, split, parts, levels[0], found))
            or (len(levels) >= 2 and len(top) == 1 and all(map(_is_container, top)))
            or (len(levels) >= 3 and len(top) == 1)
        ):
            break
        levels.pop(0)
    if len(levels) == 3 and split is None and (found := names_of_parts(names[levels[1]])):
        split, parts = levels.pop(1), found
    while len(levels) >= 3 and all(map(_is_container, names[levels[1]])):
        levels.pop(1)
    if len(levels) in (2, 3) and len(folders) > 1 and _stutters(folders, levels):
        levels.pop(1)
    _check_flat(names, levels, split, root, lists)
    if len(levels) > 2:
        raise DataError(f"{root}: {_MUST_LIE}; found {'/'.join(folders[0])}/{usual[folders[0]][0]}")
    if split is None:
        _check_mixed(names[levels[0]], root, notes, are_domains=len(levels) == 2)
    odd = sorted(name for name in parts if name.lower() not in _USUAL_WORDS)
    if odd:
        read = [f"{name} ({parts[name].split})" for name in odd]
        notes.append(f"splits: folders read as parts of the published split: {a_few(read)}")
    passed = {i: names[i] for i in range(len(names)) if i not in levels and i != split}
    domain = levels[0] if len(levels) == 2 else None
    return _Plan(levels[-1], domain, split, parts, passed, root_name)


def _names_nothing(folders: Sequence[Parts], levels: Sequence[int]) -> bool:
    """Whether the lowest level says nothing: `images` or the like, or the same name everywhere."""
    names = {folder[levels[-1]] for folder in folders}
    if all(map(_is_container, names)):
        return True
    if len(names) > 1 or _is_plain_split(next(iter(names))):
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
    found: Mapping[str, SplitName] | None,
) -> bool:
    """Whether a level says again which split it is, as in train/train/cat."""
    return (
        split is not None
        and found is not None
        and all(part.is_whole for part in found.values())
        and all(parts[folder[split]].split == found[folder[level]].split for folder in folders)
    )


def _stutters(folders: Sequence[Parts], levels: Sequence[int]) -> bool:
    """Whether each folder holds one that is called as itself, as unpacking often leaves it."""
    return all(folder[levels[0]].lower() == folder[levels[1]].lower() for folder in folders)


def _check_flat(
    names: Sequence[frozenset[str]],
    levels: Sequence[int],
    split: int | None,
    root: str,
    lists: Sequence[str],
) -> None:
    """Refuse pictures that lie directly in folders that are no classes."""
    lowest = names[levels[-1]] if levels else names[split or 0]
    is_split = names_of_parts(lowest) is not None and any(map(_is_plain_split, lowest))
    if not levels or is_split:
        raise DataError(
            f"{root}: the folders {a_few(sorted(lowest))} are parts of a split, no classes, and "
            "pictures lie directly in them; put the pictures of every class into a folder "
            f"(train/<class>/, test/<class>/){_labels_in(lists)}"
        )
    if len(levels) == 1 and all(map(_is_container, lowest)):
        raise DataError(
            f"{root}: the folder {a_few(sorted(lowest))} is no class, and pictures lie directly in "
            f"it; put the pictures of every class into a folder{_labels_in(lists)}"
        )


def _check_mixed(names: Collection[str], root: str, notes: list[str], *, are_domains: bool) -> None:
    """Refuse folders of a split beside others; note names that only look like such."""
    plain = sorted(filter(_is_plain_split, names))
    if plain:
        others = sorted(set(names) - set(plain))
        raise DataError(
            f"{root}: {a_few(plain)} is called like a part of a split, but {a_few(others)} beside "
            "it is not; put all others below folders of the split as well (train/, test/), take "
            f"{plain[0]} away, or give it another name if it is no split"
        )
    doubtful = sorted(name for name in names if split_name(name) or is_fold(name))
    if doubtful:
        what = "domains" if are_domains else "classes"
        notes.append(f"splits: folders read as {what} with a split's word: {a_few(doubtful)}")


def _check_lost(
    folders: Mapping[Parts, Sequence[str]], places: Mapping[Parts, Place], plan: _Plan, root: str
) -> list[Parts]:
    """The folders whose own pictures are loose; those of which nothing is read are refused."""
    filled = {folder[:end] for folder in places for end in range(len(folder) + 1)}
    lost: Counter[Parts] = Counter()
    loose = []
    for folder, pictures in folders.items():
        if folder in places:
            continue
        ends = range(1, len(folder) + 1)
        upper = next((folder[:end] for end in ends if folder[:end] not in filled), None)
        if upper is None:
            loose.append(folder)
        else:
            lost[upper] += len(pictures)
    if lost:
        some = next(iter(places), ())
        named = [f"{'/'.join(f)} ({counted(n, 'picture')})" for f, n in sorted(lost.items())]
        raise DataError(
            f"{root}: {counted(len(lost), 'folder')} with pictures would be left out: "
            f"{a_few(named)}: classes are {'/'.join(_words(plan))} here, such as "
            f"{'/'.join(some[: plan.label + 1])}; bring them to the same depth, take them away, or "
            "name only the folder that is meant"
        )
    return sorted(loose)


def _words(plan: _Plan) -> list[str]:
    words = {plan.split: "<split>", plan.domain: "<domain>", plan.label: "<class>"}
    return [words.get(i, "*") for i in range(plan.label + 1)]


def _check_deeper(places: Mapping[Parts, Place], plan: _Plan, root: str) -> list[str]:
    """A note on folders below classes, which are merged into them; a guess is refused."""
    below: defaultdict[Parts, set[str]] = defaultdict(set)
    direct: set[Parts] = set()
    for folder in places:
        upper, inner = folder[: plan.label + 1], folder[plan.label + 1 :]
        if plan.is_inner(inner):
            direct.add(upper)
        else:
            below[upper].add(inner[0])
    labels = {upper[-1] for upper in direct}
    domains = {upper[:-1] for upper in direct}
    doubtful = [
        upper
        for upper, names in below.items()
        if upper not in direct
        and upper[-1] not in labels
        and (upper[:-1] not in domains or names & labels)
    ]
    if not doubtful and len(set(below) - direct) > len(direct):
        doubtful = sorted(set(below) - direct)
    if doubtful:
        named = [f"{'/'.join(u)} (with {a_few(sorted(below[u]), most=3)})" for u in doubtful]
        raise DataError(
            f"{root}: {a_few(named)} may be a class or a folder of classes, while classes are "
            f"{'/'.join(_words(plan))} elsewhere; bring all classes to the same depth"
        )
    if not below:
        return []
    named = [f"{'/'.join(u)} ({a_few(sorted(n), most=3)})" for u, n in sorted(below.items())]
    return [f"labels: folders below a class are merged into it: {a_few(named)}"]


def _check_names(places: Collection[Place], root: str, lists: Sequence[str]) -> list[str]:
    """Refuse domains whose classes are all named like splits or containers; note odd names."""
    labels: defaultdict[str, set[str]] = defaultdict(set)
    for place in places:
        labels[place.domain].add(place.label)
    odd: list[str] = []
    for domain, found in sorted(labels.items()):
        plain = sorted(filter(_is_plain_split, found))
        if plain and names_of_parts(found):
            raise DataError(
                f"{root}: in {domain} the folders {a_few(plain)} are parts of a split, no classes; "
                "put the pictures of every class into a folder "
                f"(train/{domain}/<class>/){_labels_in(lists)}"
            )
        odd += [f"{domain}/{name}" for name in found if name in plain or _is_container(name)]
    notes = []
    if odd:
        notes.append(f"labels: classes called like a split or a folder of all: {a_few(odd)}")
    if len(labels) >= _ENOUGH_TO_SAY and all(len(found) == 1 for found in labels.values()):
        first = a_few([f"{domain}/{next(iter(found))}" for domain, found in labels.items()], most=3)
        notes.append(
            f"labels: every domain has one class, such as {first}; if the upper folders are the "
            "classes, take the lower ones away"
        )
    alike = _alike(labels) + [f"{a}/... and {b}/..." for a, b in _pairs(labels)]
    if alike:
        notes.append(
            "labels: names that differ in case or spaces alone, one class or domain each: "
            f"{a_few(alike)}"
        )
    return notes


def _alike(labels: Mapping[str, Collection[str]]) -> list[str]:
    return [
        f"{domain}/{a} and {domain}/{b}"
        for domain, names in sorted(labels.items())
        for a, b in _pairs(names)
    ]


def _pairs(names: Collection[str]) -> list[tuple[str, str]]:
    """Names that are equal but for case and spaces; a letter's two cases are two classes."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        if len(name) > 1:
            groups["".join(name.casefold().split())].append(name)
    return [(group[0], group[1]) for group in groups.values() if len(group) > 1]


def _is_container(name: str) -> bool:
    return name.strip().lower() in _CONTAINERS


def _is_plain_split(name: str) -> bool:
    found = split_name(name)
    return found is not None and found.is_whole and found.is_plain


def _labels_in(lists: Sequence[str]) -> str:
    if not lists:
        return ""
    return (
        f"; if {a_few(lists, most=3)} has the labels, write one list with file_name, domain, label "
        "and split (data.source=manifest) and name it"
    )
