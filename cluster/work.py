"""Independent items of work as Ray tasks: the evaluation's repetitions.

Training has its own actors (`cluster.runner`); items here share nothing but their inputs, so Ray's
plain tasks fit, and Ray itself repeats those whose process or node dies.
"""

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import ray
import torch
from ray.exceptions import RayError, RayTaskError

from cluster.backup import StepTimes
from cluster.config import ClusterConfig
from cluster.connect import ray_session, wait_for_some
from cluster.errors import ClusterError
from cluster.pool import fetch, put
from cluster.resources import (
    check_room,
    describe_wait,
    hide_gpus_not_granted,
    node_resources,
    placement,
)

Item = TypeVar("Item")
Result = TypeVar("Result")
Shared = TypeVar("Shared")

_RETRIES = 3
# Below this no item is slow.
_SHORTEST_S = 10.0


class RayMap:
    """A `metagan.evaluate.evaluation.WorkMap` on the Ray of this process."""

    def __init__(self, config: ClusterConfig) -> None:
        self._config = config

    def __call__(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Sequence[Item],
    ) -> Iterator[Result]:
        """Results in the order of the items; at most `cluster.num_workers` run at once.

        Raises:
            ClusterError: If there is no room for any within `cluster.placement_timeout_s`, or Ray
                loses a task for good; what an item itself raises comes through.
        """
        check_room(self._config)
        self._await_room(min(self._config.num_workers, len(items)))
        task = self._remote(_run)
        # Once for all items: tasks of one node share the copy in its object store.
        shared_ref = put((function, shared), "what an evaluation needs")
        waiting = list(reversed(range(len(items))))
        # Items without a result; of some that have one, a slower task may still run.
        wanted = set(waiting)
        running: dict[Any, tuple[int, float]] = {}
        finished: dict[int, Result] = {}
        times = StepTimes(self._config.backup_factor, shortest_s=_SHORTEST_S)
        threads = self._config.threads_per_worker
        # What still runs when an item raises, or has its result from another task, is left to end
        # by itself, or with this process: a task that ends while `ray.cancel` is under way makes
        # Ray 2.60 abort the whole driver.
        for position in range(len(items)):
            while position not in finished:
                now = time.monotonic()
                slow = [i for i in _slow(running, now - times.limit_s) if i in wanted]
                while (waiting or slow) and len(running) < self._config.num_workers:
                    index = waiting.pop() if waiting else slow.pop()
                    running[task.remote(shared_ref, items[index], threads)] = (index, now)
                for done in wait_for_some(list(running)):
                    index, started = running.pop(done)
                    times.add(time.monotonic() - started)
                    if index in wanted:
                        finished[index] = _fetch(done)
                        wanted.remove(index)
            yield finished.pop(position)

    def _remote(self, function: Callable[..., Any]) -> Any:
        return ray.remote(function).options(
            num_cpus=self._config.cpus_per_worker,
            num_gpus=self._config.gpus_per_worker,
            max_retries=_RETRIES,
            name="metagan-evaluate",
            **placement(self._config),
        )

    def _await_room(self, num_places: int) -> None:
        """Wait until one task of this shape has run: an item says nothing before its end.

        Raises:
            ClusterError: If none has within `cluster.placement_timeout_s`.
        """
        # As many as there will be items at once, so that an autoscaler knows what to start.
        task = self._remote(_do_nothing)
        waiting = [task.remote() for _ in range(num_places)]
        timeout_s = self._config.placement_timeout_s
        deadline = time.monotonic() + timeout_s
        while waiting:
            done = wait_for_some(waiting, timeout_s=deadline - time.monotonic())
            if done:
                _fetch(done[0])
                return
            if time.monotonic() >= deadline:
                raise ClusterError(
                    f"no task has started within cluster.placement_timeout_s {timeout_s:g} s: "
                    f"{describe_wait(self._config, node_resources(self._config))}"
                )


def _slow(running: Mapping[Any, tuple[int, float]], since: float) -> list[int]:
    """Items that began before and have one task only: for another, the longest running last.

    A task may be frozen, or its node out of reach, and no one would know.
    """
    attempts = Counter(index for index, _ in running.values())
    begun = sorted(((started, index) for index, started in running.values()), reverse=True)
    return [index for started, index in begun if started <= since and attempts[index] == 1]


def _do_nothing() -> None:
    """Shows that there is room."""


def _run(work: tuple[Callable[[Any, Any], Any], Any], item: Any, threads: int) -> Any:
    function, shared = work
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    hide_gpus_not_granted()
    torch.set_num_threads(threads)
    return function(shared, item)


def _fetch(ref: Any) -> Any:
    try:
        return fetch(ref)
    except RayTaskError as error:
        # Only what the item itself raised: Ray's own text holds the whole remote traceback.
        raise error.cause from None
    except RayError as error:
        raise ClusterError(
            f"an evaluation task was lost {_RETRIES + 1} times ({type(error).__name__}); if memory "
            "ran out, lower cluster.num_workers or evaluate.max_classes"
        ) from error


@contextlib.contextmanager
def open_map(config: ClusterConfig) -> Iterator[RayMap]:
    """Start or join Ray and yield a map over it."""
    with ray_session(config):
        yield RayMap(config)
