"""Several nodes with labels and fake GPUs, of which first one goes and then all that are left."""

from pathlib import Path

import pytest

from metagan.workflow.setup import TrainSetup
from tests.cluster.commands import assert_bits_of_one_process
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
    assert seen["events"].count("retry") == 1
    assert "no worker within cluster.quorum_timeout_s 3 s" in seen["error"]
    assert "nodes labelled metagan.io/role=task: none" in seen["error"]
    assert seen["exit_code"] == 4
    assert 3 <= seen["seconds"] < 120
    assert seen["gpus"] == ["1"]
    assert seen["unlabelled"] == 0


@pytest.mark.ray
@pytest.mark.slow
def test_a_run_whose_last_node_or_head_goes_ends_with_4_and_resumes_to_equal_bits(
    tmp_path: Path,
) -> None:
    setup: TrainSetup = bars_run(tmp_path / "bars")
    seen = run_scenario("last_node", setup, tmp_path)
    reached = seen["reached"]
    assert seen["exit_code"] == 4
    assert "no worker within cluster.quorum_timeout_s 4 s" in seen["said"]
    assert seen["checkpoints"] == [f"step-{reached}"]
    # The loss of the first one did not end it.
    assert reached >= seen["lost_on_two"] + 3
    headless = seen["headless"]
    assert headless["exit_code"] == 4, headless
    assert "the cluster's head has not answered for 30 s" in headless["said"]
    assert headless["reached"] >= reached + 4
    assert headless["kept"]
    # The newest checkpoint is that of the run without a head, which both losses came before.
    assert_bits_of_one_process(setup, tmp_path, headless["reached"])
