"""Paths and files: a crash while one is written leaves the old or the new file, never half."""

import difflib
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def sha256_of(data: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(data).hexdigest()


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path with the home folder for `~`; a user who is not known stays as written."""
    return Path(os.path.expanduser(path))


def is_there(path: Path, named: str, error: type[ValueError]) -> bool:
    """True if there is anything at a path.

    Args:
        path: To look at.
        named: The path as it was given, and what for.
        error: What is raised.

    Raises:
        ValueError: If nobody can tell, as where a name is too long; of the type that is given.
    """
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise error(f"{named}: {reason}") from None
    return True


def neighbour(path: Path) -> str:
    """The path that was most likely meant by one that does not exist; empty if none is near."""
    try:
        while not path.parent.exists():
            path = path.parent
        names = [entry.name for entry in path.parent.iterdir()]
    except (OSError, ValueError):
        return ""
    near = difflib.get_close_matches(path.name, names, n=1)
    return str(path.parent / near[0]) if near else ""


def write_bytes(path: Path, data: bytes) -> None:
    """Write durably in place of whatever was there, with the mode that the umask gives."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def json_bytes(value: Any) -> bytes:
    """Valid JSON (NaN is refused), indented."""
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def write_json(path: Path, value: Any) -> None:
    """Write valid JSON (NaN is refused), indented, durably."""
    write_bytes(path, json_bytes(value))


def finite_or_null(value: Any) -> Any:
    """The value with None in place of NaN and infinity, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite_or_null(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_null(item) for item in value]
    return value


def holder_of(lock: Path) -> str:
    """The process that holds a lock, as it has written into the lock's file."""
    try:
        return lock.read_text(errors="replace").strip() or "another process"
    except OSError:  # Windows lets no other process read what is locked.
        return "another process"


def sync_folder(path: Path) -> None:
    """Make renames inside a folder durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
