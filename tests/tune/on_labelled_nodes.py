"""Searches on a simulated cluster whose nodes have labels; the last line printed is JSON.

    python -m tests.tune.on_labelled_nodes FOLDER

A process of its own: one process has one Ray.
"""

import contextlib
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from cluster.errors import ClusterError
from metagan.config.load import load_config
from metagan.data.arrow import prepare
from tests.chaos.campaign import isolate
from tests.helpers import bars
from tests.tune.faults import Disturbing, left_behind, parent_of, processes
from tests.tune.on_nodes import SETTINGS
from tune.config import SearchJobConfig
from tune.search import search

LABELS = {
    "driver": {"metagan.io/role": "driver"},
    "spot": {"metagan.io/role": "task", "metagan.io/market": "spot"},
    "on_demand": {"metagan.io/role": "task", "metagan.io/market": "on-demand"},
}
DRIVER = "[metagan.io/role=driver]"
SPOT = "[metagan.io/role=task,metagan.io/market=spot]"
ON_DEMAND = "[metagan.io/market=on-demand]"
SPACE = "tune.space={inner.lr: {choice: [0.01]}}"
SOON = "cluster.placement_timeout_s=2"
NOWHERE = "[metagan.io/role=nothing]"


class Placed:
    """Notes on which nodes processes of trials and of their workers are seen."""

    def __init__(self, raylets: Mapping[int, str]) -> None:
        self._raylets = raylets
        self.nodes: dict[str, set[str]] = defaultdict(set)

    def __call__(self) -> bool:
        for kind, name in (("trials", b"ray::ImplicitFunc"), ("workers", b"ray::EpisodeWorker")):
            for pid in processes(name):
                with contextlib.suppress(OSError):
                    self.nodes[kind].add(self._raylets[parent_of(pid)])
        return False


def main(arguments: Sequence[str]) -> int:
    """Searches with several choices of nodes, and two with none that fits."""
    folder = Path(arguments[0])
    isolate(folder)
    prepare(bars(), folder / "bars")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    raylets = {}
    for name, labels in LABELS.items():
        size = {"num_cpus": 2, "num_gpus": 2 * (name != "driver")}
        node = cluster.add_node(**size, labels=labels, object_store_memory=100_000_000)
        raylets[node.all_processes["raylet"][0].process.pid] = name
    ray.init(address=cluster.address, logging_level="ERROR")

    def tried(name: str, *settings: str) -> dict[str, Any]:
        placed = Placed(raylets)
        given = [*SETTINGS, f"data.path={folder / 'bars'}", "outer.steps=10", SPACE, *settings]
        config = load_config(SearchJobConfig, None, given).config
        try:
            found = search(config, folder / name, resume=False, reporter=Disturbing(placed))
        except ClusterError as error:
            return {"error": str(error)}
        return {
            "status": [trial["status"] for trial in found["trials"]],
            **{kind: sorted(nodes) for kind, nodes in placed.nodes.items()},
            "left": left_behind(),
        }

    own = "tune.workers_per_trial=0"
    seen = {
        "apart": tried("apart", f"tune.driver_labels={DRIVER}", f"cluster.worker_labels={SPOT}"),
        "fallback": tried(
            "fallback",
            own,
            f"cluster.worker_labels={NOWHERE}",
            f"cluster.fallback_labels={ON_DEMAND}",
        ),
        "nowhere": tried("nowhere", own, SOON, f"cluster.worker_labels={NOWHERE}"),
        "no driver": tried("no_driver", SOON, f"tune.driver_labels={NOWHERE}"),
    }
    ray.shutdown()
    cluster.shutdown()
    print(json.dumps(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
