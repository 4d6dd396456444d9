"""Train a run: prepare, loop, log, checkpoint, resume."""

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from metagan.config.load import changed_settings, load_config, to_yaml
from metagan.config.may_change import resumable
from metagan.config.settings import RunConfig
from metagan.core.algorithms import outer_settings
from metagan.core.meta_learner import MetaLearner
from metagan.core.outer_loop import EpisodeRunner, WorkerSpec, meta_train
from metagan.data.repeats import find_repeats
from metagan.devices import choose_device, pinned_threads
from metagan.runs.checkpoint import load_newest, set_aside
from metagan.runs.places import folder_in_data
from metagan.runs.run_folder import RunError, RunFolder
from metagan.runs.storage import Pulled, RunStorage, StorageError
from metagan.workflow.announcement import announce, tell_of_idle_workers
from metagan.workflow.ending import (
    end_logged,
    kept_if_it_ends_early,
    nothing_left_of_a_failed_start,
    stop_signals,
)
from metagan.workflow.rollback import with_rollbacks
from metagan.workflow.setup import (
    TrainSetup,
    as_start,
    check_leak,
    data_record,
    load_start,
    prepare,
)
from metagan.workflow.step_log import ARITHMETIC, OnCheckpoint, Reporter, StepLog, rollback_step
from metagan.workflow.worker import ChunkWorker, LocalRunner

OpenRunner = Callable[[WorkerSpec], AbstractContextManager[EpisodeRunner]]


@dataclass(frozen=True)
class TrainOutcome:
    """The outcome of a training.

    Attributes:
        run: The run folder.
        step: Outer steps done.
        status: "done" or "interrupted"; either way a checkpoint was written.
        wall_s: Seconds of this call.
    """

    run: Path
    step: int
    status: Literal["done", "interrupted"]
    wall_s: float


def train_run(
    config: RunConfig,
    run: str | os.PathLike[str],
    *,
    open_runner: OpenRunner,
    reporter: Reporter,
    resume: bool | Literal["auto"] = False,
    splits: Mapping[str, Sequence[str]] | None = None,
    on_checkpoint: OnCheckpoint | None = None,
    alone: bool = True,
) -> TrainOutcome:
    """Meta-train a run in a folder.

    Args:
        config: The settings; with `resume`, only those of `resumable` may differ from before.
        run: The run folder.
        open_runner: Opens what computes chunks, given what workers must know.
        reporter: Gets progress.
        resume: Continue the newest checkpoint that verifies, in the run folder or, where that is
            missing or behind, in `checkpoint.storage`; "auto" starts a run where there is none.
        splits: Class names by split of a new run; None draws them from the seed.
        on_checkpoint: Called after every checkpoint.
        alone: Refuse to start a run in a folder that holds other things.

    Raises:
        RunError: If the folder cannot be used as asked.
        WriteError: If a write to the run folder fails.
        DivergedError: If too few episodes gave finite meta-gradients.
        ValueError: If `config` is something else.
    """
    started = time.perf_counter()
    _check_settings(config)
    folder = RunFolder(Path(run))
    if inside := folder_in_data(folder.path, config.data.path):
        reporter.print(f"note: the run folder {inside}")
    if not resume:
        folder.check_new(alone=alone)
    with folder.lock(), nothing_left_of_a_failed_start(folder):
        storage, passed_over = _open_storage(config, folder, resume, reporter)
        if resume == "auto":
            resume = folder.exists()
        if not resume:
            folder.check_new(alone=alone)
        elif not folder.exists():
            raise RunError(f"{run} is not a run, so there is nothing to resume; leave --resume out")
        stored = splits
        if resume:
            check_same_run(folder, config)
            stored = folder.read_json("splits.json")
        setup = prepare(config, splits=stored, resumed=folder if resume else None)
        repeats = find_repeats(setup.dataset)
        leak = check_leak(setup, config.data, repeats)
        learner = new_learner(config, setup)
        start = learner.state()
        loaded = _load(folder, learner, setup) if resume else _Loaded()
        if storage is not None:
            storage.claim()
        if resume:
            _clear_the_way(folder, learner, loaded.damaged, passed_over, reporter)
            folder.update_config(to_yaml(config))
        else:
            folder.create(
                config_yaml=to_yaml(config),
                splits=setup.spec.splits,
                data=data_record(setup, leak),
                alone=alone,
            )
        announce(config, setup, learner, repeats, leak, reporter)
        log = StepLog(
            folder,
            config,
            setup,
            reporter,
            first_step=learner.step,
            arithmetic=loaded.arithmetic,
            storage=storage,
            on_checkpoint=on_checkpoint,
        )
        # They also protect the last checkpoint while it is written.
        with log, end_logged(log, learner), stop_signals() as stop:
            if learner.step < config.outer.steps:
                # One thread: the driver's sums are short, and a pool that spins would take cores
                # from workers; the last bits of the outer step would also depend on it.
                with (
                    pinned_threads(1),
                    open_runner(setup.spec) as runner,
                    kept_if_it_ends_early(log, learner, stop),
                ):
                    runner.heed(stop.is_set)
                    tell_of_idle_workers(config, runner.num_workers, reporter)
                    train = functools.partial(
                        meta_train,
                        learner,
                        setup.source,
                        runner,
                        config,
                        setup.layout,
                        on_step=lambda current, record: log(current, record) or stop.is_set(),
                        on_failed_step=log.failed_step,
                    )
                    with_rollbacks(
                        train, learner, start, folder=folder, setup=setup, config=config, log=log
                    )
            log.finish(learner)
    status: Literal["done", "interrupted"] = (
        "done" if learner.step >= config.outer.steps else "interrupted"
    )
    return TrainOutcome(folder.path, learner.step, status, time.perf_counter() - started)


def _open_storage(
    config: RunConfig, folder: RunFolder, resume: bool | Literal["auto"], reporter: Reporter
) -> tuple[RunStorage | None, Sequence[str]]:
    """Open the run's copy in the storage, if any; bring a run to resume up to date with it.

    Returns:
        The copy, and why checkpoints in it were skipped.
    """
    uri = config.checkpoint.storage
    if uri is None:
        return None, ()
    storage, pulled = RunStorage(uri), Pulled()
    try:
        if resume:
            pulled = storage.pull(folder, spare_of=lambda step: rollback_step(step, config))
            for complaint in pulled.damaged:
                reporter.print(f"damaged checkpoint skipped: {complaint}")
            if pulled.step is not None:
                reporter.print(f"fetched outer step {pulled.step} from {uri}")
        elif storage.steps():
            raise RunError(
                f"checkpoint.storage {uri} holds a run already; continue it with --resume auto, or "
                "choose another place"
            )
    except StorageError as error:
        raise RunError(
            f"checkpoint.storage {error}; check its address, permissions and credentials"
        ) from None
    return storage, pulled.damaged


def new_learner(config: RunConfig, setup: TrainSetup) -> MetaLearner:
    """The learner at step 0: untrained weights, or another run's averaged initialization."""
    initial = setup.initial
    if config.outer.init_from is not None:
        held_out = setup.splits.names(setup.dataset)
        other, _ = load_start(
            Path(config.outer.init_from),
            config,
            setup.initial,
            setting="outer.init_from",
            held_out=[*held_out["validation"], *held_out["test"]],
            dataset_sha256=setup.spec.dataset_sha256,
        )
        initial = as_start(other, setup.initial)
    later = config.algorithm.second_order_from
    return MetaLearner(
        setup.layout.flatten(initial),
        outer_settings(config),
        config.warmup,
        # First-order steps have no gradients of rates.
        restart_at=config.warmup.steps + later if later and initial.rates else None,
    )


def check_same_run(folder: RunFolder, config: RunConfig) -> None:
    """Refuse to resume with settings that would make it another run.

    Raises:
        RunError: With the settings that differ.
    """
    before = load_config(type(config), folder.config_file, only_known=True).config
    may_change = set(resumable(type(config)))
    if config.outer.rollbacks:
        # One goes to a checkpoint: which ones there are decides what is computed.
        may_change.discard("checkpoint.every_steps")
    if changed := changed_settings(before, config, may_change):
        raise RunError(
            f"{folder.path} was started with other settings; resume with the same, or start a new "
            "run:\n  " + "\n  ".join(changed)
        )


@dataclass(frozen=True)
class _Loaded:
    """The state that a resumed run continues from.

    Attributes:
        damaged: What is wrong with each newer checkpoint.
        arithmetic: The rounding that the checkpoint was computed with, if it says so.
    """

    damaged: Mapping[Path, str] = field(default_factory=dict)
    arithmetic: str = ""


def _load(folder: RunFolder, learner: MetaLearner, setup: TrainSetup) -> _Loaded:
    """Bring the learner to the newest intact checkpoint; the folder is only read.

    Raises:
        RunError: If there are checkpoints and all are damaged.
        CheckpointError: If one cannot be read or used here, and so may be sound.
    """
    checkpoint, complaints = load_newest(folder.checkpoints, setup.layout)
    if checkpoint is not None:
        learner.load(checkpoint.state)
    elif complaints:
        raise RunError(
            f"{folder.path}: all checkpoints are damaged, so there is nothing to continue from; "
            "start a new run in another folder, or delete "
            f"{', '.join(str(path) for path in complaints)} to start this one over:\n  "
            + "\n  ".join(complaints.values())
        )
    arithmetic = "" if checkpoint is None else str(checkpoint.info.get(ARITHMETIC, ""))
    return _Loaded(complaints, arithmetic)


def _clear_the_way(
    folder: RunFolder,
    learner: MetaLearner,
    damaged: Mapping[Path, str],
    passed_over: Sequence[str],
    reporter: Reporter,
) -> None:
    """Remove what the resumed run will write again, and log which checkpoints were damaged."""
    reasons = list(passed_over)
    for path, complaint in damaged.items():
        kept = set_aside(path).name
        reporter.print(f"damaged checkpoint kept as {kept}: {complaint}")
        reasons.append(f"{complaint}; kept as {kept}")
    folder.truncate_after(learner.step)
    folder.append_events(learner.step, [{"kind": "damaged", "reason": why} for why in reasons])
    reporter.print(
        f"resuming at outer step {learner.step} from {folder.checkpoints / f'step-{learner.step}'}"
        if learner.step
        else "no checkpoint yet: starting from step 0"
    )


def _check_settings(config: object) -> None:
    """Refuse anything but the settings of a run."""
    if not isinstance(config, RunConfig):
        raise ValueError(
            f"config is {type(config).__name__}; make it with metagan.RunConfig.model_validate"
        )


def local_runner(config: RunConfig, *, threads: int = 1) -> OpenRunner:
    """A runner in this process, on the device that the settings ask for.

    Args:
        config: The run.
        threads: As many as a worker has, or the last bits differ from those of a run on workers.

    Raises:
        ValueError: If `config` is something else.
    """
    _check_settings(config)

    @contextlib.contextmanager
    def open_local(spec: WorkerSpec) -> Iterator[EpisodeRunner]:
        worker = ChunkWorker(spec, device=choose_device(config.device))
        yield LocalRunner(worker, threads=threads)

    return open_local
