"""The simulated cluster, and what can happen to it: processes die, freeze or stall, nodes go.

Only processes below this one are ever signalled.
"""

import contextlib
import os
import random
import signal
import time
from pathlib import Path
from typing import Any
from unittest import mock

import ray
from ray.cluster_utils import Cluster

from tests.chaos.calls import OF_HEADS, OF_NODES, failing, steadily_failing
from tests.cluster.simulated import HEALTH
from tests.helpers import descendants

CPUS_PER_NODE = 2
NUM_NODES = 2


class Nodes:
    """A head without cores, and nodes with cores, after `renew`.

    To the head nothing happens but that some of the calls fail by which it places workers.
    """

    def __init__(self) -> None:
        with mock.patch.dict(os.environ, steadily_failing(OF_HEADS)):
            self._cluster = Cluster(
                initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": HEALTH}
            )
        self._nodes: list[Any] = []
        self._calls = random.Random()
        ray.init(address=self._cluster.address, logging_level="ERROR")

    @property
    def address(self) -> str:
        """host:port for a driver."""
        return str(self._cluster.address)

    def renew(self, calls: random.Random) -> None:
        """Start fresh nodes; `calls` decides which remote calls fail on them and on later ones."""
        self._calls = calls
        for node in self._nodes:
            self._cluster.remove_node(node, allow_graceful=False)
        self._nodes = [self._add() for _ in range(NUM_NODES)]

    def _add(self) -> Any:
        environment = failing(self._calls, OF_NODES)
        return self._cluster.add_node(num_cpus=CPUS_PER_NODE, env_vars=environment)

    def kill_one(self, rng: random.Random) -> None:
        """Kill a node with all its processes, and start another in its place."""
        node = self._nodes.pop(rng.randrange(len(self._nodes)))
        self._cluster.remove_node(node, allow_graceful=False)
        self._nodes.append(self._add())

    def leaks(self, timeout_s: float = 30.0) -> list[str]:
        """Things that a driver left behind when it ended; waits a while for them to go."""
        deadline = time.monotonic() + timeout_s
        while found := self._leaks():
            if time.monotonic() > deadline:
                return found
            time.sleep(0.5)
        return []

    def _leaks(self) -> list[str]:
        total, free = ray.cluster_resources(), ray.available_resources()
        found = [f"a process {pid} of an episode worker" for pid in episode_workers()]
        for name in ("CPU", "object_store_memory"):
            missing = total.get(name, 0.0) - free.get(name, 0.0)
            if missing > 1e-6:
                found.append(f"{missing:g} of {name} in use")
        found += [f"placement group {name}" for name in ray.util.placement_group_table()]
        return found

    def close(self) -> None:
        """End all nodes."""
        ray.shutdown()
        self._cluster.shutdown()


def episode_workers() -> list[int]:
    """Processes of episode workers on all nodes."""
    found = []
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            if b"ray::EpisodeWorker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def hit(signals: list[signal.Signals], rng: random.Random, pause_s: float = 0.0) -> bool:
    """Send signals to one episode worker, with a pause in between; False if there is none."""
    workers = episode_workers()
    if not workers:
        return False
    pid = rng.choice(sorted(workers))
    for index, sent in enumerate(signals):
        if index:
            time.sleep(pause_s)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sent)
    return True
