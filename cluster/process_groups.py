"""Process groups that keep a Ray of our own alive when the driver's group gets a signal.

`timeout`, a shell and many batch systems end a group at once. Ray's node process would then go as
soon as the driver, and Ray ends a driver whose node has gone without a word (exit code 1, seen
within a second on Ray 2.60), before it can write a checkpoint. What remains in the driver's
group, such as Ray's log monitor, tells the driver that the group was meant
(`cluster.connect.wait_for_some`).
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray._private.utils
from ray._private import services

_APART = ("raylet", "gcs_server")


@contextlib.contextmanager
def ray_in_groups_of_its_own() -> Iterator[None]:
    """Give each node and control process that `ray.init` starts inside a group of its own.

    Only where the kernel ends them with the driver (Linux): elsewhere Ray itself ends its
    processes by their group.
    """
    module: Any = services
    utils: Any = ray._private.utils
    if sys.platform != "linux" or not utils.detect_fate_sharing_support():
        yield
        return
    before = module.ConsolePopen

    def start(command: Sequence[str], **options: Any) -> Any:
        if Path(command[0]).name in _APART:
            options["process_group"] = 0
        return before(command, **options)

    module.ConsolePopen = start
    try:
        yield
    finally:
        module.ConsolePopen = before
