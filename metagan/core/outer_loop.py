"""Meta-training: the interface to runners of chunks, and the loop around them.

The loop is a function of settings, data and seed alone; a runner decides where chunks are computed
and never what.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from metagan.config.algorithms import ALGORITHMS
from metagan.config.settings import RunConfig
from metagan.core.aggregate import Update, aggregate
from metagan.core.algorithms import outer_settings
from metagan.core.chunks import ChunkKey, ChunkResult, EpisodeFailure, split_into_chunks
from metagan.core.meta_learner import MetaLearner
from metagan.core.params import Layout, Vector
from metagan.data.form import Form
from metagan.data.tasks import DatasetTasks, EpisodeKey, meta_batch
from metagan.seeding import derive_seed
from metagan.version import versions


@dataclass(frozen=True)
class RunnerStats:
    """Times and events of a runner in one outer step.

    Attributes:
        compute_s: Seconds of computing summed over workers.
        transfer_s: Seconds the driver spent sending parameters and fetching results.
        wait_s: Seconds the driver waited for workers.
        events: Restarts, retries and the like, one mapping each, for the failure log: `kind`,
            `time` (see `metagan.clock.utc_now`), and what else there is to say.
        arithmetic: The rounding of its results, see `metagan.core.arithmetic`; "" if not known.
    """

    compute_s: float = 0.0
    transfer_s: float = 0.0
    wait_s: float = 0.0
    events: tuple[Mapping[str, object], ...] = ()
    arithmetic: str = ""


@dataclass(frozen=True)
class WorkerSpec:
    """All that a worker needs to build its side: plain data, sent once.

    Attributes:
        config: The run's settings.
        form: Of the run's samples, fitted on its training classes.
        splits: Class names by split, as the run stores them.
        dataset_sha256: What the data must hash to, so that no node trains on other data.
        layout_sha256: What the architecture must hash to.
        made_by: Versions of what the driver computes with.
    """

    config: RunConfig
    form: Form
    splits: Mapping[str, Sequence[str]]
    dataset_sha256: str
    layout_sha256: str
    made_by: str = field(default_factory=versions)


Upcoming = tuple[Vector, Sequence[ChunkKey]]
"""Parameters and chunks of a later outer step."""


class EpisodeRunner(Protocol):
    """The interface of a runner, which computes chunks."""

    num_workers: int

    def run(
        self, vector: Vector, chunks: Sequence[ChunkKey], upcoming: Sequence[Upcoming] = ()
    ) -> tuple[list[ChunkResult], RunnerStats]:
        """Results of all chunks of an outer step, one per chunk, in any order.

        Workers that would be idle may begin with the upcoming steps, which the next calls ask for.
        """

    def take_events(self) -> Sequence[Mapping[str, object]]:
        """Events that no statistics hold, as those of a step that ended in an error; each once."""

    def heed(self, asked_to_stop: Callable[[], bool]) -> None:
        """Raise an error with EXIT_RESOURCES from now on, and wait for workers no more.

        Args:
            asked_to_stop: Whether the run is to end; a step that is computed is finished first.
        """


@dataclass(frozen=True)
class StepRecord:
    """One outer step, as it is logged.

    Attributes:
        step: Outer steps done after it.
        algorithm: The row used; the warm-up's is joint.
        update: Aggregated meta-gradient and metrics.
        stats: The runner's times and events.
        wall_s: Seconds from start to end of the step.
    """

    step: int
    algorithm: str
    update: Update
    stats: RunnerStats
    wall_s: float


OnFailedStep = Callable[[int, Sequence[EpisodeFailure], Sequence[Mapping[str, object]]], None]
"""Told of an outer step that raised: its number, episodes that failed, the runner's events."""


def plan_step(
    config: RunConfig, tasks: Sequence[str], weights: Sequence[int], step: int
) -> list[ChunkKey]:
    """The chunks of an outer step: a pure function of settings, tasks and step."""
    warming = step < config.warmup.steps
    algorithm = "joint" if warming else config.algorithm.name
    first_order = step - config.warmup.steps < config.algorithm.second_order_from
    if ALGORITHMS[algorithm].second_order and first_order:
        # Finn et al. 2017, section 5.2; switching later is from MAML++ (Antoniou et al. 2019).
        algorithm = "fomaml"
    if ALGORITHMS[algorithm].every_task:
        keys = [
            EpisodeKey(task, derive_seed(config.seed, "episode", step, position))
            for position, task in enumerate(tasks)
        ]
    else:
        size = config.warmup.episodes if warming else config.outer.meta_batch_size
        keys = meta_batch(tasks, step=step, size=size, seed=config.seed, weights=weights)
    return split_into_chunks(
        step, algorithm, keys, episodes_per_chunk=config.outer.episodes_per_chunk
    )


def meta_train(
    learner: MetaLearner,
    source: DatasetTasks,
    runner: EpisodeRunner,
    config: RunConfig,
    layout: Layout,
    *,
    on_step: Callable[[MetaLearner, StepRecord], bool],
    on_failed_step: OnFailedStep | None = None,
) -> None:
    """Train until `config.outer.steps`, or until `on_step` returns True.

    Args:
        learner: Moved in place.
        source: Names the training tasks.
        runner: Computes the chunks.
        config: The run.
        layout: Of the learner's vector.
        on_step: Logs, checkpoints; True asks to stop after this step.
        on_failed_step: Logs what happened in a step that raises, which it does then.
    """
    tasks = source.tasks("train")
    weights = source.task_weights("train")
    while learner.step < config.outer.steps:
        started = time.perf_counter()
        last = min(learner.step + config.outer.staleness, config.outer.steps - 1)
        (vector, chunks), *upcoming = [
            (learner.vector_for(step), plan_step(config, tasks, weights, step))
            for step in range(learner.step, last + 1)
        ]
        results: list[ChunkResult] = []
        stats = RunnerStats()
        try:
            results, stats = runner.run(vector, chunks, upcoming)
            update = aggregate(chunks, results, outer_settings(config), layout)
            learner.apply(update.gradient)
        except Exception:
            if on_failed_step is not None:
                ordered = sorted(results, key=lambda result: result.report.index)
                failures = [failure for r in ordered for failure in r.report.failures]
                events = [*stats.events, *runner.take_events()]
                on_failed_step(learner.step + 1, failures, events)
            raise
        wall_s = time.perf_counter() - started
        record = StepRecord(learner.step, chunks[0].algorithm, update, stats, wall_s)
        if on_step(learner, record):
            return
