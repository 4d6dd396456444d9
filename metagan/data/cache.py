"""Data that is read once per machine: the first process prepares it, all others map it.

An entry's name is a hash of everything that shapes the samples (source, settings, sizes, inodes and
times of the input files), so entries are never updated, only added, and a change of the inputs is a
new entry. Old ones can be deleted at any time, even while they are mapped.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import logging
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from filelock import lock_descriptor

from metagan.config.affects import settings_without
from metagan.config.data import DataConfig
from metagan.config.kinds import DEFAULT_KIND
from metagan.data import arrow
from metagan.data.dataset import DataError, Dataset
from metagan.data.pairs import with_reference
from metagan.data.paths.links import real_path
from metagan.data.paths.own_folders import own_kind_of
from metagan.data.reader import reader_of
from metagan.data.registry import is_built_in, load_dataset
from metagan.files import expanded, holder_of, is_there

LOCK_TIMEOUT_S: Final = 3600.0
_POLL_S: Final = 0.1
_REMIND_S: Final = 30.0

_LOG = logging.getLogger(__name__)


def open_dataset(config: DataConfig, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> Dataset:
    """The data of a run, prepared by the first process on this machine and mapped by all.

    Prepared folders (`data.source: arrow`) are mapped where they are. Where no cache can be
    written, the data is read into this process's memory instead, with a warning.

    Args:
        config: The data settings.
        lock_timeout_s: How long to wait for another process that is preparing the same data;
            after that it is read into memory, with a warning.

    Raises:
        DataError: If the data itself cannot be used.
        ValueError: If `config` is something else.
    """
    if not isinstance(config, DataConfig):
        raise ValueError(
            f"config is {type(config).__name__}; give the data settings of a run, as in "
            "open_dataset(metagan.RunConfig(data={'path': 'my_letters'}).data)"
        )
    # Entries do not know which domain the settings name: it shapes no sample.
    return with_reference(_open(config, lock_timeout_s), config)


def _open(config: DataConfig, lock_timeout_s: float) -> Dataset:
    """The data as their source gives them."""
    source = _source_of(config)
    if source == "arrow":
        return arrow.load(config)
    if source is None:
        return load_dataset(config)
    name = _entry_name(config, source)
    roots = cache_roots(config)
    for root in filter(_is_trusted, roots):
        dataset = _open_entry(root / name)
        if dataset is not None:
            _LOG.info("using data prepared on %s: %s", _made_on(root / name), root / name)
            return dataset
    for root in roots:
        with contextlib.ExitStack() as stack:
            try:
                _make_root(root)
                stack.enter_context(_locked(root / f"{name}.lock", lock_timeout_s))
            except OSError as error:
                _LOG.warning("the data cache %s cannot be used: %s", root, error)
                continue
            return _open_or_build(config, source, root / name)
    _LOG.warning(
        "no data cache can be used, so every process reads the data into its own memory; "
        "set data.cache_dir to a folder that can be written"
    )
    return load_dataset(config)


def cache_roots(config: DataConfig) -> tuple[Path, ...]:
    """The folders that may hold prepared data, in order of preference; none need exist.

    `data.cache_dir` alone if it is set; otherwise the user's cache folder
    ($XDG_CACHE_HOME/metagan or ~/.cache/metagan), then a private one among the temporary files.
    """
    if config.cache_dir is not None:
        return (expanded(config.cache_dir).absolute(),)
    roots: list[Path] = []
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(xdg):
        roots.append(Path(xdg) / "metagan")
    else:
        # A user id without an entry in the password file has no home.
        with contextlib.suppress(RuntimeError):
            roots.append(Path.home() / ".cache" / "metagan")
    return (*roots, Path(tempfile.gettempdir()) / f"metagan-{os.getuid()}")


def _source_of(config: DataConfig) -> str | None:
    """The name of the source, auto resolved; None where loading will explain what is wrong."""
    reader = reader_of(config)
    if is_built_in(config.source, reader):
        return None if config.path is not None else config.source
    if config.path is None:
        return None
    path = expanded(config.path)
    if not is_there(path, f"data.path {config.path}", DataError):
        return None
    if config.source != "auto":
        return config.source
    return "arrow" if arrow.is_prepared(path) else reader.detect(path)


def _entry_name(config: DataConfig, source: str) -> str:
    """The source, and a hash of all that shapes the samples; no sample is read for it."""
    row = reader_of(config).sources[source]
    # Settings that do not shape the samples name no entry.
    idle = {*settings_without(type(config), "samples"), *row.idle, "kind"}
    description: dict[str, Any] = {
        "source": source,
        "version": [row.version, arrow.SCHEMA_VERSION],
        "settings": config.model_dump(mode="json", exclude=idle),
        **{library: importlib.metadata.version(library) for library in row.libraries},
    }
    if config.kind != DEFAULT_KIND:  # Entries of the first kind keep their names.
        description["kind"] = config.kind
    if not row.built_in:
        root = real_path(expanded(config.path or ""))
        description["path"] = os.fsencode(root).hex()
        files = _input_files(root, config, source)
        description["files"] = [_file_state(root, path) for path in files]
    text = json.dumps(description, sort_keys=True)
    return f"{source}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _file_state(root: Path, path: Path) -> list[str | int]:
    """State of a file, which changes when its content does; a broken link has a state too.

    Size and time of writing alone are kept by `cp -p`, rsync, unzip and tar, and files of some
    formats all have one size. The time of the last change of the inode cannot be set back.
    """
    name = os.fsencode(os.path.relpath(path, root)).hex()
    try:
        status = path.stat()
    except OSError:
        return [name, "unreadable"]
    return [name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _input_files(root: Path, config: DataConfig, source: str) -> Iterable[Path]:
    """Every file that a source may read, in a fixed order."""
    if root.is_dir():
        return _files_below(root, skip=frozenset(cache_roots(config)))
    return reader_of(config).files_with(root, source)


def _files_below(root: Path, skip: Collection[Path]) -> Iterator[Path]:
    """Every file below a folder except caches and what metagan wrote, which no source reads."""
    for folder, folders, names in os.walk(root):
        inner = (Path(folder, name) for name in sorted(folders))
        folders[:] = [path.name for path in inner if path not in skip and not own_kind_of(path)]
        for name in sorted(names):
            yield Path(folder) / name


def _open_entry(entry: Path) -> Dataset | None:
    """A complete and intact entry, mapped; otherwise None, with a warning if it is damaged."""
    if not os.path.isdir(entry):
        return None
    try:
        return arrow.open_prepared(entry)
    except DataError as error:
        _LOG.warning("prepared data in the cache cannot be used and is made again: %s", error)
        return None


def _made_on(entry: Path) -> str:
    """When an entry was made, in local time."""
    made = datetime.fromtimestamp((entry / arrow.MANIFEST_NAME).stat().st_mtime).astimezone()
    return made.isoformat(sep=" ", timespec="minutes")


def _open_or_build(config: DataConfig, source: str, entry: Path) -> Dataset:
    """Map an entry, after making it if need be; the caller holds its lock."""
    existing = _open_entry(entry)
    if existing is not None:
        return existing
    _LOG.info("preparing %s data in %s (once; later runs map it)", source, entry)
    started = time.monotonic()
    dataset = load_dataset(config)
    if entry.name != _entry_name(config, source):
        _LOG.warning(
            "%s changed while it was read; the data is used, but not kept for later runs",
            config.path,
        )
        return dataset
    try:
        arrow.remove_leftovers(entry)
        shutil.rmtree(entry, ignore_errors=True)
        arrow.prepare(dataset, entry)
    except OSError as error:
        _LOG.warning("%s cannot be written (%s); the data stays in memory", entry, error)
        return dataset
    _LOG.info(
        "prepared %d samples of %d classes in %.1f s",
        len(dataset.samples),
        dataset.num_classes,
        time.monotonic() - started,
    )
    return _open_entry(entry) or dataset


def _is_trusted(root: Path) -> bool:
    """False for a folder of somebody else's among the temporary files, which all users share."""
    if root.parent != Path(tempfile.gettempdir()):
        return True
    try:
        return os.stat(root, follow_symlinks=False).st_uid == os.getuid()
    except FileNotFoundError:
        return True


def _make_root(root: Path) -> None:
    """Make a cache folder if it is not there.

    Raises:
        OSError: If it cannot be made, or belongs to somebody else.
    """
    shared = root.parent == Path(tempfile.gettempdir())
    root.mkdir(parents=True, exist_ok=True, mode=0o700 if shared else 0o777)
    if not _is_trusted(root):
        raise PermissionError(f"{root} belongs to another user")


@contextlib.contextmanager
def _locked(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold an exclusive lock on a file; the system frees it if this process dies.

    Raises:
        OSError: If the file cannot be locked; TimeoutError, which is one, if it stays taken.
    """
    with path.open("a+") as file:
        _acquire(file.fileno(), path, timeout_s)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def _acquire(descriptor: int, path: Path, timeout_s: float) -> None:
    started = time.monotonic()
    remind_s = 0.0
    while not lock_descriptor(descriptor, blocking=False):
        waited_s = time.monotonic() - started
        if waited_s >= timeout_s:
            raise TimeoutError(
                f"{holder_of(path)} has been preparing the same data for {waited_s:.0f} s "
                f"(lock {path})"
            )
        if waited_s >= remind_s:
            _LOG.info("waiting for %s to prepare the data (%.0f s)", holder_of(path), waited_s)
            remind_s += _REMIND_S
        time.sleep(_POLL_S)
