"""Workers on a simulated cluster of several nodes with labels: where they run, and where not."""

from pathlib import Path

import pytest

from metagan.workflow.setup import TrainSetup
from tests.cluster.simulated import run_scenario


@pytest.mark.ray
@pytest.mark.slow
def test_workers_run_on_nodes_with_the_labels_that_were_asked_for(
    run: TrainSetup, tmp_path: Path
) -> None:
    out = run_scenario("labelled_nodes", run, tmp_path, RAY_metrics_report_interval_ms="1000")
    assert out["tasks"]["nodes"] == ["on_demand", "on_demand", "spot", "spot"]
    assert out["spot"]["nodes"] == ["spot", "spot"]
    assert out["fallback"]["nodes"] == ["on_demand", "spot", "spot"]
    assert out["tasks"]["total"] == out["spot"]["total"] == out["fallback"]["total"] > 0
    assert "nodes labelled metagan.io/role=nothing: none" in out["nowhere"]
    lines = out["fallback"]["metrics"]
    values = {line.partition("{")[0]: float(line.rpartition(" ")[2]) for line in lines}
    # Every step has five chunks of two episodes each.
    steps = values["ray_metagan_outer_steps_total"]
    assert steps >= 3
    assert values["ray_metagan_chunks_accepted_total"] == 5 * steps
    assert values["ray_metagan_episodes_finite_total"] == 10 * steps
    assert values["ray_metagan_chunk_seconds_count"] == 5 * steps
    assert values["ray_metagan_workers_ready"] == 3
