"""Items on Ray's tasks: in order, and not waited for where there never is room for them."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from cluster.errors import ClusterError
from cluster.work import RayMap
from tests.cluster.ray_for_tests import NUM_CPUS
from tests.cluster.runs import settings

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


def late_by(delay_s: float, item: int) -> int:
    time.sleep(delay_s)
    return item * item


def test_results_come_in_order_and_an_item_may_take_longer_than_its_placement() -> None:
    work = RayMap(settings(2))
    assert list(work(late_by, 0.01, list(range(7)))) == [n * n for n in range(7)]
    # Its processes are there by now, so that the deadline of a task that starts is short.
    short = RayMap(settings(1, placement_timeout_s=2.0))
    assert list(short(late_by, 4.0, [3])) == [9]
    assert list(short(late_by, 4.0, [])) == []


def struck_once(fault: tuple[Path, signal.Signals], item: int) -> int:
    """Send this process a signal at the first attempt at item 1."""
    folder, number = fault
    with (folder / "begun").open("a") as file:
        file.write(f"{item}\n")
    if item == 1:
        with contextlib.suppress(FileExistsError):
            (folder / "struck").touch(exist_ok=False)
            (folder / "pid").write_text(str(os.getpid()))
            os.kill(os.getpid(), number)
    return item


def test_an_item_whose_process_dies_is_computed_again(tmp_path: Path) -> None:
    work = RayMap(settings(2))
    assert list(work(struck_once, (tmp_path, signal.SIGKILL), list(range(4)))) == [0, 1, 2, 3]
    assert (tmp_path / "struck").exists()


def test_an_item_whose_process_is_frozen_is_computed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.work._SHORTEST_S", 2.0)
    work = RayMap(settings(2, backup_factor=3.0))
    started = time.monotonic()
    try:
        found = list(work(struck_once, (tmp_path, signal.SIGSTOP), list(range(5))))
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGCONT)
    assert found == list(range(5))
    # One more process was given the item, and no third one while the first is frozen.
    assert (tmp_path / "begun").read_text().splitlines().count("1") == 2
    assert 2 <= time.monotonic() - started < 120


def test_a_frozen_item_does_not_keep_the_only_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.work._SHORTEST_S", 2.0)
    work = RayMap(settings(1, backup_factor=3.0))
    try:
        found = list(work(struck_once, (tmp_path, signal.SIGSTOP), list(range(4))))
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGCONT)
    assert found == list(range(4))


def test_where_no_item_ends_it_is_told_and_where_none_can_the_evaluation_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("cluster.work._TELL_S", 0.05)
    monkeypatch.setattr("cluster.work._LONG_S", 0.05)
    assert list(RayMap(settings(1))(late_by, 2.5, [2])) == [4]
    assert "none of 1 tasks has ended for" in caplog.text
    assert "or be frozen" in caplog.text
    # As if the nodes had gone after the first task.
    work = RayMap(settings(1, placement_timeout_s=1.5))
    monkeypatch.setattr(work, "_await_room", lambda _: None)
    monkeypatch.setattr("cluster.work.node_resources", lambda _: [])
    with pytest.raises(ClusterError, match=r"no task can run within cluster.placement_timeout_s"):
        list(work(late_by, 20.0, [2]))
    assert "Ray has room for 0 (nodes: none)" in caplog.text


def test_items_that_can_never_fit_are_refused_at_once() -> None:
    work = RayMap(settings(NUM_CPUS + 1))
    with pytest.raises(ClusterError, match=r"room for 6 \(nodes: 6 CPU, 0 GPU\); lower .* to 6"):
        list(work(late_by, 0.0, [1]))


def test_a_cluster_without_room_is_waited_for_until_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cluster.resources.started_by_this_process", lambda: False)
    nowhere = ("metagan.io/role=nothing",)
    work = RayMap(settings(2, worker_labels=nowhere, placement_timeout_s=1.0))
    started = time.monotonic()
    with pytest.raises(ClusterError, match=r"timeout_s 1 s: .*labelled metagan.io/role=nothing"):
        list(work(late_by, 0.0, [1, 2]))
    assert 1 <= time.monotonic() - started < 120
