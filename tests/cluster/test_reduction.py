"""Gradients that tasks add up in groups: the same bits, whatever is lost on the way."""

import contextlib
import itertools
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import ray

from cluster import reduction
from cluster.arrivals import Answer
from cluster.opening import open_ray_runner
from cluster.reduction import Reductions, SumReport, add_up
from cluster.runner import RayRunner
from metagan.core.params import Vector, vector_hash
from metagan.core.wire import Sent
from metagan.workflow.setup import TrainSetup
from tests.cluster.faults import Fault, Kind, Script, faulty_worker
from tests.cluster.runs import chunks_of, kinds, settings, start_vector, trained, update_of

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray", "no_faults", "pairs")]


@pytest.fixture(scope="module", autouse=True)
def pairs() -> Iterator[None]:
    """Groups of two: an outer step has five chunks here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reduction, "GROUP", 2)
        yield


@pytest.fixture(scope="module")
def reducing(run: TrainSetup, script: Script) -> Iterator[RayRunner]:
    config = settings(2, reduce_above_mb=0.0)
    with open_ray_runner(run.spec, config, worker_class=faulty_worker(script)) as runner:
        yield runner


def test_a_sum_is_that_of_gradients_that_are_what_they_should_be() -> None:
    parts = list(np.random.default_rng(0).standard_normal((3, 50)).astype(np.float32))
    hashes = [vector_hash(part) for part in parts]
    report, total = add_up(50, hashes, *parts)
    assert np.array_equal(total, (parts[0] + parts[1]) + parts[2])
    assert report == SumReport(tuple(hashes), vector_hash(total))
    altered = [parts[0], parts[1] + np.float32(1), parts[2]]
    report, total = add_up(50, hashes, *altered)
    assert report == SumReport((hashes[0], vector_hash(altered[1]), hashes[2]), None)
    assert len(total) == 0
    # NumPy would add a gradient of one number to all.
    short = [parts[0], parts[1][:1], parts[2]]
    report, total = add_up(50, [vector_hash(part) for part in short], *short)
    assert report == SumReport((hashes[0], "", hashes[2]), None)
    assert len(total) == 0


def test_training_with_sums_by_tasks_gives_the_bits_of_one_process(
    run: TrainSetup, reducing: RayRunner, locally_trained: Mapping[str, Vector]
) -> None:
    for algorithm, vector in locally_trained.items():
        actual, stats = trained(run, reducing, algorithm)
        assert np.array_equal(actual, vector), algorithm
        assert all(kinds(s.events) == [] for s in stats)


def test_the_driver_takes_in_one_gradient_of_each_group(
    run: TrainSetup, reducing: RayRunner, local_gradient: Vector
) -> None:
    chunks = chunks_of(run)
    results, _ = reducing.run(start_vector(run), chunks)
    sizes = {result.report.index: len(result.gradient_sum) for result in results}
    size = len(local_gradient)
    assert sizes == {0: size, 1: 0, 2: size, 3: 0, 4: size}


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [("stale", "stale"), ("corrupt", "corrupt"), ("short", "corrupt"), ("wide", "corrupt")],
)
def test_a_result_that_is_not_what_its_report_says_is_computed_again(
    run: TrainSetup,
    reducing: RayRunner,
    local_gradient: Vector,
    script: Script,
    kind: Kind,
    verdict: str,
) -> None:
    script.write({(0, 0): Fault(kind)})
    gradient, events = update_of(run, reducing)
    assert np.array_equal(gradient, local_gradient)
    assert kinds(events) == [verdict, "retry"]


def test_gradients_that_are_lost_before_they_are_added_are_computed_again(
    run: TrainSetup, reducing: RayRunner, local_gradient: Vector, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, count = Reductions.add, itertools.count()

    def losing(reductions: Reductions, answer: Answer) -> None:
        if next(count) == 0:  # As if the node it lies on had died: Ray has an error in its place.
            gone = ray.remote(lambda: os._exit(1)).options(max_retries=0, num_cpus=0).remote()
            answer = replace(answer, submission=replace(answer.submission, gradient=gone))
        add(reductions, answer)

    monkeypatch.setattr(Reductions, "add", losing)
    gradient, events = update_of(run, reducing)
    assert np.array_equal(gradient, local_gradient)
    assert set(kinds(events)) == {"retry"}
    assert len({event["chunk"] for event in events}) == 2, "a group's"


def test_a_sum_that_takes_too_long_is_given_up(
    run: TrainSetup, local_gradient: Vector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hanging(size: int, expected: list[str], *gradients: Sent) -> tuple[SumReport, Vector]:
        with contextlib.suppress(FileNotFoundError):
            (tmp_path / "hang").unlink()
            time.sleep(300)
        return add_up(size, expected, *gradients)

    monkeypatch.setattr(reduction, "add_up", hanging)
    config = settings(2, reduce_above_mb=0.0, chunk_timeout_s=30.0)
    with open_ray_runner(run.spec, config) as runner:
        runner.wait_until_ready()
        # The first chunk of a process takes longest, on a busy machine perhaps too long.
        update_of(run, runner)
        (tmp_path / "hang").touch()
        started = time.monotonic()
        gradient, events = update_of(run, runner)
        assert time.monotonic() - started < 300
    assert np.array_equal(gradient, local_gradient)
    # Of a group of two, or the last chunk by itself.
    assert {str(event["reason"]) for event in events if event["kind"] != "waiting"} == {
        "not added up in 30 s"
    }


def test_small_gradients_and_single_chunks_are_not_worth_a_task() -> None:
    class Step:
        num_chunks = 4

    for changes, num_bytes, taken in (
        ({}, 10**6, False),
        ({}, 2**28 + 1, True),
        ({"reduce_above_mb": 0.0}, 1, True),
        ({"reduce_above_mb": None}, 2**40, False),
    ):
        reductions, step = Reductions(settings(2, **changes)), Step()
        reductions.consider(step, num_bytes=num_bytes)  # type: ignore[arg-type]
        assert reductions.takes(step) is taken  # type: ignore[arg-type]
    Step.num_chunks = 1
    alone, step = Reductions(settings(2, reduce_above_mb=0.0)), Step()
    alone.consider(step, num_bytes=2**40)  # type: ignore[arg-type]
    assert not alone.takes(step)  # type: ignore[arg-type]
