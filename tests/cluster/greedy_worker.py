"""A worker takes more and more memory in the middle of an outer step, until Ray ends one.

Ray's memory monitor is told that the node is full long before this machine is.
"""

from pathlib import Path

import numpy as np
import ray
from ray.cluster_utils import Cluster

from cluster.config import ClusterConfig
from cluster.opening import open_ray_runner
from cluster.worker import EpisodeWorker, WorkerFailure
from metagan.core.chunks import ChunkKey, ChunkReport
from metagan.core.outer_loop import plan_step
from metagan.core.params import Vector
from metagan.devices import choose_device
from metagan.workflow.worker import ChunkWorker, LocalRunner
from tests.cluster.simulated import inputs, tell
from tests.helpers import take_memory, used_memory

# Of all memory, besides what is in use before.
ROOM = 0.2


def main() -> None:
    spec, vector, tasks, weights = inputs()
    struck = Path(spec.config.data.path or "").parent / "struck"

    class Greedy(EpisodeWorker):
        """A worker that takes all memory at its first attempt at one chunk."""

        @ray.method(num_returns=2)
        def compute(
            self, vector: Vector, chunk: ChunkKey
        ) -> tuple[ChunkReport | WorkerFailure, Vector]:
            if (chunk.step, chunk.index) == (1, 0) and not struck.exists():
                struck.touch()
                take_memory()
            return super().compute(vector, chunk)

    system = {"memory_usage_threshold": used_memory() + ROOM, "memory_monitor_refresh_ms": 100}
    head = {"num_cpus": 2, "object_store_memory": 100_000_000, "_system_config": system}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    ray.init(address=nodes.address, logging_level="ERROR")
    config = ClusterConfig(num_workers=2, backup_factor=None)
    local = LocalRunner(ChunkWorker(spec, device=choose_device("cpu")))
    equal, events = [], []
    with open_ray_runner(spec, config, worker_class=Greedy) as runner:
        runner.wait_until_ready()
        for step in range(3):
            chunks = plan_step(spec.config, tasks, weights, step)
            results, stats = runner.run(vector, chunks)
            events += [(event["kind"], event.get("reason")) for event in stats.events]
            sums = {result.report.index: result.gradient_sum for result in results}
            expected, _ = local.run(vector, chunks)
            equal += [np.array_equal(sums[r.report.index], r.gradient_sum) for r in expected]
    tell({"equal": equal, "events": events, "struck": struck.exists()})
    ray.shutdown()
    nodes.shutdown()


if __name__ == "__main__":
    main()
