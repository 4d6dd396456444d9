"""Checkpoints: named safetensors and a manifest with hashes, committed by one rename, no pickle.

A folder `step-N` appears whole or not at all: files go to a hidden sibling first, the manifest
last, then the folder is renamed. What is read is checked against the manifest's SHA-256, since a
flipped byte loads from safetensors without complaint.

Only a damaged checkpoint gives way to an older one. One that cannot be read here and now, or that a
newer metagan wrote, may be intact.
"""

import json
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from metagan.config.removed import LAST_VERSION
from metagan.core.meta_learner import LearnerState
from metagan.core.params import GanParams, Layout
from metagan.files import sha256_of, sync_folder, write_bytes, write_json

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
_SUFFIX = ".safetensors"
_WEIGHTS = (f"init{_SUFFIX}", f"ema{_SUFFIX}")
_OPTIMIZER = f"optimizer{_SUFFIX}"
_NAME = re.compile(r"step-(0|[1-9][0-9]*)")
_UNFINISHED = re.compile(r"\.step-[0-9]+\.[0-9a-f]{8}\.tmp")


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message names the file, what was expected and found."""


class DamagedCheckpointError(CheckpointError):
    """A checkpoint's content is not what was written: altered, incomplete or not finite."""


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint.

    Attributes:
        path: Its folder.
        state: The learner's state.
        info: What else the manifest holds (metrics, hashes of data and layout).
    """

    path: Path
    state: LearnerState
    info: Mapping[str, Any]


def named_tensors(params: GanParams) -> dict[str, Tensor]:
    """{"generator.<name>", "discriminator.<name>": contiguous tensor}, as files store them."""
    return {
        f"{player}.{name}": tensor.detach().cpu().contiguous()
        for player, weights in zip(GanParams._fields, params, strict=True)
        for name, tensor in weights.items()
    }


def params_from_named(tensors: Mapping[str, Tensor], layout: Layout, *, file: str) -> GanParams:
    """The inverse of `named_tensors`.

    Raises:
        CheckpointError: If a tensor is missing, unexpected or of another shape.
        DamagedCheckpointError: If one is not finite or not float32.
    """
    missing = sorted(set(layout.shapes) - set(tensors))
    extra = sorted(set(tensors) - set(layout.shapes))
    if any(name.startswith("moments.") for name in extra):
        raise CheckpointError(
            f"{file}: holds a learned state of the inner loop's Adam, which {LAST_VERSION} was the "
            "last to use; use that version, or train another run"
        )
    if missing or extra:
        raise CheckpointError(
            f"{file}: tensors missing {missing[:3]}, unexpected {extra[:3]}; the settings under "
            "`gan` differ from those it was written with"
        )
    for name, shape in layout.shapes.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != tuple(shape):
            raise CheckpointError(
                f"{file}: {name} is {tuple(tensor.shape)}, expected {tuple(shape)}; the settings "
                "under `gan` differ from those it was written with"
            )
        _check_values(name, tensor, file)
    players: dict[str, dict[str, Tensor]] = {player: {} for player in GanParams._fields}
    for name in layout.shapes:
        player, _, weight = name.partition(".")
        players[player][weight] = tensors[name]
    return GanParams(**players)


def _check_values(name: str, tensor: Tensor, file: str) -> None:
    if tensor.dtype != torch.float32:
        raise DamagedCheckpointError(f"{file}: {name} is {tensor.dtype}, expected float32")
    if not torch.isfinite(tensor).all():
        raise DamagedCheckpointError(f"{file}: {name} holds NaN or infinity")


def write_tensor_folder(
    path: Path, files: Mapping[str, Mapping[str, Tensor]], info: Mapping[str, Any]
) -> None:
    """Write {file name: tensors} and a manifest as one folder that appears at once.

    Args:
        path: The folder; must not exist.
        files: Contents of each safetensors file.
        info: Further entries of the manifest; must be valid JSON.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.tmp"
    staging.mkdir()
    try:
        listing = {}
        for name, tensors in files.items():
            data = save({key: value.contiguous() for key, value in tensors.items()})
            write_bytes(staging / name, data)
            listing[name] = {"bytes": len(data), "sha256": sha256_of(data)}
        write_json(staging / MANIFEST, {**info, "schema_version": SCHEMA_VERSION, "files": listing})
        staging.rename(path)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    sync_folder(path.parent)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a tensor folder.

    Raises:
        CheckpointError: If it cannot be read, or is of a newer schema.
        DamagedCheckpointError: If it is missing, or not what `write_tensor_folder` writes.
    """
    file = path / MANIFEST
    data = _read(file)
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError):
        raise DamagedCheckpointError(f"{file}: not valid JSON, the file is damaged") from None
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if type(version) is int and version > SCHEMA_VERSION:
        raise CheckpointError(
            f"{file}: schema version {version}, this metagan reads {SCHEMA_VERSION}; use the "
            "version that wrote it"
        )
    if type(version) is not int or not _is_listing(manifest.get("files")):
        raise DamagedCheckpointError(
            f"{file}: without a schema version or a list of files with their sizes and hashes, the "
            "file is damaged"
        )
    return dict(manifest)


def _is_listing(files: object) -> bool:
    return isinstance(files, dict) and all(
        isinstance(entry, dict) and {"bytes", "sha256"} <= entry.keys() for entry in files.values()
    )


def read_tensors(path: Path, name: str) -> dict[str, Tensor]:
    """A safetensors file of a tensor folder, after checking its size and hash.

    Raises:
        CheckpointError: If it cannot be read.
        DamagedCheckpointError: If it is missing, truncated, altered or malformed.
    """
    listing = read_manifest(path)["files"]
    file = path / name
    if name not in listing:
        raise DamagedCheckpointError(
            f"{file}: not listed in its manifest (it lists {sorted(listing)})"
        )
    data, listed = _read(file), listing[name]
    if len(data) != listed["bytes"] or sha256_of(data) != listed["sha256"]:
        raise DamagedCheckpointError(
            f"{file}: {len(data)} bytes, sha256 {sha256_of(data)[:12]}; the manifest says "
            f"{listed['bytes']} bytes, {str(listed['sha256'])[:12]}: the file is damaged"
        )
    try:
        return load(data)
    except (SafetensorError, KeyError) as error:  # A KeyError is a type that torch has not.
        raise DamagedCheckpointError(f"{file}: {error}, the file is damaged") from None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise DamagedCheckpointError(f"{file}: {error.strerror}; it is not complete") from None
    except OSError as error:
        raise CheckpointError(
            f"{file}: cannot be read ({error.strerror}); it may be intact: fix access to "
            "it and try again"
        ) from None


def save_checkpoint(
    folder: Path,
    state: LearnerState,
    layout: Layout,
    *,
    info: Mapping[str, Any],
    keep: int,
    spare: int | None = None,
) -> Path:
    """Commit `folder/step-N` and point `LATEST` at it; old ones beyond `keep` go, except BEST.

    Args:
        folder: Of the checkpoints.
        state: What is kept.
        layout: Of the weights.
        info: Further entries of the manifest.
        keep: How many stay, the newest.
        spare: Step of an older one that stays as well.

    Returns:
        The new folder; one that is there already is left as it is.
    """
    path = folder / f"step-{state.step}"
    if not path.exists():
        rest = {k: v for k, v in state.tensors.items() if k not in ("init", "ema")}
        files = {
            file: named_tensors(layout.unflatten(state.tensors[file.removesuffix(_SUFFIX)]))
            for file in _WEIGHTS
        }
        files[_OPTIMIZER] = rest
        info = {**info, "step": state.step, "layout_sha256": layout.sha256}
        write_tensor_folder(path, files, info)
    write_bytes(folder / "LATEST", f"{path.name}\n".encode())
    stay = (read_pointer(folder, "BEST"), f"step-{spare}")
    for old in list_checkpoints(folder)[keep:]:
        # Only folders with our manifest are ours to delete.
        if old.name not in stay and (old / MANIFEST).is_file():
            delete_checkpoint(old)
    for entry in folder.iterdir():
        # What a killed process left half written or half deleted; nobody else writes here.
        if _UNFINISHED.fullmatch(entry.name):
            shutil.rmtree(entry, ignore_errors=True)
    return path


def delete_checkpoint(path: Path) -> None:
    """Delete a checkpoint: after one rename it is there no more, however far deleting comes."""
    going = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    path.rename(going)
    shutil.rmtree(going)


def mark_best(folder: Path, path: Path) -> None:
    """Point BEST at a checkpoint."""
    write_bytes(folder / "BEST", f"{path.name}\n".encode())


def read_pointer(folder: Path, name: str) -> str | None:
    """The checkpoint that LATEST or BEST names; None if it names none that is there."""
    file = folder / name
    # What is not a name that we give is not followed: it could lead anywhere.
    named = file.read_bytes().decode(errors="replace").strip() if file.is_file() else ""
    return named if _NAME.fullmatch(named) and (folder / named).is_dir() else None


def step_of(name: str) -> int | None:
    """Outer step of a checkpoint by its folder's name; None if that is no checkpoint's."""
    return int(name.removeprefix("step-")) if _NAME.fullmatch(name) else None


def list_checkpoints(folder: Path) -> list[Path]:
    """`step-N` folders, newest first."""
    try:
        # Not `glob`, to which a folder that cannot be read is an empty one.
        found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]
    except FileNotFoundError:
        return []
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")), reverse=True)


def set_aside(path: Path, *, into: Path | None = None) -> Path:
    """Rename a damaged checkpoint so that its step can be written again; nothing is deleted.

    Args:
        path: It.
        into: The folder that it is to be in; None: where it is.
    """
    aside = (into or path.parent) / f"damaged-{path.name}-{uuid.uuid4().hex[:8]}"
    path.rename(aside)
    return aside


def load_checkpoint(path: Path, layout: Layout) -> Checkpoint:
    """Read and verify one checkpoint.

    Raises:
        CheckpointError: If it cannot be read or used by this run; it may be sound.
        DamagedCheckpointError: If anything about it is wrong.
    """
    manifest = read_manifest(path)
    step = _check_step(path, manifest)
    tensors = read_tensors(path, _OPTIMIZER)
    for file in _WEIGHTS:
        params = params_from_named(read_tensors(path, file), layout, file=str(path / file))
        tensors[file.removesuffix(_SUFFIX)] = layout.flatten(params)
    return Checkpoint(path, LearnerState(step, tensors), manifest)


def _check_step(path: Path, manifest: Mapping[str, Any]) -> int:
    step = manifest.get("step")
    if type(step) is not int or path.name != f"step-{step}":
        raise DamagedCheckpointError(f"{path / MANIFEST}: step {step!r} in a folder {path.name}")
    return step


def check_checkpoint(path: Path) -> None:
    """Verify what can be verified of a checkpoint without the run's networks.

    Raises:
        CheckpointError: If it cannot be read here; it may be sound.
        DamagedCheckpointError: If anything about it is wrong.
    """
    _check_step(path, read_manifest(path))
    read_tensors(path, _OPTIMIZER)
    for file in _WEIGHTS:
        for name, tensor in read_tensors(path, file).items():
            _check_values(name, tensor, str(path / file))


def load_newest(folder: Path, layout: Layout) -> tuple[Checkpoint | None, dict[Path, str]]:
    """The newest checkpoint that is not damaged, and for each newer one what is wrong with it.

    Raises:
        CheckpointError: If it cannot be read or used by this run.
    """
    complaints: dict[Path, str] = {}
    for path in list_checkpoints(folder):
        try:
            return load_checkpoint(path, layout), complaints
        except DamagedCheckpointError as error:
            complaints[path] = str(error)
    return None, complaints


def load_best(folder: Path, layout: Layout) -> Checkpoint | None:
    """The checkpoint that BEST names; if it names none that is there, the newest intact one.

    Returns:
        None if there is no checkpoint at all.

    Raises:
        CheckpointError: If it cannot be read or used by this run.
        DamagedCheckpointError: If it is damaged; the message says what else to use, and how.
    """
    best = read_pointer(folder, "BEST")
    if best is None:
        newest, complaints = load_newest(folder, layout)
        if complaints and newest is None:
            raise DamagedCheckpointError(
                "; ".join(complaints.values()) + "; no checkpoint of this run is intact: restore "
                "one from a backup, or train a new run"
            )
        return newest
    try:
        return load_checkpoint(folder / best, layout)
    except DamagedCheckpointError as error:
        raise DamagedCheckpointError(f"{error}; {_way_out(folder / best, layout)}") from None


def _way_out(damaged: Path, layout: Layout) -> str:
    """Fix for a damaged checkpoint that was to be used."""
    for path in list_checkpoints(damaged.parent):
        try:
            load_checkpoint(path, layout)
        except CheckpointError:
            continue
        return (
            f"the newest intact checkpoint is {path.name}: to use it, move {damaged} away and "
            "repeat the command"
        )
    return f"no other checkpoint of this run is intact: restore {damaged} from a backup, or retrain"
