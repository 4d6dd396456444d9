"""Contents of a tree of files: pictures, other files, and what cannot be read."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from metagan.config.image import ImageData
from metagan.data.dataset import DataError
from metagan.data.paths.names import a_few
from metagan.data.paths.own_folders import own_folders, skipped_notes, upper_of
from metagan.data.paths.tree import ARCHIVE_SUFFIXES, Parts, TreeFile, first_outside, with_parents
from metagan.kinds.image.reading.collect import Decoded, try_decode
from metagan.kinds.image.reading.decode import is_picture
from metagan.kinds.image.reading.first_bytes import format_notes, picture_format
from metagan.words import counted

GENERATED_PICTURES: Final = (
    "generated: its pictures were made by metagan generate, they are no real data"
)


@dataclass
class TreeContents:
    """The contents of a tree of files.

    Attributes:
        pictures: Path and picture, or why there is none. Stored names can differ where readable
            ones do not, so a path may occur twice.
        others: All other files: the picture format they have by content, empty for none.
        problems: Files and folders that could not be read, and are no pictures by name.
        lost: Of these the folders that may hold pictures.
        empty: Folders with nothing in them.
        skipped: Folders that metagan itself wrote, and what they are.
    """

    pictures: list[tuple[Parts, Decoded]] = field(default_factory=list)
    others: dict[Parts, str] = field(default_factory=dict)
    problems: dict[Parts, str] = field(default_factory=dict)
    lost: set[Parts] = field(default_factory=set)
    empty: set[Parts] = field(default_factory=set)
    skipped: dict[Parts, str] = field(default_factory=dict)


def read_contents(files: Iterable[TreeFile], config: ImageData, *, invert: bool) -> TreeContents:
    """Decode the pictures of a tree, and leave out what metagan itself wrote there."""
    found = TreeContents()
    pictures: dict[tuple[Parts, Parts], Decoded] = {}
    for file in files:
        if file.is_empty_folder:
            found.empty.add(file.parts)
        elif file.is_lost_folder or (file.problem and not is_picture(file.parts[-1])):
            found.problems[file.parts] = file.problem
            if file.is_lost_folder:
                found.lost.add(file.parts)
        elif file.content is None and not file.problem:
            found.others[file.parts] = picture_format(file.head)
        else:
            picture = try_decode(file.content, file.problem, file.name, config, invert=invert)
            pictures[file.parts, file.stored] = picture
    found.pictures = [(parts, picture) for (parts, _), picture in pictures.items()]
    paths = [parts for parts, _ in found.pictures]
    own = own_folders((*paths, *found.others), found.empty)
    found.skipped = own
    inner = set(own) - {()}

    def is_kept(parts: Parts) -> bool:
        return upper_of(inner, (*parts, "")) is None

    return TreeContents(
        # A tar comes in any order; the order of samples must not depend on who packed it.
        sorted((one for one in found.pictures if is_kept(one[0])), key=lambda one: one[0]),
        {parts: kind for parts, kind in found.others.items() if is_kept(parts)},
        {parts: problem for parts, problem in found.problems.items() if is_kept(parts)},
        set(filter(is_kept, found.lost)),
        set(filter(is_kept, found.empty)),
        {parts: kind for parts, kind in own.items() if upper_of(inner, parts) is None},
    )


def refuse_lost(
    root: Path, contents: TreeContents, places: Iterable[Parts], class_depth: int
) -> None:
    """Refuse to leave out whole classes or domains because nothing in them can be read.

    Raises:
        DataError: If a folder not below a class holds pictures, by content or behind a link, and
            none of them is a sample.
    """
    filled = with_parents(places)
    reasons: dict[Parts, str] = {}
    for parts in contents.lost:
        if parts not in filled and len(parts) <= class_depth:
            reasons[parts] = contents.problems[parts]
    for parts, kind in contents.others.items():
        bare = first_outside(parts[:-1], filled)
        if kind and bare and len(bare) <= class_depth:
            reasons[bare] = f"its pictures are {kind} by content, but called {parts[-1]}"
    if reasons:
        named = [f"{'/'.join(parts)} ({why})" for parts, why in sorted(reasons.items())]
        raise DataError(
            f"{root}: {counted(len(reasons), 'whole folder')} would be left out: {a_few(named)}; "
            "make the pictures readable (PNG, copies in place of links), or take the folder away"
        )


def contents_notes(contents: TreeContents, places: Iterable[Parts]) -> list[str]:
    """Lines on what was not read, whole folders before single files."""
    notes = skipped_notes({"/".join(p): kind for p, kind in contents.skipped.items() if p})
    if () in contents.skipped:
        notes.append(GENERATED_PICTURES)
    archives = ["/".join(parts) for parts in archives_beside(contents)]
    if archives:
        notes.append(
            f"pictures left out: archives beside pictures are not opened: {a_few(archives)}; "
            "unpack them, or name one itself (data.path)"
        )
    filled = with_parents(places)
    without = [*contents.empty, *(parts[:-1] for parts in contents.others)]
    tops = (first_outside(parts, filled) for parts in without)
    if bare := sorted({"/".join(top) for top in tops if top}):
        notes.append(f"folders without pictures: {a_few(bare, most=10)}")
    named = (("/".join(parts), kind) for parts, kind in contents.others.items() if kind)
    notes += format_notes(named)
    if contents.others:
        names = endings("/".join(parts) for parts in contents.others)
        notes.append(f"other files ignored: by ending {names}")
    return notes


def archives_beside(contents: TreeContents) -> list[Parts]:
    """The archives that lie beside other files, but those that lie there unpacked as well."""
    folders = {parts[:end] for parts, _ in contents.pictures for end in range(1, len(parts))}
    return sorted(
        parts
        for parts in contents.others
        if (suffix := next((s for s in ARCHIVE_SUFFIXES if parts[-1].lower().endswith(s)), ""))
        and (*parts[:-1], parts[-1][: -len(suffix)]) not in folders
    )


def endings(names: Iterable[str]) -> str:
    """`.txt (12), .md (1)`: how many names have which ending, most frequent first."""
    counts = Counter(Path(name).suffix.lower() or "no ending" for name in names)
    shown = counts.most_common(5)
    rest = counts.total() - sum(count for _, count in shown)
    named = [f"{suffix} ({count})" for suffix, count in shown]
    return ", ".join([*named, f"others ({rest})"] if rest else named)
