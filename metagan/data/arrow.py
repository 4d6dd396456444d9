"""Prepared data: one uncompressed Arrow file that every process maps, and a hashed manifest.

A prepared folder holds `samples.arrow` and `manifest.json`. The file is a single record batch,
one row per sample, sorted by class: only then are all samples one contiguous array, which all
processes of a machine share through the page cache without copying it. Several files, or several
batches, would have to be concatenated, that is copied, in every process.

Shapes: N samples.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from metagan.config.data import DataConfig
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.data.reader import READERS, find_reader, reader_of
from metagan.files import expanded
from metagan.version import tool_version

SHARD_NAME: Final = "samples.arrow"
MANIFEST_NAME: Final = "manifest.json"
SCHEMA_VERSION: Final = 2
_FORMAT: Final = "metagan prepared data"
_BLOCK_BYTES: Final = 8 * 2**20

Progress = Callable[[int, int], None]
"""Called with the bytes done so far and the bytes in all."""


def prepare(dataset: Dataset, out: Path, *, progress: Progress | None = None) -> Path:
    """Write a data set as a folder that `load` maps.

    The folder appears under its name only when it is complete and on disk; a failure leaves
    nothing behind, and a folder that was there before as it was.

    Args:
        dataset: What to write.
        out: The folder: new, empty, or prepared before (then replaced).
        progress: Told how much of the written file has been read back for its hash.

    Returns:
        The folder, as an absolute path.

    Raises:
        DataError: If something else is at `out`.
        OSError: If it cannot be written, as when the disk is full.
    """
    out = expanded(out).resolve()
    check_target(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.parent / f".{out.name}.{uuid.uuid4().hex}.tmp"
    try:
        temporary.mkdir()
        _write_shard(dataset, temporary / SHARD_NAME)
        manifest = _describe(dataset, temporary / SHARD_NAME, progress)
        with (temporary / MANIFEST_NAME).open("w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(temporary)
        _move_into_place(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def check_target(out: Path) -> None:
    """Refuse a place that `prepare` would not write to.

    Raises:
        DataError: If something else than prepared data, or an empty folder, is there.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError(f"{out}: is a file; name a new folder for the prepared data")
    strange = sorted({entry.name for entry in out.iterdir()} - {SHARD_NAME, MANIFEST_NAME})
    if strange or (any(out.iterdir()) and not is_prepared(out)):
        raise DataError(
            f"{out}: exists and is not prepared data (it holds {', '.join(strange[:3]) or 'others'}"
            "); name a new or empty folder, or delete it first"
        )


def load(config: DataConfig) -> Dataset:
    """Map a prepared folder; samples are read-only and shared with every process that maps it.

    Args:
        config: The data settings; `path` is the folder.

    Raises:
        DataError: If the folder is damaged or incomplete, was written by a newer version, holds
            samples of another kind, or was prepared by settings that contradict these.
    """
    if config.path is None:
        raise DataError("data.source arrow needs data.path, a folder of `metagan data prepare`")
    folder = expanded(config.path).resolve()
    dataset = open_prepared(folder)
    if dataset.kind != config.kind:
        raise DataError(
            f"{folder}: holds samples of kind {dataset.kind}, but data.kind is {config.kind}; "
            f"set data.kind={dataset.kind}"
        )
    reader_of(config).check_prepared(dataset, config, folder)
    return replace(dataset, origin={**dataset.origin, "prepared": str(folder)})


def open_prepared(folder: Path, *, progress: Progress | None = None) -> Dataset:
    """Check a prepared folder against its hashes and map it.

    Args:
        folder: What `prepare` wrote.
        progress: Told how much of the file has been hashed.

    Raises:
        DataError: If a file is missing, truncated, changed, or from a newer version; the message
            names the file, what was expected and what was found.
    """
    path = folder / SHARD_NAME
    manifest = _read_manifest(folder)
    try:
        shard = manifest["shard"]
        expected_bytes, expected_sha256 = int(shard["bytes"]), str(shard["sha256"])
        shape = (int(shard["rows"]), *(int(size) for size in manifest["sample_shape"]))
        kind, dtype = str(manifest["kind"]), np.dtype(str(manifest["dtype"]))
        counts = [int(entry["count"]) for entry in manifest["classes"]]
        classes = tuple(
            ClassRecord(entry["domain"], entry["label"], entry["split"], entry.get("group"))
            for entry in manifest["classes"]
        )
        notes, origin = tuple(manifest["notes"]), dict(manifest["origin"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / MANIFEST_NAME}: malformed ({error!r}); prepare again") from None
    if kind not in READERS:
        raise DataError(
            f"{folder / MANIFEST_NAME}: of kind {kind!r}, but this version reads "
            f"{', '.join(READERS)}; install the version of metagan that wrote it"
        )
    _check_shard(path, expected_bytes, expected_sha256, progress)
    samples = _map_samples(path, kind)
    if samples.shape != shape or samples.dtype != dtype or sum(counts) != len(samples):
        raise DataError(
            f"{path}: the manifest expects {sum(counts)} samples in {dtype} {shape}, found "
            f"{samples.dtype} {samples.shape}; prepare again"
        )
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    dataset = Dataset(samples, offsets, classes, kind, notes, origin)
    find_reader(kind).check_values(samples)
    return dataset


def is_prepared(folder: Path) -> bool:
    """True if a folder says that it is prepared data, intact or not."""
    try:
        content = json.loads((folder / MANIFEST_NAME).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("format") == _FORMAT


def remove_leftovers(out: Path) -> None:
    """Delete what a killed `prepare` of this folder left beside it; none may be running."""
    for leftover in out.parent.glob(f".{out.name}.*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def _write_shard(dataset: Dataset, path: Path) -> None:
    """One record batch: the samples as fixed-shape tensors, and each one's class index."""
    samples = np.ascontiguousarray(dataset.samples)
    counts = np.diff(dataset.offsets)
    labels = np.repeat(np.arange(dataset.num_classes, dtype=np.int32), counts)
    batch = pa.record_batch(
        [pa.FixedShapeTensorArray.from_numpy_ndarray(samples), pa.array(labels)],
        names=[dataset.kind, "label"],
    )
    with path.open("wb") as file:
        with pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)
        file.flush()
        os.fsync(file.fileno())


def _describe(dataset: Dataset, shard: Path, progress: Progress | None) -> dict[str, Any]:
    manifest: dict[str, Any] = {
        "format": _FORMAT,
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "metagan", "version": tool_version()},
        "kind": dataset.kind,
        "dtype": str(dataset.samples.dtype),
        "sample_shape": list(dataset.sample_shape),
        "classes": [
            {
                "domain": record.domain,
                "label": record.label,
                "split": record.split,
                "count": dataset.count(index),
                **({} if record.group is None else {"group": record.group}),
            }
            for index, record in enumerate(dataset.classes)
        ],
        "shard": {
            "file": SHARD_NAME,
            "rows": len(dataset.samples),
            "bytes": shard.stat().st_size,
            "sha256": _file_hash(shard, progress),
        },
        "fingerprint": dataset.fingerprint(),
        "notes": list(dataset.notes),
        # Through JSON, so that the hash below is of what a reader will see.
        "origin": json.loads(json.dumps(dict(dataset.origin), default=str)),
    }
    return {**manifest, "manifest_sha256": _manifest_hash(manifest)}


def _manifest_hash(manifest: Mapping[str, Any]) -> str:
    """Of every entry but the hash itself, whatever the layout of the file."""
    content = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _file_hash(path: Path, progress: Progress | None) -> str:
    total, done = path.stat().st_size, 0
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress(done, total)
    return digest.hexdigest()


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_NAME
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: missing; {folder} is not prepared data") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError):  # not JSON, or not UTF-8
        raise DataError(f"{path}: damaged, expected JSON; prepare again") from None
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise DataError(f"{path}: expected format {_FORMAT!r}; this is something else's manifest")
    version = manifest.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path}: expected schema version {SCHEMA_VERSION}, found {version}; install the "
            "version of metagan that wrote it, or prepare again"
        )
    expected, found = manifest.get("manifest_sha256"), _manifest_hash(manifest)
    if expected != found:
        raise DataError(
            f"{path}: damaged or edited, expected SHA-256 {expected}, found {found}; prepare again"
        )
    return manifest


def _check_shard(path: Path, size: int, sha256: str, progress: Progress | None) -> None:
    """Arrow itself maps a truncated or flipped file without complaint, or with an odd one."""
    try:
        found_size = path.stat().st_size
        if found_size != size:
            raise DataError(
                f"{path}: truncated or changed, expected {size} bytes, found {found_size}; "
                "prepare again"
            )
        found = _file_hash(path, progress)
    except FileNotFoundError:
        raise DataError(f"{path}: missing, expected {size} bytes; prepare again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if found != sha256:
        raise DataError(f"{path}: damaged, expected SHA-256 {sha256}, found {found}; prepare again")


def _map_samples(path: Path, kind: str) -> Any:
    """The samples, read-only, in the memory-mapped file: (N, *sample_shape)."""
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path), "r"))
        if reader.num_record_batches != 1:
            raise DataError(f"{path}: expected one record batch, found {reader.num_record_batches}")
        column = reader.get_batch(0).column(kind)
        if not isinstance(column, pa.FixedShapeTensorArray):
            raise DataError(f"{path}: expected tensors in column {kind}, found {column.type}")
        return column.to_numpy_ndarray()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DataError(f"{path}: not readable as Arrow ({error}); prepare again") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _move_into_place(temporary: Path, out: Path) -> None:
    """Rename the finished folder; one that is there is moved aside first, then deleted."""
    aside = temporary.with_name(temporary.name.removesuffix(".tmp") + ".old.tmp")
    replaces = out.exists() and any(out.iterdir())
    if replaces:
        out.rename(aside)
    try:
        temporary.rename(out)
    except OSError:
        if replaces:
            aside.rename(out)
        raise
    _sync_folder(out.parent)
    shutil.rmtree(aside, ignore_errors=True)
