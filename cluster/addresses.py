"""The Ray that a command runs on: the one in the settings, else the one in the environment.

Ray's own functions let RAY_ADDRESS and RAY_API_SERVER_ADDRESS win over an address that is given to
them. Here what is given explicitly always wins, and a variable that decides is named.
"""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ray._private import services

from cluster.config import ADDRESS, ray_address_problem
from cluster.errors import ClusterError

RAY_ADDRESS, API_SERVER_ADDRESS = "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"
DEFAULT_JOBS_ADDRESS = "http://127.0.0.1:8265"
_CONNECT_TIMEOUT_S = 5.0
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_HTTP2_SETTINGS = b"\4"
_JOBS = re.compile(r"(https?)://[^/\s]+(/\S*)?")
_PASSWORD = re.compile(r"(?<=//)[^/\s]*@")


@dataclass(frozen=True)
class Named:
    """An address and who named it.

    Attributes:
        address: As it was written.
        by: The setting or option, or the environment variable.
    """

    address: str
    by: str

    def __str__(self) -> str:
        """The address for messages, with the variable that set it, of which users may not know."""
        address = without_password(self.address)
        return f"{address} ({self.by})" if self.by.startswith("RAY_") else address

    @property
    def instead(self) -> str:
        """Another fix than correcting the address; empty where the user wrote it."""
        fix = f"unset {self.by} to start a Ray on this machine"
        return f"; {fix}" if self.by.startswith("RAY_") else ""


def without_password(address: str) -> str:
    """An address for messages, without the name and the password for a proxy."""
    return _PASSWORD.sub("***@", address)


def ray_to_join(setting: str | None, environment: Mapping[str, str]) -> Named | None:
    """The Ray to join; None where one is to be started for the run.

    Args:
        setting: `cluster.address`, which wins.
        environment: As os.environ.

    Raises:
        ClusterError: If RAY_ADDRESS decides and names no Ray that can be joined.
    """
    if setting is not None:
        return Named(setting, "cluster.address")
    address = environment.get(RAY_ADDRESS, "")
    if address in ("", "local"):
        return None
    problem = ray_address_problem(address)
    if problem is not None:
        raise ClusterError(
            f"{RAY_ADDRESS} is {without_password(address)}: {problem}; unset {RAY_ADDRESS} to "
            "start a Ray on this machine, or set it (or cluster.address) to auto or host:port, "
            "6379 by default"
        )
    return Named(address, RAY_ADDRESS)


def jobs_address(option: str | None, environment: Mapping[str, str]) -> Named:
    """Address of the dashboard that jobs are submitted to.

    Args:
        option: `--address`, which wins.
        environment: As os.environ.

    Raises:
        ClusterError: If it is no dashboard's address, or RAY_ADDRESS names a Ray whose dashboard's
            address nobody has said.
    """
    named = Named(DEFAULT_JOBS_ADDRESS, "--address")
    if option is not None:
        named = Named(option, "--address")
    else:
        for variable in (API_SERVER_ADDRESS, RAY_ADDRESS):
            if environment.get(variable):
                named = Named(environment[variable], variable)
                break
    # A browser shows the page of the dashboard behind a "#".
    address, example = named.address.partition("#")[0], "http://HOST:8265"
    if ADDRESS.fullmatch(address) and named.by != RAY_ADDRESS:
        address = f"http://{address}"
    if not _JOBS.fullmatch(address) or not _has_known_port(address):
        raise ClusterError(
            f"{named.by} is {without_password(named.address)!r}, which is no address of a Ray "
            f"dashboard, where jobs are submitted; give --address {example} (or set "
            f"{API_SERVER_ADDRESS} to it)"
        )
    return Named(address.rstrip("/"), named.by)


def _has_known_port(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def host_and_port(address: str) -> str:
    """The host:port that `auto` means here: a Ray with a node on this machine.

    It is the one that this process's own job runs on, else the last that `ray start` has started,
    else the only one that is not private to a run.

    Raises:
        ConnectionError: If no Ray runs here, or several do of which neither is the case.
    """
    if address != "auto":
        return address
    services.find_gcs_addresses.cache_clear()  # type: ignore[attr-defined]
    running = set(services.find_gcs_addresses())  # type: ignore[no-untyped-call]
    for chosen in (os.environ.get(RAY_ADDRESS), services.find_bootstrap_address(None)):
        if chosen and chosen in running:
            return chosen
    # Those that some run has started for itself alone.
    running = {each for each in running if not each.startswith(("127.", "localhost:", "[::1]"))}
    if len(running) == 1:
        return str(next(iter(running)))
    if running:
        raise ConnectionError(
            f"several Rays run on this machine ({', '.join(sorted(running))}); name one of them"
        )
    raise ConnectionError("no Ray runs on this machine")


def connection_to(address: str) -> socket.socket:
    """Connect to an address, for a `with` block; Ray itself would try a dead one for long.

    Args:
        address: host:port; an IPv6 host in brackets.

    Raises:
        OSError: If nothing answers there in time.
    """
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_TIMEOUT_S)


def check_port(address: str) -> None:
    """Refuse an address without a Ray at once; Ray itself would try for seconds or minutes.

    Its control service speaks HTTP/2, where both sides begin with a settings frame (RFC 9113,
    section 3.4).

    Raises:
        OSError: If nothing answers there, or something else.
    """
    with connection_to(address) as connection:
        if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
            return
        connection.sendall(_HTTP2_PREFACE)
        answer = connection.recv(4)
    if answer[3:] != _HTTP2_SETTINGS:
        raise OSError(
            "what answers there is no Ray control service; is it Ray's own port, 6379 by default?"
        )
