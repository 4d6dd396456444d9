"""A node whose notice has come gets nothing more to do, and what it computes still counts."""

from pathlib import Path

import pytest

from metagan.workflow.setup import TrainSetup
from tests.cluster.commands import assert_bits_of_one_process
from tests.cluster.drained_node import NOTICE_S
from tests.cluster.ray_for_tests import bars_run
from tests.cluster.simulated import run_scenario


@pytest.mark.ray
@pytest.mark.slow
def test_workers_leave_a_node_that_is_drained_and_the_bits_are_equal(tmp_path: Path) -> None:
    run: TrainSetup = bars_run(tmp_path / "bars")
    seen = run_scenario("drained_node", run, tmp_path)
    assert seen["equal"] == [True] * 15
    assert seen["events"] == ["drain", "drain"]  # Nobody was lost.
    # Each of the two may still begin with the chunk that is taken from it, until it is ended.
    assert 15 <= seen["begun"] <= 17
    assert seen["attempts_at_the_long_chunk"] == [True]
    assert seen["begun_after_the_notice"] >= 5
    assert seen["of_those_on_the_drained_node"] <= 1
    # All five of the last step, and what was taken from a worker that left.
    assert seen["on_the_other_node"] > 5
    # Ray ends a drained node as soon as nothing runs on it.
    assert not seen["drained_node_is_alive"]
    # When the driver's own node gets its notice, the run ends while there is time for a checkpoint.
    assert "the driver's own node" in seen["own"]
    assert "--resume auto" in seen["own"]


@pytest.mark.ray
@pytest.mark.slow
def test_a_command_whose_own_node_is_drained_leaves_a_checkpoint_and_resumes_to_equal_bits(
    tmp_path: Path,
) -> None:
    setup: TrainSetup = bars_run(tmp_path / "bars")
    seen = run_scenario("drained_driver", setup, tmp_path)
    reached = seen["reached"]
    assert seen["exit_code"] == 4
    assert "the driver's own node" in seen["said"]
    assert "--resume auto" in seen["said"]
    assert seen["seconds"] < NOTICE_S
    assert seen["checkpoints"] == [f"step-{reached}"]
    assert reached >= 2
    assert_bits_of_one_process(setup, tmp_path, reached + 2)
