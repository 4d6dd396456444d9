"""Real Ray nodes on hosts of their own: network namespaces, skipped where there are none."""

import json
import re
from pathlib import Path

import pytest

from tests.chaos.hosts import in_namespaces, why_not, why_not_disturb

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.timeout(1200)]


def test_a_run_goes_on_when_the_link_to_a_host_is_cut(folder: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    done = in_namespaces("tests.chaos.link_cut", folder)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["exit_code_with_another_token"] == 1
    assert seen["workers"] == {"2": 2, "3": 2}
    # Ray notices within four seconds; heartbeats would within five.
    assert seen["steps_at_the_cut"] < 30
    assert seen["workers_on_the_new_host"] > 0
    assert seen["exit_code"] == 0
    assert seen["equal_weights"]
    assert seen["equal_log"]


@pytest.mark.parametrize(
    "qdisc",
    [
        "netem delay 40ms 10ms loss 1%",
        # Slower than what is sent: packets wait up to that long, and are lost beyond it.
        "tbf rate 400kbit burst 4kb latency 60ms",
    ],
    ids=["delay_and_loss", "too_narrow"],
)
def test_a_link_that_is_slow_and_loses_packets_costs_time_and_no_bit(
    folder: Path, qdisc: str
) -> None:
    if reason := why_not() or why_not_disturb(qdisc.split()):
        pytest.skip(reason)
    done = in_namespaces("tests.chaos.slow_link", folder, *qdisc.split())
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["steps_before"] < 15
    assert seen["exit_code"] == 0
    dropped = re.search(r"dropped (\d+)", seen["link"])
    assert dropped is not None
    assert int(dropped[1]) > 0, seen["link"]
    assert seen["equal_weights"]
    assert seen["equal_log"]


def test_an_autoscaler_starts_the_nodes_that_a_run_waits_for_and_ends_them_after_it(
    folder: Path,
) -> None:
    if reason := why_not():
        pytest.skip(reason)
    done = in_namespaces("tests.chaos.autoscaler", folder)
    assert done.returncode == 0, done.stdout + done.stderr[-6000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["nodes_before"] == 0
    assert seen["nodes_while_training"] == 2
    assert seen["exit_code"] == 0
    assert seen["equal_weights"]
    assert seen["equal_log"]
    # They are idle after six seconds; what is left of it is Ray's own time.
    assert seen["down_s"] < 60
    assert seen["search_exit_code"] == 0
    assert seen["nodes_while_searching"] == 2
