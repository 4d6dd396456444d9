"""Run folders: one driver at a time, nothing overwritten, valid JSON."""

import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from metagan.files import write_bytes
from metagan.runs.run_folder import RunError, RunFolder


def start(path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.create(config_yaml="seed: 0\n", splits={"train": []}, data={"sha256": "0"})
    return folder


def test_a_second_run_in_a_folder_is_refused(tmp_path: Path) -> None:
    folder = start(tmp_path / "run")
    with pytest.raises(RunError, match="--resume"):
        folder.check_new()


@pytest.mark.parametrize("argument", ["caf\udce9", "café", "two words", ""])
def test_the_command_of_a_run_is_kept_as_the_bytes_that_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["metagan", "train", argument])
    start(tmp_path / "run")
    written = os.fsdecode((tmp_path / "run" / "command.txt").read_bytes())
    assert shlex.split(written) == ["metagan", "train", argument]


def test_a_folder_with_other_files_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match=r"thesis\.txt"):
        RunFolder(tmp_path).check_new()
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_the_users_own_file_with_the_name_of_one_of_ours_is_no_start_that_was_killed(
    tmp_path: Path,
) -> None:
    (tmp_path / "splits.json").write_text("mine")
    with pytest.raises(RunError, match=r"splits\.json"):
        start(tmp_path)
    assert (tmp_path / "splits.json").read_text() == "mine"


@pytest.mark.parametrize("writes", range(5))
def test_a_start_that_was_killed_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("metagan.runs.run_folder.write_bytes", dying_after(writes))
        with pytest.raises(KeyboardInterrupt):
            start(tmp_path / "run")
    assert start(tmp_path / "run").exists()


def dying_after(writes: int) -> Callable[[Path, bytes], None]:
    left = iter(range(writes))

    def write(path: Path, data: bytes) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        write_bytes(path, data)

    return write


def test_a_lock_whose_file_was_taken_away_is_void(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock_too_late(*_: object, **__: object) -> bool:
        (tmp_path / ".lock").unlink()
        return True

    monkeypatch.setattr("metagan.runs.run_folder.lock_descriptor", lock_too_late)
    with pytest.raises(RunError, match="is in use"), RunFolder(tmp_path).lock():
        pass


def test_a_file_system_without_locks_is_used_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(*_: object, **__: object) -> bool:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("metagan.runs.run_folder.lock_descriptor", no_locks)
    with RunFolder(tmp_path).lock():
        assert "has no locks (Function not implemented)" in caplog.text


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match="cannot make the run folder"):
        RunFolder(tmp_path / "run").check_new()


def test_a_second_process_cannot_hold_the_lock(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from metagan.runs.run_folder import RunFolder\n"
        f"with RunFolder(Path({str(tmp_path)!r})).lock(): pass"
    )
    with RunFolder(tmp_path).lock():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0
    assert "is in use by process" in done.stderr
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_process_that_is_killed_frees_the_lock_though_its_child_lives_on(tmp_path: Path) -> None:
    code = (
        "import os, signal, subprocess; from pathlib import Path\n"
        "from metagan.runs.run_folder import RunFolder\n"
        f"with RunFolder(Path({str(tmp_path)!r})).lock():\n"
        "    child = subprocess.Popen(['sleep', '60'], close_fds=False, stdout=2)\n"
        "    print(child.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert done.returncode == -signal.SIGKILL
        with RunFolder(tmp_path).lock():
            pass
    finally:
        os.kill(int(done.stdout), signal.SIGKILL)


def test_what_is_not_finite_becomes_null_and_half_a_line_is_left_out(tmp_path: Path) -> None:
    folder = start(tmp_path / "run")
    folder.append("metrics.jsonl", [{"step": 1, "loss": float("nan"), "x": [float("inf"), 2.0]}])
    with (folder.path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 2, "lo')
    assert folder.read_lines("metrics.jsonl") == [{"step": 1, "loss": None, "x": [None, 2.0]}]


def test_truncation_drops_later_steps_only(tmp_path: Path) -> None:
    folder = start(tmp_path / "run")
    folder.append("metrics.jsonl", [{"step": step} for step in range(1, 6)])
    folder.truncate_after(3)
    lines = (folder.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3]


def test_how_a_run_ended_outlives_the_repetition_of_its_last_steps(tmp_path: Path) -> None:
    folder = start(tmp_path / "run")
    folder.append_events(6, [{"kind": "restart"}, {"kind": "end", "reason": "no worker left"}])
    folder.truncate_after(4)
    (kept,) = folder.read_lines("failures.jsonl")
    assert (kept["kind"], kept["reason"], kept["step"]) == ("end", "no worker left", 6)


def test_every_event_has_the_time_at_which_it_happened(tmp_path: Path) -> None:
    folder = start(tmp_path / "run")
    before = "2026-01-02T03:04:05.678Z"
    folder.append_events(1, [{"kind": "retry", "time": before}, {"kind": "storage"}])
    first, second = (line["time"] for line in folder.read_lines("failures.jsonl"))
    assert first == before
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", second)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(second)) < timedelta(minutes=1)
