"""Questions to Ray that may stay without an answer: nothing waits longer than it should."""

import threading
from typing import Any

import pytest
from ray.exceptions import GetTimeoutError

from cluster.config import ClusterConfig
from cluster.connect import in_time
from cluster.errors import ClusterError
from cluster.pool import Worker, WorkerPool
from cluster.remote import Loss, fetch_large
from cluster.resources import describe_wait
from cluster.worker import WorkerReady


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.connect._LOOK_S", 0.01)


def test_what_is_answered_in_time_is_passed_on_as_it_is() -> None:
    def fail() -> int:
        raise ValueError("no")

    assert in_time(lambda: 3, timeout_s=60.0) == 3
    with pytest.raises(ValueError, match="no"):
        in_time(fail, timeout_s=60.0)


def test_what_is_not_answered_is_given_up_and_looked_after_meanwhile() -> None:
    held, looks = threading.Event(), []
    assert in_time(held.wait, timeout_s=0.1, meanwhile=lambda: looks.append(1)) is None
    assert looks

    def gone() -> None:
        raise ClusterError("the head is gone")

    with pytest.raises(ClusterError, match="the head is gone"):
        in_time(held.wait, timeout_s=60.0, meanwhile=gone)
    held.set()


def test_a_result_that_comes_slowly_is_fetched_by_one_call_that_is_not_broken_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timeouts: list[float] = []
    looked_after = threading.Event()

    def slow(ref: str, *, timeout_s: float) -> str:
        timeouts.append(timeout_s)
        if len(timeouts) == 1:
            raise GetTimeoutError
        assert looked_after.wait(60)
        return ref

    monkeypatch.setattr("cluster.remote.fetch", slow)
    found = fetch_large("gradient", timeout_s=600.0, meanwhile=looked_after.set)
    assert (found, timeouts) == ("gradient", [5.0, 600.0])


def test_a_result_that_never_comes_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    held = threading.Event()

    def never(_: str, *, timeout_s: float) -> None:
        if timeout_s == 5.0:
            raise GetTimeoutError
        held.wait()

    monkeypatch.setattr("cluster.remote.fetch", never)
    with pytest.raises(GetTimeoutError, match=r"has not arrived in 0\.05 s"):
        fetch_large("gradient", timeout_s=0.05, meanwhile=lambda: None)
    held.set()


def test_a_head_that_does_not_say_what_is_missing_does_not_hold_the_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = threading.Event()
    monkeypatch.setattr("cluster.resources._ASK_S", 0.05)
    monkeypatch.setattr("cluster.resources.node_resources", lambda _: held.wait())
    said = describe_wait(ClusterConfig(), "cluster.quorum_timeout_s")
    assert said == "the cluster's head has not answered for 0.05 s"
    held.set()


@pytest.mark.parametrize(
    ("free", "end"),
    [
        ({}, "but only 0 CPU and 0 GPU are free; stop other jobs or raise cluster."),
        ({"CPU": 0.5}, "but only 0.5 CPU and 0 GPU are free; stop other jobs or raise cluster."),
        ({"CPU": 4.0}, "and 4 CPU and 0 GPU are free: its nodes are slow to start them, or frozen"),
    ],
)
def test_what_is_missing_is_room_or_a_node_that_starts_nothing(
    free: dict[str, float], end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.resources.node_resources", lambda _: [{"CPU": 8.0}])
    monkeypatch.setattr("cluster.resources.ray.available_resources", lambda: free)
    said = describe_wait(ClusterConfig(num_workers=2), "cluster.quorum_timeout_s")
    assert end in said
    assert said.endswith("raise cluster.quorum_timeout_s")


def test_a_node_that_dies_with_its_workers_is_charged_once() -> None:
    pool = WorkerPool.__new__(WorkerPool)
    pool._config = ClusterConfig(heartbeat_timeout_s=30.0)
    pool._nodes_lost = {}

    def charged(node: str | None, **loss: Any) -> bool:
        ready = None if node is None else WorkerReady(1, "host", node, "cpu", "2")
        worker = Worker(0, None, None, None, 0.0, ready=ready)
        return pool._is_charged(worker, Loss("lost", **loss))

    assert [charged("a", with_node=True) for _ in range(3)] == [True, False, False]
    assert charged("b", with_node=True)
    assert charged("a")
    assert charged(None, with_node=True)
    assert not charged("c", with_node=True, preempted=True)
    # Silent again after a while: another loss.
    pool._nodes_lost["a"] -= 31.0
    assert charged("a", with_node=True)
