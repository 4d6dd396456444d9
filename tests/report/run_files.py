"""Run folders as training and evaluation leave them behind, without training anything."""

import functools
import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from metagan.config.load import to_yaml
from metagan.config.settings import EvaluateConfig, RunConfig
from metagan.files import write_json
from metagan.kinds.image.pictures import grid, png_bytes

CLASSIFIERS = {
    "downstream": "scratch",
    "downstream_pretrained": "pretrained",
    "downstream_centroid": "centroid",
}


def write_run(
    path: Path,
    *,
    num_steps: int = 120,
    planned: int = 120,
    domains: tuple[str, ...] = ("armenian", "hebrew", "lao"),
    evaluated: bool = True,
    gain: float = 0.048,
    closed: bool = False,
    shots: tuple[int, ...] = (2, 5, 10),
) -> Path:
    """A run folder; with fewer steps than planned and `evaluated` False a half-finished one."""
    path.mkdir(parents=True)
    config = RunConfig.model_validate(
        {
            "warmup": {"steps": planned // 3},
            "outer": {"steps": planned, "lr": 3e-4},
            "evaluate": EvaluateConfig(seeds=10),
        }
    )
    (path / "config.yaml").write_text(to_yaml(config))
    (path / "command.txt").write_text(f"metagan train --run {path} outer.steps={planned}\n")
    packages = {"metagan": "0.1.0", "torch": "2.13.0", "ray": None}
    environment = {"python": "3.11.7", "platform": "Linux", "cpu_count": 16, "packages": packages}
    write_json(path / "environment.json", environment)
    labels = ("alpha", "beta", "gamma", "delta")
    splits = {
        "train": [f"source{i}/{label}" for i in range(20) for label in labels],
        "validation": [f"georgian/{label}" for label in labels],
        "test": [f"{domain}/{label}" for domain in domains for label in labels],
    }
    write_json(path / "splits.json", splits)
    data = {
        "sha256": "ab" * 32,
        "notes": ["characters left out: 720 look like another one"],
        "left_out": ["source3/beta"],
        "origin": {"source": "glyphs", "fonts": ["one", "two"]},
    }
    write_json(path / "data.json", data)
    write_lines(path / "metrics.jsonl", [step_record(i, planned) for i in range(1, num_steps + 1)])
    failures: list[dict[str, Any]] = [
        {"step": 7, "kind": "episode", "task": "source1/beta", "reason": "loss is not finite"},
        {"step": 9, "kind": "restart", "worker": 1, "pid": 77, "reason": "the process died"},
        {"step": 9, "kind": "retry", "worker": 1, "chunk": 0, "attempt": 1, "reason": "died"},
    ]
    write_lines(path / "failures.jsonl", failures)
    (path / "samples").mkdir()
    for step in range(40, num_steps + 1, 40):
        (path / "samples" / f"step-{step:06d}.png").write_bytes(group_png(21))
    write_checkpoint_header(path / "checkpoints" / f"step-{num_steps}")
    if evaluated:
        result = evaluation(run_step=num_steps, gain=gain, closed=closed, shots=shots)
        write_json(path / "evaluation.json", result)
        write_adaptation(path, domains)
    return path


def step_record(step: int, planned: int) -> dict[str, Any]:
    """One line of metrics.jsonl of a run with two workers."""
    rng = np.random.default_rng(step)
    is_warmup = step <= planned // 3
    level = math.exp(-step / planned) + 0.05 * float(rng.standard_normal())
    losses = {"loss_d_first": 0.69 + 0.1 * level, "loss_g_first": 1 + level}
    if not is_warmup:
        losses |= {"loss_d_last": 0.6 + 0.1 * level, "loss_g_last": 0.9 + level}
    return {
        "step": step,
        "algorithm": "joint" if is_warmup else "reptile",
        **losses,
        "grad_norm_generator": 5 * math.exp(4 * (level - 1)),
        "grad_norm_discriminator": 0.2 + 0.1 * abs(level),
        "episodes": 15 if step == 7 else 16,
        "planned": 16,
        "wall_s": 0.5 + 0.1 * float(rng.random()),
        "compute_s": 0.85,
        "transfer_s": 0.03,
        "wait_s": 0.42,
    }


def evaluation(
    *,
    run_step: int = 120,
    gain: float = 0.048,
    closed: bool = False,
    shots: tuple[int, ...] = (2, 5, 10),
    half: float = 0.0165,
) -> dict[str, Any]:
    """Results as `metagan evaluate` writes them; every generated arm gains `gain`, +- `half`."""

    def estimate(mean: float, width: float) -> dict[str, Any]:
        return {"mean": mean, "low": mean - width, "high": mean + width, "seeds": 10}

    def entry(number: int, offset: float) -> dict[str, Any]:
        used, width = (0.0, 0.0) if closed else (gain, half)
        real = 0.5 + 0.02 * number + offset
        classical = real + 0.012
        return {
            "none": estimate(real, 0.02),
            "classical": estimate(classical, 0.02),
            "generated": estimate(real + used, 0.018),
            "both": estimate(classical + used, 0.018),
            "generated_minus_none": estimate(used, width),
            "both_minus_classical": estimate(used, width),
            "classical_minus_none": estimate(0.012, 0.01),
        }

    keys = [(n, kind, arm) for n in shots for kind in CLASSIFIERS.values() for arm in
            ("generated", "both")]  # fmt: skip
    quality = {
        "kid": 0.01234, "kid_stderr": 0.00081, "fid": 4.087, "fid_n": 2000, "num_real": 600,
        "precision": 0.81, "recall": 0.93, "density": 0.914, "coverage": 0.88, "diversity": 1.04,
        "copies": 0.004, "support_distance": 1.2, "extractor": "source-classifier",
        "extractor_sha256": "cd" * 32, "extractor_accuracy": 0.873,
    }  # fmt: skip
    measures = ("kid", "fid", "precision", "recall", "density", "coverage", "diversity", "copies")
    levels = {"run": 1.0, "joint": 1.6, "scratch": 9.0}
    return {
        "schema_version": 1,
        "run": "somewhere/else",
        "run_step": run_step,
        "target": "test classes of the run",
        "num_test_classes": 200,
        "evaluate": EvaluateConfig(shots=shots, seeds=10).model_dump(mode="json"),
        **{
            section: {str(n): entry(n, 0.1 * i) for n in shots}
            for i, section in enumerate(CLASSIFIERS)
        },
        "choices": [
            {
                "shots": number,
                "classifier": kind,
                "arm": arm,
                "adapt_steps": 0 if closed else 20,
                "share": 0.0 if closed else 0.25,
                "per_real": 0 if closed else 20,
                "validation_gain": 0.0 if closed else 0.041,
                "validation_stderr": 0.0 if closed else 0.009,
                "closed": closed,
            }
            for number, kind, arm in keys
        ],
        "validation": [
            {
                "shots": number,
                "classifier": kind,
                "arm": arm,
                "adapt_steps": steps,
                "share": share,
                "per_real": 20,
                "gains": [-0.01, 0.02, 0.0] if closed else [0.03, 0.05, 0.043],
            }
            for number, kind, arm in keys
            for steps in (0, 20)
            for share in (0.25, 0.5)
        ],
        "comparison": [
            {
                "init": init,
                "adapt_steps": steps,
                "shots": 5,
                **{name: quality[name] * (levels[init] if name in ("kid", "fid") else 1)
                   for name in measures},
                "kid_stderr": quality["kid_stderr"],
                "accuracy": estimate(0.66 - 0.01 * levels[init], 0.02),
                **({} if init == "run" else {"run_minus": estimate(0.01 * levels[init], 0.004)}),
            }
            for init in ("run", "scratch", "joint")
            for steps in (0, 20)
        ],
        "quality": quality,
        "adapt_steps": 20,
        "source_classifier": {"sha256": "cd" * 32, "held_out_accuracy": 0.873},
        "wall_s": 912.0,
    }  # fmt: skip


def group(number: int, *, size: int = 28, channels: int = 1, noisy: bool = False) -> Any:
    """A picture as previews and evaluation write it: six rows of samples."""
    rng = np.random.default_rng(number)

    def samples() -> Any:
        shape = (number, channels, size, size)
        if noisy:
            return rng.integers(0, 256, shape).astype(np.uint8)
        blocks = rng.integers(0, 2, (number, channels, 4, 4)).astype(np.uint8) * 255
        return blocks.repeat(size // 4, axis=2).repeat(size // 4, axis=3)

    return grid([[samples()] for _ in range(6)])


@functools.cache
def group_png(number: int, **options: Any) -> bytes:
    """The PNG of `group`, encoded once."""
    return png_bytes(group(number, **options))


def write_adaptation(path: Path, domains: tuple[str, ...], **options: Any) -> None:
    """Pictures of unseen domains and their index."""
    folder = path / "samples" / "adaptation"
    folder.mkdir(parents=True, exist_ok=True)
    index = []
    for number, domain in enumerate(domains):
        files = {name: f"{number:02d}-{name}.png" for name in ("given", "before", "after")}
        for name, file in files.items():
            (folder / file).write_bytes(group_png(5 if name == "given" else 8, **options))
        rows = [f"letter {i}" for i in range(6)]
        index.append(
            {"domain": domain, "files": files, "init_step": 120, "adapt_steps": 20, "rows": rows}
        )
    write_json(folder / "index.json", index)


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    """A JSON-lines file; NaN is written as Python writes it."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def write_checkpoint_header(folder: Path) -> None:
    """A safetensors file of two tensors: 12 + 5 weights."""
    folder.mkdir(parents=True)
    header = {
        "generator.a": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]},
        "discriminator.b": {"dtype": "F32", "shape": [5], "data_offsets": [48, 68]},
    }
    text = json.dumps(header).encode()
    (folder / "ema.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(68))
