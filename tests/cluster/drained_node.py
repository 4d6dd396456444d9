"""A node gets its notice in the middle of an outer step.

Two workers run on one node; another node joins, and the first is drained while worker 0 is in the
middle of a chunk that takes longer than all others together.
"""

import threading
import time
from pathlib import Path

import numpy as np
import ray
from ray._raylet import GcsClient
from ray.cluster_utils import Cluster

from cluster.config import ClusterConfig
from cluster.errors import ClusterError
from cluster.opening import open_ray_runner
from cluster.worker import EpisodeWorker, WorkerFailure
from metagan.core.chunks import ChunkKey, ChunkReport
from metagan.core.outer_loop import plan_step
from metagan.core.params import Vector
from metagan.devices import choose_device
from metagan.workflow.worker import ChunkWorker, LocalRunner
from tests.cluster.simulated import inputs, tell

LONG_S = 15.0
NOTICE_S = 60.0
PREEMPTION = 2


def main() -> None:
    spec, vector, tasks, weights = inputs()
    begun = Path(spec.config.data.path or "").parent / "begun"

    class Telling(EpisodeWorker):
        """Reports node, time and chunk of each start, and takes long for one chunk."""

        @ray.method(num_returns=2)
        def compute(
            self, vector: Vector, chunk: ChunkKey
        ) -> tuple[ChunkReport | WorkerFailure, Vector]:
            node = ray.get_runtime_context().get_node_id()
            with begun.open("a") as file:
                file.write(f"{chunk.step} {chunk.index} {node} {time.time()}\n")
            if (chunk.step, chunk.index) == (1, 0):
                time.sleep(LONG_S)
            return super().compute(vector, chunk)

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    first = nodes.add_node(num_cpus=2).node_id
    ray.init(address=nodes.address, logging_level="ERROR")
    drained: list[float] = []

    def give_notice() -> None:
        drain(nodes.address, first)
        drained.append(time.time())

    # Not one lost worker is allowed: those that leave are not charged.
    config = ClusterConfig(num_workers=2, backup_factor=None, max_worker_restarts=0)
    local = LocalRunner(ChunkWorker(spec, device=choose_device("cpu")))
    equal, events = [], []
    with open_ray_runner(spec, config, worker_class=Telling) as runner:
        runner.wait_until_ready()
        second = nodes.add_node(num_cpus=2).node_id
        for step in range(3):
            chunks = plan_step(spec.config, tasks, weights, step)
            if step == 1:
                threading.Timer(2.0, give_notice).start()
            results, stats = runner.run(vector, chunks)
            events += [event["kind"] for event in stats.events]
            sums = {result.report.index: result.gradient_sum for result in results}
            expected, _ = local.run(vector, chunks)
            equal += [np.array_equal(sums[r.report.index], r.gradient_sum) for r in expected]
        ended_by = time.monotonic() + 120
        while time.monotonic() < ended_by and sum(node["Alive"] for node in ray.nodes()) > 2:
            time.sleep(0.2)
        alive = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
        lines = [line.split() for line in begun.read_text().splitlines()]
        # The head, where this process is.
        drain(nodes.address, nodes.head_node.node_id)
        try:
            while True:
                runner.run(vector, plan_step(spec.config, tasks, weights, 3))
        except ClusterError as error:
            own = str(error)
    after = [line for line in lines if float(line[3]) > drained[0] + 3]
    tell(
        {
            "equal": equal,
            "events": events,
            "begun": len(lines),
            "attempts_at_the_long_chunk": [
                line[2] == first for line in lines if line[0:2] == ["1", "0"]
            ],
            "begun_after_the_notice": len(after),
            "of_those_on_the_drained_node": sum(line[2] == first for line in after),
            "on_the_other_node": sum(line[2] == second for line in lines),
            "drained_node_is_alive": first in alive,
            "own": own,
        }
    )
    ray.shutdown()
    nodes.shutdown()


def drain(address: str, node: str) -> None:
    """Give a node notice that it will go in `NOTICE_S`."""
    deadline_ms = int(1000 * (time.time() + NOTICE_S))
    control = GcsClient(address=address)
    accepted, why_not = control.drain_node(node, PREEMPTION, "preempted", deadline_ms)
    assert accepted, why_not


if __name__ == "__main__":
    main()
