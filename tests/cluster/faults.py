"""Workers that fail at a chosen chunk, in the middle of its computation."""

import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from unittest import mock

import numpy as np
import ray
import torch

from cluster.ledger import Ledger, Verdict
from cluster.worker import EpisodeWorker, WorkerFailure, WorkerReady
from metagan.core.chunks import ChunkKey, ChunkReport
from metagan.core.params import Vector, vector_hash
from metagan.data.tasks import DatasetTasks, Episode, EpisodeKey

Kind = Literal[
    "kill",
    "scream",
    "crash",
    "freeze",
    "slow",
    "endless",
    "kill_after",
    "raise",
    "nan",
    "stale",
    "corrupt",
    "short",
    "wide",
    "memory",
    "last",
]


SLOW_S = 12.0


@dataclass(frozen=True)
class Fault:
    """A fault, and the number of attempts at the chunk that it strikes.

    Attributes:
        kind: kill, scream (a kill after words to stderr), crash, freeze, slow, endless and raise
            strike at the chunk's second episode, kill_after when the result is computed but not yet
            sent; nan makes the second episode's samples NaN; stale answers for other parameters,
            corrupt with another gradient, short with one number of it and that one's hash, wide
            with float64 and its hash; memory raises what a GPU without room does; last answers only
            when the driver has accepted all others (see `Script.accepting`).
        times: Attempts that the fault strikes at, over all workers.
    """

    kind: Kind
    times: int = 1


@dataclass(frozen=True)
class Script:
    """The faults that a test's workers suffer, in a folder that they all read.

    Attributes:
        folder: Where the plan is, and the count of the faults that struck.
    """

    folder: Path

    def write(
        self, plan: Mapping[tuple[int, int], Fault] | None = None, *, kill_loading: int = 0
    ) -> None:
        """Write faults by (step, index) of the chunk, and how many workers die while they load."""
        for struck in self.folder.glob("struck-*"):
            struck.unlink()
        whole = {"load": Fault("kill", kill_loading), **(plan or {})}
        (self.folder / "plan").write_bytes(pickle.dumps(whole))

    @contextmanager
    def accepting(self, count: int) -> Iterator[None]:
        """Tells the workers when the driver has accepted this many results inside the block."""
        admit = Ledger.admit
        (self.folder / "accepted").unlink(missing_ok=True)

        def told(
            ledger: Ledger, report: ChunkReport, gradient_sum: Vector | None, *, arrived_hash: str
        ) -> Verdict:
            verdict = admit(ledger, report, gradient_sum, arrived_hash=arrived_hash)
            if len(ledger.results) == count:
                (self.folder / "accepted").touch()
            return verdict

        with mock.patch.object(Ledger, "admit", told):
            yield

    def wait_for_the_others(self, timeout_s: float = 240.0) -> None:
        """Returns when the driver has accepted what `accepting` waits for."""
        deadline = time.monotonic() + timeout_s
        while not (self.folder / "accepted").exists():
            if time.monotonic() > deadline:
                raise TimeoutError("the driver has not accepted the other chunks")
            time.sleep(0.01)

    def strikes(self, place: tuple[int, int] | str) -> Fault | None:
        """Return the fault of this chunk if it still has to strike, and count it as struck."""
        fault: Fault | None = pickle.loads((self.folder / "plan").read_bytes()).get(place)
        for attempt in range(0 if fault is None else fault.times):
            try:
                (self.folder / f"struck-{place}-{attempt}").touch(exist_ok=False)
            except FileExistsError:
                continue
            return fault
        return None


def faulty_worker(script: Script) -> type[EpisodeWorker]:
    """A worker class that suffers what the script says."""

    class FaultyWorker(EpisodeWorker):
        def load(self) -> WorkerReady | WorkerFailure:
            if script.strikes("load"):
                os.kill(os.getpid(), signal.SIGKILL)
            return super().load()

        @ray.method(num_returns=2)
        def compute(
            self, vector: Vector, chunk: ChunkKey
        ) -> tuple[ChunkReport | WorkerFailure, Vector]:
            fault = script.strikes((chunk.step, chunk.index))
            if fault is None:
                return super().compute(vector, chunk)
            if fault.kind == "stale":
                vector = vector + np.float32(1)
            with suffering(fault, chunk):
                report, gradient = super().compute(vector, chunk)
            if fault.kind == "kill_after":
                os.kill(os.getpid(), signal.SIGKILL)
            if fault.kind == "corrupt":
                gradient = gradient + np.float32(1)
            if fault.kind == "short":
                gradient = gradient[:1]
                report = replace(report, gradient_hash=vector_hash(gradient))
            if fault.kind == "wide":
                gradient = gradient.astype(np.float64)
                report = replace(report, gradient_hash=vector_hash(gradient))
            if fault.kind == "last":
                script.wait_for_the_others()
            return report, gradient

    return FaultyWorker


def suffering(fault: Fault, chunk: ChunkKey) -> AbstractContextManager[None]:
    """Bring a fault about while a chunk is computed."""
    if fault.kind == "nan":
        return nan_episode(chunk.episodes[1])
    return at_second_episode(ACTIONS.get(fault.kind, lambda: None))


def _scream() -> None:
    print("the last straw\nis heavy", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGKILL)


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _raise() -> None:
    raise ValueError("sample 7 is broken")


def _no_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


ACTIONS: Mapping[str, Callable[[], None]] = {
    "memory": _no_memory,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "scream": _scream,
    "crash": _crash,
    "freeze": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "slow": lambda: time.sleep(SLOW_S),
    "endless": lambda: time.sleep(3600),
    "raise": _raise,
}


@contextmanager
def at_second_episode(action: Callable[[], None]) -> Iterator[None]:
    """Call a function when the second episode inside the block is drawn."""
    draw = DatasetTasks.episode
    count = 0

    def episode(self: DatasetTasks, key: EpisodeKey) -> Episode:
        nonlocal count
        count += 1
        if count == 2:
            action()
        return draw(self, key)

    with mock.patch.object(DatasetTasks, "episode", episode):
        yield


@contextmanager
def nan_episode(poisoned: EpisodeKey) -> Iterator[None]:
    """Make one episode's samples NaN inside the block."""
    draw = DatasetTasks.episode

    def episode(self: DatasetTasks, key: EpisodeKey) -> Episode:
        drawn = draw(self, key)
        if key != poisoned:
            return drawn
        samples = torch.full_like(drawn.support.samples, float("nan"))
        return replace(drawn, support=drawn.support._replace(samples=samples))

    with mock.patch.object(DatasetTasks, "episode", episode):
        yield
