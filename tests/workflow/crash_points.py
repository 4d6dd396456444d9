"""A run that is killed before each change that it makes to the disk, and then resumed.

    python -m tests.workflow.crash_points DATA FOLDER

Every attempt is a fork that kills itself before its k-th change below the run's or its storage's
folder (opening to write, renaming, removing, making folders: what Python's audit hooks see), for
k = 1, 2, ... until one ends by itself. After each death another fork resumes, at every third one
after the run folder is lost, too, from the storage. Printed is a line of JSON.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from metagan.runs.checkpoint import read_pointer
from tests.workflow.conftest import bars_config, run_training

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def train(data: Path, place: Path, *, steps: int) -> None:
    """Resume from whatever is there, with a checkpoint and a copy at every outer step."""
    config = bars_config(
        data,
        outer={"steps": steps, "meta_batch_size": 2, "episodes_per_chunk": 1},
        checkpoint={"every_steps": 1, "keep": 1, "storage": (place / "store").as_uri()},
    )
    run_training(config, place / "run", resume="auto")


def die_before_change(number: int, place: Path) -> None:
    """Kill this process before its change with this number, from 1, below a folder."""
    left = number
    inside = str(place)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & _WRITES:
                return
        elif event in _CHANGES:
            path = arguments[0]
        else:
            return
        if not isinstance(path, (str, bytes)):
            return
        name = os.fsdecode(path)
        # What is removed with its folder is named from there.
        if name.startswith(inside) or not os.path.isabs(name):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def fork(work: Callable[[], None]) -> int:
    """Exit code of a fork that calls a function; negative: the signal that ended it."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        work()
    except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def state(run: Path) -> str:
    """Hash of the newest checkpoint's tensors and of the log without times."""
    newest = run / "checkpoints" / str(read_pointer(run / "checkpoints", "LATEST"))
    digest = hashlib.sha256(newest.name.encode())
    for path in sorted(newest.glob("*.safetensors")):
        digest.update(path.read_bytes())
    for line in (run / "metrics.jsonl").read_text().splitlines():
        kept = {k: v for k, v in json.loads(line).items() if not k.endswith("_s")}
        digest.update(json.dumps(kept, sort_keys=True).encode())
    return digest.hexdigest()


def main(data: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    straight, begun = folder / "straight", folder / "begun"
    for place, steps in ((straight, 3), (begun, 1)):
        assert fork(lambda place=place, steps=steps: train(data, place, steps=steps)) == 0
    expected, differing, points = state(straight / "run"), [], 0
    while True:
        points += 1
        place = folder / f"at-{points}"
        shutil.copytree(begun, place)

        def attempt(place: Path = place, number: int = points) -> None:
            die_before_change(number, place)
            train(data, place, steps=3)

        code = fork(attempt)
        if code == 0:
            break
        assert code == -signal.SIGKILL, code
        lost = points % 3 == 0
        if lost:
            shutil.rmtree(place / "run")
        resumed = fork(lambda place=place: train(data, place, steps=3))
        if resumed != 0 or state(place / "run") != expected:
            differing.append({"point": points, "folder_lost": lost, "exit": resumed})
        shutil.rmtree(place)
    print(json.dumps({"points": points - 1, "differing": differing}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
