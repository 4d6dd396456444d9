"""Causes that would stop a run on this machine, or on a cluster, each with its fix."""

import importlib.metadata
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement

from cluster.addresses import ray_to_join
from cluster.authentication import AUTH_MODES
from cluster.config import JobConfig
from cluster.connect import ZERO_COPY_TENSORS
from cluster.doctor_nodes import (
    MIN_SHARED_BYTES,
    MORE_SHARED_MEMORY,
    Finding,
    check_cluster,
    check_room,
    judge_storage,
)
from cluster.errors import ClusterError
from cluster.probe import host_report, storage_error
from metagan.data.cache import cache_roots

_MIN_FREE_BYTES = 1 << 30
_GIB = 1 << 30


def diagnose(config: JobConfig, run_dir: Path) -> tuple[Finding, ...]:
    """Everything that can be checked without starting a run.

    Args:
        config: Its workers and device are held against what there is; where `cluster.address` is
            set, against that cluster, whose nodes are looked at one by one.
        run_dir: Must be writable, or possible to create.
    """
    here = host_report()
    named, refused = None, []
    try:
        # A run also joins what RAY_ADDRESS names, as it does inside a Ray job.
        named = ray_to_join(config.cluster.address, os.environ)
    except ClusterError as error:
        text, _, fix = str(error).partition("; ")
        refused = [Finding("problem", "cluster", text, fix)]
    address = None if named is None else named.address
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
        findings.append(judge_storage("storage", storage, storage_error(storage)))
    if named is not None:
        findings += check_cluster(
            config.cluster, here["versions"], storage=storage, named_by=named.by
        )
    return (*findings, *refused)


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
        yield from check_room(config.cluster, [{"CPU": cpus, "GPU": float(len(gpus))}])


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
    """Warn of little shared memory, where Ray keeps objects; containers often have 64 MiB."""
    fix = MORE_SHARED_MEMORY
    if not folder.is_dir():
        return Finding("warning", "shared memory", f"{folder} is missing: Ray uses a disk", fix)
    size = shutil.disk_usage(folder).total
    text = f"{folder} has {size / _GIB:.1f} GiB"
    if size < MIN_SHARED_BYTES:
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
    mode = environment.get("RAY_AUTH_MODE", "").lower()
    named = environment.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else home / ".ray" / "auth_token"
    in_variable = bool(environment.get("RAY_AUTH_TOKEN"))
    text = f"RAY_AUTH_MODE is {mode or 'unset'}"
    if named and not in_variable and not path.is_file():
        fix = f"put the token there, or unset RAY_AUTH_TOKEN_PATH to use {home}/.ray/auth_token"
        yield Finding("problem", "ray token", f"RAY_AUTH_TOKEN_PATH names {path}: no file", fix)
    elif mode not in AUTH_MODES:
        fix = "set it to token or disabled, or unset it"
        yield Finding("problem", "ray token", f"{text}, which Ray takes for disabled", fix)
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
    """Try to create and atomically replace a file in a folder, or where the folder would be."""
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
