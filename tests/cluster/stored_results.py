"""Results that are stored, of workers and a node that are gone when the driver wants to read them.

Gradient sums are too large for Ray to send them inside of its messages: each stays in the object
store of the node that computed it. Between the news that a result is there and the reading of it,
in outer step 1 the worker's process is killed, in outer step 2 its whole node.
"""

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import ray
from ray.cluster_utils import Cluster

from cluster import runner as runner_module
from cluster.config import ClusterConfig
from cluster.opening import open_ray_runner
from cluster.pool import Worker
from cluster.remote import Ref
from cluster.runner import RayRunner
from cluster.worker import WorkerFailure
from metagan.core.chunks import ChunkKey, ChunkReport
from metagan.core.outer_loop import plan_step
from metagan.core.params import Vector
from tests.cluster.object_copies import NUM_WEIGHTS, Prompt
from tests.cluster.simulated import HEALTH, inputs, tell

KILLED_WORKER, KILLED_NODE = 1, 2


class Reading:
    """The runner's `fetch`, which ends a worker or a node before the first read of two steps."""

    def __init__(self, runner: RayRunner, nodes: Cluster, others: list[Any]) -> None:
        self._runner, self._nodes, self._others = runner, nodes, others
        self._fetch = runner_module.fetch
        self.struck: dict[int, int] = {}

    def __call__(self, ref: Ref) -> Any:
        in_flight = self._runner._in_flight
        if ref in in_flight.refs:
            chunk, worker = in_flight[ref].chunk, in_flight[ref].worker
            if chunk.step in (KILLED_WORKER, KILLED_NODE) and chunk.step not in self.struck:
                self.struck[chunk.step] = chunk.index
                if chunk.step == KILLED_WORKER:
                    _kill(worker)
                else:
                    assert worker.ready is not None
                    (node,) = [n for n in self._others if n.node_id == worker.ready.node_id]
                    self._nodes.remove_node(node, allow_graceful=False)
                    _wait_for_death_of(worker.ready.node_id)
        return self._fetch(ref)


def main() -> None:
    spec, _, tasks, weights = inputs()
    begun = Path(spec.config.data.path or "").parent / "begun"

    class Telling(Prompt):
        """Reports each chunk that it begins."""

        @ray.method(num_returns=2)
        def compute(
            self, vector: Vector, chunk: ChunkKey
        ) -> tuple[ChunkReport | WorkerFailure, Vector]:
            with begun.open("a") as file:
                file.write(f"{chunk.step} {chunk.index}\n")
            return super().compute(vector, chunk)

    head = {"num_cpus": 0, "_system_config": HEALTH}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    others = [nodes.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=nodes.address, logging_level="ERROR")
    config = ClusterConfig(num_workers=2, min_workers=1, backup_factor=None, max_worker_restarts=2)
    out: dict[str, Any] = {"equal": [], "events": []}
    with open_ray_runner(spec, config, worker_class=Telling) as runner:
        runner.wait_until_ready()
        reading = Reading(runner, nodes, others)
        with mock.patch.object(runner_module, "fetch", reading):
            for step in range(4):
                chunks = plan_step(spec.config, tasks, weights, step)
                vector = np.full(NUM_WEIGHTS, 1 + step, np.float32)
                results, stats = runner.run(vector, chunks)
                out["equal"] += [
                    np.array_equal(r.gradient_sum, vector * np.float32(1 + r.report.index))
                    for r in results
                ]
                out["events"].append([[e["kind"], e.get("chunk")] for e in stats.events])
    counts = Counter(begun.read_text().splitlines())
    # How often the chunk was begun whose result was stored when its worker or node went.
    out["attempts"] = {s: counts[f"{s} {index}"] for s, index in reading.struck.items()}
    out["chunk"] = reading.struck
    tell(out)
    ray.shutdown()
    nodes.shutdown()


def _kill(worker: Worker) -> None:
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            ray.get(worker.actor.ping.remote(), timeout=5)
        except ray.exceptions.GetTimeoutError:
            continue
        except ray.exceptions.RayActorError:
            return
    raise AssertionError("the killed worker still answers")


def _wait_for_death_of(node_id: str) -> None:
    deadline = time.monotonic() + 120
    while any(node["Alive"] for node in ray.nodes() if node["NodeID"] == node_id):
        assert time.monotonic() < deadline, "the killed node still counts as alive"
        time.sleep(0.1)


if __name__ == "__main__":
    main()
