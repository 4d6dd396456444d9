"""A node whose notice has come gets nothing more to do, and what it computes still counts."""

from pathlib import Path

import pytest

from metagan.workflow.setup import TrainSetup
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
