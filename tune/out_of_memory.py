"""Protection of a search from Ray's memory monitor: a trial that it ends is lost like any other.

When a node runs out of memory, Ray ends processes on it and raises an error of its own kind.
Ray Tune 2.60 knows only errors of actors that died and of tasks that failed; at this one it ends
the search, all trials with it.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from ray.air.execution._internal import actor_manager
from ray.exceptions import OutOfMemoryError, RayActorError

# Private: there is no public place between a trial's process and what Tune makes of its end.
_MANAGER: Any = actor_manager.RayActorManager


@contextlib.contextmanager
def ends_by_memory_are_losses() -> Iterator[None]:
    """Let Tune treat a process that was ended for its memory like one that died."""
    original = _MANAGER._actor_task_failed

    def failed(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, OutOfMemoryError):
            # All that follows the first line is about the whole node.
            exception = RayActorError(error_msg=str(exception).partition("\n")[0])
        original(manager, tracked_actor_task, exception)

    _MANAGER._actor_task_failed = failed
    try:
        yield
    finally:
        _MANAGER._actor_task_failed = original
