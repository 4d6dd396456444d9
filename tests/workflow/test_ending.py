"""A run that ends early: what it did is kept, and why it ended is told."""

import contextlib
import errno
import importlib
import json
import os
import re
import shlex
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metagan.cli.app import run_cli
from metagan.config.load import to_yaml
from metagan.config.settings import RunConfig
from metagan.core.aggregate import DivergedError
from metagan.core.chunks import ChunkKey, ChunkResult, EpisodeFailure
from metagan.core.outer_loop import EpisodeRunner, RunnerStats, Upcoming, WorkerSpec
from metagan.core.params import GanParams, Vector
from metagan.report.load import load_run_files
from metagan.report.training import failures
from metagan.runs.checkpoint import list_checkpoints, load_checkpoint
from metagan.runs.run_folder import RunFolder, WriteError
from metagan.runs.storage import RunStorage
from metagan.workflow.setup import TrainSetup, prepare
from metagan.workflow.train import OpenRunner, local_runner, train_run
from tests.doors import open_door
from tests.helpers import tree
from tests.workflow.conftest import Quiet, bars_config, run_training

TIME = "2026-01-02T03:04:05.678Z"
RESTART = {"kind": "restart", "time": TIME, "worker": 1, "reason": "the process died"}

Results = tuple[list[ChunkResult], RunnerStats]
Disturb = Callable[[list[ChunkKey], Results], Results]


class Lost(RuntimeError):
    """An error like those of the cluster."""

    exit_code = 4


class Disturbed:
    """A runner to which something happens in one outer step."""

    num_workers = 1

    def __init__(self, runner: EpisodeRunner, step: int, disturb: Disturb) -> None:
        self._runner, self._step, self._disturb = runner, step, disturb
        self.events: list[Mapping[str, object]] = []

    def run(
        self, vector: Vector, chunks: Sequence[ChunkKey], upcoming: Sequence[Upcoming] = ()
    ) -> Results:
        found = self._runner.run(vector, chunks, upcoming)
        if chunks[0].step + 1 != self._step:
            return found
        try:
            return self._disturb(list(chunks), found)
        except Lost:
            self.events = [RESTART]
            raise

    def take_events(self) -> Sequence[Mapping[str, object]]:
        taken, self.events = self.events, []
        return taken

    def heed(self, asked_to_stop: Callable[[], bool]) -> None:
        self._runner.heed(asked_to_stop)


def disturbed(config: RunConfig, step: int, disturb: Disturb) -> OpenRunner:
    @contextlib.contextmanager
    def opened(spec: WorkerSpec) -> Iterator[EpisodeRunner]:
        with local_runner(config)(spec) as runner:
            yield Disturbed(runner, step, disturb)

    return opened


def lose(_: list[ChunkKey], found: Results) -> Results:  # noqa: ARG001
    raise Lost("21 workers were lost")


def diverge(chunks: list[ChunkKey], found: Results) -> Results:
    """Make every episode's meta-gradient infinite or NaN."""
    results = [
        replace(
            result,
            report=replace(
                result.report,
                num_finite=0,
                failures=tuple(EpisodeFailure(key, "loss is NaN") for key in chunk.episodes),
            ),
        )
        for chunk, result in zip(chunks, found[0], strict=True)
    ]
    return results, replace(found[1], events=(RESTART,))


def config_of(path: Path, **checkpoint: Any) -> RunConfig:
    return bars_config(
        path,
        outer={"steps": 6, "meta_batch_size": 4, "episodes_per_chunk": 2},
        checkpoint={"every_steps": 2, **checkpoint},
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, bars_path: Path) -> Path:
    """The run of `config_of` that nothing happens to, to be compared with."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    run_training(config_of(bars_path), run)
    return run


def end(config: RunConfig, run: Path, step: int, disturb: Disturb, **options: Any) -> Exception:
    """Train until the disturbance ends the run, and return what it raised."""
    with pytest.raises((Lost, DivergedError)) as caught:
        train_run(
            config, run, open_runner=disturbed(config, step, disturb), reporter=Quiet(), **options
        )
    return caught.value


def end_by_command(config: RunConfig, run: Path, step: int, disturb: Disturb) -> int:
    """The exit code of `metagan train` that the disturbance ends."""
    file = run.with_suffix(".yaml")
    file.write_text(to_yaml(config))

    def opened(spec: WorkerSpec, config: object) -> AbstractContextManager[EpisodeRunner]:  # noqa: ARG001
        return disturbed(spec.config, step, disturb)(spec)

    line = ["train", "-c", str(file), "--run", str(run)]
    with pytest.MonkeyPatch.context() as patch:
        open_door(patch, "cluster.opening", open_runner=opened)
        return run_cli(line)


def logged(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "failures.jsonl").read_text().splitlines()]


def newest(run: Path) -> str:
    return list_checkpoints(run / "checkpoints")[0].name


def test_a_run_that_lost_its_cluster_says_how_to_go_on(
    bars_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, run = config_of(bars_path), tmp_path / "run"
    assert end_by_command(config, run, 4, lose) == 4
    said = capsys.readouterr()
    assert "21 workers were lost" in said.err
    following = said.out.rpartition("continue: ")[2]
    assert shlex.split(following) == ["metagan", "train", "--run", str(run), "--resume"]
    assert newest(run) == "step-3"


def test_what_led_to_the_end_of_a_run_is_logged_and_the_end_last(
    bars_path: Path, tmp_path: Path
) -> None:
    end(config_of(bars_path), tmp_path / "run", 4, lose)
    restart, last = logged(tmp_path / "run")
    assert restart == {"step": 4, **RESTART}
    assert {k: last[k] for k in ("step", "kind", "reason")} == {
        "step": 3,
        "kind": "end",
        "reason": "21 workers were lost",
    }
    assert datetime.fromisoformat(last["time"]) > datetime.fromisoformat(TIME)
    page = json.dumps(failures(load_run_files(tmp_path / "run")), default=vars)
    assert "21 workers were lost" in page


def test_the_end_is_still_told_when_the_run_has_gone_on(bars_path: Path, tmp_path: Path) -> None:
    config = config_of(bars_path)
    end(config, tmp_path / "run", 4, lose)
    run_training(config, tmp_path / "run", resume=True)
    assert [(line["step"], line["kind"]) for line in logged(tmp_path / "run")] == [(3, "end")]


@pytest.mark.parametrize("disturb", [lose, diverge])
def test_a_run_that_ends_in_its_first_step_leaves_nothing(
    bars_path: Path, tmp_path: Path, disturb: Disturb
) -> None:
    end(config_of(bars_path), tmp_path / "run", 1, disturb)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_diverges_keeps_its_last_whole_step_and_says_where(
    bars_path: Path, tmp_path: Path
) -> None:
    run, uri = tmp_path / "run", (tmp_path / "store").as_uri()
    measured: list[int] = []

    def measure(_: TrainSetup, __: GanParams, step: int) -> None:
        measured.append(step)

    error = end(config_of(bars_path, storage=uri), run, 4, diverge, on_checkpoint=measure)
    assert isinstance(error, DivergedError)
    assert re.search(
        "only 0 of 4 episodes.*outer step 3, the last complete one, is saved in "
        rf"{run}/checkpoints/step-3; a new run starts from it with outer\.init_from={run}$",
        str(error),
    )
    assert newest(run) == "step-3"
    assert RunStorage(uri).steps() == [3, 2]
    # It is no result: a search has nothing to judge.
    assert measured == [2]
    kinds = [line["kind"] for line in logged(run)]
    assert kinds == ["episode"] * 4 + ["restart", "end"]
    assert logged(run)[-1]["reason"] == str(error)

    run_training(config_of(bars_path, every_steps=3), tmp_path / "straight")
    expected = tree(tmp_path / "straight" / "checkpoints" / "step-3")
    assert tree(run / "checkpoints" / "step-3") == expected


def huge_sum(_: list[ChunkKey], found: Results) -> Results:
    """Every meta-gradient is finite, and so large that an update by their mean is not."""
    results, stats = found
    return [replace(r, gradient_sum=np.full_like(r.gradient_sum, 1e38)) for r in results], stats


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_an_update_that_leads_to_infinity_is_not_made_and_exits_with_3(
    bars_path: Path, tmp_path: Path, optimizer: str
) -> None:
    lr = 1e-3 if optimizer == "adam" else 30.0
    outer = {"steps": 6, "meta_batch_size": 4, "lr": lr, "optimizer": optimizer}
    config = bars_config(bars_path, outer=outer, checkpoint={"every_steps": 2})
    error = end(config, tmp_path / "run", 4, huge_sum)
    what = "second" if optimizer == "adam" else "initialization"
    assert re.search(rf"outer step 4: the update makes the {what} infinite.*step-3", str(error))
    assert error.exit_code == 3
    kept = load_checkpoint(
        list_checkpoints(tmp_path / "run" / "checkpoints")[0], prepare(config).layout
    )
    assert kept.state.step == 3


def test_what_a_chunk_raises_ends_a_run_after_a_checkpoint_of_the_last_whole_step(
    bars_path: Path, tmp_path: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: list[ChunkKey], found: Results) -> Results:  # noqa: ARG001
        raise ValueError("sample 7 is broken")

    config, run = config_of(bars_path), tmp_path / "run"
    assert end_by_command(config, run, 4, broken) == 2
    said = capsys.readouterr()
    assert "sample 7 is broken" in said.err
    assert "outer step 3, the last complete one, is saved" in said.out
    assert newest(run) == "step-3"
    run_training(config, run, resume=True)
    expected = tree(undisturbed / "checkpoints" / "step-6")
    assert tree(run / "checkpoints" / "step-6") == expected


def test_the_last_checkpoint_does_not_wait_for_pictures(
    bars_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that is about to go, or Ray, may not leave the time for them."""
    there: list[str] = []

    def look(*_: object) -> None:
        there.append(newest(tmp_path / "run"))

    config = config_of(bars_path, every_steps=100)
    monkeypatch.setattr("metagan.workflow.step_log.preview", look)
    end(config, tmp_path / "run", 4, lose)
    assert there == ["step-3"]


@pytest.mark.parametrize(("workers", "idle"), [(2, 0), (5, 3)])
def test_workers_that_an_outer_step_has_no_chunks_for_are_told(
    bars_path: Path, tmp_path: Path, workers: int, idle: int
) -> None:
    config, reporter = config_of(bars_path), Quiet()

    @contextlib.contextmanager
    def opened(spec: WorkerSpec) -> Iterator[EpisodeRunner]:
        with local_runner(config)(spec) as runner:
            runner.num_workers = workers
            yield runner

    train_run(config, tmp_path / "run", open_runner=opened, reporter=reporter)
    told = [line for line in reporter.lines if "stay idle" in line]
    assert [f"{idle} of them" in line for line in told] == [True] * bool(idle)
    assert all("5 workers, but no more than 2 chunks at a time" in line for line in told)


def test_pictures_that_fail_are_told_and_cost_nothing_else(
    bars_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no room for pictures")

    monkeypatch.setattr("metagan.workflow.step_log.preview", fail)
    reporter, config = Quiet(), config_of(bars_path)
    run = tmp_path / "run"
    train_run(config, run, open_runner=local_runner(config), reporter=reporter)
    assert newest(run) == "step-6"
    told = [line for line in reporter.lines if "no room for pictures" in line]
    assert [line.split(":")[1].strip() for line in told] == [
        f"no samples of outer step {step}" for step in (2, 4, 6)
    ]


def test_whoever_stops_a_run_that_waits_for_workers_gets_its_checkpoint_at_once(
    bars_path: Path, tmp_path: Path
) -> None:
    config = config_of(bars_path, every_steps=100)

    def nobody(_: list[ChunkKey], found: Results) -> Results:  # noqa: ARG001
        os.kill(os.getpid(), signal.SIGTERM)
        raise Lost("asked to stop while no worker was up")

    run = tmp_path / "run"
    done = train_run(config, run, open_runner=disturbed(config, 4, nobody), reporter=Quiet())
    assert (done.status, done.step, newest(run)) == ("interrupted", 3, "step-3")
    with pytest.raises(KeyboardInterrupt):
        train_run(
            config, tmp_path / "new", open_runner=disturbed(config, 1, nobody), reporter=Quiet()
        )
    assert not (tmp_path / "new").exists()


def no_room_after(calls: int, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Let a function of this name write nothing more after so many calls."""
    module, _, name = where.rpartition(".")
    real, count = getattr(importlib.import_module(module), name), 0

    def full(*arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count > calls:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments, **options)

    monkeypatch.setattr(where, full)


@pytest.mark.parametrize(
    ("where", "calls", "what", "goes_on_from"),
    [
        # A checkpoint is three files, LATEST and BEST besides its manifest: here the second one's
        # third file, its LATEST, its manifest, then the first one's first file.
        ("metagan.runs.checkpoint.write_bytes", 7, "a checkpoint", 2),
        ("metagan.runs.checkpoint.write_bytes", 8, "a checkpoint", 4),
        ("metagan.runs.checkpoint.write_json", 1, "a checkpoint", 2),
        ("metagan.runs.checkpoint.write_bytes", 0, "a checkpoint", 0),
        ("metagan.workflow.step_log.write_bytes", 1, "a sheet of samples", 4),
    ],
)
def test_a_full_disk_ends_a_run_with_what_to_do_and_the_run_goes_on_when_there_is_room(
    bars_path: Path,
    tmp_path: Path,
    undisturbed: Path,
    capsys: pytest.CaptureFixture[str],
    where: str,
    calls: int,
    what: str,
    goes_on_from: int,
) -> None:
    config, run = config_of(bars_path), tmp_path / "run"
    (tmp_path / "run.yaml").write_text(to_yaml(config))
    line = ["train", "-c", str(tmp_path / "run.yaml"), "--run", str(run), "--local"]
    with pytest.MonkeyPatch.context() as patch:
        no_room_after(calls, patch, where)
        assert run_cli(line) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(
        rf"metagan: error: {what} cannot be written to {run}/\S+: No space left on device; free "
        rf"space .*, then continue from outer step {goes_on_from} with --resume\n",
        said,
    )
    assert logged(run)[-1]["kind"] == "end"
    assert [path.name for path in (run / "checkpoints").glob(".*")] == []
    if goes_on_from:
        layout = prepare(config).layout
        for path in list_checkpoints(run / "checkpoints"):
            load_checkpoint(path, layout)
        assert newest(run) == f"step-{goes_on_from}"

    run_training(config, run, resume=True)
    expected = tree(undisturbed / "checkpoints" / "step-6")
    assert tree(run / "checkpoints" / "step-6") == expected


def test_a_log_that_cannot_be_written_ends_the_run_with_its_checkpoints_intact(
    bars_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = RunFolder.append

    def full(folder: RunFolder, name: str, records: list[dict[str, Any]]) -> None:
        if records and records[0]["step"] >= 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(folder, name, records)

    monkeypatch.setattr(RunFolder, "append", full)
    fix = "continue from outer step 2 with --resume"
    with pytest.raises(WriteError, match=rf"the log of outer step 4 .*{fix}$"):
        run_training(config_of(bars_path), tmp_path / "run")
    assert newest(tmp_path / "run") == "step-2"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_a_run_in_the_middle_of_a_step(
    bars_path: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """After the first one alone it would end with the step; see `tests/system/test_ray.py`."""

    def twice(_: list[ChunkKey], found: Results) -> Results:  # noqa: ARG001
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        raise AssertionError("the second signal comes at once")

    config, run, before = config_of(bars_path), tmp_path / "run", signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        train_run(config, run, open_runner=disturbed(config, 5, twice), reporter=Quiet())
    assert signal.getsignal(number) is before
    assert newest(run) == "step-4"
    run_training(config, run, resume=True)
    assert newest(run) == f"step-{config.outer.steps}"
