"""Log of training: files and lines that are written after every outer step."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

import torch

from metagan.config.settings import RunConfig
from metagan.core.aggregate import DivergedError
from metagan.core.chunks import EpisodeFailure
from metagan.core.meta_learner import MetaLearner
from metagan.core.outer_loop import StepRecord
from metagan.core.params import GanParams
from metagan.files import write_bytes
from metagan.runs.checkpoint import delete_checkpoint, list_checkpoints, mark_best, save_checkpoint
from metagan.runs.run_folder import RunError, RunFolder, WriteError
from metagan.runs.storage import RunStorage, StorageError
from metagan.workflow.previews import Preview, preview
from metagan.workflow.scalars import Scalars
from metagan.workflow.setup import TrainSetup
from metagan.workflow.symptoms import SPREAD, Symptoms

#: Entry of a checkpoint's manifest: by which rounding its weights came about.
ARITHMETIC = "arithmetic"
# Checkpoints in a row that may fail to be copied. A storage that is away for a while costs a run
# nothing, since the run folder has them; one that stays away would leave it without its copy.
_MAX_STORAGE_FAILURES = 3
OnCheckpoint = Callable[[TrainSetup, GanParams, int], None]
"""Told of every checkpoint: the run, its averaged initialization, outer steps done."""


class Reporter(Protocol):
    """A receiver of progress; `metagan.cli.console` has one for terminals and pipes."""

    def progress(self, fields: Mapping[str, object], *, force: bool = False) -> None:
        """Show the newest state of long work; may be dropped if shown too recently."""

    def print(self, text: str) -> None:
        """Print one line for the user."""


def rollback_step(step: int, config: RunConfig) -> int | None:
    """Outer step to go back to if the one after this diverges; None if there is none.

    The newest before it whose checkpoint is due, 0 being the start.
    """
    if not config.outer.rollbacks or not step:
        return None
    every = config.checkpoint.every_steps
    return (step - 1) // every * every


class StepLog:
    """The log of a run, called after every outer step: metrics, failures, checkpoints, pictures."""

    def __init__(
        self,
        folder: RunFolder,
        config: RunConfig,
        setup: TrainSetup,
        reporter: Reporter,
        *,
        first_step: int,
        arithmetic: str = "",
        storage: RunStorage | None = None,
        on_checkpoint: OnCheckpoint | None = None,
    ) -> None:
        """Logs the steps of a run from here on.

        Args:
            folder: Of the run.
            config: Its settings.
            setup: Its data and networks.
            reporter: Gets progress and warnings.
            first_step: Outer steps done before.
            arithmetic: By which rounding they were computed (`metagan.core.arithmetic`), if known.
            storage: Gets a copy of every checkpoint.
            on_checkpoint: Called after every checkpoint.
        """
        self._arithmetic = arithmetic
        self._on_checkpoint = on_checkpoint
        self._storage, self._storage_failures = storage, 0
        self._folder, self._config, self._setup, self._reporter = folder, config, setup, reporter
        self._saved = -1
        self._symptoms = Symptoms(config.gan.loss)
        self._failures = 0
        self._restarts = 0
        # The rate is that of the current algorithm: steps of the warm-up are much shorter.
        self._algorithm = ""
        self._started = time.perf_counter()
        self._steps_here = 0
        self._scalars = Scalars(folder.path, first_step=first_step, warn=reporter.print)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._scalars.close()

    def __call__(self, learner: MetaLearner, record: StepRecord) -> bool:
        """Log a step and, every so often, checkpoint; never asks to stop."""
        if record.algorithm != self._algorithm:
            self._algorithm, self._steps_here = record.algorithm, 0
            self._started = time.perf_counter() - record.wall_s
        self._steps_here += 1
        update, stats = record.update, record.stats
        metrics = dict(update.metrics)
        due = learner.step % self._config.checkpoint.every_steps == 0
        look = self._look_at(learner) if due else None
        if look is not None and look.spread is not None:
            metrics[SPREAD] = look.spread
        line = {
            "step": record.step,
            "algorithm": record.algorithm,
            **metrics,
            "episodes": update.num_finite,
            "planned": update.num_planned,
            "wall_s": record.wall_s,
            "compute_s": stats.compute_s,
            "transfer_s": stats.transfer_s,
            "wait_s": stats.wait_s,
        }
        with self._writing(f"the log of outer step {record.step}", self._folder.path):
            self._folder.append("metrics.jsonl", [line])
            self._log_failures(record.step, update.failures, stats.events)
            self._compare_arithmetic(record)
            self._warn(record, metrics)
        self._scalars.write(metrics, record.step)
        self._failures += len(update.failures)
        self._restarts += sum(event.get("kind") == "restart" for event in stats.events)
        self._report(learner, record)
        if due:
            self._write_checkpoint(learner)
            self._show(learner, look)
        return False

    def _look_at(self, learner: MetaLearner) -> Preview | None:
        try:
            return preview(self._setup, self._config, self._averaged(learner))
        except Exception as error:  # noqa: BLE001 - pictures are not worth a run
            why = str(error) or type(error).__name__
            self._reporter.print(f"warning: no samples of outer step {learner.step}: {why}")
            return None

    def _averaged(self, learner: MetaLearner) -> GanParams:
        return self._setup.layout.unflatten(torch.from_numpy(learner.averaged))

    def _compare_arithmetic(self, record: StepRecord) -> None:
        """Warn if a resumed run computes on another kind of device than before."""
        before, now = self._arithmetic, record.stats.arithmetic
        if now and before and now != before:
            reason = (
                f"from outer step {record.step} on results differ in their last bits (another kind "
                "of CPU or GPU?): the weights will not be those of an undisturbed run"
            )
            self._folder.append_events(record.step, [{"kind": "bits", "reason": reason}])
            self._reporter.print(f"warning: {reason}")
        self._arithmetic = now or before

    def _warn(self, record: StepRecord, metrics: Mapping[str, float]) -> None:
        for reason in self._symptoms.of_step(record.algorithm, metrics):
            self._folder.append_events(record.step, [{"kind": "warning", "reason": reason}])
            self._reporter.print(f"warning: outer step {record.step}: {reason}")

    def failed_step(
        self,
        step: int,
        failures: Sequence[EpisodeFailure],
        events: Sequence[Mapping[str, object]],
    ) -> None:
        """Log what happened in a step that raised; see `metagan.core.outer_loop.OnFailedStep`."""
        if self._folder.has_steps():  # Else the start has failed, and leaves nothing.
            with contextlib.suppress(OSError):  # The step's own error is reported.
                self._log_failures(step, failures, events)

    def ended(self, step: int, error: Exception) -> None:
        """Log how a run ended after this many outer steps, as the last line."""
        if self._folder.has_steps():
            event = {"kind": "end", "reason": str(error) or type(error).__name__}
            with contextlib.suppress(OSError):
                self._folder.append_events(step, [event])

    def rolled_back(self, learner: MetaLearner, error: DivergedError) -> None:
        """Delete what came after the step that the learner is back at, and log the rollback."""
        step = learner.step
        number = f"rollback {learner.rollbacks} of outer.rollbacks {self._config.outer.rollbacks}"
        scale = self._config.outer.rollback_lr**learner.rollbacks
        reason = f"{error}; back to outer step {step} with {scale:g} of outer.lr ({number})"
        with self._writing("the log of a rollback", self._folder.path):
            for path in list_checkpoints(self._folder.checkpoints):
                if int(path.name.removeprefix("step-")) > step:
                    delete_checkpoint(path)
            self._folder.truncate_after(step)
            self._folder.append_events(step, [{"kind": "rollback", "reason": reason}])
        self._scalars.restart(step)
        self._saved, self._algorithm = -1, ""
        # Symptoms of the deleted steps are forgotten with them.
        self._symptoms = Symptoms(self._config.gan.loss)
        self._reporter.print(f"warning: {reason}")
        if step:
            self._write_checkpoint(learner)

    def _log_failures(
        self,
        step: int,
        failures: Sequence[EpisodeFailure],
        events: Sequence[Mapping[str, object]],
    ) -> None:
        episodes = [{"kind": "episode", "task": f.key.task, "reason": f.reason} for f in failures]
        self._folder.append_events(step, [*episodes, *events])

    def _report(self, learner: MetaLearner, record: StepRecord) -> None:
        elapsed = time.perf_counter() - self._started
        rate = self._steps_here / elapsed
        update = record.update
        self._reporter.progress(
            {
                "step": learner.step,
                "steps": self._config.outer.steps,
                "algorithm": record.algorithm,
                "loss_g": _shown(update.metrics, "loss_g"),
                "loss_d": _shown(update.metrics, "loss_d"),
                "episodes": f"{update.num_finite}/{update.num_planned}",
                "failed": self._failures,
                "restarts": self._restarts,
                "steps/s": rate,
            },
            force=learner.step == self._config.outer.steps,
        )

    def finish(self, learner: MetaLearner) -> None:
        """Write the last checkpoint if it is not there yet; there may be little time left."""
        if self._saved != learner.step:
            self._write_checkpoint(learner)
            self._show(learner, self._look_at(learner))

    def keep(self, learner: MetaLearner) -> Path:
        """Write a checkpoint of a failed run if it is not there yet, without a message."""
        if self._saved == learner.step:
            return self._folder.checkpoints / f"step-{learner.step}"
        return self._write_checkpoint(learner)

    def tell(self, text: str) -> None:
        """Print one line for the user."""
        self._reporter.print(text)

    def _copy(self, step: int) -> None:
        """Copy the newest checkpoint to the storage; it may fail a few times in a row."""
        if self._storage is None:
            return
        try:
            spare = rollback_step(step, self._config)
            self._storage.push(self._folder, keep=self._config.checkpoint.keep, spare=spare)
        except StorageError as error:
            self._storage_failures += 1
            self._folder.append_events(step, [{"kind": "storage", "reason": str(error)}])
            self._reporter.print(
                f"warning: the checkpoint of outer step {step} is in the run folder only: {error}"
            )
            if self._storage_failures > _MAX_STORAGE_FAILURES:
                raise RunError(
                    f"{self._storage_failures} checkpoints in a row could not be copied to "
                    f"checkpoint.storage; last: {error}; the run folder has them: continue "
                    "with --resume"
                ) from None
        else:
            self._storage_failures = 0

    def _show(self, learner: MetaLearner, look: Preview | None) -> None:
        if look is not None:
            file = self._folder.samples / f"step-{learner.step:06d}.png"
            with self._writing("a sheet of samples", file):
                write_bytes(file, look.sheet)
        if self._on_checkpoint is not None:
            self._on_checkpoint(self._setup, self._averaged(learner), learner.step)

    def _write_checkpoint(self, learner: MetaLearner) -> Path:
        path = self._folder.checkpoints / f"step-{learner.step}"
        with self._writing("a checkpoint", path):
            save_checkpoint(
                self._folder.checkpoints,
                learner.state(),
                self._setup.layout,
                info={
                    "dataset_sha256": self._setup.spec.dataset_sha256,
                    "seed": self._config.seed,
                    ARITHMETIC: self._arithmetic,
                },
                keep=self._config.checkpoint.keep,
                spare=rollback_step(learner.step, self._config),
            )
            mark_best(self._folder.checkpoints, path)
        self._saved = learner.step
        self._copy(learner.step)
        return path

    @contextlib.contextmanager
    def _writing(self, what: str, path: Path) -> Iterator[None]:
        """Turn a failed write into a `WriteError` that says how to continue."""
        try:
            yield
        except OSError as error:
            try:
                newest = [path.name for path in list_checkpoints(self._folder.checkpoints)][:1]
            except OSError:
                newest = []
            step = newest[0].removeprefix("step-") if newest else "0"
            raise WriteError(
                f"{what} cannot be written to {path}: {error.strerror or error}; free space or "
                f"fix the disk, then continue from outer step {step} with --resume"
            ) from error


def _shown(metrics: Mapping[str, float], loss: str) -> float | None:
    """A player's loss after the inner loop, else the one loss that there is; None without it."""
    names = (f"{loss}_{when}" for when in ("last", "first", "query"))
    return next((metrics[name] for name in names if name in metrics), None)
