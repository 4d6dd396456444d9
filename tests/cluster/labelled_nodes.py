"""Workers on nodes with labels: a driver's, a spot and an on-demand one."""

import contextlib
import time
import urllib.request

import ray
import ray.util.state
from ray.cluster_utils import Cluster

from cluster.config import ClusterConfig
from cluster.errors import ClusterError
from cluster.opening import open_ray_runner
from metagan.core.outer_loop import plan_step
from tests.cluster.simulated import inputs, tell

spec, vector, tasks, weights = inputs()
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
        with contextlib.suppress(OSError):
            text += urllib.request.urlopen(url, timeout=5).read().decode()
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
        results, _ = runner.run(vector, chunks)
        assert len(results) == len(chunks)
        actors = ray.util.state.list_actors(filters=[("state", "=", "ALIVE")], detail=True)
        found = sorted(ids[actor.node_id] for actor in actors)
        results.sort(key=lambda result: result.report.index)
        total = sum(float(abs(result.gradient_sum).sum()) for result in results)
        # Ray exports a gauge only for a while after it was set, so the run goes on meanwhile.
        deadline = time.monotonic() + 120
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
tell(out)
ray.shutdown()
nodes.shutdown()
