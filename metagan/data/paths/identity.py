"""Which domain and which split a file is, by its path below the data folder.

Parquet, npz and idx files hold pictures of many classes, so a file is a domain or a part of one.
What is left of its path without names of splits and shard counters is the domain:
`blood/train-00000-of-00002.parquet` is the training part of blood. Which names are those of splits
`metagan.data.paths.split_words` tells, for folders of pictures and files alike.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from metagan.data.dataset import DataError
from metagan.data.paths.links import real_path
from metagan.data.paths.names import a_few, clean_name
from metagan.data.paths.split_words import (
    SplitName,
    canonical_split,
    check_mixed,
    doubtful_notes,
    is_fold,
    is_plain_split,
    parts_among,
)
from metagan.data.paths.tree import ARCHIVE_SUFFIXES, Parts, tree_name

# `-00000-of-00002`, with a hash behind it in the hub's older files.
_SHARD: Final = re.compile(r"-\d{3,}-of-\d{3,}(-[0-9a-f]{8,})?$", re.IGNORECASE)
# `0000` is how the hub's converted files count, `part-00000-<uuid>-c000` how Spark does.
_COUNTER: Final = re.compile(r"0\d{3,}|part[-._]?\d+(-[0-9a-f-]{36})?(-c\d+)?", re.IGNORECASE)
_PACKING: Final = re.compile(r"\.(snappy|gz|gzip|zstd|zst|lz4|brotli)$", re.IGNORECASE)
_HUB_REVISION: Final = re.compile(r"[0-9a-f]{40}")
# Folder names that say nothing of what is in them.
_CONTAINERS: Final = frozenset({"data", "default", "parquet", "npz"})
_PLACES: Final = frozenset({"raw", "gzip"})


@dataclass(frozen=True)
class FileRole:
    """The role of a file in a data set.

    Attributes:
        domain: The name of the domain that it belongs to.
        split: The publisher's split, where a name in its path is that of one.
    """

    domain: str
    split: str | None = None


def file_roles(paths: Sequence[Parts], root: str) -> tuple[list[FileRole], list[str]]:
    """The domain and split of every file of a data set, and notes on names that are doubtful.

    Files are one domain only if nothing but a split or a counter tells their paths apart. Names of
    files, and of folders at each depth, are looked at together (see `split_words.parts_among`);
    where that tells nothing, those in one folder are.

    Args:
        paths: The folders below the root and the file's name without its ending, for every file.
        root: The name of the domain whose files have no name of their own.

    Raises:
        DataError: If a path names two splits, or a split's plain word stands beside other names.
    """
    whole = [_without_counter(path) for path in paths]
    parts, notes = _parts_of([name for path in whole for name in path], root)
    found = [
        _without_splits("/".join(given), path, parts)
        for given, path in zip(paths, whole, strict=True)
    ]
    domains = _names([kept for kept, _ in found], root)
    roles = [FileRole(domains[kept], split) for kept, split in found]
    odd = {role.domain for role in roles if role.domain != root}
    return roles, [*notes, *doubtful_notes(odd, "domains")]


def parts_below(file: Path, path: Path) -> Parts:
    """The folders of a file below the data folder, and its name without the ending."""
    relative = file.relative_to(path) if path.is_dir() else Path(file.name)
    return relative.with_suffix("").parts


def shown_below(file: Path, path: Path) -> str:
    """A file's path below the data folder, fit to be printed; its name if it is the data itself."""
    return clean_name(str(file.relative_to(path)) if path.is_dir() else file.name)


def root_name(path: Path) -> str:
    """The name of a data set that names no domain: that of its folder or archive.

    Folders called like a split's part are skipped; so are `data` and the like above a single
    file. A revision in the hub's cache is called like its data set.
    """
    is_named = path.is_dir() or path.name.lower().endswith(ARCHIVE_SUFFIXES)
    start = real_path(path) if is_named else path.absolute().parent.resolve()
    passed_over = _PLACES if is_named else _PLACES | _CONTAINERS
    for place in (start, *start.parents):
        if _HUB_REVISION.fullmatch(place.name) and place.parent.name == "snapshots":
            return clean_name(place.parent.parent.name.split("--")[-1])
        name = tree_name(place)
        if name and name.lower() not in passed_over and not _is_part(place, name):
            return name
    return tree_name(start)


def _is_part(place: Path, name: str) -> bool:
    """True if a folder or archive is a part of a split, by its name or by the names beside it.

    Other things beside it, such as a folder of annotations, do not matter.
    """
    split = canonical_split(name)
    if split is None or is_plain_split(name):
        return split is not None
    try:
        beside = [tree_name(entry) for entry in place.parent.iterdir()]
    except OSError:
        return False
    return any(canonical_split(other) not in (None, split) for other in beside)


@dataclass(frozen=True)
class _Name:
    """One name of a path.

    Attributes:
        text: The name.
        above: The folders that it lies in.
        is_file: It is a file's, not a folder's.
    """

    text: str
    above: Parts
    is_file: bool


def _without_counter(path: Parts) -> list[_Name]:
    """The names of a path, without what only counts the shards."""
    *folders, stem = map(clean_name, path)
    names = [_Name(name, tuple(folders[:i]), is_file=False) for i, name in enumerate(folders)]
    stem = _SHARD.sub("", _PACKING.sub("", stem))
    if stem and not _COUNTER.fullmatch(stem):
        names.append(_Name(stem, tuple(folders), is_file=True))
    return names


def _parts_of(names: Iterable[_Name], root: str) -> tuple[dict[_Name, SplitName], list[str]]:
    """Parts of a split by name, without names that are no part; and notes on merged parts."""
    levels: defaultdict[tuple[int, bool], set[_Name]] = defaultdict(set)
    for name in names:
        levels[len(name.above), name.is_file].add(name)
    found: dict[_Name, SplitName] = {}
    notes = []
    for level in levels.values():
        texts = {name.text for name in level}
        if all(map(is_fold, texts)):
            found |= dict.fromkeys(level, SplitName(None, "", is_plain=True))
            if len(texts) > 1:
                notes.append(f"splits: numbered parts are merged: {a_few(sorted(texts))}")
        elif parts := parts_among(texts):
            found |= {name: parts[name.text] for name in level}
        else:
            found |= _parts_by_folder(level, root)
    return found, notes


def _parts_by_folder(level: Iterable[_Name], root: str) -> dict[_Name, SplitName]:
    folders: defaultdict[Parts, set[str]] = defaultdict(set)
    for name in level:
        folders[name.above].add(name.text)
    parts = {above: parts_among(texts) for above, texts in folders.items()}
    for above, texts in folders.items():
        if not parts[above]:
            check_mixed(texts, "/".join((root, *above)))
    return {n: parts[n.above][n.text] for n in level if parts[n.above]}


def _without_splits(
    shown: str, path: Sequence[_Name], parts: Mapping[_Name, SplitName]
) -> tuple[Parts, str | None]:
    """A path without the names of splits, and the split.

    A split's word inside a name counts only where no other name of the path is a split's.
    """
    said = [(name, parts.get(name)) for name in path]
    splits = {part.split: name.text for name, part in said if part and part.is_whole and part.split}
    if len(splits) > 1:
        raise DataError(
            f"{shown}: its path names two splits, {a_few(list(splits.values()))}; rename the "
            "folder or the file"
        )
    kept = [(name.text, part) for name, part in said if not (part and part.is_whole)]
    if splits:
        if kept and path[-1].is_file and kept[-1][0] == path[-1].text and kept[-1][0].isdecimal():
            kept.pop()  # `train/1`: it counts.
        return tuple(text for text, _ in kept), next(iter(splits))
    inner = [part.split for _, part in kept if part and part.split]
    if len(inner) == 1:
        return tuple(part.rest if part else text for text, part in kept), inner[0]
    return tuple(text for text, _ in kept), None


def _names(paths: Sequence[Parts], root: str) -> dict[Parts, str]:
    """A name for every path: its parts, without those that all paths share at their ends."""
    different = sorted(set(paths))
    if len(different) == 1:
        telling = [part for part in different[0] if part.lower() not in _CONTAINERS]
        return {different[0]: telling[-1] if telling else root}
    first = _shared(different)
    last = _shared([path[first:][::-1] for path in different])
    names = {path: "/".join(path[first : len(path) - last]) or root for path in different}
    if len(set(names.values())) < len(names):
        # A folder inside is called like the root.
        names = {path: "/".join((root, *path)) for path in different}
    return names


def _shared(paths: Sequence[Parts]) -> int:
    """How many parts all paths have in common at their start; at least one part is not counted."""
    count = 0
    while count < min(map(len, paths)) - 1 and len({path[count] for path in paths}) == 1:
        count += 1
    return count
