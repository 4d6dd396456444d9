"""Independent items of work as Ray tasks: the evaluation's repetitions.

Training has its own actors (`cluster.runner`); items here share nothing but their inputs, so Ray's
plain tasks fit, and Ray itself repeats those whose process or node dies.
"""

import contextlib
import logging
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
from cluster.connect import in_time, ray_session, wait_for_some
from cluster.errors import ClusterError
from cluster.last_words import explain_loss
from cluster.remote import fetch, put
from cluster.resources import (
    check_room,
    describe_shortage,
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
# How often the driver says that nothing ends, and how long the cluster's head may take to say why.
_TELL_S, _ASK_S = 30.0, 5.0
# An item that takes this long is slow even with nothing to compare with.
_LONG_S = 300.0

_LOG = logging.getLogger(__name__)


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
        """Results in the order of the items.

        At most `cluster.num_workers` run at once, not counting those that take far longer than
        others: they may be frozen, and must not keep the places of all.

        Raises:
            ClusterError: If there is no room for any within `cluster.placement_timeout_s`, at the
                start or later, or Ray loses a task for good; what an item itself raises comes
                through.
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
        room = _Room(self._config)
        # What still runs when an item raises, or has its result from another task, is left to end
        # by itself, or with this process: a task that ends while `ray.cancel` is under way makes
        # Ray 2.60 abort the whole driver.
        for position in range(len(items)):
            while position not in finished:
                now = time.monotonic()
                since = now - times.limit_s
                slow = [i for i in _slow(running, since) if i in wanted]
                free = self._config.num_workers - sum(at > since for _, at in running.values())
                for _ in range(min(free, len(waiting) + len(slow))):
                    index = waiting.pop() if waiting else slow.pop()
                    running[task.remote(shared_ref, items[index], threads)] = (index, now)
                found = wait_for_some(list(running))
                room.look(something_ended=bool(found), running=len(running), slow_s=times.limit_s)
                for done in found:
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
                raise ClusterError(_no_room(self._config, "has started", timeout_s))


class _Room:
    """Reports when no item ends for long, and gives up when none can run any more."""

    def __init__(self, config: ClusterConfig) -> None:
        self._config = config
        self._ended = self._told = self._had_room = time.monotonic()

    def look(self, *, something_ended: bool, running: int, slow_s: float) -> None:
        """Call about once a second.

        Args:
            something_ended: Since the last call.
            running: Tasks under way.
            slow_s: After so many seconds a task takes far longer than others.

        Raises:
            ClusterError: If there has been no room for a single task for
                `cluster.placement_timeout_s`.
        """
        now = time.monotonic()
        if something_ended:
            self._ended = self._told = self._had_room = now
        if now - self._told < _TELL_S:
            return
        self._told = now
        alone = self._config.model_copy(update={"num_workers": 1})
        missing = in_time(
            lambda: [describe_shortage(alone, node_resources(alone))], timeout_s=_ASK_S
        )
        if missing is None or missing[0] is None:
            self._had_room = now
        elif now - self._had_room >= self._config.placement_timeout_s:
            raise ClusterError(_no_room(self._config, "can run", now - self._had_room))
        why = (missing[0] if missing else None) or "they may need that long, or be frozen"
        waited_s = now - self._ended
        if self._had_room < now or waited_s >= min(slow_s, _LONG_S):
            _LOG.warning(
                "waiting: none of %d tasks has ended for %.0f s: %s", running, waited_s, why
            )


def _no_room(config: ClusterConfig, verb: str, seconds: float) -> str:
    setting = "cluster.placement_timeout_s"
    return f"no task {verb} within {setting} {seconds:g} s: {describe_wait(config, setting)}"


def _slow(running: Mapping[Any, tuple[int, float]], since: float) -> list[int]:
    """Items that began before and have one task only: for another, the longest running last.

    A task may be frozen, or its node out of reach, and no one would know.
    """
    attempts = Counter(index for index, _ in running.values())
    begun = sorted(((started, index) for index, started in running.values()), reverse=True)
    return [index for started, index in begun if started <= since and attempts[index] == 1]


def _do_nothing() -> None:
    """Do nothing; that this ran shows that there is room."""


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
        if "failed to import on the worker" in str(error.cause):
            raise ClusterError(f"no worker can compute: {explain_loss(error)}") from error
        # Only what the item itself raised: Ray's own text holds the whole remote traceback.
        raise error.cause from None
    except RayError as error:
        raise ClusterError(
            f"an evaluation task was lost {_RETRIES + 1} times ({explain_loss(error)}); if memory "
            "ran out, lower cluster.num_workers or evaluate.max_classes"
        ) from error


@contextlib.contextmanager
def open_map(config: ClusterConfig) -> Iterator[RayMap]:
    """Start or join Ray and yield a map over it."""
    with ray_session(config):
        yield RayMap(config)
