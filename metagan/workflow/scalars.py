"""A run's curves for TensorBoard; training continues where they cannot be written.

tensorboardX's `SummaryWriter` writes in a thread of its own. On a full disk that thread dies, its
queue of ten fills, and the next call waits for ever: so records are written here, one by one.
"""

import contextlib
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar

_FLUSH_S = 10.0
_VERSION = "brain.Event:2"


class Scalars:
    """An event file in the run folder; after one error of the disk nothing more is written."""

    def __init__(self, folder: Path, *, first_step: int, warn: Callable[[str], None]) -> None:
        """The file is opened at the first step, since a start that fails is to leave nothing.

        Args:
            folder: The run's.
            first_step: Outer steps done before; what an earlier session logged after them is
                repeated, so it is hidden.
            warn: Gets one line when writing fails.
        """
        self._folder, self._first_step, self._warn = folder, first_step, warn
        self._writer: RecordWriter | None = None
        self._failed = False
        self._flushed = 0.0

    def write(self, metrics: Mapping[str, float], step: int) -> None:
        """Write the metrics of an outer step."""
        if self._failed:
            return
        try:
            if self._writer is None:
                name = f"events.out.tfevents.{time.time():.0f}.{platform.node()}"
                self._writer = RecordWriter(str(self._folder / name))
                self._begin(self._writer)
            for name, value in metrics.items():
                self._add(self._writer, Event(step=step, summary=scalar(f"train/{name}", value)))
            if time.monotonic() - self._flushed >= _FLUSH_S:
                self._writer.flush()
                self._flushed = time.monotonic()
        except OSError as error:
            self._give_up(error)

    def restart(self, first_step: int) -> None:
        """Hide all that was logged after this outer step, since it will be repeated."""
        self._first_step = first_step
        if self._writer is not None:
            try:
                self._begin(self._writer)
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            try:
                self._writer.close()
            except OSError as error:
                self._give_up(error)

    def _begin(self, writer: RecordWriter) -> None:
        first, restart = self._first_step + 1, SessionLog(status=SessionLog.START)
        self._add(writer, Event(file_version=_VERSION))
        self._add(writer, Event(step=first, file_version=_VERSION))
        self._add(writer, Event(step=first, session_log=restart))

    def _add(self, writer: RecordWriter, event: Event) -> None:
        event.wall_time = time.time()
        writer.write(event.SerializeToString())

    def _give_up(self, error: OSError) -> None:
        self._failed = True
        if self._writer is not None:
            with contextlib.suppress(OSError):  # It would write the rest first.
                self._writer.close()
            self._writer = None
        self._warn(
            f"warning: no more curves for TensorBoard in {self._folder}: "
            f"{error.strerror or error}; training continues, metrics.jsonl has them"
        )
