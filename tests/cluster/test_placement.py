"""Workers on a simulated cluster of several nodes with labels: where they run, and where not."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from metagan.workflow.setup import TrainSetup
from tests.conftest import REPOSITORY

# A process of its own: one process has one Ray.
SCRIPT = """
import json, pickle, sys, time, urllib.request
import ray
import ray.util.state
from ray.cluster_utils import Cluster
from cluster.config import ClusterConfig
from cluster.errors import ClusterError
from cluster.runner import open_ray_runner
from metagan.train import plan_step

spec, vector, tasks, weights = pickle.load(open(sys.argv[1], "rb"))
nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": True})
ids = {}
for name, labels in {
    "driver": {"metagan.io/role": "driver"},
    "spot": {"metagan.io/role": "task", "metagan.io/market": "spot"},
    "on_demand": {"metagan.io/role": "task", "metagan.io/market": "on-demand"},
}.items():
    ids[nodes.add_node(num_cpus=2, labels=labels).node_id] = name
ray.init(address=nodes.address, logging_level="ERROR")


def scrape():
    text = ""
    for node in ray.nodes():
        url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        try:
            text += urllib.request.urlopen(url, timeout=5).read().decode()
        except OSError:
            pass
    return [line for line in text.splitlines() if line.startswith("ray_metagan_")]


def where(num_workers, placement_timeout_s=150, **labels):
    config = ClusterConfig(
        num_workers=num_workers, placement_timeout_s=placement_timeout_s, **labels
    )
    while ray.available_resources().get("CPU") != 6:  # Those of the last one are leaving.
        time.sleep(0.1)
    with open_ray_runner(spec, config) as runner:
        runner.wait_until_ready()
        chunks = plan_step(spec.config, tasks, weights, 0)
        results, stats = runner.run(vector, chunks)
        assert len(results) == len(chunks)
        actors = ray.util.state.list_actors(filters=[("state", "=", "ALIVE")], detail=True)
        found = sorted(ids[actor.node_id] for actor in actors)
        results.sort(key=lambda result: result.report.index)
        total = sum(float(abs(result.gradient_sum).sum()) for result in results)
        # Ray exports a gauge only for a while after it was set, so the run goes on meanwhile.
        deadline = time.monotonic() + 40
        mark, end = "ray_metagan_workers_ready{", f" {num_workers}.0"
        seen = scrape()
        while not any(line.startswith(mark) and line.endswith(end) for line in seen):
            assert time.monotonic() < deadline, seen
            runner.run(vector, chunks)
            time.sleep(0.5)
            seen = scrape()
    return {"nodes": found, "total": total, "metrics": seen}


spot = ("metagan.io/role=task", "metagan.io/market=spot")
on_demand = ("metagan.io/role=task", "metagan.io/market=on-demand")
out = {
    "tasks": where(4, worker_labels=("metagan.io/role=task",)),
    "spot": where(2, worker_labels=spot),
    "fallback": where(3, worker_labels=spot, fallback_labels=on_demand),
}
try:
    nothing = ("metagan.io/role=nothing",)
    where(1, worker_labels=nothing, placement_timeout_s=2)
except ClusterError as error:
    out["nowhere"] = str(error)
print("RESULT " + json.dumps(out))
ray.shutdown()
nodes.shutdown()
"""


@pytest.mark.ray
@pytest.mark.slow
def test_workers_run_on_nodes_with_the_labels_that_were_asked_for(
    run: TrainSetup, tmp_path: Path
) -> None:
    import pickle

    inputs = tmp_path / "inputs.pickle"
    vector = run.layout.flatten(run.initial).numpy().copy()
    weights = run.source.task_weights("train")
    inputs.write_bytes(pickle.dumps((run.spec, vector, run.source.tasks("train"), weights)))
    with tempfile.TemporaryDirectory(prefix="mg-") as folder:  # Socket paths have to be short.
        kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(inputs)],
            cwd=REPOSITORY,
            env={
                **kept,
                "HOME": folder,
                "RAY_TMPDIR": folder,
                "RAY_AUTH_MODE": "disabled",
                "RAY_USAGE_STATS_ENABLED": "0",
                "RAY_metrics_report_interval_ms": "1000",
            },
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, done.stdout + done.stderr
    out = json.loads(lines[0].removeprefix("RESULT "))
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
