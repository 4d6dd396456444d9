"""Several nodes with labels and fake GPUs, of which first one goes and then all that are left."""

from pathlib import Path

import pytest

from metagan.workflow.setup import TrainSetup
from tests.cluster.ray_for_tests import bars_run
from tests.cluster.simulated import run_scenario


@pytest.mark.ray
def test_nodes_go_in_the_middle_of_steps_and_the_bits_are_equal(tmp_path: Path) -> None:
    run: TrainSetup = bars_run(tmp_path / "bars")
    seen = run_scenario("lost_nodes", run, tmp_path)
    assert set(seen["equal"]) == {True}
    assert len(seen["equal"]) >= 3 * 5
    assert seen["step_1"] == ["first", "second"]
    # A node that comes later takes the place of the one that went.
    assert "third" in seen["after_it_came"]
    assert seen["events"].count("restart") == 1
    assert "no worker within cluster.quorum_timeout_s 3 s" in seen["error"]
    assert "nodes labelled metagan.io/role=task: none" in seen["error"]
    assert seen["exit_code"] == 4
    assert 3 <= seen["seconds"] < 60
    assert seen["gpus"] == ["1"]
    assert seen["unlabelled"] == 0
