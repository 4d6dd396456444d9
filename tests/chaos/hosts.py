"""Several hosts on one machine: network namespaces on a bridge, each with a Ray node of its own.

Everything is made inside namespaces that `main` of a scenario was started in (`in_namespaces`), and
goes with them: the machine's own network, processes and mounts are not touched.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from metagan.data.arrow import prepare
from tests.chaos.bad_link import why_no_tap
from tests.chaos.campaign import SETTINGS
from tests.chaos.nodes import episode_workers
from tests.helpers import bars, environment_without_ray

NETWORK = "10.88.0"
PORT = 6379
# Ray takes a host that does not answer for dead after about three seconds.
_HEALTH = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")


def why_not() -> str | None:
    """Reason why hosts cannot be made here, or None if they can."""
    for program in ("unshare", "ip"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    tried = subprocess.run(
        [*_UNSHARE, "sh", "-c", "ip link add mgtest type bridge && ip link add mgpair type veth"],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        return f"no network namespaces here: {tried.stderr.strip().splitlines()[-1]}"
    return None


def why_not_disturb(qdisc: Sequence[str]) -> str | None:
    """Reason why no link can be disturbed in this way here, or None if one can."""
    reason = _why_no_qdisc(qdisc)
    return reason and (why_no_tap() if qdisc[0] == "netem" else reason)


def _why_no_qdisc(qdisc: Sequence[str]) -> str | None:
    if shutil.which("tc") is None:
        return "tc is not installed"
    add = f"ip link add mgpair type veth && tc qdisc add dev mgpair root {' '.join(qdisc)}"
    tried = subprocess.run(
        [*_UNSHARE, "sh", "-c", add], capture_output=True, text=True, check=False
    )
    return f"tc {qdisc[0]}: {tried.stderr.strip()}" if tried.returncode else None


def in_namespaces(module: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m module folder arguments` in namespaces of its own; the path is short."""
    return subprocess.run(
        [*_UNSHARE, sys.executable, "-m", module, str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=1100,
        check=False,
    )


class Hosts:
    """A bridge, and hosts on it that each have one address and see nothing else."""

    def __init__(self, count: int, folder: Path) -> None:
        """Hosts 1 to `count`; what they write goes into `folder`."""
        self._folder = folder
        self._token = folder / "token"
        self._token.write_text("a" * 64)
        self._nodes: list[subprocess.Popen[bytes]] = []
        _ip("link", "set", "lo", "up")
        # `ip netns` keeps its names in /run, which the machine shares otherwise.
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
        _ip("link", "add", "bridge0", "type", "bridge")
        _ip("link", "set", "bridge0", "up")
        for host in range(1, count + 1):
            _ip("netns", "add", f"h{host}")
            link = ("link", "add", f"veth{host}", "type", "veth")
            _ip(*link, "peer", "name", "eth0", "netns", f"h{host}")
            _ip("link", "set", f"veth{host}", "master", "bridge0", "up")
            _ip("-n", f"h{host}", "addr", "add", f"{self.address(host)}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", f"h{host}", "link", "set", device, "up")

    @staticmethod
    def address(host: int) -> str:
        """Address of a host."""
        return f"{NETWORK}.{host}"

    @property
    def control(self) -> str:
        """host:port of Ray's control service, on host 1."""
        return f"{self.address(1)}:{PORT}"

    def run(
        self, host: int, command: Sequence[str], log: str, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start a command on a host."""
        with (self._folder / log).open("ab") as output:
            return subprocess.Popen(
                ["ip", "netns", "exec", f"h{host}", *command],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment() | environment,
            )

    def start_head(self) -> None:
        """Start Ray's head on host 1, without cores: nothing computes there."""
        self._start(1, ["--head", f"--port={PORT}", "--include-dashboard=false"], cpus=0)
        self._wait_for_node(1)

    def join(self, host: int, *, cpus: int) -> None:
        """Start a Ray node on a host."""
        self._start(host, [f"--address={self.control}"], cpus=cpus)
        self._wait_for_node(host)

    def join_with(self, token: str, host: int) -> int:
        """Exit code of a node that tries to join with this token."""
        file = self._folder / "other_token"
        file.write_text(token)
        return self._start(host, [f"--address={self.control}"], cpus=1, token=file).wait(60)

    def _wait_for_node(self, host: int) -> None:
        log = self._folder / f"ray-{host}.log"
        started = b"Ray runtime started"
        wait_until(f"Ray on host {host}", lambda: started in log.read_bytes(), 120)

    def workers(self, host: int) -> int:
        """Episode workers on a host."""
        pids = subprocess.run(
            ["ip", "netns", "pids", f"h{host}"], capture_output=True, text=True, check=True
        )
        return len(set(map(int, pids.stdout.split())) & set(episode_workers()))

    def _start(
        self, host: int, options: Sequence[str], *, cpus: int, token: Path | None = None
    ) -> subprocess.Popen[bytes]:
        python = Path(sys.executable)
        command = [
            *(str(python.with_name("ray")), "start", "--block", "--disable-usage-stats"),
            *(f"--node-ip-address={self.address(host)}", f"--num-cpus={cpus}", *options),
            "--object-store-memory=100000000",
        ]
        own = {"RAY_AUTH_TOKEN_PATH": str(token or self._token)}
        node = self.run(host, command, f"ray-{host}.log", **own)
        self._nodes.append(node)
        return node

    def cut(self, host: int) -> None:
        """Take a host's link down: packets vanish, no connection is closed."""
        _ip("link", "set", f"veth{host}", "down")

    def mend(self, host: int) -> None:
        """Put a host's link up again."""
        _ip("link", "set", f"veth{host}", "up")

    def disturb(self, host: int, qdisc: Sequence[str]) -> None:
        """Delay, lose or throttle what leaves a host and what comes to it.

        By `tc`; for `netem`, where the kernel has none, by a program between host and bridge.
        """
        if _why_no_qdisc(qdisc):
            self._put_between(host, qdisc)
            return
        inside = ("ip", "netns", "exec", f"h{host}")
        for where, device in (((), f"veth{host}"), (inside, "eth0")):
            command = [*where, "tc", "qdisc", "add", "dev", device, "root", *qdisc]
            subprocess.run(command, check=True, capture_output=True)

    def _put_between(self, host: int, netem: Sequence[str]) -> None:
        near, far, beyond = f"near{host}", f"far{host}", f"beyond{host}"
        program = [sys.executable, "-m", "tests.chaos.bad_link", near, far]
        counts = self._folder / f"link-{host}"
        log = (self._folder / f"link-{host}.log").open("ab")
        with log:
            subprocess.Popen([*program, str(counts), *netem[1:]], stdout=log, stderr=log)
        wait_until("the program between", counts.exists, 60)
        _ip("link", "add", beyond, "type", "bridge")
        for device, bridge in ((near, "bridge0"), (far, beyond), (f"veth{host}", beyond)):
            _ip("link", "set", device, "master", bridge, "up")
        _ip("link", "set", beyond, "up")

    def statistics(self, host: int) -> str:
        """Packets for a host that were sent on and dropped since its link was disturbed."""
        if (counts := self._folder / f"link-{host}").exists():
            return counts.read_text()
        command = ["tc", "-s", "qdisc", "show", "dev", f"veth{host}"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return " ".join(done.stdout.split())

    def _environment(self) -> Mapping[str, str]:
        return environment_without_ray() | {
            "HOME": str(self._folder),
            "RAY_TMPDIR": str(self._folder),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self._token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
            # Two cores for a whole cluster: a node may take its time to start.
            "RAY_raylet_start_wait_time_s": "120",
            **_HEALTH,
        }


def wait_until(what: str, true: Callable[[], object], timeout_s: float) -> float:
    """Wait until `true()` holds; return the seconds.

    Raises:
        TimeoutError: If it does not in time.
    """
    started = time.monotonic()
    while not true():
        if time.monotonic() - started > timeout_s:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.05)
    return time.monotonic() - started


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def reference_run(hosts: Hosts, folder: Path) -> list[str]:
    """Train undisturbed on host 1, into `folder / "reference"`; returns the command without --run.

    Raises:
        RuntimeError: If that fails, with the end of its log.
    """
    prepare(bars(), folder / "bars")
    train = [sys.executable, "-m", "metagan", "train", *SETTINGS, f"data.path={folder / 'bars'}"]
    alone = hosts.run(1, [*train, "--run", str(folder / "reference"), "--local"], "reference.log")
    if alone.wait(400):
        raise RuntimeError((folder / "reference.log").read_text(errors="replace")[-3000:])
    return train
