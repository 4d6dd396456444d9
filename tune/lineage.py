"""Lineage of weights whose settings changed: the trials that trained them, steps and settings.

In a population a trial continues from another one's weights with settings of its own. It takes a
snapshot of the other's run folder, so that a run folder always holds the history of its weights:
their log, their checkpoints, and in `lineage.json` their settings from step to step.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.config import JobConfig
from metagan.config.load import to_yaml
from metagan.files import write_json
from metagan.runs.checkpoint import list_checkpoints
from metagan.runs.run_folder import RunFolder

LINEAGE = "lineage.json"


@dataclass(frozen=True)
class Segment:
    """Outer steps that were done with the same settings; the next segment ends them.

    Attributes:
        step: Outer steps done before.
        trial: Which trial did them.
        sample: The settings that applied, by dotted key.
    """

    step: int
    trial: str
    sample: Mapping[str, Any]


def to_text(lineage: Sequence[Segment]) -> str:
    """One line of JSON, in order of steps."""
    return json.dumps([vars(segment) for segment in lineage], sort_keys=True)


def from_text(text: str) -> tuple[Segment, ...]:
    """The reverse of `to_text`."""
    return tuple(Segment(**segment) for segment in json.loads(text))


def write_snapshot(run: Path, snapshot: Path) -> None:
    """Copy a run folder whose checkpoint was just written; locks and the like are left out."""
    shutil.copytree(run, snapshot, ignore=shutil.ignore_patterns(".*"), dirs_exist_ok=True)


def drop_old_snapshots(newest: Path, *, keep: int, min_age_s: float) -> None:
    """Delete a trial's snapshots that no trial can continue from any more.

    Tune's own count of checkpoints to keep cannot be used: a trial that took over another one's
    snapshot counts, and deletes, that one as its own.

    Args:
        newest: Tune's folder of the newest one, beside those before it, in order of names.
        keep: So many of the newest stay.
        min_age_s: Younger ones also stay, for trials that are just being started.
    """
    now = time.time()
    for old in sorted(newest.parent.glob("checkpoint_*"))[:-keep]:
        if now - old.stat().st_mtime > min_age_s:
            shutil.rmtree(old)


def go_on_from(snapshot: Path | None, run: Path) -> tuple[Segment, ...]:
    """Make a trial's run folder a copy of a snapshot, its own or another trial's.

    Tune decides which settings belong to which weights, so its snapshot counts, not what a process
    that was killed may have left in the folder.

    Args:
        snapshot: None: the trial starts from the beginning.
        run: The trial's run folder.

    Returns:
        The lineage of the weights in the snapshot.
    """
    fresh = run.with_name(f".{run.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    if snapshot is not None:
        shutil.copytree(snapshot, fresh)
    if run.exists():
        shutil.rmtree(run)
    if snapshot is None:
        return ()
    # Storage without folders of their own keeps no empty ones.
    (fresh / "samples").mkdir(exist_ok=True)
    fresh.rename(run)
    return from_text((run / LINEAGE).read_text())


def extended(
    lineage: Sequence[Segment], trial: str, sample: Mapping[str, Any], step: int
) -> tuple[Segment, ...]:
    """Lineage of weights that a trial continues with its own settings from a step on."""
    last = lineage[-1] if lineage else None
    if last is not None and (last.trial, last.sample) == (trial, sample):
        return tuple(lineage)
    # Settings that were given up before they trained anything do not count.
    return (*(s for s in lineage if s.step < step), Segment(step, trial, dict(sample)))


def write_lineage(run: Path, lineage: Sequence[Segment]) -> None:
    """Keep a lineage in the run folder of its weights."""
    write_json(run / LINEAGE, [vars(segment) for segment in lineage])


def take_over(run: Path, lineage: Sequence[Segment], config: JobConfig) -> None:
    """Let a run folder, if there is one, be resumed with settings that differ from its own."""
    folder = RunFolder(run)
    if folder.exists():
        folder.update_config(to_yaml(config))
        write_lineage(run, lineage)


def newest_step(run: Path) -> int:
    """Outer steps at the newest checkpoint of a run folder; 0 if there is none."""
    found = list_checkpoints(RunFolder(run).checkpoints)
    return int(found[0].name.removeprefix("step-")) if found else 0


class _SegmentEnds(Exception):  # No error: training continues with other settings.
    """Raised when a segment's last outer step is done and its checkpoint written."""


def replay(
    schedule: Sequence[Segment],
    run: Path,
    settings_of: Callable[[Mapping[str, Any]], JobConfig],
    train: Callable[[JobConfig, Callable[[int], None]], None],
) -> None:
    """Train a run by a lineage's settings, from the beginning or from where it was broken off.

    Args:
        schedule: Where which settings begin; checkpoints have to be written there.
        run: The run folder.
        settings_of: A run's complete settings from a segment's.
        train: Trains a run to its end or until the function that it is given, which it calls with
            the outer step at every checkpoint, raises.
    """
    for segment, end in _with_ends(schedule):
        if end is not None and newest_step(run) >= end:
            continue
        config = settings_of(segment.sample)
        take_over(run, [s for s in schedule if s.step <= segment.step], config)

        def at_checkpoint(step: int, end: int | None = end) -> None:
            if step == end:
                raise _SegmentEnds

        with contextlib.suppress(_SegmentEnds):
            train(config, at_checkpoint)


def _with_ends(schedule: Sequence[Segment]) -> Iterator[tuple[Segment, int | None]]:
    ends: list[int | None] = [segment.step for segment in schedule[1:]]
    return zip(schedule, [*ends, None], strict=True)
