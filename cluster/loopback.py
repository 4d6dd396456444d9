"""A Ray that no other machine can talk to: its processes listen on the loopback interface only.

Ray 2.60 does so where a node's address is 127.0.0.1, and takes that address where it is told that
nodes cannot form a cluster, as by default on Windows and macOS. An address that is given to
`ray.init` does not do: of a loopback one it makes the machine's own.
"""

import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any

from ray._private import ray_constants, services

from cluster.environment import environment_variables

_VARIABLE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_TIMEOUT_S = 1.0


@contextlib.contextmanager
def on_loopback() -> Iterator[None]:
    """Let `ray.init` inside start or join a Ray at 127.0.0.1, unless the user said otherwise."""
    if os.environ.get(_VARIABLE) is not None:
        yield
        return
    # Ray has read the variable when it was imported; the processes that it starts read it anew.
    constants: Any = ray_constants
    before = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = False
    try:
        with environment_variables({_VARIABLE: "0"}):
            yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before


def is_on_loopback_only(address: str) -> bool:
    """True if the Ray at host:port answers on this machine's loopback and nowhere else."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or not _is_loopback(host.strip("[]")):
        return False
    own: str = services.get_node_ip_address()  # type: ignore[no-untyped-call]
    if _is_loopback(own):
        return False
    try:
        socket.create_connection((own, int(port)), timeout=_TIMEOUT_S).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
