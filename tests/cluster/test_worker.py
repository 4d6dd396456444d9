"""A worker's side in this process: what our own code raises comes back as a value."""

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import ray
import torch

from cluster.errors import ClusterError
from cluster.worker import EpisodeWorker, WorkerFailure, WorkerReady, worker_environment
from metagan.core.chunks import ChunkKey, ChunkReport
from metagan.core.outer_loop import WorkerSpec, plan_step
from metagan.core.params import Vector
from metagan.data.dataset import DataError
from metagan.workflow.setup import TrainSetup
from metagan.workflow.worker import ChunkWorker, LocalRunner
from tests.cluster.faults import at_second_episode
from tests.cluster.ray_for_tests import bars_run

# `load` asks Ray for GPUs and node; without a Ray here, that would start one in the home folder.
WITH_RAY = pytest.mark.usefixtures("local_ray")


@pytest.mark.ray
@WITH_RAY
def test_a_worker_computes_what_the_local_runner_does(
    run: TrainSetup, local_runner: LocalRunner
) -> None:
    vector = run.layout.flatten(run.initial).numpy().copy()
    vector.flags.writeable = False  # As Ray hands it out.
    config = run.spec.config
    chunk = plan_step(config, run.source.tasks("train"), run.source.task_weights("train"), 0)[0]
    worker = EpisodeWorker(run.spec, 1)
    ready = worker.load()
    assert isinstance(ready, WorkerReady)
    assert (ready.device, ready.torch_version) == ("cpu", torch.__version__)
    report, gradient = worker.compute(vector, chunk)
    (expected,), _ = local_runner.run(vector, [chunk])
    assert not isinstance(report, WorkerFailure)
    assert report.gradient_hash == expected.report.gradient_hash
    assert np.array_equal(gradient, expected.gradient_sum)


class ManyRuns:
    """An actor's process that computes chunks of several runs."""

    def __init__(self, specs: Sequence[WorkerSpec]) -> None:
        self._workers = [EpisodeWorker(spec, 1) for spec in specs]
        for worker in self._workers:
            assert isinstance(worker.load(), WorkerReady)

    def compute(self, index: int, vector: Vector, chunk: ChunkKey) -> str:
        report, _ = self._workers[index].compute(vector, chunk)
        assert isinstance(report, ChunkReport), report
        return report.gradient_hash


@pytest.mark.ray
@WITH_RAY
@pytest.mark.parametrize("repeats", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_a_process_that_has_computed_much_computes_what_a_new_one_does(
    tmp_path: Path, repeats: int
) -> None:
    sections: list[dict[str, object]] = [
        {"inner": {"steps": 1, "batch_size": 2}},
        {
            "algorithm": {"name": "fomaml"},
            "inner": {"steps": 1, "batch_size": 2, "optimizer": "adam"},
            "outer": {"steps": 3, "meta_batch_size": 2, "episodes_per_chunk": 1},
        },
    ]
    runs = [bars_run(tmp_path / "bars", **each) for each in sections]
    vectors = [run.layout.flatten(run.initial).numpy() for run in runs]
    jobs = [
        (index, chunk)
        for index, run in enumerate(runs)
        for step in range(2)
        for chunk in plan_step(
            run.spec.config, run.source.tasks("train"), run.source.task_weights("train"), step
        )[:2]
    ]
    alone = {
        job: ChunkWorker(runs[job[0]].spec, device=torch.device("cpu"))
        .compute(vectors[job[0]], job[1])
        .report.gradient_hash
        for job in jobs
    }
    busy = ray.remote(num_cpus=1)(ManyRuns).remote([run.spec for run in runs])
    for place in np.random.default_rng(0).permutation(np.repeat(np.arange(len(jobs)), repeats)):
        index, chunk = job = jobs[place]
        assert ray.get(busy.compute.remote(index, vectors[index], chunk)) == alone[job], job
    ray.kill(busy)


@pytest.mark.ray
@WITH_RAY
def test_a_failure_while_loading_is_returned_and_can_be_sent(run: TrainSetup) -> None:
    failure = EpisodeWorker(replace(run.spec, dataset_sha256="0" * 64), 1).load()
    assert isinstance(failure, WorkerFailure)
    assert failure.kind in ("value", "data")
    assert "other data here" in failure.message
    assert pickle.loads(pickle.dumps(failure)) == failure


@pytest.mark.ray
@WITH_RAY
def test_a_failure_in_a_chunk_is_returned_with_an_empty_gradient(run: TrainSetup) -> None:
    def fail() -> None:
        raise KeyError("no such class")

    config = run.spec.config
    chunk = plan_step(config, run.source.tasks("train"), run.source.task_weights("train"), 0)[0]
    worker = EpisodeWorker(run.spec, 1)
    worker.load()
    with at_second_episode(fail):
        failure, gradient = worker.compute(run.layout.flatten(run.initial).numpy(), chunk)
    assert isinstance(failure, WorkerFailure)
    assert (failure.kind, failure.message) == ("error", "KeyError: 'no such class'")
    assert gradient.shape == (0,)
    assert worker.progress().doing == "idle"


@pytest.mark.ray
@WITH_RAY
def test_a_chunk_that_is_called_off_is_left_between_episodes_and_may_be_computed_later(
    run: TrainSetup,
) -> None:
    config = run.spec.config
    chunk = plan_step(config, run.source.tasks("train"), run.source.task_weights("train"), 0)[0]
    vector = run.layout.flatten(run.initial).numpy()
    worker = EpisodeWorker(run.spec, 1)
    worker.load()
    with at_second_episode(lambda: worker.call_off(chunk.step, chunk.index)):
        failure, gradient = worker.compute(vector, chunk)
    assert isinstance(failure, WorkerFailure)
    assert failure.kind == "called_off"
    assert gradient.shape == (0,)
    # Another one is not meant by it, nor the same one later.
    for number in (chunk.index + 1, chunk.index):
        other = replace(chunk, index=number)
        report, _ = worker.compute(vector, other)
        assert not isinstance(report, WorkerFailure)
    # It may be called off before it begins.
    worker.call_off(chunk.step, chunk.index)
    failure, _ = worker.compute(vector, chunk)
    assert isinstance(failure, WorkerFailure)
    assert failure.kind == "called_off"


@pytest.mark.parametrize(
    ("error", "kind", "raised"),
    [
        (DataError("bad.png: truncated"), "data", DataError),
        (ValueError("inner.lr"), "value", ValueError),
        (torch.OutOfMemoryError("20 GiB"), "memory", ClusterError),
        (MemoryError(), "memory", ClusterError),
        (TypeError("None + 1"), "error", RuntimeError),
    ],
)
def test_the_driver_raises_the_users_mistakes_in_their_own_words(
    error: Exception, kind: str, raised: type[Exception]
) -> None:
    failure = WorkerFailure.of(error)
    assert failure.kind == kind
    at_driver = failure.to_error("worker 3 on node")
    assert type(at_driver) is raised
    assert str(error) in str(at_driver)
    assert "worker 3 on node" in at_driver.__notes__[0]
    if kind == "memory":
        assert "outer.episodes_per_chunk" in str(at_driver)
    if kind in ("data", "value"):
        assert str(at_driver) == str(error)


def test_a_workers_environment_pins_threads_and_hides_gpus_it_was_not_given() -> None:
    cpu = worker_environment(threads=3, gpus=0)
    assert cpu["OMP_NUM_THREADS"] == "3"
    assert cpu["CUDA_VISIBLE_DEVICES"] == ""
    gpu = worker_environment(threads=1, gpus=0.5)
    assert "CUDA_VISIBLE_DEVICES" not in gpu
    assert gpu["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
