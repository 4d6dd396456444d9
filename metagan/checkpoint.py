"""Checkpoints: named safetensors and a manifest with hashes, committed by one rename, no pickle.

A folder `step-N` appears whole or not at all: files go to a hidden sibling first, the manifest
last, then the folder is renamed. What is read is checked against the manifest's SHA-256, since a
flipped byte loads from safetensors without complaint.
"""

import json
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

from metagan.files import sha256_of, sync_folder, write_bytes, write_json
from metagan.outer_loop import LearnerState
from metagan.params import GanParams, Layout

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message names the file, what was expected and found."""


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
        CheckpointError: If a tensor is missing, unexpected, of another shape, or not finite.
    """
    missing = sorted(set(layout.shapes) - set(tensors))
    extra = sorted(set(tensors) - set(layout.shapes))
    if missing or extra:
        raise CheckpointError(
            f"{file}: tensors missing {missing[:3]}, unexpected {extra[:3]}; the settings under "
            "`gan` differ from those it was written with"
        )
    for name, shape in layout.shapes.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != tuple(shape) or tensor.dtype != torch.float32:
            raise CheckpointError(
                f"{file}: {name} is {tuple(tensor.shape)} {tensor.dtype}, expected {tuple(shape)} "
                "torch.float32"
            )
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{file}: {name} holds NaN or infinity; use an older checkpoint")
    players: dict[str, dict[str, Tensor]] = {player: {} for player in GanParams._fields}
    for name in layout.shapes:
        player, _, weight = name.partition(".")
        players[player][weight] = tensors[name]
    return GanParams(**players)


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
        CheckpointError: If it is missing, not JSON, or of a newer schema.
    """
    file = path / MANIFEST
    try:
        manifest = json.loads(file.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{file}: {error.strerror}; not a complete checkpoint") from None
    except ValueError:
        raise CheckpointError(f"{file}: not valid JSON; the checkpoint is damaged") from None
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if version != SCHEMA_VERSION:
        raise CheckpointError(
            f"{file}: schema version {version!r}, this metagan reads {SCHEMA_VERSION}; "
            "use the version that wrote it"
        )
    return dict(manifest)


def read_tensors(path: Path, name: str) -> dict[str, Tensor]:
    """A safetensors file of a tensor folder, after checking its size and hash.

    Raises:
        CheckpointError: If it is missing, truncated, altered or malformed.
    """
    listing = read_manifest(path)["files"]
    file = path / name
    if name not in listing:
        raise CheckpointError(f"{file}: not listed in its manifest (it lists {sorted(listing)})")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{file}: {error.strerror}") from None
    if len(data) != listing[name]["bytes"] or sha256_of(data) != listing[name]["sha256"]:
        raise CheckpointError(
            f"{file}: {len(data)} bytes, sha256 {sha256_of(data)[:12]}; the manifest says "
            f"{listing[name]['bytes']} bytes, {listing[name]['sha256'][:12]}: the file is damaged"
        )
    try:
        return load(data)
    except SafetensorError as error:
        raise CheckpointError(f"{file}: {error}") from None


def save_checkpoint(
    folder: Path, state: LearnerState, layout: Layout, *, info: Mapping[str, Any], keep: int
) -> Path:
    """Commit `folder/step-N` and point `LATEST` at it; old ones beyond `keep` go, except BEST.

    Returns:
        The new folder; one that is there already is left as it is.
    """
    path = folder / f"step-{state.step}"
    if not path.exists():
        rest = {k: v for k, v in state.tensors.items() if k not in ("init", "ema")}
        files = {
            "init.safetensors": named_tensors(layout.unflatten(state.tensors["init"])),
            "ema.safetensors": named_tensors(layout.unflatten(state.tensors["ema"])),
            "optimizer.safetensors": rest,
        }
        info = {**info, "step": state.step, "layout_sha256": layout.sha256}
        write_tensor_folder(path, files, info)
    write_bytes(folder / "LATEST", f"{path.name}\n".encode())
    best = read_pointer(folder, "BEST")
    for old in list_checkpoints(folder)[keep:]:
        # Only folders with our manifest are ours to delete.
        if old.name != best and (old / MANIFEST).is_file():
            shutil.rmtree(old)
    return path


def mark_best(folder: Path, path: Path) -> None:
    """Point BEST at a checkpoint."""
    write_bytes(folder / "BEST", f"{path.name}\n".encode())


def read_pointer(folder: Path, name: str) -> str | None:
    """What LATEST or BEST names, or None."""
    file = folder / name
    return file.read_text().strip() if file.is_file() else None


def list_checkpoints(folder: Path) -> list[Path]:
    """`step-N` folders, newest first."""
    found = [
        path
        for path in folder.glob("step-*")
        if path.is_dir() and path.name.removeprefix("step-").isdigit()
    ]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")), reverse=True)


def set_aside(path: Path) -> Path:
    """Rename a damaged checkpoint so that its step can be written again; nothing is deleted."""
    aside = path.with_name(f"damaged-{path.name}-{uuid.uuid4().hex[:8]}")
    path.rename(aside)
    return aside


def load_checkpoint(path: Path, layout: Layout) -> Checkpoint:
    """Read and verify one checkpoint.

    Raises:
        CheckpointError: If anything about it is wrong.
    """
    manifest = read_manifest(path)
    tensors = read_tensors(path, "optimizer.safetensors")
    for name in ("init", "ema"):
        file = f"{name}.safetensors"
        params = params_from_named(read_tensors(path, file), layout, file=str(path / file))
        tensors[name] = layout.flatten(params)
    return Checkpoint(path, LearnerState(int(manifest["step"]), tensors), manifest)


def load_newest(folder: Path, layout: Layout) -> tuple[Checkpoint | None, dict[Path, str]]:
    """The newest checkpoint that verifies, and for each newer one what is wrong with it."""
    complaints: dict[Path, str] = {}
    for path in list_checkpoints(folder):
        try:
            return load_checkpoint(path, layout), complaints
        except CheckpointError as error:
            complaints[path] = str(error)
    return None, complaints
