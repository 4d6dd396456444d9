"""Parameters are put once for an outer step and copied once to every node, by Ray's own count."""

from pathlib import Path

import pytest

from metagan.workflow.setup import TrainSetup
from tests.cluster.object_copies import NUM_WEIGHTS
from tests.cluster.simulated import run_scenario


@pytest.mark.ray
@pytest.mark.slow
def test_two_workers_of_a_node_share_one_copy_of_a_steps_parameters(
    run: TrainSetup, tmp_path: Path
) -> None:
    for step in run_scenario("object_copies", run, tmp_path):
        assert (step["chunks"], step["workers"], step["events"]) == (5, 2, 0)
        for objects, size in step["created"]:
            # On the driver's node the parameters are put and five sums arrive; on the other one
            # the parameters arrive and five sums are put. A second copy would be 4 MB more.
            assert objects == 1 + 5
            payload = 4 * NUM_WEIGHTS * objects
            assert payload <= size < payload + 10_000


@pytest.mark.ray
@pytest.mark.slow
def test_a_stored_result_counts_once_though_its_worker_or_its_node_is_gone(
    run: TrainSetup, tmp_path: Path
) -> None:
    seen = run_scenario("stored_results", run, tmp_path)
    assert seen["equal"] == [True] * 4 * 5
    calm, worker_killed, node_killed, after = seen["events"]
    assert (calm, after) == ([], [])
    # What a worker has stored outlives it; of what its node held the chunk is computed again.
    assert seen["attempts"] == {"1": 1, "2": 2}
    assert ["retry", seen["chunk"]["1"]] not in worker_killed
    assert ["retry", seen["chunk"]["2"]] in node_killed
    for events in (worker_killed, node_killed):
        assert [kind for kind, _ in events].count("restart") == 1
