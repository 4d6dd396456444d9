"""What is asked of Ray about objects and actors, and what its errors mean."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import ActorDiedError, GetTimeoutError, RayError

from cluster.connect import in_time
from cluster.errors import ClusterError
from cluster.last_words import explain, explain_loss

Ref = Any  # ray.ObjectRef is generic in some versions of Ray and not in others.

_FETCH_TIMEOUT_S = 60.0
_SOON_S = 5.0


@dataclass(frozen=True)
class Loss:
    """Why a worker has to be replaced.

    Attributes:
        reason: For the log.
        preempted: Whether its node was taken away by its owner, which is nobody's fault.
        with_node: Whether its whole node may be what was lost, and others with it.
    """

    reason: str
    preempted: bool = False
    with_node: bool = False

    @classmethod
    def of(cls, error: RayError) -> "Loss":
        """The loss that an error of a call to it stands for."""
        return cls(explain_loss(error), is_preempted(error), died_with_its_node(error))


def put(value: object, what: str) -> Ref:
    """A copy in Ray's object store.

    Raises:
        ClusterError: If it has no room, nor the disk that it would move others to.
    """
    try:
        return ray.put(value)
    except RayError as error:
        raise ClusterError(
            f"{what} cannot be put into Ray's object store ({explain(error)}); give it more room "
            "(ray start --object-store-memory, a larger /dev/shm), or the disk with Ray's folder "
            "(RAY_TMPDIR)"
        ) from error


def fetch(ref: Ref, *, timeout_s: float = _FETCH_TIMEOUT_S) -> Any:
    """What Ray says is there; to take longer than a minute is to be lost."""
    return ray.get(ref, timeout=timeout_s)


def fetch_large(ref: Ref, *, timeout_s: float, meanwhile: Callable[[], object]) -> Any:
    """What another node's object store holds, however long its way here takes.

    Args:
        ref: Of what is there.
        timeout_s: As long as that, and it is lost.
        meanwhile: Called every second if it takes long; what it raises ends the wait.

    Raises:
        RayError: If it is lost.
    """
    try:
        return fetch(ref, timeout_s=_SOON_S)
    except GetTimeoutError:
        # Ray begins anew with every call, so the rest is one: shorter ones might never end.
        found = in_time(
            lambda: [fetch(ref, timeout_s=timeout_s)], timeout_s=timeout_s, meanwhile=meanwhile
        )
    if found is None:
        raise GetTimeoutError(f"a result has not arrived in {timeout_s:g} s")
    return found[0]


def kill(actor: Any) -> None:
    """End an actor's process without a word, also if it is frozen."""
    ray.kill(actor, no_restart=True)


def died_with_its_node(error: Exception) -> bool:
    """Whether an actor died because the whole node did."""
    return isinstance(error, ActorDiedError) and "because its node has died" in str(error)


def is_preempted(error: Exception) -> bool:
    """Whether an actor was lost because its node was taken away after a notice."""
    return isinstance(error, ActorDiedError) and bool(error.preempted)
