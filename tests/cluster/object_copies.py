"""Copies that outer steps put into the nodes' object stores, as those stores report them.

The driver's node has no cores; two workers share the other one. Parameters and gradient sums are
too large for Ray to send them inside of its messages.
"""

import time
from typing import Any

import numpy as np
import ray
from ray._private.internal_api import node_stats
from ray.cluster_utils import Cluster

from cluster.config import ClusterConfig
from cluster.opening import open_ray_runner
from cluster.worker import EpisodeWorker, WorkerFailure
from metagan.core.chunks import ChunkKey, ChunkReport
from metagan.core.outer_loop import plan_step
from metagan.core.params import Vector, vector_hash
from tests.cluster.simulated import inputs, tell

NUM_WEIGHTS = 1_000_000


class Prompt(EpisodeWorker):
    """Answers with a multiple of the parameters, after a moment.

    The moment lets both workers have a part of every step.
    """

    @ray.method(num_returns=2)
    def compute(
        self, vector: Vector, chunk: ChunkKey
    ) -> tuple[ChunkReport | WorkerFailure, Vector]:
        time.sleep(0.2)
        gradient = vector * np.float32(1 + chunk.index)
        report = ChunkReport(
            step=chunk.step,
            index=chunk.index,
            num_finite=len(chunk.episodes),
            metric_sums={"pid": float(self.ping())},
            failures=(),
            compute_s=0.2,
            gradient_hash=vector_hash(gradient),
            params_hash=vector_hash(vector),
        )
        return report, gradient


def created(node: dict[str, Any]) -> tuple[int, int]:
    """(objects, bytes) that were put or copied into a node's store since it was started."""
    stats = node_stats(
        node["NodeManagerAddress"], node["NodeManagerPort"], include_memory_info=False
    ).store_stats
    return stats.cumulative_created_objects, stats.cumulative_created_bytes


def main() -> None:
    spec, _, tasks, weights = inputs()
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes.add_node(num_cpus=2)
    ray.init(address=nodes.address, logging_level="ERROR")
    ours, theirs = sorted(ray.nodes(), key=lambda node: node["Resources"].get("CPU", 0))
    config = ClusterConfig(num_workers=2, backup_factor=None)
    steps = []
    with open_ray_runner(spec, config, worker_class=Prompt) as runner:
        runner.wait_until_ready()
        for step in range(3):
            chunks = plan_step(spec.config, tasks, weights, step)
            before = created(ours), created(theirs)
            vector = np.full(NUM_WEIGHTS, step, np.float32)
            results, stats = runner.run(vector, chunks)
            after = created(ours), created(theirs)
            steps.append(
                {
                    "chunks": len(results),
                    "workers": len({result.report.metric_sums["pid"] for result in results}),
                    "events": len(stats.events),
                    "created": [
                        [new - old for new, old in zip(a, b, strict=True)]
                        for a, b in zip(after, before, strict=True)
                    ],
                }
            )
    tell(steps)
    ray.shutdown()
    nodes.shutdown()


if __name__ == "__main__":
    main()
