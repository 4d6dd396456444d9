"""Names in zips, whose encoding is often not the one that the zip says or implies."""

import struct
import unicodedata
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from metagan.data.dataset import DataError
from metagan.data.paths.names import clean_name

_UTF8_FLAG: Final = 0x800
_UNICODE_PATH: Final = 0x7075


def zip_names(path: Path, infos: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The members' names, decoded anew.

    Raises:
        DataError: If a name is in an encoding that cannot be known.
    """
    names = [_name(info) for info in infos]
    for name, is_old in names:
        if is_old and not _is_plausible(name):
            raise DataError(
                f"{path}: member {clean_name(name)!r} has a name that is neither UTF-8 nor cp437, "
                "and the zip does not say what it is; unpack it with the program that packed it "
                "and give the folder, or pack it again with UTF-8 names"
            )
    return [name for name, _ in names]


def old_names(infos: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The names that are read in cp437, the code page of names without a mark."""
    return [name for name, is_old in map(_name, infos) if is_old]


def _is_plausible(name: str) -> bool:
    """True if a name read in cp437 has letters of Western Europe alone: no frames, no symbols."""
    others = (char for char in name if not char.isascii())
    is_latin = all(unicodedata.name(char, "").startswith("LATIN") for char in others)
    # The second byte of a Japanese or Chinese letter may be a backslash.
    return is_latin and not ("/" in name and "\\" in name)


def _name(info: zipfile.ZipInfo) -> tuple[str, bool]:
    """A member's name, and whether it is read in cp437, the code page of names without a mark."""
    stored = info.orig_filename.split("\0", 1)[0]
    if info.flag_bits & _UTF8_FLAG or stored.isascii():
        return stored, False
    unicode_name = _unicode_path(info)
    if unicode_name:
        return unicode_name, False
    try:
        # macOS and many libraries write UTF-8 and leave the mark out.
        return stored.encode("cp437").decode("utf-8"), False
    except UnicodeError:
        return stored, True


def _unicode_path(info: zipfile.ZipInfo) -> str:
    """The UTF-8 name that Info-ZIP and WinZip keep beside the other one; empty without one."""
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        if kind == _UNICODE_PATH and 5 <= size <= len(extra) - 4:
            # A version and a checksum of the other name come first.
            return extra[9 : 4 + size].decode("utf-8", "replace")
        extra = extra[4 + size :]
    return ""
