"""Whole runs on Ray: what they leave on disk is what one process leaves, to the last bit."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from cluster.config import ClusterConfig
from cluster.connect import RaySession
from cluster.opening import open_ray_runner
from metagan.config.load import to_yaml
from metagan.config.settings import RunConfig
from metagan.core.outer_loop import EpisodeRunner, WorkerSpec
from metagan.workflow.train import local_runner, train_run
from tests.cluster.faults import Fault, Script, faulty_worker
from tests.cluster.ray_for_tests import bars_config, bars_run
from tests.equal_runs import assert_equal_runs
from tests.helpers import descendants, environment_without_ray

pytestmark = pytest.mark.ray

REPOSITORY = Path(__file__).resolve().parents[2]


class Silent:
    """A reporter that says nothing."""

    def progress(self, fields: object, *, force: bool = False) -> None:
        pass

    def print(self, text: str) -> None:
        pass


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    bars_run(tmp_path / "bars")
    return bars_config(tmp_path / "bars")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_run_that_loses_workers_leaves_the_checkpoint_and_metrics_of_an_undisturbed_one(
    config: RunConfig, tmp_path: Path, local_ray: RaySession
) -> None:
    assert local_ray.address
    script = Script(tmp_path)
    script.write({(1, 2): Fault("kill"), (2, 0): Fault("kill_after")})

    def open_faulty(spec: WorkerSpec) -> AbstractContextManager[EpisodeRunner]:
        cluster = ClusterConfig(num_workers=2)
        return open_ray_runner(spec, cluster, worker_class=faulty_worker(script))

    train_run(config, tmp_path / "ray", open_runner=open_faulty, reporter=Silent())
    train_run(config, tmp_path / "local", open_runner=local_runner(config), reporter=Silent())
    assert_equal_runs(tmp_path / "ray", tmp_path / "local")
    restarts = [
        event["step"]
        for event in lines(tmp_path / "ray" / "failures.jsonl")
        if event["kind"] == "restart"
    ]
    assert restarts == [2, 3]
    on_ray, locally = (
        [
            {name: value for name, value in line.items() if not name.endswith("_s")}
            for line in lines(tmp_path / where / "metrics.jsonl")
        ]
        for where in ("ray", "local")
    )
    assert on_ray == locally


@pytest.mark.slow
def test_the_command_survives_a_killed_worker_and_goes_on_after_an_interruption(
    config: RunConfig, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text(to_yaml(config))
    run, home = tmp_path / "run", tmp_path / "home"
    home.mkdir()
    with tempfile.TemporaryDirectory(prefix="mg-") as folder:
        command = start_train(tmp_path, folder, "--workers", "2", "outer.steps=100000")
        try:
            wait_for(lambda: len(lines(run / "metrics.jsonl")) >= 2, command)
            os.kill(next(workers_of(command.pid)), signal.SIGKILL)
            wait_for(lambda: "restart" in [e["kind"] for e in failures(run)], command)
            processes = [command.pid, *descendants(command.pid)]
            command.terminate()
            assert command.wait(200) == 130
        finally:
            command.kill()
        # Ray's helpers notice within seconds that their Ray is gone.
        wait_for(lambda: not any(map(is_running, processes)), None)
        reached = len(lines(run / "metrics.jsonl"))
        total = f"outer.steps={reached + 2}"
        again = start_train(tmp_path, folder, "--workers", "3", "--resume", total)
        assert again.wait(240) == 0
    assert list(home.iterdir()) == []
    whole = bars_config(
        tmp_path / "bars", outer={**config.outer.model_dump(), "steps": reached + 2}
    )
    train_run(whole, tmp_path / "local", open_runner=local_runner(whole), reporter=Silent())
    assert_equal_runs(run, tmp_path / "local")


@pytest.mark.slow
@pytest.mark.parametrize("process", ["gcs_server", "raylet"])
def test_a_run_whose_own_ray_breaks_down_keeps_what_it_has_done(
    config: RunConfig, tmp_path: Path, process: str
) -> None:
    (tmp_path / "run.yaml").write_text(to_yaml(config))
    (tmp_path / "home").mkdir()
    run = tmp_path / "run"
    endless = ("outer.steps=100000", "checkpoint.every_steps=100000")
    with tempfile.TemporaryDirectory(prefix="mg-") as folder:
        command = start_train(tmp_path, folder, "--workers", "1", *endless)
        try:
            wait_for(lambda: len(lines(run / "metrics.jsonl")) >= 2, command)
            of_ray = {name_of(pid): pid for pid in descendants(command.pid)}
            os.kill(of_ray[process], signal.SIGKILL)
            assert command.wait(200) == 4
        finally:
            command.kill()
    reached = len(lines(run / "metrics.jsonl"))
    assert (run / "checkpoints" / f"step-{reached}").is_dir()
    assert lines(run / "failures.jsonl")[-1]["kind"] == "end"


@pytest.mark.slow
def test_whoever_ends_the_whole_process_group_leaves_a_checkpoint(
    config: RunConfig, tmp_path: Path
) -> None:
    """As `timeout` does, within a step: processes of Ray's own are told to end, too."""
    (tmp_path / "run.yaml").write_text(to_yaml(config))
    (tmp_path / "home").mkdir()
    # Two short steps, and one that takes minutes.
    long = ("warmup.steps=2", "outer.steps=9", "checkpoint.every_steps=9")
    long += ("outer.meta_batch_size=50000", "outer.episodes_per_chunk=50000")
    with tempfile.TemporaryDirectory(prefix="mg-") as folder:
        command = start_train(tmp_path, folder, "--workers", "1", *long)
        try:
            wait_for(lambda: len(lines(tmp_path / "run" / "metrics.jsonl")) >= 2, command)
            # Ray ends a driver whose node process has gone, and may be faster than any checkpoint.
            of_ray = {name_of(pid): os.getpgid(pid) for pid in descendants(command.pid)}
            assert command.pid in of_ray.values()
            assert command.pid not in (of_ray["raylet"], of_ray["gcs_server"])
            os.killpg(command.pid, signal.SIGTERM)
            assert command.wait(200) == 130
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(command.pid, signal.SIGKILL)
    assert (tmp_path / "run/checkpoints/step-2").is_dir()


def start_train(tmp_path: Path, ray_folder: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """`metagan train` with a Ray of its own, in a process group of its own."""
    config, run = str(tmp_path / "run.yaml"), str(tmp_path / "run")
    own = {"HOME": str(tmp_path / "home"), "RAY_TMPDIR": ray_folder}
    return subprocess.Popen(
        [sys.executable, "-m", "metagan", "train", "-c", config, "--run", run, *arguments],
        cwd=REPOSITORY,
        env=environment_without_ray() | own,
        start_new_session=True,
    )


def failures(run: Path) -> list[dict[str, Any]]:
    return lines(run / "failures.jsonl")


def wait_for(
    condition: Callable[[], bool], process: "subprocess.Popen[bytes] | None", *, seconds: int = 240
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        assert process is None or process.poll() is None, "the command ended early"
        time.sleep(0.1)


def workers_of(pid: int) -> Iterator[int]:
    """Processes of episode workers below a process."""
    for child in descendants(pid):
        if b"ray::EpisodeWorker" in Path(f"/proc/{child}/cmdline").read_bytes():
            yield child


def name_of(pid: int) -> str:
    """Name of a process's program."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
