"""Notices that a node will be taken away, by a spot market, an autoscaler or `ray drain-node`.

Ray itself places nothing on such a node any more, and leaves what runs there alone until the node
is gone, or idle. Whether there are notices is asked by threads of their own: where the cluster's
head has gone, the call waits for a minute, and then Ray ends the whole process.
"""

import threading
import time

import ray
from ray._private.state import state
from ray.exceptions import RayError

from cluster.connect import started_by_this_process
from cluster.errors import ClusterError

# A look is one call to the control service (0.3 ms, measured on Ray 2.60).
_LOOK_S = 1.0
# Half of what Ray itself waits: the rest is for a checkpoint.
_GONE_S = 30.0


class DrainNotices:
    """The nodes that are being drained, looked up once a second."""

    def __init__(self) -> None:
        # When the last look began, and whether it is over.
        self._looked = float("-inf")
        self._looking: threading.Thread | None = None
        self._nodes: frozenset[str] = frozenset()

    def nodes(self) -> frozenset[str]:
        """Ids of the nodes that are about to go, as of the last look.

        Raises:
            ClusterError: If this process's own node is among them, since nobody would tell the user
                once it is gone; or if the cluster's head does not answer any more. There is still
                time for a checkpoint.
        """
        if started_by_this_process():
            return frozenset()  # The one node of a Ray of our own goes with this process.
        now = time.monotonic()
        if self._looking is not None and self._looking.is_alive():
            if now - self._looked >= _GONE_S:
                raise ClusterError(
                    f"the cluster's head has not answered for {_GONE_S:g} s; when there is one "
                    "again, start the command again with --resume auto"
                )
        elif now - self._looked >= _LOOK_S:
            self._looked = now
            self._looking = threading.Thread(target=self._look, daemon=True)
            self._looking.start()
        if self._nodes and (own := ray.get_runtime_context().get_node_id()) in self._nodes:
            raise ClusterError(
                f"the driver's own node ({own}) is about to be taken away; start the command "
                "again on another one, with --resume auto"
            )
        return self._nodes

    def _look(self) -> None:
        self._nodes = draining_nodes()


def draining_nodes() -> frozenset[str]:
    """Ids of the nodes that are about to go, at this moment."""
    try:
        # Private, but what Ray Train itself asks; there is no public way.
        return frozenset(state.get_draining_nodes())
    except RayError:
        return frozenset()  # The control service is busy or gone; waiting for results will tell.
