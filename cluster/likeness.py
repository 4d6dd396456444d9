"""Numerics check of workers: differences that change bits are refused, others only reported."""

import torch

from cluster.errors import ClusterError
from cluster.telemetry import Telemetry
from cluster.worker import WorkerReady
from metagan.version import UNKNOWN, tool_version


class Likeness:
    """Compares every new worker with the driver and with the first worker."""

    def __init__(self, telemetry: Telemetry, *, mixed_devices: bool) -> None:
        """`mixed_devices` as in the settings: whether bits may differ, with a warning."""
        self._telemetry, self._mixed_devices = telemetry, mixed_devices
        self._first: tuple[str, WorkerReady] | None = None
        self._told: set[str] = set()

    def check(self, where: str, ready: WorkerReady) -> None:
        """Refuse a worker with another torch or kind of device; report one whose last bits differ.

        Args:
            where: The worker, for messages.
            ready: What it said of itself.

        Raises:
            ClusterError: If it cannot belong to the run.
        """
        for package, there, here in (
            ("torch", ready.torch_version, torch.__version__),
            ("metagan", ready.metagan_version, tool_version()),
        ):
            # Where a job's files were uploaded, metagan may be installed on some nodes only.
            if there != here and UNKNOWN not in (there, here):
                raise ClusterError(
                    f"{where} has {package} {there}, the driver {here}; install one version on "
                    "all nodes"
                )
        if self._first is None:
            self._first = where, ready
            self._telemetry.arithmetic = ready.arithmetic
            return
        first_where, first = self._first
        if ready.device != first.device:
            raise ClusterError(
                f"{where} computes on {ready.device}, others on {first.device}; set device cpu or "
                "cuda, and cluster.gpus_per_worker to match"
            )
        if ready.arithmetic == first.arithmetic:
            return
        text = (
            f"{where} ({ready.device_name}) differs in the last bits of its results from "
            f"{first_where} ({first.device_name})"
        )
        if not self._mixed_devices:
            raise ClusterError(
                f"{text}, and cluster.mixed_devices is false; set cluster.worker_labels to nodes "
                "of one kind, or cluster.mixed_devices true"
            )
        if ready.arithmetic not in self._told:
            self._told.add(ready.arithmetic)
            reason = f"{text}: the weights now depend on which of them computes what"
            self._telemetry.event("bits", reason=reason)
