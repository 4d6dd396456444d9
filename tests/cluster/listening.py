"""Addresses that processes listen on, as Linux tells it."""

import ipaddress
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

_LISTENS = "0A"


def descendants(pid: int) -> list[int]:
    """Processes that this one has started, and those that they have."""
    children = defaultdict(list)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # It has ended.
            continue
        children[int(fields[1])].append(int(folder.name))
    found = [pid]
    for each in found:
        found.extend(children[each])
    return found[1:]


def listening(pids: Iterable[int]) -> dict[tuple[str, int], int]:
    """{(address, port): process} of every TCP socket that waits for connections."""
    owners = {inode: pid for pid in pids for inode in _sockets(pid)}
    found = {}
    for name in ("tcp", "tcp6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS and fields[9] in owners:
                host, port = fields[1].split(":")
                found[_address(host), int(port, 16)] = owners[fields[9]]
    return found


def is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


def _sockets(pid: int) -> list[str]:
    try:
        links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:  # It has ended.
        return []
    return [link[8:-1] for link in links if link.startswith("socket:[")]


def _address(text: str) -> str:
    """Words of four bytes, each in the order of the machine."""
    raw = bytes.fromhex(text)
    ordered = b"".join(raw[i : i + 4][::-1] for i in range(0, len(raw), 4))
    return str(ipaddress.ip_address(ordered))
