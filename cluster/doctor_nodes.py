"""Causes that would stop a run on the nodes of a Ray cluster, each with its fix."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cluster.addresses import Named, connection_to
from cluster.config import ClusterConfig
from cluster.connect import ZERO_COPY_TENSORS
from cluster.errors import in_short
from cluster.resources import WorkerShape, allows, describe_shortage
from metagan.own_packages import module_command

#: Less shared memory than this is too little for Ray.
MIN_SHARED_BYTES = 1 << 30
MORE_SHARED_MEMORY = (
    "start the container with --shm-size=2g (Kubernetes: an emptyDir with medium: Memory)"
)
_MAX_CLOCK_S = 5.0
_PROBE_TIMEOUT_S = 240.0
_GIB = 1 << 30
_MOST_NAMED = 3


@dataclass(frozen=True)
class Finding:
    """One line of `metagan doctor`.

    Attributes:
        level: "ok"; "warning": training works, though slower or less safely than it could;
            "problem": training would fail.
        topic: What was looked at.
        text: What was found.
        fix: What to do about it; empty when nothing needs doing.
    """

    level: Literal["ok", "warning", "problem"]
    topic: str
    text: str
    fix: str = ""


def check_cluster(
    config: ClusterConfig,
    versions: Mapping[str, str | None],
    *,
    storage: str | None = None,
    named_by: str = "cluster.address",
    timeout_s: float = _PROBE_TIMEOUT_S,
) -> Iterator[Finding]:
    """Join the cluster at `config.address` and compare every node with this machine.

    Args:
        config: Names the address and what workers reserve.
        versions: Of this machine.
        storage: `checkpoint.storage`, which the driver must reach from wherever it runs.
        named_by: The setting or environment variable that the address comes from.
        timeout_s: For joining and for all nodes together.
    """
    assert config.address is not None
    named = Named(config.address, named_by)
    if config.address != "auto" and (refused := _refuses(config.address)):
        fix = "check the address, that ray status works there, and that no firewall closes the port"
        text = f"{named} does not answer: {refused}"
        yield Finding("problem", "cluster", text, f"{fix}{named.instead}")
        return
    report = _probe(config.address, storage, timeout_s)
    if "error" in report:
        text, _, fix = " ".join(report["error"].split()).partition("; ")
        text = text.rstrip(".").replace(config.address, str(named), 1)
        yield Finding("problem", "cluster", text, f"{fix}{named.instead}")
        return
    for entry in report["nodes"]:
        yield _compare_node(entry, versions)
        yield from _check_node(entry, storage)
    nodes = [entry for entry in report["nodes"] if allows(config, entry["labels"])]
    yield from check_likeness(config, nodes)
    yield from check_room(config, [entry["resources"] for entry in nodes])


def check_likeness(config: ClusterConfig, nodes: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Warn if workers would compute different bits on the nodes that may have workers.

    Args:
        config: Says whether they compute on GPUs, which are told apart by name.
        nodes: Entries of `cluster.probe.cluster_report`; on those without room for a worker, such
            as a head without cores, nothing is computed.
    """
    shape = WorkerShape.of(config)
    # Nodes by what they compute, then by the name of what computes it.
    kinds: dict[str, dict[str, list[str]]] = {}
    for entry in nodes:
        report = entry.get("report")
        if report is None or not shape.count_in(entry["resources"]):
            continue
        devices = {name: name for name in report["gpus"]}
        if not config.gpus_per_worker:
            devices = {report["arithmetic"]: report["cpu"]} if report["arithmetic"] else {}
        for kind, name in devices.items():
            kinds.setdefault(kind, {}).setdefault(name, []).append(entry["node"])
    if len(kinds) < 2:
        return
    text = "; ".join(
        " and ".join(f"{name} on {_some_of(places)}" for name, places in alike.items())
        for alike in kinds.values()
    )
    yield Finding(
        "warning" if config.mixed_devices else "problem",
        "same bits",
        f"nodes compute different last bits: {text}; weights depend on which computes what",
        "set cluster.worker_labels to nodes of one kind",
    )


def _some_of(nodes: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(nodes) - _MOST_NAMED
    return ", ".join(nodes[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _refuses(address: str) -> str | None:
    """Reason why no connection to host:port opens, or None; Ray itself would try for minutes."""
    try:
        with connection_to(address):
            return None
    except (OSError, OverflowError) as error:
        return str(error)


def _probe(address: str, storage: str | None, timeout_s: float) -> dict[str, Any]:
    try:
        done = subprocess.run(
            module_command("cluster.probe", address, *([storage] if storage else [])),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {
            "error": f"{address} takes connections, but joining took more than {timeout_s:g} s; "
            "is it Ray's own port (6379 by default), and RAY_AUTH_MODE what the cluster asks for?"
        }
    try:
        report: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        tail = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return {"error": tail[0]}
    return report


def _compare_node(entry: Mapping[str, Any], versions: Mapping[str, str | None]) -> Finding:
    topic = f"node {entry['node']}"
    if "error" in entry:
        fix = "look at ray status and that node's /tmp/ray/session_latest/logs"
        return Finding("problem", topic, f"does not answer: {in_short(entry['error'])}", fix)
    report = entry["report"]
    there: Mapping[str, str | None] = report["versions"]
    if report["zero_copy"].lower() not in ("", "0", "false"):
        fix = f"unset {ZERO_COPY_TENSORS} there and restart its Ray"
        return Finding("problem", topic, f"{ZERO_COPY_TENSORS} is set", fix)
    differing = [
        f"{name} {there.get(name) or 'missing'} (here {version or 'missing'})"
        for name, version in versions.items()
        if there.get(name) != version
    ]
    text = f"{report['host']}, {len(report['gpus'])} GPUs"
    if not differing:
        return Finding("ok", topic, f"{text}, same versions")
    # Numbers may differ in their last bits, or objects may not unpickle at all.
    fatal = any(there.get(name) is None for name in versions)
    fix = "install the same versions on every node"
    text = f"{text}; differs: {', '.join(differing)}"
    return Finding("problem" if fatal else "warning", topic, text, fix)


def _check_node(entry: Mapping[str, Any], storage: str | None) -> Iterator[Finding]:
    """Judge the GPUs, clock, shared memory and storage of a node that answers."""
    report = entry.get("report")
    if report is None:
        return
    topic = f"node {entry['node']}"
    yield from _compare_gpus(topic, int(entry["resources"].get("GPU", 0)), len(report["gpus"]))
    if abs(report["clock_s"]) > _MAX_CLOCK_S:
        text = f"its clock is {report['clock_s']:+.0f} s off: logs of nodes cannot be compared"
        yield Finding("warning", topic, text, "keep its clock by NTP (timedatectl, chronyc)")
    size = report["shared_memory"]
    if size is not None and size < MIN_SHARED_BYTES:
        text = f"/dev/shm has {size / _GIB:.1f} GiB there: Ray may use a disk instead"
        yield Finding("warning", topic, text, MORE_SHARED_MEMORY)
    if storage is not None:
        yield judge_storage(f"storage from {entry['node']}", storage, report["storage"])


def _compare_gpus(topic: str, reserved: int, seen: int) -> Iterator[Finding]:
    """GPUs that Ray gives away there, against those that torch can use."""
    if reserved > seen:
        text = f"Ray has {reserved} GPUs there, but torch sees {seen}: workers on them would fail"
        fix = "check nvidia-smi there and that torch is a CUDA build, or lower ray start --num-gpus"
        yield Finding("problem", topic, text, fix)
    elif reserved < seen:
        text = f"torch sees {seen} GPUs there, but Ray has {reserved}: the others stay idle"
        yield Finding("warning", topic, text, "raise ray start --num-gpus, or leave it out")


def judge_storage(topic: str, uri: str, error: str | None) -> Finding:
    """Turn the answer of `cluster.probe.storage_error` into a finding."""
    if error is None:
        return Finding("ok", topic, f"{uri} can be written and read")
    fix = "check checkpoint.storage, its permissions, and the credentials there"
    return Finding("problem", topic, f"{uri}: {error}", fix)


def check_room(config: ClusterConfig, nodes: Sequence[Mapping[str, float]]) -> Iterator[Finding]:
    """Compare the workers with the room: with room for some a run is slower, with none it stops."""
    shortage = describe_shortage(config, nodes)
    if shortage is None:
        yield Finding("ok", "cluster", f"room for {config.num_workers} workers")
        return
    text, _, fix = shortage.rpartition("; ")
    alone = config.model_copy(update={"num_workers": 1})
    fatal = describe_shortage(alone, nodes) is not None
    yield Finding("problem" if fatal else "warning", "cluster", text, fix)
