"""Resources that workers reserve, compared with those that the cluster has."""

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from cluster.config import ClusterConfig, selectors
from cluster.connect import in_time, started_by_this_process
from cluster.drain import draining_nodes
from cluster.errors import ClusterError

# How long the cluster's head may take to say what there is.
_ASK_S = 5.0
# Variables with which a Ray of our own has other resources and labels than it is started with.
_OVERRIDES = ("RAY_OVERRIDE_RESOURCES", "RAY_OVERRIDE_LABELS")


@dataclass(frozen=True)
class WorkerShape:
    """The resources that Ray reserves for one worker.

    Attributes:
        cpus: Cores, may be a fraction.
        gpus: GPUs, may be a fraction below one.
    """

    cpus: float
    gpus: float

    @classmethod
    def of(cls, config: ClusterConfig) -> "WorkerShape":
        """The shape that the settings ask for."""
        return cls(config.cpus_per_worker, config.gpus_per_worker)

    def count_in(self, resources: Mapping[str, float]) -> int:
        """Number of such workers that a node with these resources holds."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus}
        # A tenth of a core ten times over is one core, not a little more.
        fits = [
            math.floor(resources.get(name, 0.0) / amount + 1e-6)
            for name, amount in wanted.items()
            if amount > 0
        ]
        return min(fits)

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{self.cpus:g} CPU{gpus}"


def hide_gpus_not_granted() -> None:
    """Hide all GPUs from a task or trial that reserved none, as Ray does not; call this first."""
    if not ray.get_gpu_ids():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def placement(config: ClusterConfig) -> dict[str, Any]:
    """Options of actors and tasks that decide on which nodes they may run."""
    if not config.worker_labels:
        return {}
    chosen: dict[str, Any] = {"label_selector": selectors(config.worker_labels)}
    if config.fallback_labels:
        chosen["fallback_strategy"] = [{"label_selector": selectors(config.fallback_labels)}]
    return chosen


def allows(config: ClusterConfig, labels: Mapping[str, str]) -> bool:
    """True if workers may run on a node with these labels, as a first choice or a fallback."""
    choices = [c for c in (config.worker_labels, config.fallback_labels) if c] or [()]
    return any(
        all(_selects(selector, labels.get(key)) for key, selector in selectors(choice).items())
        for choice in choices
    )


def _selects(selector: str, value: str | None) -> bool:
    wanted = selector.removeprefix("!")
    several = re.fullmatch(r"in\((.*)\)", wanted)
    values = several[1].replace(" ", "").split(",") if several else [wanted]
    return (value in values) != selector.startswith("!")


def node_resources(config: ClusterConfig) -> list[Mapping[str, float]]:
    """Total resources, used or not, of every node that workers may run on and that stays."""
    leaving = draining_nodes()
    return [
        node["Resources"]
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
        and node["NodeID"] not in leaving
        and allows(config, node.get("Labels") or {})
    ]


def describe_shortage(config: ClusterConfig, nodes: Sequence[Mapping[str, float]]) -> str | None:
    """Cause that keeps workers from being placed; None if the cluster could hold them all.

    Args:
        config: Number and shape of the workers.
        nodes: Total resources of each node that they may run on.

    Returns:
        One line with the setting, what there is, and the fix.
    """
    shape = WorkerShape.of(config)
    room = sum(shape.count_in(node) for node in nodes)
    if room >= config.num_workers:
        return None
    offered = "; ".join(
        f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU" for node in nodes[:4]
    )
    more = f" and {len(nodes) - 4} nodes more" if len(nodes) > 4 else ""
    fixes = [f"lower cluster.num_workers to {room}"] if room else []
    if shape.gpus and not any(node.get("GPU", 0) for node in nodes):
        fixes = ["set cluster.gpus_per_worker 0"]
    elif not room:
        fixes = ["lower cluster.cpus_per_worker or cluster.gpus_per_worker"]
    where = ""
    if config.worker_labels:
        or_else = f" or {', '.join(config.fallback_labels)}" if config.fallback_labels else ""
        where = f" labelled {', '.join(config.worker_labels)}{or_else}"
        fixes = [*(fixes if nodes else []), "change cluster.worker_labels"]
    return (
        f"cluster.num_workers is {config.num_workers} with {shape} each, but Ray has room for "
        f"{room} (nodes{where}: {offered or 'none'}{more}); {' or '.join([*fixes, 'add nodes'])}"
    )


def check_room(config: ClusterConfig) -> None:
    """Compare what the workers need with what Ray has, before they are asked for.

    Raises:
        ClusterError: If they can never fit: a Ray that this process started gets no other node.
            A cluster that was joined may grow, so there it takes waiting to tell.
    """
    if started_by_this_process():
        shortage = describe_shortage(config, node_resources(config))
        if shortage is not None:
            set_to = [name for name in _OVERRIDES if os.environ.get(name)]
            names = " and ".join(set_to)
            because = f" (your environment sets {names}: unset that)" if set_to else ""
            raise ClusterError(f"{shortage}{because}")


def describe_wait(config: ClusterConfig, setting: str) -> str:
    """Reason why no worker has come up in time, as far as resources tell.

    The cluster's head is asked, which may be gone: then Ray's call waits for a minute, and a driver
    that waits with it is ended before it has written a checkpoint.

    Args:
        config: Number and shape of the workers.
        setting: The one that says how long to wait.
    """
    answer = in_time(lambda: _describe_wait(config, setting), timeout_s=_ASK_S)
    return answer or f"the cluster's head has not answered for {_ASK_S:g} s"


def _describe_wait(config: ClusterConfig, setting: str) -> str:
    shortage = describe_shortage(config, node_resources(config))
    if shortage is not None:
        return shortage
    free = ray.available_resources()  # type: ignore[no-untyped-call]
    shape = WorkerShape.of(config)
    held = f"the cluster could hold {config.num_workers} workers with {shape} each"
    left = f"{free.get('CPU', 0):g} CPU and {free.get('GPU', 0):g} GPU are free"
    if shape.count_in(free):
        return f"{held}, and {left}: its nodes are slow to start them, or frozen; raise {setting}"
    return f"{held}, but only {left}; stop other jobs or raise {setting}"
