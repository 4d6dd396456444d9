"""Look at a Ray cluster from a process of its own: `python -m cluster.probe ADDRESS [STORAGE]`.

Joining a cluster that does not answer properly can block Ray for minutes, beyond any time limit
in Python, so `metagan doctor` runs this and ends it when it takes too long. The result is one JSON
object on the last line of standard output.
"""

import json
import sys
import time
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.config import ClusterConfig
from cluster.connect import ray_session
from cluster.errors import ClusterError

# As in `cluster.placement_timeout_s`: a busy node may need minutes to start one process.
_NODE_TIMEOUT_S = 180.0


def host_report() -> dict[str, Any]:
    """Versions and devices of the machine that calls this; None for a package that is missing.

    It is sent to other nodes by value, so it needs nothing of this project there; without it, "cpu"
    and "arithmetic" (see `metagan.core.arithmetic`) are empty.
    """
    import importlib.metadata
    import os
    import platform
    import shutil
    import socket
    import time

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
    try:
        from metagan.core.arithmetic import arithmetic_sha256
        from metagan.devices import device_name, pinned_threads
    except ImportError:
        cpu, arithmetic = "", ""
    else:
        cpu = device_name(torch.device("cpu"))
        with pinned_threads(1):
            arithmetic = arithmetic_sha256(torch.device("cpu"))
    return {
        "host": socket.gethostname(),
        "versions": versions,
        "gpus": gpus,
        "cpu": cpu,
        "arithmetic": arithmetic,
        "zero_copy": os.environ.get("RAY_ENABLE_ZERO_COPY_TORCH_TENSORS", ""),
        "shared_memory": shutil.disk_usage("/dev/shm").total if os.path.isdir("/dev/shm") else None,
        "time": time.time(),
    }


def see_the_nodes_gpus() -> None:
    """Let torch see in this process, a task's, what it sees in one that starts on the node.

    Ray may hide all GPUs from a task that reserved none; its node process, whose child this is, has
    the variable as the node's owner set it. Call it before torch looks. Like `host_report`, it
    needs nothing of this project.
    """
    import os

    name = "CUDA_VISIBLE_DEVICES"
    os.environ.pop(name, None)
    try:
        with open(f"/proc/{os.getppid()}/environ") as file:
            variables = dict(entry.partition("=")[::2] for entry in file.read().split("\0"))
    except OSError:
        return  # No Linux: all of them.
    if name in variables:
        os.environ[name] = variables[name]


def storage_error(uri: str) -> str | None:
    """Error of this machine in writing, reading or deleting a file at a URI; None without one.

    Like `host_report`, this function needs nothing of this project.
    """
    import uuid

    from pyarrow import fs

    try:
        files, root = fs.FileSystem.from_uri(uri)
        path = f"{root.rstrip('/')}/.metagan-doctor-{uuid.uuid4().hex}"
        if isinstance(files, fs.LocalFileSystem):
            files.create_dir(root, recursive=True)
        with files.open_output_stream(path) as stream:
            stream.write(b"doctor")
        with files.open_input_file(path) as stream:
            found = stream.read()
        files.delete_file(path)
    except (OSError, ValueError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        return lines[0][:300] if lines else type(error).__name__
    return None if found == b"doctor" else "what was written there is not what is read"


def cluster_report(address: str, storage: str | None = None) -> dict[str, Any]:
    """One entry per node that is alive, with its report or why there is none.

    Args:
        address: host:port or auto.
        storage: URI that every node should be able to write.

    Returns:
        {"nodes": [{"node": address, "resources": {...}, "labels": {...}, "report": {...} or
        "error": text}, ...]}
        or {"error": text} where the cluster cannot be joined. A report has "clock_s", by how many
        seconds at least the node's clock is ahead (or, below 0, behind), and "storage", the error
        there, if it was asked for.
    """
    try:
        with ray_session(ClusterConfig(address=address)):
            return {"nodes": _node_entries(storage)}
    except ClusterError as error:
        return {"error": str(error)}


def _ahead(there: float, asked: float, answered: float) -> float:
    """Seconds by which a clock differs at least, if it was read between two times of ours."""
    return max(0.0, there - answered) + min(0.0, there - asked)


def _node_entries(storage: str | None) -> list[dict[str, Any]]:
    alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    asked = time.time()

    def look() -> dict[str, Any]:
        see_the_nodes_gpus()
        found = host_report()
        return found if storage is None else {**found, "storage": storage_error(storage)}

    report = ray.remote(num_cpus=0, max_retries=0)(look)
    pending = [
        report.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote()
        for node in alive
    ]
    ray.wait(pending, num_returns=len(pending), timeout=_NODE_TIMEOUT_S)
    answered = time.time()
    entries = []
    for node, reference in zip(alive, pending, strict=True):
        entry = {"node": node["NodeManagerAddress"], "resources": node["Resources"]}
        entry["labels"] = node.get("Labels") or {}
        try:
            entry["report"] = found = ray.get(reference, timeout=0)
            found["clock_s"] = _ahead(found["time"], asked, answered)
        except ray.exceptions.RayError as error:
            # Ray's text is a page; its last line says what happened.
            entry["error"] = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
        entries.append(entry)
    return entries


if __name__ == "__main__":
    print(json.dumps(cluster_report(*sys.argv[1:3])), flush=True)
