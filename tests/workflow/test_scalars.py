"""Curves for TensorBoard: what is in the file, and that training goes on without it."""

import struct
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter

from metagan.workflow.scalars import Scalars
from tests.workflow.conftest import bars_config, run_training


def events(folder: Path) -> list[Event]:
    """Events of the only event file; a record is its length, a checksum, the event, a checksum."""
    (file,) = folder.glob("events.out.tfevents.*")
    data, found = file.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        found.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    return found


def test_each_metric_is_a_curve_and_repeated_steps_are_hidden(tmp_path: Path) -> None:
    said: list[str] = []
    scalars = Scalars(tmp_path, first_step=4, warn=said.append)
    assert list(tmp_path.iterdir()) == []
    scalars.write({"loss_g": 0.5, "loss_d": 2.0}, 5)
    scalars.write({"loss_g": 0.25}, 6)
    scalars.close()
    version, _, restart, *curves = events(tmp_path)
    assert version.file_version == "brain.Event:2"
    assert (restart.step, restart.session_log.status) == (5, SessionLog.START)
    assert [(e.step, e.summary.value[0].tag, e.summary.value[0].simple_value) for e in curves] == [
        (5, "train/loss_g", 0.5),
        (5, "train/loss_d", 2.0),
        (6, "train/loss_g", 0.25),
    ]
    assert said == []


def failing(name: str, after: int):
    """A writer of which one operation has no room once it was called so often."""

    class Failing(RecordWriter):
        calls = 0

        def _count(self, called: str) -> None:
            type(self).calls += called == name
            if called == name and type(self).calls > after:
                raise OSError(28, "No space left on device")

        def __init__(self, path: str) -> None:
            self._count("open")
            super().__init__(path)

        def write(self, data: bytes) -> None:
            self._count("write")
            super().write(data)

        def flush(self) -> None:
            self._count("flush")
            super().flush()

        def close(self) -> None:
            super().close()
            self._count("close")

    return Failing


@pytest.mark.parametrize(
    ("name", "after"), [("open", 0), ("write", 0), ("write", 20), ("flush", 0), ("close", 0)]
)
def test_training_goes_on_where_curves_cannot_be_written(
    bars_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, after: int
) -> None:
    monkeypatch.setattr("metagan.workflow.scalars.RecordWriter", failing(name, after))
    said = run_training(bars_config(bars_path), tmp_path / "run").lines
    (warning,) = [line for line in said if "TensorBoard" in line]
    assert warning.startswith("warning: no more curves for TensorBoard in ")
    assert "No space left on device" in warning
    assert (tmp_path / "run/checkpoints/LATEST").read_text() == "step-3\n"
    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == 3


def test_a_full_disk_does_not_stop_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # More steps than any queue holds.
    def full(_: str):
        return open("/dev/full", "wb")

    monkeypatch.setattr("tensorboardX.record_writer.open_file", full)
    monkeypatch.setattr("metagan.workflow.scalars._FLUSH_S", 0.0)
    said: list[str] = []
    scalars = Scalars(tmp_path, first_step=0, warn=said.append)
    for step in range(1, 200):
        scalars.write({"loss_g": 0.5}, step)
    scalars.close()
    assert len(said) == 1
