"""Questions to Ray about objects and actors, and the meaning of its errors."""

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
    """A reason to replace a worker.

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
    """Put a copy into Ray's object store.

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
    """Fetch an object that Ray says is ready; treat more than a minute as lost."""
    return ray.get(ref, timeout=timeout_s)


def fetch_large(ref: Ref, *, timeout_s: float, meanwhile: Callable[[], object]) -> Any:
    """Fetch an object from another node's object store, which may take long.

    Args:
        ref: Of the object, which is ready.
        timeout_s: An object that takes longer is lost.
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
    """True if an actor died because its whole node did."""
    return isinstance(error, ActorDiedError) and "because its node has died" in str(error)


def is_preempted(error: Exception) -> bool:
    """True if an actor was lost because its node was taken away after a notice."""
    return isinstance(error, ActorDiedError) and bool(error.preempted)
