"""Settings that `metagan demo` trains with, and the folders that are its own."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from metagan.config.load import to_yaml
from metagan.config.settings import RunConfig
from metagan.evaluate.pairs.items import PairSubject
from metagan.evaluate.target import Adaptation
from metagan.files import is_there, sha256_of, write_bytes
from metagan.runs.checkpoint import MANIFEST, delete_checkpoint, list_checkpoints
from metagan.runs.run_folder import RunError, RunFolder
from metagan.workflow.evaluate import EVALUATION_FILE

R = TypeVar("R", bound=RunConfig)

MARKER = "demo.txt"

# Files that a demo writes in addition to checkpoints; all others in its folder are the user's. What
# it keeps of evaluations stays as well: hashes name it, so that it is found again or not at all.
_WRITTEN = (
    "config.yaml",  # First: from then on the folder is no run.
    "splits.json",
    "data.json",
    "environment.json",
    "command.txt",
    "metrics.jsonl",
    "failures.jsonl",
    "events.out.tfevents.*",
    "checkpoints/LATEST",
    "checkpoints/BEST",
    "samples/step-*.png",
    "samples/adaptation/index.json",
    "samples/adaptation/[0-9][0-9]*.png",
    EVALUATION_FILE,
    "report.html",
)


def joint_config(config: R) -> R:
    """Joint pre-training at the same budget: as many samples through the networks.

    An inner step shows `inner.batch_size` samples to every episode; a joint step shows
    `warmup.pairs_per_episode` samples of each of its episodes.
    """
    meta_steps = config.outer.steps - config.warmup.steps
    meta_samples = (
        meta_steps * config.outer.meta_batch_size * config.inner.steps * config.inner.batch_size
    )
    joint_samples = config.warmup.episodes * config.warmup.pairs_per_episode
    steps = config.warmup.steps + round(meta_samples / joint_samples)
    values: dict[str, Any] = config.model_dump()
    values["algorithm"]["name"] = "joint"
    values["warmup"]["steps"] = steps
    values["outer"]["steps"] = steps
    values["checkpoint"]["every_steps"] = steps
    return type(config).model_validate(values)


def answer_rivals(config: R) -> dict[str, R]:
    """Rivals of a run that is told what a library answers, in as many outer steps, by name.

    That is the closed form without the library, and joint pre-training.
    """
    values: dict[str, Any] = config.model_dump()
    values["gan"]["conditioning"] = [w for w in config.gan.conditioning if w != "library"]
    closed = type(config).model_validate(values)
    values["algorithm"]["name"] = "joint"
    values["warmup"]["pairs_per_episode"] = config.task.num_query
    return {"closed form": closed, "joint": type(config).model_validate(values)}


def time_to_answer(subject: PairSubject, how: Adaptation) -> tuple[float, int, int]:
    """Seconds to adapt a run to a test domain and draw its answers; how many are shown and drawn.

    Args:
        subject: Of the run's evaluation.
        how: The adaptation.
    """
    contestant, shots = subject.contestants["run"], subject.config.evaluate.shots[0]
    task = subject.draw("test", min(subject.domains["test"]), 0, shots)
    times = []
    for _ in range(3):
        started = time.perf_counter()
        contestant.answers(contestant.told(task), how, subject.config, seed=task.seed)
        times.append(time.perf_counter() - started)
    return min(times), shots, len(task.truth)


def claim_folders(runs: Mapping[Path, RunConfig]) -> None:
    """Mark the folders of a demo's runs; an earlier demo's files in them go, and no others.

    Args:
        runs: The settings of the run that each folder is for.

    Raises:
        RunError: If one holds something and no demo, or a demo's run that was continued since.
    """
    for path in runs:
        if os.path.isfile(path / MARKER) or RunFolder(path).exists():
            _check_as_written(path)
        elif is_there(path, f"--run {path}", RunError):
            RunFolder(path).check_new()
    for path, config in runs.items():
        folder = RunFolder(path)
        with folder.lock():
            _clear(folder)
            # Before the run: a demo that is killed at any time can be started again.
            sha256 = sha256_of(to_yaml(config).encode())
            text = f"written by metagan demo, config.yaml with sha256 {sha256}\n"
            write_bytes(path / MARKER, text.encode())


def _check_as_written(path: Path) -> None:
    marker, config = path / MARKER, RunFolder(path).config_file
    marked = marker.read_text() if marker.is_file() else ""
    # A run that was resumed with other settings, such as more steps, is the user's now.
    if config.is_file() and sha256_of(config.read_bytes()) not in marked:
        raise RunError(
            f"{path} holds a run that the demo did not write, or that was continued since; choose "
            "another --run folder"
        )


def _clear(folder: RunFolder) -> None:
    for pattern in _WRITTEN:
        for file in folder.path.glob(pattern):
            file.unlink()
    for checkpoint in list_checkpoints(folder.checkpoints):
        if (checkpoint / MANIFEST).is_file():
            delete_checkpoint(checkpoint)
