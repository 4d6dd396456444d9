"""Look at a Ray cluster from a process of its own: `python -m cluster.probe ADDRESS`.

Joining a cluster that does not answer properly can block Ray for minutes, beyond any time limit
in Python, so `metagan doctor` runs this and ends it when it takes too long. The result is one JSON
object on the last line of standard output.
"""

import json
import sys
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.config import ClusterConfig
from cluster.connect import ray_session
from cluster.errors import ClusterError

_NODE_TIMEOUT_S = 60.0


def host_report() -> dict[str, Any]:
    """Versions and devices of the machine that calls this; None for a package that is missing.

    It is sent to other nodes by value, so it needs nothing of this project there.
    """
    import importlib.metadata
    import os
    import platform
    import socket

    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in ("metagan", "torch", "ray", "numpy", "pyarrow", "pydantic"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    gpus: list[str] = []
    if versions["torch"] is not None:
        import torch

        gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "host": socket.gethostname(),
        "versions": versions,
        "gpus": gpus,
        "zero_copy": os.environ.get("RAY_ENABLE_ZERO_COPY_TORCH_TENSORS", ""),
    }


def cluster_report(address: str) -> dict[str, Any]:
    """One entry per node that is alive, with its report or why there is none.

    Returns:
        {"nodes": [{"node": address, "resources": {...}, "labels": {...}, "report": {...} or
        "error": text}, ...]}
        or {"error": text} where the cluster cannot be joined.
    """
    try:
        with ray_session(ClusterConfig(address=address)):
            return {"nodes": _node_entries()}
    except ClusterError as error:
        return {"error": str(error)}


def _node_entries() -> list[dict[str, Any]]:
    alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    report = ray.remote(num_cpus=0, max_retries=0)(host_report)
    pending = [
        report.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote()
        for node in alive
    ]
    ray.wait(pending, num_returns=len(pending), timeout=_NODE_TIMEOUT_S)
    entries = []
    for node, reference in zip(alive, pending, strict=True):
        entry = {"node": node["NodeManagerAddress"], "resources": node["Resources"]}
        entry["labels"] = node.get("Labels") or {}
        try:
            entry["report"] = ray.get(reference, timeout=0)
        except ray.exceptions.RayError as error:
            # Ray's text is a page; its last line says what happened.
            entry["error"] = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
        entries.append(entry)
    return entries


if __name__ == "__main__":
    print(json.dumps(cluster_report(sys.argv[1])), flush=True)
