"""Outer steps for tests of the runner, and their events."""

import os
import time
from collections.abc import Callable, Iterable, Mapping

from cluster.config import ClusterConfig
from cluster.runner import RayRunner
from metagan.config.learning import AlgorithmConfig
from metagan.core.aggregate import aggregate
from metagan.core.chunks import ChunkKey
from metagan.core.meta_learner import MetaLearner
from metagan.core.outer_loop import (
    EpisodeRunner,
    RunnerStats,
    StepRecord,
    meta_train,
    plan_step,
)
from metagan.core.params import Vector
from metagan.workflow.setup import TrainSetup


def start_vector(run: TrainSetup) -> Vector:
    return run.layout.flatten(run.initial).numpy().copy()


def chunks_of(run: TrainSetup, step: int = 0) -> list[ChunkKey]:
    config = run.spec.config
    tasks, weights = run.source.tasks("train"), run.source.task_weights("train")
    return plan_step(config, tasks, weights, step)


def trained(
    run: TrainSetup, runner: EpisodeRunner, algorithm: str = "reptile", staleness: int = 0
) -> tuple[Vector, list[RunnerStats]]:
    """The initialization after all outer steps, and what the runner said of each."""
    outer = run.spec.config.outer.model_copy(update={"staleness": staleness})
    changes = {"algorithm": AlgorithmConfig(name=algorithm), "outer": outer}
    config = run.spec.config.model_copy(update=changes)
    learner = MetaLearner(run.layout.flatten(run.initial), config.outer, config.warmup)
    stats: list[RunnerStats] = []

    def on_step(_: MetaLearner, record: StepRecord) -> bool:
        stats.append(record.stats)
        return False

    meta_train(learner, run.source, runner, config, run.layout, on_step=on_step)
    return learner.vector, stats


def update_of(
    run: TrainSetup, runner: EpisodeRunner, step: int = 0
) -> tuple[Vector, list[dict[str, object]]]:
    """The aggregated meta-gradient of one outer step, and the runner's events."""
    chunks = chunks_of(run, step)
    results, stats = runner.run(start_vector(run), chunks)
    update = aggregate(chunks, results, run.spec.config.outer, run.layout)
    return update.gradient, [dict(event) for event in stats.events]


def kinds(events: Iterable[Mapping[str, object]]) -> list[object]:
    """Kinds of events, except the driver's message that a worker takes long to start.

    On a busy machine any worker does.
    """
    return [event["kind"] for event in events if event["kind"] != "waiting"]


def pids(runner: RayRunner) -> list[int]:
    return [worker.pid for worker in runner._pool.workers if worker.pid is not None]


def wait_for(condition: Callable[[], bool], *, seconds: float = 240.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def settings(num_workers: int, **changes: object) -> ClusterConfig:
    # Second attempts would come and go with the load of the machine that the tests run on.
    values = {"num_workers": num_workers, "backup_factor": None, **changes}
    return ClusterConfig.model_validate(values, strict=False)
