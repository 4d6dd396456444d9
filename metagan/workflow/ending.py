"""Endings of a run before its last step: signals, errors, a start that fails."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from metagan.core.aggregate import DivergedError
from metagan.core.meta_learner import MetaLearner
from metagan.exits import EXIT_RESOURCES
from metagan.runs.run_folder import RunError, RunFolder
from metagan.workflow.step_log import StepLog


@contextlib.contextmanager
def end_logged(log: StepLog, learner: MetaLearner) -> Iterator[None]:
    """Log what the block raised as the last line of the failure log."""
    try:
        yield
    except Exception as error:
        log.ended(learner.step, error)
        raise


@contextlib.contextmanager
def kept_if_it_ends_early(
    log: StepLog, learner: MetaLearner, stop: threading.Event
) -> Iterator[None]:
    """Write a checkpoint of the last whole step if the block raises an error.

    After a request to stop, an error of the cluster goes no further: whoever stops this process's
    group (`timeout`, `scancel`) stops Ray as well, or there is no worker to wait for.
    """
    try:
        yield
    except Exception as error:
        lost = getattr(error, "exit_code", None) == EXIT_RESOURCES
        if not learner.step:
            if lost and stop.is_set():
                raise KeyboardInterrupt from error
            raise
        if isinstance(error, DivergedError):
            raise DivergedError(f"{error}; {_last_whole_step(log, learner)}") from error
        if lost:
            log.finish(learner)
            if stop.is_set():
                return
        elif not isinstance(error, RunError):  # That is of the disk, or of another driver.
            with contextlib.suppress(RunError):
                log.keep(learner)
                log.tell(
                    f"outer step {learner.step}, the last complete one, is saved; fix the problem, "
                    "then continue with --resume"
                )
        raise


def _last_whole_step(log: StepLog, learner: MetaLearner) -> str:
    """Keep what diverged next, and say where."""
    try:
        path = log.keep(learner)
    except RunError as error:
        return str(error)
    return (
        f"outer step {learner.step}, the last complete one, is saved in {path}; a new run starts "
        f"from it with outer.init_from={path.parent.parent}"
    )


@contextlib.contextmanager
def nothing_left_of_a_failed_start(folder: RunFolder) -> Iterator[None]:
    """Undo a start that fails inside the block, so that the corrected command finds no trace."""
    try:
        yield
    except BaseException:
        folder.discard()
        raise


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Handle SIGINT and SIGTERM: the first ends the run after this step, the second at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
