"""Files below a folder, or inside a zip or tar, read one at a time and never extracted."""

import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from metagan.data.dataset import DataError
from metagan.data.paths.links import hub_blob, leads_out, real_path
from metagan.data.paths.names import clean_name

Parts = tuple[str, ...]
"""A path below the root, readable (see `clean_name`)."""

TAR_SUFFIXES: Final = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVE_SUFFIXES: Final = (".zip", *TAR_SUFFIXES)
# What systems and network storage put beside files; compared without case.
_CLUTTER: Final = frozenset(
    {
        *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\\r", "__pycache__"),
        *("@eadir", "#recycle", "@recycle", "@recently-snapshot", "#snapshot", "@__thumb", "@tmp"),
        *("lost+found", "$recycle.bin", "recycler", "system volume information"),
        *("network trash folder", "temporary items", "recycled", "found.000", "~snapshot"),
        *("dfsrprivate", "@synoresource"),
    }
)
# Enough to tell a DICOM file, whose mark is at byte 128.
HEAD_BYTES: Final = 132
# Links inside linked folders are followed so deep; folders of links could grow without end.
_MAX_LINKS: Final = 4


@dataclass(frozen=True)
class ReadLimits:
    """Limits to what is read.

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
        is_lost_folder: It is a folder that cannot be read, for its `problem`, and may hold files
            that were asked for.
        head: The first `HEAD_BYTES` of a file that was not asked for.
        stored: Its path as it is stored. Of several files with one `stored` in an archive the last
            is meant, as unpacking leaves it; others differ here even where `parts` do not.
    """

    parts: Parts
    content: bytes | None = None
    problem: str = ""
    is_empty_folder: bool = False
    is_lost_folder: bool = False
    head: bytes = b""
    stored: Parts = ()

    @property
    def name(self) -> str:
        """The path below the root, with slashes."""
        return "/".join(self.parts)


def read_tree(
    root: Path, wanted: Callable[[str], bool], *, limits: ReadLimits | None = None
) -> Iterator[TreeFile]:
    """Every file below a folder or inside an archive, except hidden files and system clutter.

    Folders with nothing in them are given as well. Links are followed where they stay below `root`
    or inside the archive, or are the hub's (see `metagan.data.paths.links`); others, and loops, are
    reported as files with a problem. A tar comes in its own order, the others sorted.

    Args:
        root: A folder, or a file with one of `ARCHIVE_SUFFIXES`.
        wanted: Whether a file with this name (its last part) is to be read.
        limits: Caps; the defaults where None.

    Raises:
        DataError: If `root` is neither, or the archive is damaged, unsafe or past a cap.
    """
    # Archives need the names and limits of this module.
    from metagan.data.paths.archives import read_tar, read_zip

    limits = limits or ReadLimits()
    if root.is_dir():
        return _read_folder(root, wanted, limits)
    if root.name.lower().endswith(".zip"):
        return read_zip(root, wanted, limits)
    if root.name.lower().endswith(TAR_SUFFIXES):
        return read_tar(root, wanted, limits)
    raise DataError(f"{root}: neither a folder nor an archive ({', '.join(ARCHIVE_SUFFIXES)})")


def tree_name(root: Path) -> str:
    """The name of a folder or archive without the archive's ending."""
    name = real_path(root).name
    for suffix in sorted(ARCHIVE_SUFFIXES, key=len, reverse=True):
        if root.is_file() and name.lower().endswith(suffix) and len(name) > len(suffix):
            return clean_name(name[: -len(suffix)])
    return clean_name(name)


def with_parents(folders: Iterable[Parts]) -> set[Parts]:
    """Some folders and all above them; () is the root."""
    return {folder[:end] for folder in folders for end in range(len(folder) + 1)}


def first_outside(folder: Parts, known: Collection[Parts]) -> Parts | None:
    """The uppermost of a folder and those above it that is not known; None if all are."""
    ends = range(1, len(folder) + 1)
    return next((folder[:end] for end in ends if folder[:end] not in known), None)


def leaves_root(relative: str) -> bool:
    """True if a relative path is absolute, climbs with `..`, or cannot name a file."""
    posix, windows = PurePosixPath(relative), PureWindowsPath(relative)
    climbs = ".." in posix.parts or ".." in windows.parts
    absolute = posix.is_absolute() or bool(windows.drive) or bool(windows.root)
    return climbs or absolute or "\0" in relative


def read_below(root: Path, path: Path, *, limits: ReadLimits | None = None) -> bytes:
    """The bytes of a file that must lie below `root`, links resolved, or in the hub's cache.

    Raises:
        DataError: If it lies elsewhere, is missing, no regular file, too large or unreadable; the
            message is the reason alone.
    """
    limits = limits or ReadLimits()
    try:
        real = path.resolve(strict=True)
        if leads_out(path, root):
            raise DataError("a link out of the data folder; not followed")
        status = real.stat()
        # Opening a pipe or a device could wait for ever.
        if not stat.S_ISREG(status.st_mode):
            raise DataError("not a regular file")
        if status.st_size > limits.member_bytes:
            raise DataError(f"{status.st_size} bytes, more than {limits.member_bytes}")
        return real.read_bytes()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise DataError(f"cannot be read ({reason(error)})") from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def reason(error: Exception) -> str:
    """An error's text without the path, which the caller names."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def is_clutter(parts: Parts) -> bool:
    """True if a path is hidden, or below something that a system put beside the files."""
    return any(part.startswith(".") or part.lower() in _CLUTTER for part in parts)


@dataclass(frozen=True)
class _Folder:
    """A folder to read: where it is, its path below the root, and where links led there from."""

    path: Path
    parts: Parts = ()
    trail: tuple[Path, ...] = ()


def _read_folder(
    root: Path, wanted: Callable[[str], bool], limits: ReadLimits
) -> Iterator[TreeFile]:
    folders = [_Folder(root)]
    while folders:
        folder = folders.pop()
        above = folder.parts
        try:
            entries = sorted(os.scandir(folder.path), key=lambda entry: entry.name)
        except OSError as error:
            if not above:
                raise DataError(f"{root}: cannot be listed ({reason(error)})") from error
            problem = f"the folder cannot be listed ({reason(error)})"
            yield TreeFile(above, problem=problem, is_lost_folder=True)
            continue
        inner = []
        named = [((*above, _name_on_disk(entry.name)), entry) for entry in entries]
        kept = [(parts, entry) for parts, entry in named if not is_clutter(parts)]
        if above and not kept:
            yield TreeFile(above, is_empty_folder=True)
        for parts, entry in kept:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                inner.append(_Folder(path, parts, folder.trail))
            elif entry.is_symlink() and path.is_dir():
                trail = (*folder.trail, path.parent.resolve())
                problem, lost = _why_not_followed(root, path, wanted, trail)
                if problem:
                    yield TreeFile(parts, problem=problem, is_lost_folder=lost)
                else:
                    inner.append(_Folder(path, parts, trail))
            elif not wanted(parts[-1]):
                yield TreeFile(parts, head=_head(path))
            else:
                yield _read_file(root, path, parts, limits)
        folders.extend(reversed(inner))


def _why_not_followed(
    root: Path, link: Path, wanted: Callable[[str], bool], trail: Sequence[Path]
) -> tuple[str, bool]:
    """Why a link to a folder is not followed (empty: it is), and whether files are lost by that."""
    target = link.resolve()
    if any(place.is_relative_to(target) for place in trail):
        return "a link to a folder; not followed", False  # a loop: what it leads to is read anyway
    if not target.is_relative_to(root.resolve()):
        lost = any(wanted(name) for _, _, names in os.walk(target) for name in names)
        return f"a link to a folder out of the data folder ({target}); not followed", lost
    if len(trail) > _MAX_LINKS:
        return f"a link to a folder, inside {_MAX_LINKS} others; not followed", True
    return "", False


def _name_on_disk(name: str) -> str:
    """An entry's readable name: UTF-8 on disk, whatever encoding this process is set to."""
    return clean_name(os.fsencode(name).decode("utf-8", "surrogateescape"))


def _head(path: Path) -> bytes:
    """The first bytes of a regular file; none of others, and where it cannot be read."""
    path = hub_blob(path) or path
    try:
        # Opening a pipe or a device could wait for ever, and a link may lead out of the root.
        if stat.S_ISREG(path.stat(follow_symlinks=False).st_mode):
            with path.open("rb") as file:
                return file.read(HEAD_BYTES)
    except OSError:
        pass
    return b""


def _read_file(root: Path, path: Path, parts: Parts, limits: ReadLimits) -> TreeFile:
    try:
        return TreeFile(parts, read_below(root, path, limits=limits), stored=path.parts)
    except DataError as error:
        return TreeFile(parts, problem=str(error), stored=path.parts)
