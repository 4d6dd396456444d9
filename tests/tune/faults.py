"""Faults of trials in tests, and a look at what trials leave behind."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import ray

from tests.helpers import descendants
from tests.workflow.conftest import Quiet

# What Ray calls processes of trials and of their workers.
_OURS = (b"ray::ImplicitFunc", b"ray::EpisodeWorker")


class Disturbing(Quiet):
    """A reporter that calls a function at every progress until that returns True."""

    def __init__(self, act: Callable[[], bool]) -> None:
        super().__init__()
        self._act, self.done = act, False

    def __reduce__(self) -> tuple[type[Quiet], tuple[()]]:
        # Ray Tune keeps its callbacks as pickles, and a cluster cannot be one.
        return Quiet, ()

    def progress(self, fields: Mapping[str, object], *, force: bool = False) -> None:
        super().progress(fields, force=force)
        self.done = self.done or self._act()


def steps_done(run: Path) -> int:
    """Outer steps in a run's log; 0 without a checkpoint."""
    if not (run / "checkpoints" / "LATEST").is_file():
        return 0
    return (run / "metrics.jsonl").read_bytes().count(b"\n")


def process_of(run: Path) -> int:
    """The process that has, or had, a run."""
    found = re.match(r"process (\d+) ", (run / ".lock").read_text())
    assert found is not None
    return int(found[1])


def kill_at(trials: Path, step: int, *, times: int = 1) -> Callable[[], bool]:
    """Function that kills the process of the first trial that has done so many steps."""
    killed: dict[Path, set[int]] = {}

    def act() -> bool:
        for run in killed or sorted(trials.glob("*_*")):
            if steps_done(run) < step or (pid := process_of(run)) in killed.get(run, ()):
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.setdefault(run, set()).add(pid)
            break
        return any(len(pids) >= times for pids in killed.values())

    return act


def parent_of(pid: int) -> int:
    """The process that started a process; of trials and workers, their node's raylet."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def processes(*names: bytes) -> list[int]:
    """Processes of trials and their workers, below this one."""
    found = []
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            if any(name in line for name in names or _OURS):
                found.append(pid)
    return found


def left_behind(timeout_s: float = 60.0) -> list[str]:
    """Resources and processes that ended searches still use; waits a while for them to go."""
    deadline = time.monotonic() + timeout_s
    while (found := _left_behind()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def _left_behind() -> list[str]:
    total, free = ray.cluster_resources(), ray.available_resources()
    used = {name: total[name] - free.get(name, 0.0) for name in ("CPU", "GPU") if name in total}
    found = [f"{amount:g} {name} in use" for name, amount in used.items() if amount > 1e-6]
    found += [f"process {pid}" for pid in processes()]
    groups = ray.util.placement_group_table().items()
    return found + [f"placement group {name}" for name, g in groups if g["state"] != "REMOVED"]
