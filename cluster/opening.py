"""A runner with its workers, from settings; all of it ends with the block it is opened for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import ray

from cluster.config import ClusterConfig
from cluster.connect import ray_session
from cluster.errors import ClusterError
from cluster.pool import WorkerPool
from cluster.runner import RayRunner
from cluster.telemetry import Telemetry
from cluster.worker import EpisodeWorker
from metagan.core.outer_loop import WorkerSpec


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
    pool = WorkerPool(_with_absolute_paths(spec), config, telemetry, worker_class=worker_class)
    try:
        yield RayRunner(pool, config, telemetry)
    finally:
        pool.close()


@contextmanager
def open_runner(spec: WorkerSpec, config: ClusterConfig) -> Iterator[RayRunner]:
    """A Ray by the settings (see `ray_session`), and a runner on it."""
    with ray_session(config), open_ray_runner(spec, config) as runner:
        yield runner


def _with_absolute_paths(spec: WorkerSpec) -> WorkerSpec:
    """Make paths absolute, since workers run in folders of their own."""
    data = spec.config.data
    absolute = {
        name: str(Path(path).expanduser().absolute())
        for name in ("path", "cache_dir")
        if (path := getattr(data, name)) is not None and "://" not in path
    }
    moved = spec.config.model_copy(update={"data": data.model_copy(update=absolute)})
    return replace(spec, config=moved)
