"""Files below a folder, or inside a zip or tar, read one at a time and never extracted.

An archive is not trusted: names that leave it, links and devices are refused, and its members,
bytes and compression ratio are capped.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from metagan.dataset import DataError

TAR_SUFFIXES: Final = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVE_SUFFIXES: Final = (".zip", *TAR_SUFFIXES)
_CLUTTER: Final = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
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


@dataclass(frozen=True)
class ReadLimits:
    """What is read at most.

    Attributes:
        members: Entries of an archive, folders included.
        member_bytes: Size of one file, unpacked.
        total_bytes: Size of all files of an archive, unpacked.
        ratio: Unpacked over stored size, of a zip member and of a whole tar.
        free_bytes: Unpacked sizes up to this may have any ratio (a blank picture packs well).
    """

    members: int = 5_000_000
    member_bytes: int = 64 * 2**20
    total_bytes: int = 64 * 2**30
    ratio: int = 200
    free_bytes: int = 4 * 2**20


@dataclass(frozen=True)
class TreeFile:
    """One file of a folder or archive.

    Attributes:
        parts: Its path below the root, readable (see `clean_name`).
        content: Its bytes; None where it was not asked for or could not be read.
        problem: Why it could not be read; empty where it was, or was not asked for.
        is_empty_folder: It is a folder with nothing in it, which would vanish otherwise.
    """

    parts: tuple[str, ...]
    content: bytes | None = None
    problem: str = ""
    is_empty_folder: bool = False

    @property
    def name(self) -> str:
        """The path below the root, with slashes."""
        return "/".join(self.parts)


def read_tree(
    root: Path, wanted: Callable[[str], bool], *, limits: ReadLimits | None = None
) -> Iterator[TreeFile]:
    """Every file below a folder or inside an archive, except hidden files and system clutter.

    Folders with nothing in them are given as well. Links to folders are never followed, links to
    files only where they stay below `root`; both are reported as files with a problem. A tar comes
    in its own order, the others sorted.

    Args:
        root: A folder, or a file with one of `ARCHIVE_SUFFIXES`.
        wanted: Whether a file with this name (its last part) is to be read.
        limits: Caps; the defaults where None.

    Raises:
        DataError: If `root` is neither, or the archive is damaged, unsafe or past a cap.
    """
    limits = limits or ReadLimits()
    if root.is_dir():
        return _read_folder(root, wanted, limits)
    if root.name.lower().endswith(".zip"):
        return _read_zip(root, wanted, limits)
    if root.name.lower().endswith(TAR_SUFFIXES):
        return _read_tar(root, wanted, limits)
    raise DataError(f"{root}: neither a folder nor an archive ({', '.join(ARCHIVE_SUFFIXES)})")


def tree_name(root: Path) -> str:
    """The name of a folder or archive without the archive's ending."""
    name = root.resolve().name
    for suffix in sorted(ARCHIVE_SUFFIXES, key=len, reverse=True):
        if root.is_file() and name.lower().endswith(suffix) and len(name) > len(suffix):
            return clean_name(name[: -len(suffix)])
    return clean_name(name)


def top_names(zip_path: Path) -> set[str]:
    """The names at the top of a zip.

    Raises:
        DataError: If it is no zip, or damaged.
    """
    with _open_zip(zip_path) as archive:
        return {name.split("/", 1)[0] for name in archive.namelist()}


def clean_name(name: str) -> str:
    r"""A name that can be printed and compared: composed Unicode, other bytes as `\xNN`."""
    readable = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    composed = unicodedata.normalize("NFC", readable)
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in composed
    )


def leaves_root(relative: str) -> bool:
    """Whether a relative path is absolute, climbs with `..`, or cannot name a file."""
    posix, windows = PurePosixPath(relative), PureWindowsPath(relative)
    climbs = ".." in posix.parts or ".." in windows.parts
    absolute = posix.is_absolute() or bool(windows.drive) or bool(windows.root)
    return climbs or absolute or "\0" in relative


def read_below(root: Path, path: Path, *, limits: ReadLimits | None = None) -> bytes:
    """The bytes of a file that must lie below `root`, links resolved.

    Raises:
        DataError: If it lies elsewhere, is missing, no regular file, too large or unreadable; the
            message is the reason alone.
    """
    limits = limits or ReadLimits()
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(root.resolve()):
            raise DataError("a link out of the data folder; not followed")
        status = real.stat()
        # Opening a pipe or a device could wait for ever.
        if not stat.S_ISREG(status.st_mode):
            raise DataError("not a regular file")
        if status.st_size > limits.member_bytes:
            raise DataError(f"{status.st_size} bytes, more than {limits.member_bytes}")
        return real.read_bytes()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise DataError(f"cannot be read ({_reason(error)})") from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    """An error's text without the path, which the caller names."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _is_clutter(parts: tuple[str, ...]) -> bool:
    return any(part.startswith(".") or part in _CLUTTER for part in parts)


def _read_folder(
    root: Path, wanted: Callable[[str], bool], limits: ReadLimits
) -> Iterator[TreeFile]:
    folders: list[tuple[Path, tuple[str, ...]]] = [(root, ())]
    while folders:
        folder, above = folders.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if not above:
                raise DataError(f"{root}: cannot be listed ({_reason(error)})") from error
            yield TreeFile(above, problem=f"the folder cannot be listed ({_reason(error)})")
            continue
        inner = []
        named = [((*above, clean_name(entry.name)), entry) for entry in entries]
        kept = [(parts, entry) for parts, entry in named if not _is_clutter(parts)]
        if above and not kept:
            yield TreeFile(above, is_empty_folder=True)
        for parts, entry in kept:
            if entry.is_dir(follow_symlinks=False):
                inner.append((Path(entry.path), parts))
            elif entry.is_symlink() and Path(entry.path).is_dir():
                yield TreeFile(parts, problem="a link to a folder; not followed")
            elif not wanted(parts[-1]):
                yield TreeFile(parts)
            else:
                yield _read_file(root, Path(entry.path), parts, limits)
        folders.extend(reversed(inner))


def _read_file(root: Path, path: Path, parts: tuple[str, ...], limits: ReadLimits) -> TreeFile:
    try:
        return TreeFile(parts, read_below(root, path, limits=limits))
    except DataError as error:
        return TreeFile(parts, problem=str(error))


def _member_parts(archive: Path, member: str) -> tuple[str, ...]:
    """The path of an archive's member, refused where it leaves the archive."""
    if leaves_root(member):
        raise DataError(
            f"{archive}: member {clean_name(member)!r} has a path out of the archive, refused; "
            "pack the archive again from inside its folder"
        )
    parts = PurePosixPath(member.replace("\\", "/")).parts
    return tuple(clean_name(part) for part in parts)


class _Folders:
    """Which folders of an archive hold nothing, known once all its members have been seen."""

    def __init__(self) -> None:
        self._folders: set[tuple[str, ...]] = set()
        self._filled: set[tuple[str, ...]] = set()

    def note(self, parts: tuple[str, ...], *, is_folder: bool) -> None:
        """Take a member's path into account."""
        if is_folder:
            self._folders.add(parts)
        self._filled.update(parts[:end] for end in range(1, len(parts)))

    def empty(self) -> Iterator[TreeFile]:
        """The folders in which no member was seen, sorted."""
        for parts in sorted(self._folders - self._filled):
            yield TreeFile(parts, is_empty_folder=True)


def _read_zip(path: Path, wanted: Callable[[str], bool], limits: ReadLimits) -> Iterator[TreeFile]:
    with _open_zip(path) as archive:
        infos = archive.infolist()
        _check_zip(path, infos, limits)
        members = [(_member_parts(path, info.filename), info) for info in infos]
        folders = _Folders()
        for parts, info in sorted(members, key=lambda member: member[0]):
            if not parts or _is_clutter(parts):
                continue
            folders.note(parts, is_folder=info.is_dir())
            if info.is_dir():
                continue
            if not wanted(parts[-1]):
                yield TreeFile(parts)
            else:
                yield _read_zip_member(archive, info, parts, limits)
        yield from folders.empty()


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except _DAMAGED as error:
        raise DataError(f"{path}: not a zip, or damaged ({_reason(error)})") from error


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


def _read_zip_member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, parts: tuple[str, ...], limits: ReadLimits
) -> TreeFile:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return TreeFile(parts, problem="a link or device, not a file")
    if info.flag_bits & 0x1:
        return TreeFile(parts, problem="encrypted")
    if info.file_size > limits.member_bytes:
        return TreeFile(parts, problem=f"{info.file_size} bytes, more than {limits.member_bytes}")
    try:
        return TreeFile(parts, archive.read(info))
    except _DAMAGED as error:
        return TreeFile(parts, problem=f"damaged in the archive ({_reason(error)})")


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


def _read_tar(path: Path, wanted: Callable[[str], bool], limits: ReadLimits) -> Iterator[TreeFile]:
    packed = path.stat().st_size
    limit = min(limits.total_bytes, max(limits.free_bytes, limits.ratio * packed))
    folders = _Folders()
    try:
        with _unpacked(path) as stream:
            reader = _BoundedReader(stream, limit, path)
            with tarfile.open(fileobj=reader, mode="r|") as archive:
                for number, member in enumerate(archive, start=1):
                    if number > limits.members:
                        raise DataError(f"{path}: more than {limits.members} members, refused")
                    parts = _member_parts(path, member.name)
                    if not parts or _is_clutter(parts):
                        continue
                    folders.note(parts, is_folder=member.isdir())
                    if member.isdir():
                        continue
                    if not wanted(parts[-1]):
                        yield TreeFile(parts)
                    else:
                        yield _read_tar_member(archive, member, parts, limits)
        yield from folders.empty()
    except _DAMAGED as error:
        raise DataError(f"{path}: not a tar, or damaged ({_reason(error)})") from error


def _read_tar_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, parts: tuple[str, ...], limits: ReadLimits
) -> TreeFile:
    if not member.isreg():
        return TreeFile(parts, problem="a link or device, not a file")
    if member.size > limits.member_bytes:
        return TreeFile(parts, problem=f"{member.size} bytes, more than {limits.member_bytes}")
    content = archive.extractfile(member)
    return TreeFile(parts, content.read() if content is not None else b"")
