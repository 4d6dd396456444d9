"""Which folder of a tree of pictures is a split, a domain, a class, by the folders' names alone.

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

from metagan.data.dataset import DataError
from metagan.data.paths.names import a_few, look_alikes
from metagan.data.paths.split_words import (
    check_mixed,
    doubtful_notes,
    is_plain_split,
    names_of_parts,
)
from metagan.data.paths.tree import Parts, first_outside, with_parents
from metagan.kinds.image.sources.levels import (
    MUST_LIE,
    Place,
    Plan,
    is_container,
    labels_in,
    make_plan,
    usual_depth,
)
from metagan.words import counted

# So many domains must have a single class before that is doubtful.
_ENOUGH_TO_SAY: Final = 3


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
            f"{root}: {MUST_LIE}; found {folders[()][0]} and {len(folders[()]) - 1} more in no "
            f"folder; if they are one class, give the folder around it{labels_in(lists)}"
        )
    depth = usual_depth(folders)
    notes: list[str] = []
    usual = {folder: names for folder, names in folders.items() if len(folder) == depth}
    plan = make_plan(usual, root, root_name, lists, notes)
    places = {folder: place for folder in folders if (place := plan.place(folder))}
    if plan.split is None:
        first = plan.label if plan.domain is None else plan.domain
        top = {folder[first] for folder in places}
        check_mixed(top, root)
        notes += doubtful_notes(top, "classes" if plan.domain is None else "domains")
    loose = _check_lost(folders, places, plan, root)
    notes += _check_deeper(places, plan, root)
    notes += _check_names(places.values(), root, lists)
    return Layout(places, loose, plan.label + 1, notes)


def _check_lost(
    folders: Mapping[Parts, Sequence[str]], places: Mapping[Parts, Place], plan: Plan, root: str
) -> list[Parts]:
    """The folders whose own pictures are loose; those of which nothing is read are refused."""
    filled = with_parents(places)
    lost: Counter[Parts] = Counter()
    loose = []
    for folder, pictures in folders.items():
        if folder in places:
            continue
        upper = first_outside(folder, filled)
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


def _words(plan: Plan) -> list[str]:
    words = {plan.split: "<split>", plan.domain: "<domain>", plan.label: "<class>"}
    return [words.get(i, "*") for i in range(plan.label + 1)]


def _check_deeper(places: Mapping[Parts, Place], plan: Plan, root: str) -> list[str]:
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
        plain = sorted(filter(is_plain_split, found))
        if plain and names_of_parts(found):
            raise DataError(
                f"{root}: in {domain} the folders {a_few(plain)} are parts of a split, no classes; "
                "put the pictures of every class into a folder "
                f"(train/{domain}/<class>/){labels_in(lists)}"
            )
        odd += [f"{domain}/{name}" for name in sorted(found) if name in plain or is_container(name)]
    notes = []
    if odd:
        notes.append(f"labels: classes called like a split or a folder of all: {a_few(odd)}")
    if len(labels) >= _ENOUGH_TO_SAY and all(len(found) == 1 for found in labels.values()):
        first = a_few([f"{domain}/{next(iter(found))}" for domain, found in labels.items()], most=3)
        notes.append(
            f"labels: every domain has one class, such as {first}; if the upper folders are the "
            "classes, take the lower ones away"
        )
    # A letter's two cases are two classes.
    alike = [
        " and ".join(f"{domain}/{name}" for name in group)
        for domain, found in sorted(labels.items())
        for group in look_alikes(name for name in found if len(name) > 1)
    ]
    domains = look_alikes(name for name in labels if len(name) > 1)
    alike += [" and ".join(f"{name}/..." for name in group) for group in domains]
    if alike:
        notes.append(
            "labels: names that differ in case, spaces or zeros alone, one class or domain each: "
            f"{a_few(alike)}"
        )
    return notes
