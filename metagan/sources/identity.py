"""Which domain and which split a file is, by its path below the data folder.

Parquet, npz and idx files hold pictures of many classes, so a file is a domain or a part of one.
What is left of its path without split names and shard counters is the domain:
`blood/train-00000-of-00002.parquet` is the training part of blood.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from metagan.dataset import DataError
from metagan.sources.names import a_few, clean_name
from metagan.sources.split_words import canonical_split
from metagan.words import counted

# `-00000-of-00002`, with a hash behind it in the hub's older files.
_SHARD: Final = re.compile(r"-\d{3,}-of-\d{3,}(-[0-9a-f]{8,})?$", re.IGNORECASE)
# `0000` is how the hub's converted files count, `part-00000-<uuid>-c000` how Spark does.
_COUNTER: Final = re.compile(r"0\d{3,}|part[-._]?\d+(-[0-9a-f-]{36})?(-c\d+)?", re.IGNORECASE)
_SHORT_NUMBER: Final = re.compile(r"\d{1,3}|0\d+")
_PACKING: Final = re.compile(r"\.(snappy|gz|gzip|zstd|zst|lz4|brotli)$", re.IGNORECASE)
_SEPARATOR: Final = re.compile(r"([-_. =]+)")
_HUB_REVISION: Final = re.compile(r"[0-9a-f]{40}")
# Words beside a split's that name nothing; the hub puts `partial` there.
_FILLERS: Final = frozenset({"partial", "set", "split", "part", "shards", "data", "images"})
# Folder names that say nothing of what is in them.
_PLAIN: Final = frozenset({"data", "default", "parquet", "npz"})
_PLACES: Final = frozenset({"raw", "gzip"})


@dataclass(frozen=True)
class FileRole:
    """What a file is in a data set.

    Attributes:
        domain: The name of the domain that it belongs to.
        split: The publisher's split, where a name in its path is that of one.
    """

    domain: str
    split: str | None = None


@dataclass(frozen=True)
class _Path:
    parts: tuple[str, ...]
    split: str | None


def file_roles(paths: Sequence[tuple[str, ...]], root: str) -> list[FileRole]:
    """The domain and split of every file of a data set.

    Files are one domain only if nothing but a split or a shard counter tells their paths apart.
    Where a split's word is only a part of a name (`pets-test`), it is a split if the same name
    without the word, or with another split's, is there too; otherwise it is part of the name.

    Args:
        paths: The folders below the root and the file's name without its ending, for every file.
        root: The name of the domain whose files have no name of their own.

    Raises:
        DataError: If a path names two splits.
    """
    whole = [_without_splits(parts) for parts in paths]
    short = [_without_split_words(path) for path in whole]
    splits: dict[tuple[str, ...], set[str | None]] = defaultdict(set)
    for path in short:
        splits[path.parts].add(path.split)
    chosen = [
        taken if len(splits[taken.parts]) > 1 else path
        for path, taken in zip(whole, short, strict=True)
    ]
    names = _names([path.parts for path in chosen], root)
    return [FileRole(names[path.parts], path.split) for path in chosen]


def parts_below(file: Path, path: Path) -> tuple[str, ...]:
    """The folders of a file below the data folder, and its name without the ending."""
    relative = file.relative_to(path) if path.is_dir() else Path(file.name)
    return relative.with_suffix("").parts


def shown_below(file: Path, path: Path) -> str:
    """A file's path below the data folder, fit to be printed; its name if it is the data itself."""
    return clean_name(str(file.relative_to(path)) if path.is_dir() else file.name)


def root_name(path: Path) -> str:
    """The name of a data set whose files are called like splits: that of the folder.

    Folders called like a split are passed over; above a single file, `data` and the like are, too.
    A revision in the hub's cache is called like its data set.
    """
    is_folder = path.is_dir()
    folder = path.resolve() if is_folder else path.absolute().parent.resolve()
    passed_over = _PLACES if is_folder else _PLACES | _PLAIN
    for place in (folder, *folder.parents):
        if _HUB_REVISION.fullmatch(place.name) and place.parent.name == "snapshots":
            return clean_name(place.parent.parent.name.split("--")[-1])
        if place.name and not canonical_split(place.name) and place.name.lower() not in passed_over:
            return clean_name(place.name)
    return clean_name(folder.name)


def split_word_notes(roles: Iterable[FileRole], root: str) -> list[str]:
    """A note on files that are read as domains although their names hold a split's word."""
    domains = {role.domain for role in roles} - {root}
    odd = sorted(domain for domain in domains if take_split(domain.rsplit("/", 1)[-1])[1])
    if not odd:
        return []
    return [
        f"domains: read as {counted(len(odd), 'domain')}, although the name holds the word for a "
        f"split: {a_few(odd)}; parts of one domain need the same name besides that word"
    ]


def _without_splits(parts: tuple[str, ...]) -> _Path:
    """Drop the parts that are nothing but a split or a counter."""
    *folders, stem = parts
    stem = _SHARD.sub("", _PACKING.sub("", stem))
    named = [(part, *take_split(part)) for part in (*folders, stem)]
    splits = {split: part for part, rest, split in named if split and not rest}
    if len(splits) > 1:
        raise DataError(
            f"{'/'.join(parts)}: its path names two splits, {a_few(list(splits.values()))}; rename "
            "the folder or the file"
        )
    if _COUNTER.fullmatch(stem) or (splits and stem.isdecimal()):
        named.pop()
    kept = tuple(clean_name(part) for part, rest, split in named if part and (rest or not split))
    return _Path(kept, next(iter(splits), None))


def _without_split_words(path: _Path) -> _Path:
    """Drop a split's word from the one name that holds one; else the path as it is."""
    taken = [take_split(part) for part in path.parts]
    found = [split for _, split in taken if split]
    if path.split is not None or len(found) != 1:
        return path
    return _Path(tuple(rest for rest, _ in taken), found[0])


def take_split(name: str) -> tuple[str, str | None]:
    """A name without its split's word, and the split: (name, None) where it holds none, or two.

    Numbers beside the word, and words such as `set`, go with it.
    """
    words = _SEPARATOR.split(name)
    splits = [canonical_split(word.rstrip("0123456789")) for word in words]
    hits = [index for index, split in enumerate(splits) if split]
    if len(hits) != 1:
        return name, None
    hit = hits[0]
    others = [word for index, word in enumerate(words[::2]) if 2 * index != hit and word]
    if all(_SHORT_NUMBER.fullmatch(word) or word.lower() in _FILLERS for word in others):
        return "", splits[hit]
    # The word goes with the separator before it, or the one behind it at the start.
    before, behind = words[: max(hit - 1, 0)], words[hit + 1 if hit else 2 :]
    return "".join(before + behind), splits[hit]


def _names(paths: Sequence[tuple[str, ...]], root: str) -> dict[tuple[str, ...], str]:
    """A name for every path: its parts, without those that all paths share at their ends."""
    different = sorted(set(paths))
    if len(different) == 1:
        telling = [part for part in different[0] if part.lower() not in _PLAIN]
        return {different[0]: telling[-1] if telling else root}
    first = _shared(different)
    last = _shared([path[first:][::-1] for path in different])
    names = {path: "/".join(path[first : len(path) - last]) or root for path in different}
    if len(set(names.values())) < len(names):
        # A folder inside is called like the root.
        names = {path: "/".join((root, *path)) for path in different}
    return names


def _shared(paths: Sequence[tuple[str, ...]]) -> int:
    """How many parts all paths have in common at their start; at least one part is not counted."""
    count = 0
    while count < min(map(len, paths)) - 1 and len({path[count] for path in paths}) == 1:
        count += 1
    return count
