"""A runner with its workers, from settings; all of it ends with the block it is opened for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import ray

from cluster.config import ClusterConfig
from cluster.connect import ray_session
from cluster.errors import ClusterError
from cluster.pool import WorkerPool
from cluster.runner import RayRunner
from cluster.telemetry import Telemetry
from cluster.worker import EpisodeWorker
from metagan.config.settings import RunConfig
from metagan.core.outer_loop import WorkerSpec

C = TypeVar("C", bound=RunConfig)


@contextmanager
def open_ray_runner(
    spec: WorkerSpec,
    config: ClusterConfig,
    *,
    worker_class: type[EpisodeWorker] = EpisodeWorker,
) -> Iterator[RayRunner]:
    """A runner on the Ray that this process is connected to; its workers end with the block.

    Returns at once: workers start in parallel, and the first step takes those that are ready.

    Args:
        spec: What workers need.
        config: Number and size of the workers.
        worker_class: Their class; for fault injection.

    Raises:
        ValueError: If the settings of device and GPUs contradict each other.
        ClusterError: If Ray is not initialised or can have no room for the workers.
    """
    if spec.config.device == "cuda" and not config.gpus_per_worker:
        raise ValueError(
            "device is cuda, but cluster.gpus_per_worker is 0; set it to 1, or device to cpu"
        )
    if not ray.is_initialized():
        raise ClusterError("no Ray in this process; open the runner inside of ray_session")
    telemetry = Telemetry()
    moved = replace(spec, config=with_absolute_paths(spec.config))
    pool = WorkerPool(moved, config, telemetry, worker_class=worker_class)
    try:
        yield RayRunner(pool, config, telemetry)
    finally:
        pool.close()


@contextmanager
def open_runner(spec: WorkerSpec, config: ClusterConfig) -> Iterator[RayRunner]:
    """A Ray by the settings (see `ray_session`), and a runner on it."""
    with ray_session(config), open_ray_runner(spec, config) as runner:
        yield runner


def with_absolute_paths(config: C) -> C:
    """The same settings for a process that Ray starts, which runs in a folder of its own."""

    def absolute(path: str | None) -> str | None:
        if path is None or "://" in path:
            return path
        return str(Path(path).expanduser().absolute())

    data, outer = config.data, config.outer
    paths = {"path": absolute(data.path), "cache_dir": absolute(data.cache_dir)}
    changes = {
        "data": data.model_copy(update=paths),
        "outer": outer.model_copy(update={"init_from": absolute(outer.init_from)}),
    }
    return config.model_copy(update=changes)
