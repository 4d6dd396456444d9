"""A node without memory: Ray ends a worker there, and the run goes on with the same bits."""

from pathlib import Path

import pytest

from metagan.workflow.setup import TrainSetup
from tests.cluster.ray_for_tests import bars_run
from tests.cluster.simulated import run_scenario


@pytest.mark.ray
@pytest.mark.slow
def test_a_worker_that_ray_ends_for_its_memory_is_replaced_and_the_bits_are_equal(
    tmp_path: Path,
) -> None:
    run: TrainSetup = bars_run(tmp_path / "bars")
    seen = run_scenario("greedy_worker", run, tmp_path)
    assert seen["struck"]
    assert set(seen["equal"]) == {True}
    restarts = [reason for kind, reason in seen["events"] if kind == "restart"]
    assert restarts
    assert any("out of memory: lower" in reason for reason in restarts), restarts
