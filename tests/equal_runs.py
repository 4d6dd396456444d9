"""Comparison of two runs: the same weights, or else what differs."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from metagan.runs.checkpoint import list_checkpoints


def assert_equal_runs(first: Path, second: Path) -> None:
    """Assert that the newest checkpoints are of one step and bit-equal; keep both runs if not."""
    if differences := list(_differences(first, second)):
        kept = Path(tempfile.mkdtemp(prefix="metagan-unequal-runs-"))
        for name, run in (("first", first), ("second", second)):
            shutil.copytree(run, kept / name)
        found = [f"unequal runs, kept in {kept}:", *differences, *_first_step(first, second)]
        raise AssertionError("\n".join(found))


def _differences(first: Path, second: Path) -> Iterator[str]:
    newest = [next(iter(list_checkpoints(run / "checkpoints")), run) for run in (first, second)]
    if newest[0].name != newest[1].name:
        yield f"the newest checkpoints are {newest[0].name} and {newest[1].name}"
    a, b = map(_tensors, newest)
    if a.keys() != b.keys():
        yield f"tensors that only one of them has: {sorted(a.keys() ^ b.keys())}"
    for name in sorted(a.keys() & b.keys()):
        if not torch.equal(a[name], b[name]):
            yield f"{newest[0].name} {name}: {_difference(a[name], b[name])}"


def _first_step(first: Path, second: Path) -> Iterator[str]:
    """Outer step from which on the logs differ."""
    logs = _log(first), _log(second)
    for step in sorted(logs[0].keys() | logs[1].keys()):
        one, other = (log.get(step, {}) for log in logs)
        if one != other:
            names = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
            yield f"the logs differ from outer step {step} on: {sorted(names)}"
            return


def _tensors(checkpoint: Path) -> dict[str, torch.Tensor]:
    return {
        f"{file.stem}.{name}": tensor
        for file in sorted(checkpoint.glob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }


def _difference(one: torch.Tensor, other: torch.Tensor) -> str:
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return f"{tuple(one.shape)} {one.dtype} and {tuple(other.shape)} {other.dtype}"
    apart = (one.double() - other.double()).abs()
    return (
        f"{int((one != other).sum())} of {one.numel()} numbers, by up to {float(apart.max()):.3g}, "
        f"where the largest is {float(one.abs().max()):.3g}"
    )


def _log(run: Path) -> Mapping[int, Mapping[str, Any]]:
    """Metrics of each outer step, without times."""
    file = run / "metrics.jsonl"
    lines = map(json.loads, file.read_text().splitlines() if file.exists() else [])
    return {
        line["step"]: {name: value for name, value in line.items() if not name.endswith("_s")}
        for line in lines
    }
