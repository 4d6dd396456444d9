"""Chunks on Ray workers: the same bits as in one process, whatever happens to the workers."""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from ray.exceptions import ObjectStoreFullError

from cluster.connect import RaySession
from cluster.errors import ClusterError
from cluster.opening import open_ray_runner
from cluster.remote import fetch
from cluster.runner import RayRunner
from cluster.worker import EpisodeWorker
from metagan.core.aggregate import aggregate
from metagan.core.params import Vector
from metagan.data import arrow
from metagan.data.dataset import DataError
from metagan.devices import choose_device
from metagan.workflow.setup import TrainSetup, prepare
from metagan.workflow.worker import ChunkWorker, LocalRunner
from tests.cluster.faults import Fault, Kind, Script, faulty_worker, nan_episode
from tests.cluster.ray_for_tests import NUM_CPUS
from tests.cluster.runs import (
    chunks_of,
    is_running,
    kinds,
    pids,
    settings,
    start_vector,
    trained,
    update_of,
    wait_for,
)
from tests.helpers import small_data, tiny_config

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray", "no_faults")]


def assert_trains_to_the_same_bits(
    run: TrainSetup, runner: RayRunner, expected: Mapping[str, Vector]
) -> None:
    for algorithm, vector in expected.items():
        actual, stats = trained(run, runner, algorithm)
        assert np.array_equal(actual, vector), algorithm
        assert not np.array_equal(actual, start_vector(run))
        assert all(kinds(s.events) == [] and s.compute_s > 0 and s.wait_s > 0 for s in stats)


def test_training_on_one_worker_gives_the_bits_of_one_process(
    run: TrainSetup, locally_trained: Mapping[str, Vector]
) -> None:
    with open_ray_runner(run.spec, settings(1)) as runner:
        assert_trains_to_the_same_bits(run, runner, locally_trained)


def test_training_on_two_workers_gives_the_bits_of_one_process(
    run: TrainSetup, two_workers: RayRunner, locally_trained: Mapping[str, Vector]
) -> None:
    assert_trains_to_the_same_bits(run, two_workers, locally_trained)


@pytest.mark.slow
def test_training_on_five_workers_gives_the_bits_of_one_process(
    run: TrainSetup, locally_trained: Mapping[str, Vector]
) -> None:
    # Half a core each: the two workers that tests share have theirs already.
    with open_ray_runner(run.spec, settings(5, cpus_per_worker=0.5)) as runner:
        runner.wait_until_ready()
        assert_trains_to_the_same_bits(run, runner, locally_trained)
        assert len(set(pids(runner))) == 5


def test_training_on_three_workers_in_another_order_gives_the_bits_of_one_process(
    run: TrainSetup,
    script: Script,
    local_gradient: Vector,
    locally_trained: Mapping[str, Vector],
) -> None:
    script.write({(0, 0): Fault("last")})
    worker_class = faulty_worker(script)
    chunks = chunks_of(run)
    with open_ray_runner(run.spec, settings(3), worker_class=worker_class) as runner:
        runner.wait_until_ready()
        with script.accepting(len(chunks) - 1):
            results, _ = runner.run(start_vector(run), chunks)
        assert_trains_to_the_same_bits(run, runner, locally_trained)
        running = pids(runner)
    assert len(set(running)) == 3
    assert [result.report.index for result in results][-1] == 0
    assert np.array_equal(
        aggregate(chunks, results, run.spec.config.outer, run.layout).gradient, local_gradient
    )
    assert wait_for(lambda: not any(map(is_running, running))), "workers outlive their runner"


# A head solved for in closed form, on pairs that are read as a set.
PAIRS = {
    "gan": {"family": "mlp", "conditioning": ["input", "support"], "width": 8, "latent_dim": 4},
    "task": {"unit": "domain", "shots": 3, "num_query": 3},
    "algorithm": {"name": "ridge"},
}


@pytest.mark.parametrize(("inputs", "sections"), [([], {}), (["x1", "x3"], PAIRS)])
def test_vectors_train_to_the_bits_of_one_process_though_a_worker_is_killed(
    script: Script, tmp_path: Path, inputs: list[str], sections: dict[str, Any]
) -> None:
    path = arrow.prepare(small_data("vector"), tmp_path / "clouds")
    data = {"source": "arrow", "path": str(path), "inputs": inputs}
    run = prepare(tiny_config("vector", data=data, **sections))
    alone, _ = trained(run, LocalRunner(ChunkWorker(run.spec, device=choose_device("cpu"))))
    script.write({(1, 0): Fault("kill")})
    with open_ray_runner(run.spec, settings(2), worker_class=faulty_worker(script)) as runner:
        runner.wait_until_ready()
        together, stats = trained(run, runner)
    assert np.array_equal(together, alone)
    assert not np.array_equal(together, start_vector(run))
    assert "restart" in [kind for step in stats for kind in kinds(step.events)]


def test_rounded_meta_gradients_are_those_of_one_process_and_half_as_large(
    run: TrainSetup, local_gradient: Vector
) -> None:
    config = run.spec.config
    outer = config.outer.model_copy(update={"wire_dtype": "bfloat16"})
    spec = replace(run.spec, config=config.model_copy(update={"outer": outer}))
    rounded = replace(run, spec=spec)
    alone, _ = update_of(rounded, LocalRunner(ChunkWorker(spec, device=choose_device("cpu"))))
    with open_ray_runner(spec, settings(2)) as runner:
        together, _ = update_of(rounded, runner)
        results, _ = runner.run(start_vector(run), chunks_of(run))
    assert np.array_equal(together, alone)
    assert {result.gradient_sum.nbytes for result in results} == {2 * len(local_gradient)}
    # Each number of a chunk is off by at most 2^-8 of itself.
    assert not np.array_equal(alone, local_gradient)
    assert np.linalg.norm(alone - local_gradient) < 2.0**-8 * np.linalg.norm(local_gradient)


@pytest.mark.parametrize("kind", ["kill", "kill_after"])
def test_a_killed_worker_is_replaced_and_the_step_has_the_same_bits(
    run: TrainSetup, two_workers: RayRunner, local_gradient: Vector, script: Script, kind: Kind
) -> None:
    two_workers.wait_until_ready()
    before = set(pids(two_workers))
    script.write({(0, 1): Fault(kind)})
    gradient, events = update_of(run, two_workers)
    again, later = update_of(run, two_workers)
    two_workers.wait_until_ready()
    assert np.array_equal(gradient, local_gradient)
    assert np.array_equal(again, local_gradient)
    assert later == []
    retry, restart = events
    assert (retry["kind"], restart["kind"]) == ("retry", "restart")
    assert (retry["step"], retry["chunk"], retry["attempt"]) == (1, 1, 1)
    assert restart["pid"] == retry["pid"]
    assert before - set(pids(two_workers)) == {restart["pid"]}


def test_two_kills_at_one_chunk_and_one_at_another_leave_the_trained_weights_unchanged(
    run: TrainSetup,
    two_workers: RayRunner,
    locally_trained: Mapping[str, Vector],
    script: Script,
) -> None:
    script.write({(0, 0): Fault("kill", times=2), (2, 3): Fault("kill")})
    vector, stats = trained(run, two_workers)
    restarts = [sum(e["kind"] == "restart" for e in record.events) for record in stats]
    assert np.array_equal(vector, locally_trained["reptile"])
    assert restarts == [2, 0, 1]


def test_a_worker_that_dies_while_loading_is_replaced(
    run: TrainSetup, local_gradient: Vector, tmp_path: Path
) -> None:
    # A script of its own: another test's worker may still be loading, and would die instead.
    script = Script(tmp_path)
    script.write(kill_loading=1)
    with open_ray_runner(run.spec, settings(1), worker_class=faulty_worker(script)) as runner:
        gradient, events = update_of(run, runner)
    assert np.array_equal(gradient, local_gradient)
    assert kinds(events) == ["restart"]


def test_a_worker_that_always_dies_while_loading_ends_the_run(
    run: TrainSetup, tmp_path: Path
) -> None:
    script = Script(tmp_path)
    script.write(kill_loading=99)
    with (
        open_ray_runner(run.spec, settings(1), worker_class=faulty_worker(script)) as runner,
        pytest.raises(ClusterError, match=r"did not start in 3 attempts.*ActorDiedError"),
    ):
        runner.run(start_vector(run), chunks_of(run))


def test_a_worker_that_cannot_use_its_data_ends_the_run_with_the_original_message(
    run: TrainSetup,
) -> None:
    splits = {"train": ["no/class"], "validation": [], "test": []}
    with (
        open_ray_runner(replace(run.spec, splits=splits), settings(1)) as runner,
        pytest.raises(DataError, match=r"the run was split with class 'no/class'") as caught,
    ):
        runner.run(start_vector(run), chunks_of(run))
    assert "worker 0" in caught.value.__notes__[0]
    assert "Traceback" in caught.value.__notes__[0]


def test_what_a_chunk_raises_once_is_tried_again_and_what_it_raises_twice_is_raised(
    run: TrainSetup, two_workers: RayRunner, local_gradient: Vector, script: Script
) -> None:
    two_workers.wait_until_ready()
    before = pids(two_workers)
    script.write({(0, 1): Fault("raise"), (1, 0): Fault("raise", times=2)})
    gradient, events = update_of(run, two_workers)
    with pytest.raises(ValueError, match="sample 7 is broken") as caught:
        update_of(run, two_workers, step=1)
    assert np.array_equal(gradient, local_gradient)
    assert kinds(events) == ["retry"]
    assert "chunk 0 of outer step 1, attempt 2" in caught.value.__notes__[0]
    # The other chunks of the broken step answer late and are not counted in the next.
    gradient, late = update_of(run, two_workers)
    assert np.array_equal(gradient, local_gradient)
    assert set(kinds(late)) <= {"stale", "retry"}
    assert pids(two_workers) == before


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [("stale", "stale"), ("corrupt", "corrupt"), ("short", "corrupt"), ("wide", "corrupt")],
)
def test_a_result_that_is_not_of_these_parameters_is_dropped_and_counted(
    run: TrainSetup,
    two_workers: RayRunner,
    local_gradient: Vector,
    script: Script,
    kind: Kind,
    verdict: str,
) -> None:
    script.write({(0, 0): Fault(kind)})
    gradient, events = update_of(run, two_workers)
    assert np.array_equal(gradient, local_gradient)
    assert kinds(events) == [verdict, "retry"]


def test_a_gradient_that_is_dropped_is_not_fetched(
    run: TrainSetup, two_workers: RayRunner, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[object] = []
    gradients: list[object] = []

    def counted_report(ref: object) -> object:
        reports.append(fetch(ref))
        return reports[-1]

    def counted_gradient(ref: object, **_: object) -> object:
        gradients.append(fetch(ref))
        return gradients[-1]

    monkeypatch.setattr("cluster.runner.fetch", counted_report)
    monkeypatch.setattr("cluster.runner.fetch_large", counted_gradient)
    script.write({(0, 0): Fault("stale")})
    update_of(run, two_workers)
    assert len(reports) == len(chunks_of(run)) + 1
    assert len(gradients) == len(chunks_of(run))


def test_a_device_without_room_once_costs_an_attempt_and_twice_ends_the_run_with_advice(
    run: TrainSetup, two_workers: RayRunner, local_gradient: Vector, script: Script
) -> None:
    two_workers.wait_until_ready()
    before = pids(two_workers)
    script.write({(0, 1): Fault("memory"), (1, 0): Fault("memory", times=2)})
    gradient, events = update_of(run, two_workers)
    assert np.array_equal(gradient, local_gradient)
    assert kinds(events) == ["retry"]
    assert "lower outer.episodes_per_chunk" in str(events[0]["reason"])
    with pytest.raises(ClusterError, match=r"2\.00 GiB.*lower outer\.episodes_per_chunk"):
        update_of(run, two_workers, step=1)
    # The workers are as they were.
    assert np.array_equal(update_of(run, two_workers)[0], local_gradient)
    assert pids(two_workers) == before


def test_an_object_store_without_room_is_an_error_of_the_cluster(
    run: TrainSetup, two_workers: RayRunner, local_gradient: Vector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> object:
        raise ObjectStoreFullError("Failed to put object: 80 MB, 12 MB free")

    with monkeypatch.context() as patched:
        patched.setattr(ray, "put", full)
        with pytest.raises(ClusterError, match=r"the parameters cannot.*StoreFullError.*/dev/shm"):
            update_of(run, two_workers)
    assert np.array_equal(update_of(run, two_workers)[0], local_gradient)


def test_a_worker_whose_constructor_raises_ends_the_run_with_the_reason(run: TrainSetup) -> None:
    class Unbuildable(EpisodeWorker):
        def __init__(self, *_: object) -> None:
            raise ImportError("No module named 'their_networks'")

    with (
        open_ray_runner(run.spec, settings(1), worker_class=Unbuildable) as runner,
        pytest.raises(ClusterError, match=r"did not start in 3 attempts.*their_networks"),
    ):
        runner.run(start_vector(run), chunks_of(run))


def test_too_few_workers_are_told_now_and_then_until_the_deadline(
    run: TrainSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.resources.started_by_this_process", lambda: False)
    monkeypatch.setattr("cluster.pool._TELL_S", 0.5)
    config = settings(1, cpus_per_worker=NUM_CPUS + 1, placement_timeout_s=3.0)
    with open_ray_runner(run.spec, config) as runner:
        with pytest.raises(ClusterError, match="no worker within"):
            runner.wait_until_ready()
        told = [event for event in runner.take_events() if event["kind"] == "waiting"]
    assert len(told) >= 2
    assert f"with {NUM_CPUS + 1} CPU" in str(told[0]["reason"])


def test_attempts_at_a_chunk_are_bounded(
    run: TrainSetup, two_workers: RayRunner, local_gradient: Vector, script: Script
) -> None:
    script.write({(0, 0): Fault("stale", times=99)})
    with pytest.raises(ClusterError, match=r"chunk 0 of outer step 0 failed 5 times"):
        update_of(run, two_workers)
    script.write()
    assert np.array_equal(update_of(run, two_workers)[0], local_gradient)


def test_restarts_are_bounded(run: TrainSetup, script: Script) -> None:
    script.write({(0, 0): Fault("kill", times=99)})
    config = settings(1, max_worker_restarts=0)
    with open_ray_runner(run.spec, config, worker_class=faulty_worker(script)) as runner:
        with pytest.raises(ClusterError, match=r"more than cluster.max_worker_restarts 0"):
            runner.run(start_vector(run), chunks_of(run))
        # What led to it is not lost with the step.
        events = [dict(event) for event in runner.take_events()]
        assert kinds(events) == ["retry", "restart"]
        times = [datetime.fromisoformat(str(event["time"])) for event in events]
        assert timedelta(0) <= datetime.now(UTC) - times[0] < timedelta(minutes=5)
        assert times == sorted(times)
        assert runner.take_events() == ()


def test_an_episode_without_finite_gradient_is_counted_as_in_one_process(
    run: TrainSetup, two_workers: RayRunner, local_runner: LocalRunner, script: Script
) -> None:
    chunks = chunks_of(run)
    poisoned = chunks[1].episodes[1]
    with nan_episode(poisoned):
        expected, _ = local_runner.run(start_vector(run), chunks)
    script.write({(0, 1): Fault("nan")})
    results, _ = two_workers.run(start_vector(run), chunks)
    outer = run.spec.config.outer
    update = aggregate(chunks, results, outer, run.layout)
    assert [failure.key for failure in update.failures] == [poisoned]
    assert update.num_finite == update.num_planned - 1
    assert np.isfinite(update.gradient).all()
    local = aggregate(chunks, expected, outer, run.layout)
    assert np.array_equal(update.gradient, local.gradient)


def test_parameters_of_another_type_are_refused(run: TrainSetup, two_workers: RayRunner) -> None:
    with pytest.raises(ValueError, match="float64"):
        two_workers.run(start_vector(run).astype(np.float64), chunks_of(run))


def test_workers_that_can_never_fit_are_refused_at_once(run: TrainSetup) -> None:
    started = time.monotonic()
    with (
        pytest.raises(ClusterError, match=r"room for 6 \(nodes: 6 CPU, 0 GPU\); lower .* to 6"),
        open_ray_runner(run.spec, settings(NUM_CPUS + 1)),
    ):
        pass
    with (
        pytest.raises(ClusterError, match=r"1 CPU and 1 GPU each.*set cluster.gpus_per_worker 0"),
        open_ray_runner(run.spec, settings(1, gpus_per_worker=1)),
    ):
        pass
    assert time.monotonic() - started < 60


def test_a_cluster_that_may_grow_is_waited_for_until_the_deadline(
    run: TrainSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.resources.started_by_this_process", lambda: False)
    config = settings(1, cpus_per_worker=8, placement_timeout_s=1.0)
    started = time.monotonic()
    with (
        open_ray_runner(run.spec, config) as runner,
        pytest.raises(ClusterError, match=r"timeout_s 1 s: .*with 8 CPU each.*room for 0"),
    ):
        runner.run(start_vector(run), chunks_of(run))
    assert 1 <= time.monotonic() - started < 120


def test_a_run_goes_on_with_the_workers_that_found_room(
    run: TrainSetup, local_gradient: Vector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.resources.started_by_this_process", lambda: False)
    config = settings(2, cpus_per_worker=4)
    with open_ray_runner(run.spec, config) as runner:
        gradient, early = update_of(run, runner)
        # As if the other one had waited for its place as long as it may.
        for worker in runner._pool.workers:
            if not worker.placed:
                worker.since -= config.placement_timeout_s
        with pytest.raises(ClusterError, match=r"1 workers of 2 are ready.*lower .* to 1"):
            runner.wait_until_ready()
        again, late = update_of(run, runner)
    assert np.array_equal(gradient, local_gradient)
    assert np.array_equal(again, local_gradient)
    assert kinds(early) == []
    assert kinds(late) == ["unplaced"]


def test_fewer_workers_than_the_least_end_the_run_after_the_deadline(
    run: TrainSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.resources.started_by_this_process", lambda: False)
    config = settings(NUM_CPUS + 1, min_workers=NUM_CPUS + 1, placement_timeout_s=2.0)
    with (
        open_ray_runner(run.spec, config) as runner,
        pytest.raises(ClusterError, match=rf"of cluster.min_workers {NUM_CPUS + 1} within"),
    ):
        runner.wait_until_ready()


def test_an_exception_in_the_block_ends_the_workers_too(run: TrainSetup) -> None:
    running: list[int] = []

    def fail() -> None:
        with open_ray_runner(run.spec, settings(1)) as runner:
            runner.wait_until_ready()
            running.extend(pids(runner))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert len(running) == 1
    assert wait_for(lambda: not any(map(is_running, running)))


def test_a_cuda_run_without_gpus_for_its_workers_is_refused(
    run: TrainSetup, local_ray: RaySession
) -> None:
    assert local_ray.address
    spec = replace(run.spec, config=run.spec.config.model_copy(update={"device": "cuda"}))
    with (
        pytest.raises(ValueError, match="gpus_per_worker is 0"),
        open_ray_runner(spec, settings(1)),
    ):
        pass
