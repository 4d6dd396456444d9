"""A Ray to run on: the one of this process, a cluster that is joined, or a private one.

A private Ray listens on the loopback interface only and is for this process alone
(`cluster.authentication`). What the environment says of other Rays does not reach it.
"""

import contextlib
import logging
import math
import os
import queue
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import ray
from ray._private import client_mode_hook

from cluster.addresses import RAY_ADDRESS, Named, check_port, host_and_port, ray_to_join
from cluster.authentication import (
    HOW_TO_GIVE_A_TOKEN,
    explain_refusal,
    joining_auth,
    private_auth,
    reread_environment,
)
from cluster.config import ClusterConfig
from cluster.environment import environment_variables
from cluster.errors import ClusterError, in_short
from cluster.loopback import is_on_loopback_only, on_loopback
from cluster.process_groups import ray_in_groups_of_its_own
from cluster.worker_start import (
    JOB_CONFIG,
    in_the_drivers_environment,
    job_options,
    python_path,
    sent_by_value,
)

Answer = TypeVar("Answer")

_LOG = logging.getLogger(__name__)

ZERO_COPY_TENSORS = "RAY_ENABLE_ZERO_COPY_TORCH_TENSORS"
# How long to wait before looking whether there still is anything to wait for.
_LOOK_S = 1.0
# Cores that workers of a Ray on this machine may reserve, whatever it has, and for each it has.
_ALWAYS_ALLOWED, _WORKERS_PER_CORE = 8, 4
# Variables that tell a node of a cluster what it is, in all processes there; a Ray of our own would
# take them for its own, and keep its state in that cluster's database.
_OF_OTHER_RAYS = (
    RAY_ADDRESS,
    "RAY_REDIS_ADDRESS",
    "RAY_GCS_SERVER_PORT",
    "RAY_gcs_storage",
    "RAY_gcs_storage_path",
    "RAY_external_storage_namespace",
    "RAY_ENABLE_GCS_LEADER_ELECTION",
    "RAY_OVERRIDE_NODE_ID_FOR_TESTING",
    JOB_CONFIG,
)
# Variables of Ray's that are reported where they matter, or change only what is written.
_HARMLESS = ("RAY_ADDRESS", "RAY_AUTH_", "RAY_USAGE_STATS_", "RAY_CLIENT_MODE", "RAY_DEDUP_LOGS")
_PRIVATE_RAY = {
    # Ray would start a process per core in advance; workers with an environment of their own
    # cannot use those.
    "prestart_worker_first_driver": False,
    # A node that misses five health checks (about a minute) is declared dead, and the driver on it
    # ends at once and without a word. With one node there is nobody to take over, and a machine
    # that was suspended or paused comes back: wait for hours.
    "health_check_failure_threshold": 1000,
}


@dataclass(frozen=True)
class RaySession:
    """The Ray that is in use.

    Attributes:
        address: host:port of its control service.
        started_here: Whether it was started for this session and ends with it.
    """

    address: str
    started_here: bool


@contextlib.contextmanager
def ray_session(config: ClusterConfig) -> Iterator[RaySession]:
    """A Ray inside the block; afterwards all is as before.

    A Ray that this process has initialised already (a notebook, a test, a Tune trial) is used as
    it is. Otherwise `config.address` is joined, or, where that is None, what RAY_ADDRESS names,
    as inside a Ray job. Otherwise a private Ray of just the size of `config` is started;
    it keeps nothing in the home folder, reports no usage and has no dashboard.

    Raises:
        ClusterError: If it cannot be joined or started, with the likely fix.
    """
    _refuse_zero_copy_tensors()
    if ray.is_initialized():
        yield RaySession(ray.get_runtime_context().gcs_address, started_here=False)
        return
    _refuse_client_mode()
    named = ray_to_join(config.address, os.environ)
    environment: dict[str, str | None] = {**(private_auth() if named is None else joining_auth())}
    if named is None:
        environment |= {**dict.fromkeys(_OF_OTHER_RAYS), "PYTHONPATH": python_path()}
    with _ray_environment(environment):
        try:
            with _kept_sigterm_handler(), sent_by_value():
                if named is None:
                    _start(config)
                else:
                    _join(named)
            address = ray.get_runtime_context().gcs_address
            if named is not None and named.by == RAY_ADDRESS and not _in_a_ray_job():
                _LOG.warning("running on the Ray at %s, which RAY_ADDRESS names", address)
            yield RaySession(address, started_here=named is None)
        finally:
            # Of a cluster that was joined this only lets go.
            ray.shutdown()


def wait_for_some(refs: Sequence[Any], *, timeout_s: float = math.inf) -> list[Any]:
    """Wait until some references are ready and return those; none after a second or `timeout_s`.

    Raises:
        ClusterError: If a Ray that this process started has gone, so that none ever would be.
    """
    timeout_s = max(0.0, min(timeout_s, _LOOK_S))
    all_of_them = list(refs)
    found, _ = ray.wait(all_of_them, num_returns=1, timeout=timeout_s, fetch_local=False)
    if found:
        # Looking costs as much for all as for one, and one by one it is quadratic in their number.
        found, _ = ray.wait(all_of_them, num_returns=len(all_of_them), timeout=0, fetch_local=False)
    _check_own_ray()
    return list(found)


def in_time(
    ask: Callable[[], Answer],
    *,
    timeout_s: float,
    meanwhile: Callable[[], object] = lambda: None,
) -> Answer | None:
    """Answer of a call; None if the call takes too long, and its answer is lost.

    For calls that Ray does not return from while the cluster's head is gone.

    Args:
        ask: The call; it is made in a thread of its own.
        timeout_s: How long it may take.
        meanwhile: Called every second; what it raises ends the wait.
    """
    answers: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()

    def answer() -> None:
        try:
            answers.put(ask())
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised below
            answers.put(error)

    threading.Thread(target=answer, daemon=True).start()
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            found = answers.get(timeout=max(0.0, min(_LOOK_S, deadline - time.monotonic())))
            break
        except queue.Empty:
            meanwhile()
            if time.monotonic() >= deadline:
                return None
    if isinstance(found, Exception):
        raise found
    return found


def _check_own_ray() -> None:
    """Look whether a Ray that this process started is still there.

    Whoever ends a whole process group (`timeout`, a shell) ends processes of Ray's with the driver,
    though not all (`cluster.process_groups`). If its control service is among them, Ray itself
    waits a minute and then aborts the driver.

    Raises:
        ClusterError: If it is not, or is about to go.
    """
    node: Any = ray._private.worker._global_node
    if not started_by_this_process():
        return
    for name, process in node.dead_processes():
        told = abs(process.returncode) == signal.SIGTERM
        if told or name in ("raylet", "gcs_server"):
            how = "was told to end" if told else f"ended with code {process.returncode}"
            raise ClusterError(
                f"Ray's {name} {how}; start the command again with --resume, and if nobody ended "
                "it, look for a lack of memory (dmesg)"
            )


def started_by_this_process() -> bool:
    """True if Ray runs here only because this process started it, so that no node can be added."""
    node = ray._private.worker._global_node
    return node is not None and bool(node.head)


def _start(config: ClusterConfig) -> None:
    _check_cores(config)
    try:
        with on_loopback(), ray_in_groups_of_its_own(), in_the_drivers_environment():
            ray.init(
                address="local",
                # Room for the workers asked for and no more; the driver reserves nothing.
                num_cpus=max(1, math.ceil(config.num_workers * config.cpus_per_worker)),
                include_dashboard=False,
                logging_level=logging.ERROR,
                **job_options(),
                _system_config=_PRIVATE_RAY,
            )
    # Where it takes too long, Ray raises a bare Exception.
    except Exception as error:
        raise ClusterError(
            f"Ray did not start on this machine: {in_short(error)}; check the load and the free "
            "space of /tmp and /dev/shm, or set RAY_TMPDIR to another folder with a short path"
            f"{set_here()}"
        ) from error


def cores_here() -> int:
    """Cores of this machine that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_cores(config: ClusterConfig) -> None:
    """Refuse many more workers than cores: they would start for minutes and gain nothing."""
    cores, each = cores_here(), config.cpus_per_worker
    if config.num_workers * each > max(_ALWAYS_ALLOWED, _WORKERS_PER_CORE * cores):
        raise ClusterError(
            f"cluster.num_workers is {config.num_workers} with {each:g} CPU each, but this machine "
            f"has {cores} cores; set it to {max(1, math.floor(cores / each))}, or join a cluster "
            "with cluster.address"
        )


def _join(named: Named) -> None:
    try:
        address = host_and_port(named.address)
        check_port(address)
        private = is_on_loopback_only(address)
        with on_loopback() if private else contextlib.nullcontext():
            ray.init(address=address, logging_level=logging.ERROR, **job_options())
    # Of a cluster that answers oddly, Ray raises what it likes, a bare Exception among others.
    except Exception as error:
        raise ClusterError(_explain_failed_join(named, error)) from error


def _explain_failed_join(named: Named, error: BaseException) -> str:
    start = f"cannot join Ray at {named}: "
    refusal = explain_refusal(error)
    if refusal is not None:
        return f"{start}{refusal}"
    mismatch = _version_mismatch(str(error))
    if mismatch is not None:
        return f"{start}{mismatch}{named.instead}"
    return (
        f"{start}{in_short(error)}; is `ray start` running there, and this a node of that "
        f"cluster (else use `metagan submit`)? If it asks for a token, {HOW_TO_GIVE_A_TOKEN}"
        f"{named.instead}{set_here()}"
    )


def _version_mismatch(text: str) -> str | None:
    """Fix for a cluster with other versions than this process; None for any other message."""
    if "ersion mismatch" not in text:
        return None
    there, _, here = text.partition("This process")
    versions = [
        tuple(re.findall(rf"{what}: (\S+)", part)[-1:] for what in ("Ray", "Python"))
        for part in (there, here)
    ]
    (ray_there, python_there), (ray_here, python_here) = versions
    if not (ray_there and python_there and ray_here and python_here):
        return None
    differ = [f"its Ray is {ray_there[0]}, this process has Ray {ray_here[0]}"]
    fixes = [f"pip install 'ray[default,tune]=={ray_there[0]}'"]
    if ray_there == ray_here:
        differ, fixes = [], []
    if python_there != python_here:
        differ.append(f"its Python is {python_there[0]}, this process has {python_here[0]}")
        fixes.append(f"run metagan with Python {python_there[0]}")
    return f"{'; '.join(differ)}; {' and '.join(fixes)} here, or install what is here there"


def set_here() -> str:
    """Ray's variables in this environment, any of which may be why it failed; by name alone."""
    names = sorted(n for n in os.environ if n.startswith("RAY_") and not n.startswith(_HARMLESS))
    return f" (Ray follows these variables of your environment: {', '.join(names)})" * bool(names)


def _in_a_ray_job() -> bool:
    """True if Ray has set RAY_ADDRESS, to the cluster that this process's job was submitted to."""
    return JOB_CONFIG in os.environ


def _refuse_client_mode() -> None:
    # Ray has read the variable, and changed it, when it was imported.
    if getattr(client_mode_hook, "is_client_mode_enabled_by_default", False):
        raise ClusterError(
            "RAY_CLIENT_MODE is 1: Ray Client would send every parameter through one connection; "
            "unset it"
        )


def _refuse_zero_copy_tensors() -> None:
    if os.environ.get(ZERO_COPY_TENSORS, "0") not in ("", "0"):
        raise ClusterError(
            f"{ZERO_COPY_TENSORS} is set: a worker that writes to a tensor would change it for all "
            "others on its node; unset it"
        )


def joining_environment(*without: str) -> contextlib.AbstractContextManager[None]:
    """Set Ray's authentication towards a cluster inside the block, for calls without `ray_session`.

    Args:
        without: Variables that Ray does not see there.
    """
    return _ray_environment({**joining_auth(), **dict.fromkeys(without)})


@contextlib.contextmanager
def _ray_environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set environment variables for Ray inside the block.

    Ray does the same itself when it turns authentication on.
    """
    try:
        with environment_variables(values):
            reread_environment()
            yield
    finally:
        reread_environment()


@contextlib.contextmanager
def _kept_sigterm_handler() -> Iterator[None]:
    """Put back the caller's SIGTERM handler, which `ray.init` replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    yield
    if callable(before):
        signal.signal(signal.SIGTERM, before)
