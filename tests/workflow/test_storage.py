"""A run that lost its machine goes on from object storage: moto's S3-compatible server."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from metagan.runs.run_folder import RunError
from metagan.runs.storage import RunStorage, StorageError
from tests.equal_runs import assert_equal_runs
from tests.workflow.conftest import Quiet, bars_config, run_training

SECRET = "canary-4f1d"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """URI of a new bucket, with %s for the key."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        try:
            deadline = time.monotonic() + 240
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline, "the server does not come up"
                    time.sleep(0.1)
            options = f"endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
            files, _ = fs.FileSystem.from_uri(f"s3://runs?{options}&allow_bucket_creation=true")
            files.create_dir("runs")
            yield f"s3://runs/%s?{options}"
        finally:
            server.kill()
            server.wait()


def train(path: Path, run: Path, steps: int, storage: str | None, **options: Any) -> Quiet:
    config = bars_config(
        path,
        outer={"steps": steps, "meta_batch_size": 4, "episodes_per_chunk": 2},
        checkpoint={"every_steps": 2, "keep": 2, "storage": storage},
    )
    return run_training(config, run, **options)


def log_without_times(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.endswith("_s")} for line in lines]


def test_a_run_whose_folder_is_lost_goes_on_from_the_bucket_with_the_same_bits(
    bars_path: Path, tmp_path: Path, s3: str
) -> None:
    uri = s3 % "lost"
    train(bars_path, tmp_path / "straight", 7, None)
    train(bars_path, tmp_path / "first", 4, uri, resume="auto")
    assert RunStorage(uri).steps() == [4, 2]
    # Another machine: nothing there but the command.
    said = train(bars_path, tmp_path / "second", 7, uri, resume="auto").lines
    assert any(line.startswith("fetched outer step 4 from s3://") for line in said)
    assert_equal_runs(tmp_path / "second", tmp_path / "straight")
    assert log_without_times(tmp_path / "second") == log_without_times(tmp_path / "straight")
    assert RunStorage(uri).steps() == [7, 6]
    for path in (tmp_path / "second").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def test_a_damaged_copy_costs_steps_but_not_the_result(bars_path: Path, tmp_path: Path) -> None:
    uri = (tmp_path / "store").as_uri()
    train(bars_path, tmp_path / "straight", 7, None)
    train(bars_path, tmp_path / "first", 4, uri, resume="auto")
    file = tmp_path / "store/checkpoints/step-4/optimizer.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    said = train(bars_path, tmp_path / "second", 7, uri, resume="auto").lines
    assert f"fetched outer step 2 from {uri}" in said
    start = f"damaged checkpoint skipped: {uri}: step-4/optimizer.safetensors"
    (line,) = [line for line in said if line.startswith(start)]
    assert_equal_runs(tmp_path / "second", tmp_path / "straight")
    assert log_without_times(tmp_path / "second") == log_without_times(tmp_path / "straight")
    (event,) = map(json.loads, (tmp_path / "second" / "failures.jsonl").read_text().splitlines())
    assert event["kind"] == "damaged"
    assert event["step"] == 2
    assert event["reason"] in line


def test_resume_auto_without_storage_starts_and_then_goes_on(
    bars_path: Path, tmp_path: Path
) -> None:
    for steps in (2, 4):
        train(bars_path, tmp_path / "run", steps, None, resume="auto")
    assert [line["step"] for line in log_without_times(tmp_path / "run")] == [1, 2, 3, 4]


def test_a_new_run_does_not_write_over_one_in_the_bucket(
    bars_path: Path, tmp_path: Path, s3: str
) -> None:
    uri = s3 % "taken"
    train(bars_path, tmp_path / "first", 2, uri)
    with pytest.raises(RunError, match="holds a run already; continue it with --resume auto"):
        train(bars_path, tmp_path / "second", 2, uri)
    assert not (tmp_path / "second" / "config.yaml").exists()


def test_a_bucket_that_is_not_there_is_an_error_before_training(
    bars_path: Path, tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metagan.runs.storage._FIRST_PAUSE_S", 0.0)
    uri = (s3 % "x").replace("s3://runs/", "s3://nowhere/")
    with pytest.raises(RunError, match=r"checkpoint\.storage s3://nowhere/x.*permissions"):
        train(bars_path, tmp_path / "run", 2, uri)
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_copies_may_fail_a_few_times_in_a_row_and_training_goes_on(
    bars_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = (tmp_path / "store").as_uri()
    push, failures = RunStorage.push, iter([True, True, False])

    def sometimes(self: RunStorage, *arguments: Any, **options: Any) -> None:
        if next(failures, False):
            raise StorageError(f"{self.uri}: no room")
        push(self, *arguments, **options)

    monkeypatch.setattr(RunStorage, "push", sometimes)
    said = train(bars_path, tmp_path / "run", 6, uri).lines
    assert sum("is in the run folder only" in line for line in said) == 2
    events = (tmp_path / "run" / "failures.jsonl").read_text()
    assert events.count('"kind": "storage"') == 2
    assert RunStorage(uri).steps() == [6]


def test_too_many_failed_copies_end_the_run_with_its_checkpoints_here(
    bars_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: RunStorage, *_: Any, **__: Any) -> None:
        raise StorageError(f"{self.uri}: no room")

    monkeypatch.setattr(RunStorage, "push", never)
    with pytest.raises(RunError, match=r"4 checkpoints in a row could not be copied"):
        train(bars_path, tmp_path / "run", 20, (tmp_path / "store").as_uri())
    assert (tmp_path / "run" / "checkpoints" / "LATEST").read_text() == "step-8\n"
