"""Reasons why a worker's process has ended, as far as Ray and the process itself say.

Ray says the same of a process that ran out of memory, crashed or was killed by somebody. What it
wrote last to standard error tells more: a crash leaves a trace there, a kill leaves none.
"""

import re
from itertools import dropwhile
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayError

from metagan import own_packages
from metagan.version import tool_version

_MOST_LINES, _MOST_CHARACTERS = 5, 1000
_READ_BYTES = 16 * 1024
# For Ray's own log monitor, at the beginning of every worker's log.
_MARKS = (":job_id:", ":actor_name:", ":task_name:")
_CRASH = "Fatal Python error"
# Error of a worker that found no package of ours under its name, or another one.
_NOT_OURS = re.compile(
    r"^\w*Error: .*(?:from|named|on <module) '(metagan|cluster|tune)\b.*$", re.MULTILINE
)
_MEMORY_FIX = "lower outer.episodes_per_chunk, inner.batch_size, gan.width or cluster.num_workers"


def explain(error: Exception) -> str:
    """An error of Ray's in one line: how the process ended, or else the last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    cause = next((line for line in lines if line.startswith("The actor is dead")), lines[-1])
    return f"{type(error).__name__}: {cause.partition(' Some common causes')[0]}"[:400]


def explain_loss(error: RayError) -> str:
    """The loss of a worker in one line: the error, the tail of stderr and what it means.

    The tail is known if it ran on this machine, and neither its node nor the driver ended it.
    """
    text = str(error)
    not_ours = _NOT_OURS.search(text)
    if not_ours is not None:
        return f"{explain(error)}; {_import_fix(not_ours[1])}"
    if isinstance(error, OutOfMemoryError) or "low on memory" in text:
        return f"{explain(error)}; out of memory: {_MEMORY_FIX}"
    if not isinstance(error, ActorDiedError) or "its worker process has died" not in text:
        return explain(error)
    log = _log_of(text)
    if log is None:
        return f"{explain(error)}; out of memory, if its node's dmesg says so: {_MEMORY_FIX}"
    words = last_words(log)
    said = f"; last on its stderr: {words}" if words else ""
    # A crash or an exception that ended it says so.
    hint = "" if _CRASH in words else f"; perhaps out of memory (see dmesg): {_MEMORY_FIX}"
    return f"{explain(error)}{hint}{said}"


def _import_fix(name: str) -> str:
    """Fix where workers import something else under the name of one of our packages, or nothing."""
    install = f"install metagan {tool_version()} on every node (metagan doctor --address compares)"
    files = [Path.cwd() / f"{name}.py", Path.cwd() / name / "__init__.py"]
    for file in files:
        if file.is_file() and not file.is_relative_to(Path(own_packages.ROOT, name)):
            return f"it imports {file} in place of metagan's own {name}: rename that"
    return f"a file or folder called {name} may hide metagan's own there; rename it, or {install}"


def last_words(log: Path) -> str:
    """The last lines of a log, or the first of a crash's, separated by bars; "" without any."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _READ_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(_MARKS)]
    crash = list(dropwhile(lambda line: not line.startswith(_CRASH), lines))
    chosen = crash[:_MOST_LINES] or lines[-_MOST_LINES:]
    # The end of a long line says more than its beginning, except of a crash.
    joined = " | ".join(chosen)
    return joined[:_MOST_CHARACTERS] if crash else joined[-_MOST_CHARACTERS:]


def _log_of(text: str) -> Path | None:
    """Standard error of the process that Ray's text is about, if it ran on this machine."""
    node: Any = ray._private.worker._global_node
    pid = re.search(r"^\s*pid: (\d+)$", text, re.MULTILINE)
    ip = re.search(r"^\s*ip: (\S+)$", text, re.MULTILINE)
    if node is None or pid is None or ip is None or ip[1] != node.node_ip_address:
        return None
    logs = Path(node.get_logs_dir_path()).glob(f"worker-*-{pid[1]}.err")
    return max(logs, key=lambda path: path.stat().st_mtime, default=None)
