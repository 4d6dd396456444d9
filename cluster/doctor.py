"""What would stop a run on this machine or on a Ray cluster, each with its fix."""

import importlib.metadata
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from cluster.config import ClusterConfig, JobConfig
from cluster.connect import ZERO_COPY_TENSORS
from cluster.probe import host_report, storage_error
from cluster.resources import allows, describe_shortage
from metagan.cli.context import Finding
from metagan.sources.cache import cache_roots

_MIN_SHARED_BYTES = 1 << 30
_MIN_FREE_BYTES = 1 << 30
_MORE_SHARED_MEMORY = (
    "start the container with --shm-size=2g (Kubernetes: an emptyDir with medium: Memory)"
)
_MAX_CLOCK_S = 5.0
_CONNECT_TIMEOUT_S = 5.0
_PROBE_TIMEOUT_S = 90.0
_GIB = 1 << 30


def diagnose(config: JobConfig, run_dir: Path) -> tuple[Finding, ...]:
    """Everything that can be checked without starting a run.

    Args:
        config: Its workers and device are held against what there is; where `cluster.address` is
            set, against that cluster, whose nodes are looked at one by one.
        run_dir: Must be writable, or possible to create.
    """
    here = host_report()
    # A run joins what RAY_ADDRESS names, too, as it does inside a Ray job.
    address = config.cluster.address or os.environ.get("RAY_ADDRESS") or None
    cluster = config.cluster.model_copy(update={"address": address})
    config = config.model_copy(update={"cluster": cluster})
    findings = [
        *check_versions(here["versions"]),
        *check_device(config, here["gpus"]),
        *check_host(config),
        *check_ray_environment(os.environ, Path(os.path.expanduser("~"))),
        check_folder("run folder", run_dir),
    ]
    findings.append(check_folder("data cache", cache_roots(config.data)[0]))
    storage = config.checkpoint.storage
    if storage is not None:
        findings.append(_judge_storage("storage", storage, storage_error(storage)))
    if config.cluster.address is not None:
        findings += check_cluster(config.cluster, here["versions"], storage=storage)
    return tuple(findings)


def check_versions(versions: Mapping[str, str | None]) -> Iterator[Finding]:
    """Installed packages against the versions that this one was declared to need."""
    yield Finding("ok", "python", f"{versions['python']} ({sys.executable})")
    try:
        declared = importlib.metadata.requires("metagan") or []
    except importlib.metadata.PackageNotFoundError:
        declared = []
        text = "runs from its folder, not installed; versions are not compared with what it needs"
        yield Finding("warning", "metagan", text, "pip install -e .")
    needed = {
        requirement.name.lower(): requirement
        for requirement in map(Requirement, declared)
        if requirement.marker is None
    }
    for package, version in versions.items():
        requirement = needed.get(package)
        if package == "python" or (version is None and requirement is None):
            continue
        if version is None:
            fix = f"pip install '{requirement}'"
            yield Finding("problem", package, "is not installed", fix)
        elif requirement and not requirement.specifier.contains(version, prereleases=True):
            fix = f"pip install '{requirement}'"
            yield Finding("problem", package, f"{version} is too old or too new", fix)
        else:
            yield Finding("ok", package, version)


def check_device(config: JobConfig, gpus: Sequence[str]) -> Iterator[Finding]:
    """CUDA devices that torch sees here, and whether the settings need more."""
    import torch

    if gpus:
        yield Finding("ok", "gpu", f"torch sees {len(gpus)}: {', '.join(sorted(set(gpus)))}")
    elif torch.version.cuda is None and Path("/dev/nvidia0").exists():
        fix = "install a CUDA build of torch (pytorch.org/get-started)"
        yield Finding("warning", "gpu", f"torch {torch.__version__} is a CPU build", fix)
    elif Path("/dev/nvidia0").exists():
        fix = "check nvidia-smi, the driver's version and CUDA_VISIBLE_DEVICES"
        yield Finding("warning", "gpu", "there is one, but torch cannot use it", fix)
    else:
        yield Finding("ok", "gpu", "none; workers compute on the CPU")
    if config.cluster.address is not None:
        return  # What counts are the cluster's GPUs.
    if config.device == "cuda" and not gpus:
        fix = "set device auto, or run where there is one"
        yield Finding("problem", "device", "is cuda, but torch sees no GPU", fix)
    if config.cluster.gpus_per_worker > 0:
        # A Ray started for the run has as many CPUs as its workers ask for.
        cpus = config.cluster.num_workers * config.cluster.cpus_per_worker
        yield from _check_room(config.cluster, [{"CPU": cpus, "GPU": float(len(gpus))}])


def check_host(config: JobConfig) -> Iterator[Finding]:
    """Cores, memory and shared memory of this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    wanted = config.cluster.num_workers * config.cluster.threads_per_worker
    if config.cluster.address is None and wanted > cores:
        fix = f"set cluster.num_workers {max(1, cores // config.cluster.threads_per_worker)}"
        text = f"{cores}, fewer than num_workers x threads_per_worker = {wanted}: slower, not wrong"
        yield Finding("warning", "cores", text, fix)
    else:
        yield Finding("ok", "cores", str(cores))
    memory = memory_bytes(Path("/"))
    if memory is not None:
        yield Finding("ok", "memory", f"{memory / _GIB:.1f} GiB")
    yield check_shared_memory(Path("/dev/shm"))


def check_shared_memory(folder: Path) -> Finding:
    """Ray keeps objects in shared memory; containers often have 64 MiB of it."""
    fix = _MORE_SHARED_MEMORY
    if not folder.is_dir():
        return Finding("warning", "shared memory", f"{folder} is missing: Ray uses a disk", fix)
    size = shutil.disk_usage(folder).total
    text = f"{folder} has {size / _GIB:.1f} GiB"
    if size < _MIN_SHARED_BYTES:
        return Finding("warning", "shared memory", f"{text}: Ray may use a disk instead", fix)
    return Finding("ok", "shared memory", text)


def check_ray_environment(environment: Mapping[str, str], home: Path) -> Iterator[Finding]:
    """Variables that change what Ray does: authentication, and one that corrupts parameters.

    Args:
        environment: As os.environ.
        home: Where Ray keeps its token by default.
    """
    if environment.get(ZERO_COPY_TENSORS, "0").lower() not in ("", "0", "false"):
        text = f"{ZERO_COPY_TENSORS} is set: workers would change each other's parameters"
        yield Finding("problem", "zero copy", text, f"unset {ZERO_COPY_TENSORS}")
    mode = environment.get("RAY_AUTH_MODE", "")
    named = environment.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else home / ".ray" / "auth_token"
    in_variable = bool(environment.get("RAY_AUTH_TOKEN"))
    text = f"RAY_AUTH_MODE is {mode or 'unset'}"
    if named and not in_variable and not path.is_file():
        fix = f"put the token there, or unset RAY_AUTH_TOKEN_PATH to use {home}/.ray/auth_token"
        yield Finding("problem", "ray token", f"RAY_AUTH_TOKEN_PATH names {path}: no file", fix)
    elif mode == "token" and not in_variable and not path.is_file():
        fix = "ray get-auth-token --generate, or copy the cluster's token there"
        yield Finding("warning", "ray token", f"{text}, but there is no token in {path}", fix)
    elif mode == "token":
        source = "RAY_AUTH_TOKEN" if in_variable else str(path)
        yield Finding("ok", "ray token", f"{text}, token from {source}")
    elif mode == "disabled":
        fix = "export RAY_AUTH_MODE=token on every node unless the network is private"
        yield Finding("warning", "ray token", f"{text}: who reaches Ray's ports runs code", fix)
    elif path.is_file():
        fix = "export RAY_AUTH_MODE=token"
        text = f"{text} though there is a token: ray status and ray job submit do not send it"
        yield Finding("warning", "ray token", text, fix)
    else:
        yield Finding("ok", "ray token", f"{text}; a Ray started by metagan makes its own token")
    if not in_variable and path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        text = f"{path} can be read by other users"
        yield Finding("warning", "ray token", text, f"chmod 600 {path}")


def check_folder(topic: str, folder: Path) -> Finding:
    """Whether files can be created and replaced atomically in a folder or where it would be."""
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    fix = "choose another folder or change its permissions"
    if not existing.is_dir():
        return Finding("problem", topic, f"{existing} is a file, so {folder} cannot exist", fix)
    try:
        with tempfile.TemporaryDirectory(prefix=".metagan-doctor-", dir=existing) as name:
            old, new = Path(name, "old"), Path(name, "new")
            old.write_text("old")
            with new.open("w") as file:
                file.write("new")
                file.flush()
                os.fsync(file.fileno())
            new.replace(old)
            if old.read_text() != "new" or new.exists():
                fix = "choose a folder on a local disk or NFS; checkpoints rely on renames"
                return Finding("problem", topic, f"{existing} does not rename atomically", fix)
    except OSError as error:
        return Finding("problem", topic, f"{folder} cannot be written: {error.strerror}", fix)
    free = shutil.disk_usage(existing).free
    text = f"{folder} is writable, {free / _GIB:.1f} GiB free"
    if free < _MIN_FREE_BYTES:
        return Finding("warning", topic, text, "make room; a full disk ends checkpoints")
    return Finding("ok", topic, text)


def check_cluster(
    config: ClusterConfig,
    versions: Mapping[str, str | None],
    *,
    storage: str | None = None,
    timeout_s: float = _PROBE_TIMEOUT_S,
) -> Iterator[Finding]:
    """Join the cluster at `config.address` and hold every node against this machine.

    Args:
        config: Names the address and what workers reserve.
        versions: Of this machine.
        storage: `checkpoint.storage`, which the driver must reach from wherever it runs.
        timeout_s: For joining and for all nodes together.
    """
    assert config.address is not None
    if config.address != "auto" and (refused := _refuses(config.address)):
        fix = "check the address, that ray status works there, and that no firewall closes the port"
        yield Finding("problem", "cluster", f"{config.address} does not answer: {refused}", fix)
        return
    report = _probe(config.address, storage, timeout_s)
    if "error" in report:
        text, _, fix = " ".join(report["error"].split()).partition("; ")
        text = text.rstrip(".")
        yield Finding("problem", "cluster", text, fix)
        return
    for entry in report["nodes"]:
        yield _compare_node(entry, versions)
        yield from _check_node(entry, storage)
    nodes = [entry for entry in report["nodes"] if allows(config, entry["labels"])]
    yield from check_likeness(config, nodes)
    yield from _check_room(config, [entry["resources"] for entry in nodes])


def check_likeness(config: ClusterConfig, nodes: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Whether workers would compute the same bits on all nodes that may have some.

    Args:
        config: Says whether they compute on GPUs, which are told apart by name.
        nodes: Entries of `cluster.probe.cluster_report`.
    """
    kinds: dict[str, list[str]] = {}
    for entry in nodes:
        report = entry.get("report")
        if report is None:
            continue
        devices = {name: name for name in report["gpus"]}
        if not config.gpus_per_worker:
            devices = {report["arithmetic"]: report["cpu"]} if report["arithmetic"] else {}
        for kind, name in devices.items():
            kinds.setdefault(kind, []).append(f"{entry['node']} ({name})")
    if len(kinds) < 2:
        return
    text = "; others than ".join(", ".join(places) for places in kinds.values())
    yield Finding(
        "warning" if config.mixed_devices else "problem",
        "same bits",
        f"nodes compute different last bits: {text}; weights depend on which computes what",
        "set cluster.worker_labels to nodes of one kind",
    )


def memory_bytes(root: Path) -> int | None:
    """Memory that processes here may use: the machine's, or less where a cgroup says so.

    Args:
        root: Root of the file system, where /sys and /proc are.
    """
    sizes = []
    try:
        first = (root / "proc/meminfo").read_text().splitlines()[0]
        sizes.append(int(first.split()[1]) * 1024)
    except (OSError, IndexError, ValueError):
        pass  # No Linux; nothing is reported rather than something wrong.
    for name in ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            sizes.append(int((root / name).read_text()))
        except (OSError, ValueError):
            continue  # No such cgroup version, or "max": no limit.
    return min(sizes, default=None)


def _refuses(address: str) -> str | None:
    """Why no connection to host:port opens, or None; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_TIMEOUT_S):
            return None
    except (OSError, OverflowError) as error:
        return str(error)


def _probe(address: str, storage: str | None, timeout_s: float) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cluster.probe", address, *([storage] if storage else [])],
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
        return Finding("problem", topic, f"does not answer: {_first_line(entry['error'])}", fix)
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
    """What a node that answers has of clock, shared memory and storage."""
    report = entry.get("report")
    if report is None:
        return
    topic = f"node {entry['node']}"
    yield from _compare_gpus(topic, int(entry["resources"].get("GPU", 0)), len(report["gpus"]))
    if abs(report["clock_s"]) > _MAX_CLOCK_S:
        text = f"its clock is {report['clock_s']:+.0f} s off: logs of nodes cannot be compared"
        yield Finding("warning", topic, text, "keep its clock by NTP (timedatectl, chronyc)")
    size = report["shared_memory"]
    if size is not None and size < _MIN_SHARED_BYTES:
        text = f"/dev/shm has {size / _GIB:.1f} GiB there: Ray may use a disk instead"
        yield Finding("warning", topic, text, _MORE_SHARED_MEMORY)
    if storage is not None:
        yield _judge_storage(f"storage from {entry['node']}", storage, report["storage"])


def _compare_gpus(topic: str, reserved: int, seen: int) -> Iterator[Finding]:
    """GPUs that Ray gives away there, against those that torch can use."""
    if reserved > seen:
        text = f"Ray has {reserved} GPUs there, but torch sees {seen}: workers on them would fail"
        fix = "check nvidia-smi there and that torch is a CUDA build, or lower ray start --num-gpus"
        yield Finding("problem", topic, text, fix)
    elif reserved < seen:
        text = f"torch sees {seen} GPUs there, but Ray has {reserved}: the others stay idle"
        yield Finding("warning", topic, text, "raise ray start --num-gpus, or leave it out")


def _judge_storage(topic: str, uri: str, error: str | None) -> Finding:
    if error is None:
        return Finding("ok", topic, f"{uri} can be written and read")
    fix = "check checkpoint.storage, its permissions, and the credentials there"
    return Finding("problem", topic, f"{uri}: {error}", fix)


def _check_room(config: ClusterConfig, nodes: Sequence[Mapping[str, float]]) -> Iterator[Finding]:
    """Whether all workers fit; that only some do makes a run slower, that none does stops it."""
    shortage = describe_shortage(config, nodes)
    if shortage is None:
        yield Finding("ok", "cluster", f"room for {config.num_workers} workers")
        return
    text, _, fix = shortage.rpartition("; ")
    alone = config.model_copy(update={"num_workers": 1})
    fatal = describe_shortage(alone, nodes) is not None
    yield Finding("problem" if fatal else "warning", "cluster", text, fix)


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason given"
