"""Members of zips and tars as files of a tree, in memory.

An archive is not trusted: names that leave it are refused, links are followed inside it only,
devices not at all, and its members, bytes and compression ratio are capped.
"""

import bz2
import gzip
import io
import lzma
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

from metagan.data.dataset import DataError
from metagan.data.paths.names import clean_name
from metagan.data.paths.tree import (
    HEAD_BYTES,
    Parts,
    ReadLimits,
    TreeFile,
    is_clutter,
    leaves_root,
    reason,
)
from metagan.data.paths.zip_names import old_names, zip_names

_DAMAGED: Final = (
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
)
_NO_FILE: Final = "a link or device, not a file"
_MAX_HOPS: Final = 8


def read_zip(path: Path, wanted: Callable[[str], bool], limits: ReadLimits) -> Iterator[TreeFile]:
    """The files of a zip, sorted; see `read_tree`."""
    with _open_zip(path) as archive:
        infos = archive.infolist()
        _check_zip(path, infos, limits)
        names = zip_names(path, infos)
        separator = "/" if any("/" in name for name in names) else "\\"
        stored = [_member_parts(path, name, separator) for name in names]
        members = [
            (tuple(map(clean_name, parts)), parts, info)
            for parts, info in zip(stored, infos, strict=True)
        ]
        files: dict[Parts, zipfile.ZipInfo] = {}
        links: dict[Parts, Parts | None] = {}
        folders = _Folders()
        for parts, as_stored, info in sorted(members, key=lambda member: member[0]):
            if not parts or is_clutter(parts):
                continue
            is_folder = info.filename.endswith(("/", separator))
            folders.note(parts, is_folder=is_folder)
            if stat.S_ISLNK(info.external_attr >> 16):
                links[parts] = _zip_target(archive, info, parts, limits)
            elif not is_folder:
                files[parts] = info
                file = _read_zip_member(archive, info, parts, wanted, limits)
                yield replace(file, stored=as_stored)
        for parts, target in _follow(links, files):
            if target is None:
                yield _lost(parts, wanted)
            else:
                yield _read_zip_member(archive, files[target], parts, wanted, limits)
        yield from folders.empty()


def read_tar(path: Path, wanted: Callable[[str], bool], limits: ReadLimits) -> Iterator[TreeFile]:
    """The files of a tar in its own order, those that are links last; see `read_tree`."""
    folders = _Folders()
    files: set[Parts] = set()
    links: dict[Parts, Parts | None] = {}
    for archive, member, stored in _tar_members(path, limits):
        parts = tuple(map(clean_name, stored))
        folders.note(parts, is_folder=member.isdir())
        if member.issym() or member.islnk():
            links[parts] = _tar_target(member, parts)
        elif not member.isdir():
            files.add(parts)
            file = _read_tar_member(path, archive, member, parts, wanted, limits)
            yield replace(file, stored=stored)
    names: defaultdict[Parts, list[Parts]] = defaultdict(list)
    for parts, target in _follow(links, files):
        if target is None:
            yield _lost(parts, wanted)
        else:
            names[target].append(parts)
    # What links lead to has passed by; only an archive with such links is read twice.
    for archive, member, stored in _tar_members(path, limits) if names else ():
        parts = tuple(map(clean_name, stored))
        if parts in names and not member.isdir():
            file = _read_tar_member(path, archive, member, parts, wanted, limits)
            for name in names[parts]:
                yield TreeFile(name, file.content, file.problem, head=file.head)
    yield from folders.empty()


def top_names(path: Path) -> set[str]:
    """The names at the top of a zip; of a tar only that of its first member, to read no more.

    Raises:
        DataError: If it is no archive, or damaged.
    """
    if not path.name.lower().endswith(".zip"):
        members = _tar_members(path, ReadLimits())
        return {clean_name(parts[0]) for _, _, parts in islice(members, 1)}
    with _open_zip(path) as archive:
        return {name.split("/", 1)[0] for name in zip_names(path, archive.infolist())}


def zip_name_notes(path: Path) -> list[str]:
    """A note where a zip's names are in the old code page that a zip without a mark has.

    Raises:
        DataError: If it is no zip, or damaged.
    """
    with _open_zip(path) as archive:
        old = old_names(archive.infolist())
    if not old:
        return []
    return [
        f"labels: names of {len(old)} members of {path.name} are read in the code page cp437, as "
        f"they are not UTF-8, such as {clean_name(old[0])}; if that is not their name, pack it "
        "again with UTF-8 names"
    ]


def _member_parts(archive: Path, member: str, separator: str) -> Parts:
    """The path of an archive's member as stored, refused where it leaves the archive."""
    if leaves_root(member):
        raise DataError(
            f"{archive}: member {clean_name(member)!r} has a path out of the archive, refused; "
            "pack the archive again from inside its folder"
        )
    parts = member.replace(separator, "/").split("/")
    return tuple(part for part in parts if part not in ("", "."))


class _Folders:
    """Which folders of an archive hold nothing, known once all its members have been seen."""

    def __init__(self) -> None:
        self._folders: set[Parts] = set()
        self._filled: set[Parts] = set()

    def note(self, parts: Parts, *, is_folder: bool) -> None:
        """Take a member's path into account."""
        if is_folder:
            self._folders.add(parts)
        self._filled.update(parts[:end] for end in range(1, len(parts)))

    def empty(self) -> Iterator[TreeFile]:
        """The folders in which no member was seen, sorted."""
        for parts in sorted(self._folders - self._filled):
            yield TreeFile(parts, is_empty_folder=True)


def _follow(
    links: dict[Parts, Parts | None], files: Collection[Parts]
) -> Iterator[tuple[Parts, Parts | None]]:
    """Each file that a link stands for, and the member it is; None where there is none."""
    below: defaultdict[Parts, list[Parts]] = defaultdict(list)
    targets = {target for target in links.values() if target is not None}
    for file in files:
        for end in range(1, len(file)):
            if file[:end] in targets:
                below[file[:end]].append(file)
    for parts, target in sorted(links.items(), key=lambda link: link[0]):
        for _ in range(_MAX_HOPS):
            if target is None or target not in links:
                break
            target = links[target]
        if target in files:
            yield parts, target
        elif target is None or target not in below:
            yield parts, None
        elif parts[: len(target)] != target:  # else a loop
            for file in sorted(below[target]):
                yield (*parts, *file[len(target) :]), file


def _lost(parts: Parts, wanted: Callable[[str], bool]) -> TreeFile:
    """A link that leads nowhere in the archive: without an ending it may be that of a folder."""
    is_folder = not wanted(parts[-1]) and not posixpath.splitext(parts[-1])[1]
    return TreeFile(parts, problem=_NO_FILE, is_lost_folder=is_folder)


def _target(link: Parts, target: str, *, from_root: bool = False) -> Parts | None:
    """Target of a link in an archive; None if it leads outside."""
    above = () if from_root else link[:-1]
    joined = posixpath.normpath("/".join([*above, clean_name(target)]))
    return None if target.startswith("/") or leaves_root(joined) else tuple(joined.split("/"))


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except _DAMAGED as error:
        raise DataError(f"{path}: not a zip, or damaged ({reason(error)})") from error


def _check_zip(path: Path, infos: list[zipfile.ZipInfo], limits: ReadLimits) -> None:
    total = sum(info.file_size for info in infos)
    if len(infos) > limits.members or total > limits.total_bytes:
        raise DataError(
            f"{path}: {len(infos)} members of {total} bytes unpacked, more than the caps "
            f"({limits.members} members, {limits.total_bytes} bytes)"
        )
    for info in infos:
        packed = max(info.compress_size, 1)
        if info.file_size > limits.free_bytes and info.file_size > limits.ratio * packed:
            raise DataError(
                f"{path}: member {clean_name(info.filename)!r} unpacks {packed} bytes to "
                f"{info.file_size}; a ratio above {limits.ratio} is refused"
            )


def _zip_target(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, parts: Parts, limits: ReadLimits
) -> Parts | None:
    """Target of a link in a zip, whose content is the path."""
    if info.file_size > limits.free_bytes or info.flag_bits & 0x1:
        return None
    try:
        return _target(parts, archive.read(info).decode("utf-8", "surrogateescape"))
    except _DAMAGED:
        return None


def _read_zip_member(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    parts: Parts,
    wanted: Callable[[str], bool],
    limits: ReadLimits,
) -> TreeFile:
    is_wanted = wanted(parts[-1])
    kind = stat.S_IFMT(info.external_attr >> 16)
    problem = ""
    if kind not in (0, stat.S_IFREG):
        problem = _NO_FILE
    elif info.flag_bits & 0x1:
        problem = "encrypted"
    elif info.file_size > limits.member_bytes and is_wanted:
        problem = f"{info.file_size} bytes, more than {limits.member_bytes}"
    if problem:
        return TreeFile(parts, problem=problem if is_wanted else "")
    try:
        if is_wanted:
            return TreeFile(parts, archive.read(info))
        with archive.open(info) as file:
            return TreeFile(parts, head=file.read(HEAD_BYTES))
    except _DAMAGED as error:
        return TreeFile(
            parts, problem=f"damaged in the archive ({reason(error)})" if is_wanted else ""
        )


class _BoundedReader(io.RawIOBase):
    """A stream that refuses to give more than `limit` bytes: unpacked sizes cannot be trusted."""

    def __init__(self, stream: io.BufferedIOBase, limit: int, path: Path) -> None:
        super().__init__()
        self._stream, self._left, self._limit, self._path = stream, limit, limit, path

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._stream.read(self._left + 1 if size is None or size < 0 else size)
        self._left -= len(data)
        if self._left < 0:
            raise DataError(
                f"{self._path}: unpacks to more than {self._limit} bytes, refused as too large "
                "for its size; unpack it and give the folder"
            )
        return data


def _unpacked(path: Path) -> io.BufferedIOBase:
    """A tar's bytes, decompressed by what its first bytes say."""
    with path.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(path)
    if magic.startswith(b"BZh"):
        return bz2.open(path)
    if magic.startswith(b"\xfd7zXZ\x00"):
        return lzma.open(path)
    return path.open("rb")


def _tar_members(
    path: Path, limits: ReadLimits
) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo, Parts]]:
    """Every member of a tar that is no clutter, in order, with the archive to read it from.

    Its path is as stored.
    """
    packed = path.stat().st_size
    limit = min(limits.total_bytes, max(limits.free_bytes, limits.ratio * packed))
    separator = ""
    try:
        with _unpacked(path) as stream:
            reader = _BoundedReader(stream, limit, path)
            # Names are UTF-8 whatever encoding this process is set to.
            with tarfile.open(fileobj=reader, mode="r|", encoding="utf-8") as archive:
                for number, member in enumerate(archive, start=1):
                    if number > limits.members:
                        raise DataError(f"{path}: more than {limits.members} members, refused")
                    if not separator:
                        # The first name with one tells which it is in this archive.
                        separator = next((c for c in member.name if c in "/\\"), "")
                    stored = _member_parts(path, member.name, separator or "/")
                    if stored and not is_clutter(tuple(map(clean_name, stored))):
                        yield archive, member, stored
    except _DAMAGED as error:
        raise _damaged_tar(path, error) from error


def _tar_target(member: tarfile.TarInfo, parts: Parts) -> Parts | None:
    """Target of a link in a tar; a hard link's path is that of a member, from the top."""
    return _target(parts, member.linkname, from_root=member.islnk())


def _read_tar_member(
    path: Path,
    archive: tarfile.TarFile,
    member: tarfile.TarInfo,
    parts: Parts,
    wanted: Callable[[str], bool],
    limits: ReadLimits,
) -> TreeFile:
    is_wanted = wanted(parts[-1])
    if not member.isreg():
        return TreeFile(parts, problem=_NO_FILE if is_wanted else "")
    if member.size > limits.member_bytes and is_wanted:
        return TreeFile(parts, problem=f"{member.size} bytes, more than {limits.member_bytes}")
    try:
        content = archive.extractfile(member)
        read = content.read(-1 if is_wanted else HEAD_BYTES) if content is not None else b""
    except _DAMAGED as error:
        raise _damaged_tar(path, error) from error
    return TreeFile(parts, read) if is_wanted else TreeFile(parts, head=read)


def _damaged_tar(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: not a tar, or damaged ({reason(error)})")
