"""A worker process: `metagan.workflow.worker.ChunkWorker` behind a Ray actor.

What our own code raises is returned as a `WorkerFailure`, a plain value: an exception loses its
type and text on the way through Ray, and the driver must tell bad data from a lost machine. What
Ray raises is therefore always the infrastructure's.

Shapes: P weights.
"""

import os
import platform
import time
import traceback
from dataclasses import dataclass
from typing import Literal

import numpy as np
import ray
import torch

from cluster.errors import ClusterError
from metagan.core.chunks import CalledOffError, ChunkKey, ChunkReport
from metagan.core.outer_loop import WorkerSpec
from metagan.core.params import Vector
from metagan.core.wire import Sent
from metagan.data.dataset import DataError
from metagan.devices import choose_device, device_name, pinned_threads
from metagan.version import UNKNOWN, tool_version
from metagan.workflow.worker import ChunkWorker


@dataclass(frozen=True)
class WorkerReady:
    """A worker that has its data and networks.

    Attributes:
        pid: Of its process.
        host: Name of its machine.
        node_id: Ray's id of its node.
        device: Where it computes, "cpu" or "cuda".
        torch_version: Of its torch.
        device_name: Which CPU or GPU it computes on.
        arithmetic: By which rounding it computes, see `metagan.core.arithmetic`.
        metagan_version: Of this package there.
    """

    pid: int
    host: str
    node_id: str
    device: str
    torch_version: str
    device_name: str = ""
    arithmetic: str = ""
    metagan_version: str = UNKNOWN


@dataclass(frozen=True)
class WorkerFailure:
    """An exception that our code raised in a worker.

    Attributes:
        kind: "data" for unusable data, "value" for other mistakes of the user, "memory" for a
            device without room, "called_off" for a chunk that nobody wanted any more, "error" for
            the rest.
        message: The exception's text.
        traceback: As Python prints it.
    """

    kind: Literal["data", "value", "memory", "called_off", "error"]
    message: str
    traceback: str

    @classmethod
    def of(cls, error: Exception) -> "WorkerFailure":
        """The failure that an exception stands for."""
        text = "".join(traceback.format_exception(error))
        if isinstance(error, CalledOffError):
            return cls("called_off", str(error), text)
        if isinstance(error, DataError):
            return cls("data", str(error), text)
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
            advice = "lower outer.episodes_per_chunk, inner.batch_size or gan.width"
            return cls("memory", f"out of memory ({error}); {advice}", text)
        if isinstance(error, ValueError):
            return cls("value", str(error), text)
        return cls("error", f"{type(error).__name__}: {error}", text)

    def to_error(self, where: str) -> Exception:
        """Exception for the driver to raise; the text of a user's mistake stays as it is.

        Args:
            where: Which worker and what it did, for failures that are not the user's.
        """
        error: Exception
        if self.kind == "data":
            error = DataError(self.message)
        elif self.kind == "value":
            error = ValueError(self.message)
        elif self.kind == "memory":
            error = ClusterError(f"{where}: {self.message}")
        else:
            error = RuntimeError(f"{where}: {self.message}")
        error.add_note(f"{where}; there:\n{self.traceback}")
        return error


@dataclass(frozen=True)
class WorkerProgress:
    """The work that a worker is at.

    Attributes:
        doing: "idle", "loading" or "chunk STEP/INDEX".
        since_s: Seconds it has been doing it.
    """

    doing: str
    since_s: float


class EpisodeWorker:
    """The actor's class; `cluster.pool` turns it into an actor.

    The constructor does nothing that can fail, so that an actor that dies at its start is the
    infrastructure's; `load` does the work. `ping`, `progress` and `call_off` answer during a
    computation: they run in a thread of their own.
    """

    def __init__(self, spec: WorkerSpec, threads: int) -> None:
        """Keeps what `load` needs; `threads` is the number torch computes with."""
        self._spec, self._threads = spec, threads
        self._worker: ChunkWorker | None = None
        self._doing = ("idle", time.monotonic())
        # (step, index) of chunks that nobody wants any more.
        self._called_off: set[tuple[int, int]] = set()

    def load(self) -> WorkerReady | WorkerFailure:
        """Open the data and build the networks; may be called again after a failure."""
        self._doing = ("loading", time.monotonic())
        try:
            granted = bool(ray.get_gpu_ids())
            device = choose_device(self._spec.config.device, gpu_granted=granted)
            with pinned_threads(self._threads):
                self._worker = ChunkWorker(self._spec, device=device)
                arithmetic = self._worker.arithmetic()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must reach the driver intact
            return WorkerFailure.of(error)
        finally:
            self._doing = ("idle", time.monotonic())
        return WorkerReady(
            pid=os.getpid(),
            host=platform.node(),
            node_id=ray.get_runtime_context().get_node_id(),
            device=device.type,
            torch_version=torch.__version__,
            device_name=device_name(device),
            arithmetic=arithmetic,
            metagan_version=tool_version(),
        )

    @ray.method(num_returns=2)
    def compute(self, vector: Vector, chunk: ChunkKey) -> tuple[ChunkReport | WorkerFailure, Sent]:
        """A chunk's report and gradient sum (P,): two objects, the small one first.

        A failure comes with an empty gradient.
        """
        assert self._worker is not None, "load first"
        key = (chunk.step, chunk.index)
        self._doing = (f"chunk {chunk.step}/{chunk.index}", time.monotonic())
        try:
            with pinned_threads(self._threads):
                result = self._worker.compute(
                    vector, chunk, called_off=lambda: key in self._called_off
                )
        except Exception as error:  # noqa: BLE001 - whatever it is, it must reach the driver intact
            if isinstance(error, torch.OutOfMemoryError):
                torch.cuda.empty_cache()
            return WorkerFailure.of(error), np.empty(0, np.float32)
        finally:
            self._called_off.discard(key)
            self._doing = ("idle", time.monotonic())
        return result.report, result.gradient_sum

    @ray.method(concurrency_group="control")
    def ping(self) -> int:
        """The process's id; answers as soon as the process is up."""
        return os.getpid()

    @ray.method(concurrency_group="control")
    def call_off(self, step: int, index: int) -> None:
        """Leave a chunk at its next episode, or do not begin with it; nothing if it is done."""
        self._called_off.add((step, index))

    @ray.method(concurrency_group="control")
    def progress(self) -> WorkerProgress:
        """Tell what this worker is doing, and for how long."""
        doing, since = self._doing
        return WorkerProgress(doing, time.monotonic() - since)


def worker_environment(*, threads: int, gpus: float) -> dict[str, str]:
    """Environment of a worker's process; libraries read it before any code of ours runs.

    Args:
        threads: Of numerical libraries, so that results do not depend on the machine's cores.
        gpus: GPUs that Ray reserves for the worker; without one it is shown none, which Ray by
            itself no longer does.
    """
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = dict.fromkeys(names, str(threads))
    if gpus:
        # What deterministic cuBLAS needs.
        environment["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    else:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    return environment
