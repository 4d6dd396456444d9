"""A Ray to run on: the one of this process, a cluster that is joined, or a private one.

Ray's token authentication is always set explicitly, because Ray 2.60 otherwise turns it on or off
by what it finds in the user's home folder. A private Ray listens on the loopback interface only,
and gets a token of its own that lives only in this process's environment and in that of its
workers: its ports are open to other users of the machine, and whoever may talk to them may run
code.
"""

import contextlib
import logging
import math
import os
import queue
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import ray
from ray import _raylet as raylet
from ray._private import services

from cluster.config import ClusterConfig
from cluster.environment import environment_variables
from cluster.errors import ClusterError
from cluster.loopback import is_on_loopback_only, on_loopback
from cluster.process_groups import ray_in_groups_of_its_own

Answer = TypeVar("Answer")

ZERO_COPY_TENSORS = "RAY_ENABLE_ZERO_COPY_TORCH_TENSORS"
_AUTH_MODE, _AUTH_TOKEN, _AUTH_TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
# What RAY_AUTH_MODE may be; nothing is as if it were not set.
AUTH_MODES = ("", "token", "disabled")
_CONNECT_TIMEOUT_S = 5.0
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_HTTP2_SETTINGS = b"\4"
# How long to wait before looking whether there still is anything to wait for.
_LOOK_S = 1.0
# Cores that workers of a Ray on this machine may reserve, whatever it has, and for each it has.
_ALWAYS_ALLOWED, _WORKERS_PER_CORE = 8, 4
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
    as it does inside a Ray job. Otherwise a private Ray of just the size of `config` is started;
    it keeps nothing in the home folder, reports no usage and has no dashboard.

    Raises:
        ClusterError: If it cannot be joined or started, with the likely fix.
    """
    _refuse_zero_copy_tensors()
    if ray.is_initialized():
        yield RaySession(ray.get_runtime_context().gcs_address, started_here=False)
        return
    address = config.address or os.environ.get("RAY_ADDRESS") or None
    environment = _private_auth() if address is None else _joining_auth()
    with _ray_environment(environment):
        try:
            with _kept_sigterm_handler():
                if address is None:
                    _start(config)
                else:
                    _join(address)
            yield RaySession(ray.get_runtime_context().gcs_address, started_here=address is None)
        finally:
            # Of a cluster that was joined this only lets go.
            ray.shutdown()


def wait_for_some(refs: Sequence[Any], *, timeout_s: float = math.inf) -> list[Any]:
    """Those that are there as soon as one is; none after a second, or sooner with `timeout_s`.

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
    """What a call answers; None if that takes too long, and its answer is lost.

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
    """Whether Ray runs here only because this process started it, so that no node can be added."""
    node = ray._private.worker._global_node
    return node is not None and bool(node.head)


def _start(config: ClusterConfig) -> None:
    _check_cores(config)
    try:
        with on_loopback(), ray_in_groups_of_its_own():
            ray.init(
                address="local",
                # Room for the workers asked for and no more; the driver reserves nothing.
                num_cpus=max(1, math.ceil(config.num_workers * config.cpus_per_worker)),
                include_dashboard=False,
                logging_level=logging.ERROR,
                _system_config=_PRIVATE_RAY,
            )
    # Where it takes too long, Ray raises a bare Exception.
    except Exception as error:
        raise ClusterError(
            f"Ray did not start on this machine: {_first_line(error)}; check the load and the free "
            "space of /tmp and /dev/shm, or set RAY_TMPDIR to another folder with a short path"
        ) from error


def cores_here() -> int:
    """Cores of this machine that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_cores(config: ClusterConfig) -> None:
    """A few workers more than cores share them; many more start for minutes and gain nothing."""
    cores, each = cores_here(), config.cpus_per_worker
    if config.num_workers * each > max(_ALWAYS_ALLOWED, _WORKERS_PER_CORE * cores):
        raise ClusterError(
            f"cluster.num_workers is {config.num_workers} with {each:g} CPU each, but this machine "
            f"has {cores} cores; set it to {max(1, math.floor(cores / each))}, or join a cluster "
            "with cluster.address"
        )


def _join(address: str) -> None:
    try:
        address = _named(address)
        _check_port(address)
        private = is_on_loopback_only(address)
        with on_loopback() if private else contextlib.nullcontext():
            ray.init(address=address, logging_level=logging.ERROR)
    except (RuntimeError, OSError, ValueError, ray.exceptions.RayError) as error:
        raise ClusterError(_explain_failed_join(address, error)) from error


def connection_to(address: str) -> socket.socket:
    """Open for as long as its block; Ray itself would try a dead address for tens of seconds.

    Args:
        address: host:port; an IPv6 host in brackets.

    Raises:
        OSError: If nothing answers there in time.
    """
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_TIMEOUT_S)


def _check_port(address: str) -> None:
    """Ray tries a dead address for tens of seconds, and another program's for minutes.

    Its control service speaks HTTP/2, where both sides begin with a settings frame (RFC 9113,
    section 3.4).

    Raises:
        OSError: If nothing answers there, or something else.
    """
    _, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        return
    with connection_to(address) as connection:
        if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
            return
        connection.sendall(_HTTP2_PREFACE)
        answer = connection.recv(4)
    if answer[3:] != _HTTP2_SETTINGS:
        raise OSError(
            "what answers there is no Ray control service; is it Ray's own port, 6379 by default?"
        )


def _named(address: str) -> str:
    """The host:port that Ray would take `auto` for, so that it can be looked at and told.

    Raises:
        ConnectionError: If no Ray runs here.
    """
    if address != "auto":
        return address
    found: str = services.get_ray_address_from_environment(address, None)
    return found


def _explain_failed_join(address: str, error: BaseException) -> str:
    start = f"cannot join Ray at {address}: "
    token = f"export {_AUTH_MODE}=token (and {_AUTH_TOKEN_PATH} if it is not in ~/.ray/auth_token)"
    if "InvalidAuthToken" in f"{error} {error.__cause__}":
        if os.environ.get(_AUTH_MODE) == "token":
            return (
                f"{start}it refuses your token; with {_AUTH_MODE}=token, set {_AUTH_TOKEN_PATH} to "
                f"a file with the cluster's (or {_AUTH_TOKEN} to it)"
            )
        return f"{start}the cluster asks for a token: {token}"
    return (
        f"{start}{_first_line(error)}; is `ray start` running there, and this a node of that "
        f"cluster (else use `metagan submit`)? If it asks for a token, {token}"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _refuse_zero_copy_tensors() -> None:
    if os.environ.get(ZERO_COPY_TENSORS, "0") not in ("", "0"):
        raise ClusterError(
            f"{ZERO_COPY_TENSORS} is set: a worker that writes to a tensor would change it for all "
            "others on its node; unset it"
        )


def _private_auth() -> dict[str, str]:
    """Authentication of a Ray of our own: by a fresh token, unless the user chose otherwise."""
    chosen = _chosen_auth()
    if chosen == "disabled" or (chosen is not None and _token_exists()):
        return {}
    return {_AUTH_MODE: "token", _AUTH_TOKEN: secrets.token_hex(32)}


def _chosen_auth() -> str | None:
    """What the user set RAY_AUTH_MODE to, if to anything.

    Raises:
        ClusterError: For what is not a mode: Ray would take it for no authentication at all.
    """
    chosen = os.environ.get(_AUTH_MODE, "")
    if chosen.lower() not in AUTH_MODES:
        raise ClusterError(f"{_AUTH_MODE} is {chosen!r}; set it to token or disabled, or unset it")
    return chosen.lower() or None


def _joining_auth() -> dict[str, str]:
    """Authentication towards a cluster: with the user's token where there is one.

    Ray itself would leave the token out for an explicit address. A cluster without authentication
    ignores it.
    """
    chosen = _chosen_auth()
    if chosen == "disabled":
        return {}
    found = _token_exists()
    return {} if chosen else {_AUTH_MODE: "token" if found else "disabled"}


def joining_environment() -> contextlib.AbstractContextManager[None]:
    """Ray's authentication towards a cluster, inside the block, for what is not `ray_session`."""
    return _ray_environment(_joining_auth())


def _token_exists() -> bool:
    """Whether Ray finds a token in the environment or in the user's home folder.

    Raises:
        ClusterError: If the file that the user names cannot be read.
    """
    try:
        return bool(_token_loader().has_token(ignore_auth_mode=True))
    except ray.exceptions.AuthenticationError:
        raise ClusterError(
            f"{_AUTH_TOKEN_PATH} {os.environ.get(_AUTH_TOKEN_PATH)} cannot be read, or is empty; "
            "set it to a file with the cluster's token, or unset it"
        ) from None


@contextlib.contextmanager
def _ray_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for Ray inside the block.

    Ray reads them once, at import, so it has to be told to look again; it does the same itself
    when it turns authentication on.
    """
    try:
        with environment_variables(values):
            _reread_environment()
            yield
    finally:
        _reread_environment()


def _reread_environment() -> None:
    raylet.Config.initialize("")  # type: ignore[attr-defined]
    _token_loader().reset_cache()


def _token_loader() -> Any:
    return raylet.AuthenticationTokenLoader.instance()  # type: ignore[attr-defined]


@contextlib.contextmanager
def _kept_sigterm_handler() -> Iterator[None]:
    """`ray.init` replaces the driver's SIGTERM handler; one that the caller set is put back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    yield
    if callable(before):
        signal.signal(signal.SIGTERM, before)
