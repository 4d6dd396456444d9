"""Nodes with fake GPUs are lost in the middle of outer steps: one of two, then all others.

The head has a GPU, too, but not the label that workers ask for.
"""

import itertools
import threading
import time
from pathlib import Path

import numpy as np
import ray
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
from tests.cluster.simulated import HEALTH, inputs, tell

QUORUM_S = 3.0


def main() -> None:
    spec, vector, tasks, weights = inputs()
    folder = Path(spec.config.data.path or "").parent
    begun = folder / "begun"

    class Held(EpisodeWorker):
        """Reports node and chunk of each start, and holds the chunk if `hold-STEP-NODE` exists."""

        @ray.method(num_returns=2)
        def compute(
            self, vector: Vector, chunk: ChunkKey
        ) -> tuple[ChunkReport | WorkerFailure, Vector]:
            node = ray.get_runtime_context().get_node_id()
            gpus = len(ray.get_gpu_ids())
            with begun.open("a") as file:
                file.write(f"{chunk.step} {chunk.index} {node} {gpus}\n")
            if (folder / f"hold-{chunk.step}-{node}").exists():
                time.sleep(600)
            return super().compute(vector, chunk)

    def lines() -> list[list[str]]:
        text = begun.read_text() if begun.exists() else ""
        return [line.split() for line in text.splitlines()]

    size = {"num_cpus": 1, "num_gpus": 1}
    head = {**size, "labels": {"metagan.io/role": "other"}, "_system_config": HEALTH}
    nodes = Cluster(initialize_head=True, head_node_args=head)

    def add() -> object:
        return nodes.add_node(**size, labels={"metagan.io/role": "task"})

    first, second = add(), add()
    ray.init(address=nodes.address, logging_level="ERROR")

    def lose(step: int, *going: object) -> threading.Thread:
        """Remove nodes as soon as a chunk of this step is held on each."""
        for node in going:
            (folder / f"hold-{step}-{node.node_id}").touch()

        def when_held() -> None:
            wanted = {(str(step), node.node_id) for node in going}
            while not wanted <= {(line[0], line[2]) for line in lines()}:
                time.sleep(0.05)
            for node in going:
                nodes.remove_node(node, allow_graceful=False)

        thread = threading.Thread(target=when_held, daemon=True)
        thread.start()
        return thread

    config = ClusterConfig(
        num_workers=2,
        cpus_per_worker=0.5,
        gpus_per_worker=1,
        worker_labels=("metagan.io/role=task",),
        backup_factor=None,
        # The three workers of the nodes that go. Those that Ray places on a node which it does not
        # know to be dead yet never run, and are nobody's loss.
        max_worker_restarts=3,
        placement_timeout_s=120,
        quorum_timeout_s=QUORUM_S,
    )
    local = LocalRunner(ChunkWorker(spec, device=choose_device("cpu")))
    out: dict[str, object] = {"equal": [], "events": []}

    def step(runner: object, number: int) -> None:
        chunks = plan_step(spec.config, tasks, weights, number)
        results, stats = runner.run(vector, chunks)
        out["events"] += [event["kind"] for event in stats.events]
        sums = {result.report.index: result.gradient_sum for result in results}
        expected, _ = local.run(vector, chunks)
        out["equal"] += [np.array_equal(sums[r.report.index], r.gradient_sum) for r in expected]

    def on(number: int) -> list[str]:
        """Nodes on which chunks of a step were begun."""
        names = {first.node_id: "first", second.node_id: "second", third.node_id: "third"}
        return sorted({names[line[2]] for line in lines() if line[0] == str(number)})

    with open_ray_runner(spec, config, worker_class=Held) as runner:
        runner.wait_until_ready()
        step(runner, 0)
        lose(1, first)
        step(runner, 1)
        third = add()
        runner.wait_until_ready()
        for number in itertools.count(2):  # Its first chunk may come after all others of a step.
            step(runner, number)
            if "third" in on(number):
                break
        out["after_it_came"] = on(number)
        out["step_1"] = on(1)
        lost = lose(number + 1, second, third)
        started = time.monotonic()
        try:
            step(runner, number + 1)
        except ClusterError as error:
            out["error"], out["exit_code"] = str(error), error.exit_code
        out["seconds"] = time.monotonic() - started
        lost.join()
    out["gpus"] = sorted({line[3] for line in lines()})
    out["unlabelled"] = sum(line[2] == nodes.head_node.node_id for line in lines())
    tell(out)
    ray.shutdown()
    nodes.shutdown()


if __name__ == "__main__":
    main()
