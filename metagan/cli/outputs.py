"""Outputs of a command, checked before anything is computed and not after hours of work.

Nothing is made yet: a command that ends early leaves nothing behind.
"""

import tempfile
from pathlib import Path

from metagan.cli.options import UsageError


def check_out_file(out: Path, option: str = "--out") -> None:
    """Refuse a path where no file can be written; an ordinary file that is there is replaced.

    Args:
        out: The file to write.
        option: What it was given with, for messages.

    Raises:
        UsageError: With the option, the path and what to do.
    """
    if _exists(out, option):
        if out.is_dir():
            raise UsageError(f"{option} {out} is a folder; name a file")
        # Replacing a device or a pipe by a file would be a surprise.
        if not out.is_file():
            raise UsageError(f"{option} {out} is no ordinary file; name another one")
    _check_place(out, option)


def check_out_folder(out: Path, option: str = "--out", *, new: bool = True) -> None:
    """Refuse a path where no folder can be made.

    Args:
        out: The folder to write.
        option: What it was given with, for messages.
        new: Nothing may be there yet; otherwise a folder may.

    Raises:
        UsageError: With the option, the path and what to do.
    """
    if _exists(out, option):
        if new:
            raise UsageError(f"{option} {out} exists already; choose another folder or remove it")
        if not out.is_dir():
            raise UsageError(f"{option} {out} is a file; name a folder")
    _check_place(out, option)


def _exists(out: Path, option: str) -> bool:
    """True if anything is at the path, a broken link included."""
    try:
        out.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:  # Such as a name that is too long.
        raise UsageError(f"{option} {out}: {error.strerror}; choose another place") from None
    return True


def _check_place(out: Path, option: str) -> None:
    """Refuse where the nearest folder above cannot be written to."""
    above = out.parent
    while not _exists(above, option):
        above = above.parent
    if not above.is_dir():
        raise UsageError(f"{option} {out}: {above} is not a folder; choose another place")
    check_writable(above, f"{option} {out}")


def check_writable(folder: Path, given: str) -> None:
    """Refuse a folder in which nothing can be written.

    Args:
        folder: It exists.
        given: The option and its value, for messages.

    Raises:
        UsageError: With the reason.
    """
    try:
        # Permission bits do not tell of a read-only disk, nor of what an administrator may do.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(
            f"{given}: the folder {folder} cannot be written to ({error.strerror}); choose another "
            "place, or make it writable"
        ) from None
