"""A worker that is frozen or slow holds a step up for a bounded time, and no bit differs."""

import re
import time
from collections.abc import Sequence

import numpy as np
import pytest

from cluster.connect import wait_for_some
from cluster.opening import open_ray_runner
from metagan.core.params import Vector
from metagan.workflow.setup import TrainSetup
from tests.cluster.faults import SLOW_S, Fault, Script, faulty_worker
from tests.cluster.runs import (
    is_running,
    kinds,
    pids,
    settings,
    update_of,
    wait_for,
)

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray", "no_faults")]


def test_a_frozen_worker_is_replaced_after_its_deadline(
    run: TrainSetup, local_gradient: Vector, script: Script
) -> None:
    config = settings(2, chunk_timeout_s=15.0)
    with open_ray_runner(run.spec, config, worker_class=faulty_worker(script)) as runner:
        runner.wait_until_ready()
        # The first chunk of a process takes longest, because torch then loads more of itself.
        update_of(run, runner)
        before = pids(runner)
        script.write({(0, 1): Fault("freeze")})
        gradient, events = update_of(run, runner)
    assert np.array_equal(gradient, local_gradient)
    assert kinds(events) == ["timeout", "retry", "restart"]
    assert "frozen" in str(events[0]["reason"])
    assert events[0]["chunk"] == 1
    assert wait_for(lambda: not any(map(is_running, before)), seconds=120), "it was not ended"


def test_a_worker_that_answers_but_never_ends_its_chunk_is_replaced_after_its_deadline(
    run: TrainSetup, local_gradient: Vector, script: Script
) -> None:
    # Asked every second: it is the deadline that ends it, not silence.
    config = settings(2, chunk_timeout_s=15.0, heartbeat_timeout_s=3.0)
    with open_ray_runner(run.spec, config, worker_class=faulty_worker(script)) as runner:
        runner.wait_until_ready()
        update_of(run, runner)
        before = set(pids(runner))
        script.write({(0, 1): Fault("endless")})
        started = time.monotonic()
        gradient, events = update_of(run, runner)
        assert 15 <= time.monotonic() - started < 120
    assert np.array_equal(gradient, local_gradient)
    assert kinds(events) == ["timeout", "retry", "restart"]
    reason = str(events[0]["reason"])
    assert "no result in " in reason
    # The probe: it tells what it is at, so it was not frozen.
    # It began a moment after the driver had sent it, which on a busy machine may be some seconds.
    assert (said := re.search(r"\(chunk 0/1 for (\d+)\.", reason))
    assert 8 <= int(said[1]) < 60
    assert events[0]["chunk"] == 1
    assert events[2]["pid"] in before


def test_a_frozen_worker_is_found_by_its_silence_long_before_its_deadline(
    run: TrainSetup, local_gradient: Vector, script: Script
) -> None:
    config = settings(2, heartbeat_timeout_s=5.0)
    with open_ray_runner(run.spec, config, worker_class=faulty_worker(script)) as runner:
        runner.wait_until_ready()
        update_of(run, runner)
        # Long, but alive: it answers, and keeps its chunk.
        script.write({(0, 1): Fault("slow")})
        gradient, events = update_of(run, runner)
        assert np.array_equal(gradient, local_gradient)
        assert events == []
        script.write({(0, 1): Fault("freeze")})
        started = time.monotonic()
        gradient, events = update_of(run, runner)
    assert time.monotonic() - started < 120
    assert np.array_equal(gradient, local_gradient)
    assert kinds(events) == ["timeout", "retry", "restart"]
    assert "no sign of life" in str(events[0]["reason"])


def test_a_chunk_on_a_slow_worker_is_given_to_an_idle_one_and_counted_once(
    run: TrainSetup, local_gradient: Vector, script: Script
) -> None:
    config = settings(2, backup_factor=3.0)
    with open_ray_runner(run.spec, config, worker_class=faulty_worker(script)) as runner:
        runner.wait_until_ready()
        # A worker's first chunk takes long by itself, and may be backed up, too.
        update_of(run, runner)
        update_of(run, runner)
        script.write({(0, 1): Fault("slow")})
        started = time.monotonic()
        gradient, events = update_of(run, runner)
        assert time.monotonic() - started < SLOW_S
        assert np.array_equal(gradient, local_gradient)
        assert [event["chunk"] for event in events if event["kind"] == "backup"][-1] == 1
        # The slow worker is asked to leave its chunk, and does so between two episodes: no result
        # of it arrives, and it is not replaced.
        slow = next(worker for worker in runner._pool.workers if worker.work)
        pid, late = slow.pid, []

        def is_free() -> bool:
            late.extend(kinds(update_of(run, runner, step=1)[1]))
            return not slow.work

        assert wait_for(is_free, seconds=10 * SLOW_S)
        assert set(late) <= {"backup"}
        assert slow.pid == pid


def test_an_idle_worker_helps_a_slow_one_while_a_chunk_waits_that_failed_on_it(
    run: TrainSetup, local_gradient: Vector, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(2, backup_factor=3.0)
    with open_ray_runner(run.spec, config, worker_class=faulty_worker(script)) as runner:
        runner.wait_until_ready()
        update_of(run, runner)
        update_of(run, runner)
        waits = []

        def counted(refs: Sequence[object], *, timeout_s: float) -> list[object]:
            waits.append(timeout_s)
            return wait_for_some(refs, timeout_s=timeout_s)

        monkeypatch.setattr("cluster.runner.wait_for_some", counted)
        # One worker is at the first of them when the last one fails on the other.
        script.write({(0, 1): Fault("slow"), (0, 4): Fault("raise")})
        gradient, events = update_of(run, runner)
    assert np.array_equal(gradient, local_gradient)
    assert [event["chunk"] for event in events if event["kind"] == "retry"] == [4]
    assert 1 in [event["chunk"] for event in events if event["kind"] == "backup"]
    # Nor is the deadline of what is slow looked at without end.
    assert len(waits) < 500
