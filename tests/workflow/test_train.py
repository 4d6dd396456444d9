"""Training leaves a complete run, and continues exactly where it stopped."""

import json
import os
import shlex
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from metagan.cli.app import run_cli
from metagan.config.load import load_config
from metagan.config.settings import RunConfig
from metagan.runs.checkpoint import CheckpointError
from metagan.runs.run_folder import RunError, RunFolder
from metagan.workflow.setup import load_run
from metagan.workflow.train import local_runner, train_run
from metagan.workflow.worker import ChunkWorker
from tests.equal_runs import assert_equal_runs
from tests.helpers import tree
from tests.workflow.conftest import Quiet, bars_config, run_training

OUTER = {"meta_batch_size": 4, "episodes_per_chunk": 2}


def test_a_run_folder_is_complete(trained: Path) -> None:
    names = {entry.name for entry in trained.iterdir()}
    assert names >= {
        "config.yaml",
        "command.txt",
        "environment.json",
        "splits.json",
        "data.json",
        "metrics.jsonl",
        "samples",
        "checkpoints",
    }
    lines = (trained / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == [1, 2, 3]
    assert (trained / "samples" / "step-000003.png").stat().st_size > 100


@pytest.mark.parametrize(
    ("algorithm", "staleness"),
    [
        *((name, 0) for name in ("reptile", "fomaml", "maml", "meta_sgd", "joint")),
        *(("reptile", staleness) for staleness in (1, 2, 9)),
    ],
)
def test_stopping_and_resuming_gives_the_same_bits(
    tmp_path: Path, bars_path: Path, algorithm: str, staleness: int
) -> None:
    def config(steps: int) -> RunConfig:
        return bars_config(
            bars_path,
            algorithm={"name": algorithm},
            outer={**OUTER, "steps": steps, "staleness": staleness},
            warmup={"steps": 2, "episodes": 4},
            checkpoint={"every_steps": 2},
        )

    run_training(config(5), tmp_path / "straight")
    run_training(config(3), tmp_path / "stopped")
    run_training(config(5), tmp_path / "stopped", resume=True)
    assert_equal_runs(tmp_path / "straight", tmp_path / "stopped")
    lines = RunFolder(tmp_path / "stopped").read_lines("metrics.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]


def test_a_damaged_newest_checkpoint_costs_steps_but_not_the_result(
    tmp_path: Path, bars_path: Path
) -> None:
    config = bars_config(bars_path, outer={**OUTER, "steps": 3}, checkpoint={"every_steps": 1})
    run_training(config, tmp_path / "straight")
    shutil.copytree(tmp_path / "straight", tmp_path / "hurt")
    (tmp_path / "hurt/checkpoints/step-3/ema.safetensors").write_bytes(b"x")
    before = RunFolder(tmp_path / "hurt").read_lines("metrics.jsonl")
    reporter = run_training(config, tmp_path / "hurt", resume=True)
    assert any("damaged" in line for line in reporter.lines)
    assert len(RunFolder(tmp_path / "hurt").read_lines("metrics.jsonl")) == len(before)
    assert len(list((tmp_path / "hurt/checkpoints").glob("damaged-step-3-*"))) == 1
    assert_equal_runs(tmp_path / "straight", tmp_path / "hurt")


def test_a_run_that_a_signal_ended_is_not_taken_for_one_of_other_bits(
    tmp_path: Path, bars_path: Path
) -> None:
    """Whoever runs the tests under `timeout`, say, may stop one of their runs and nothing else."""
    config = bars_config(bars_path, outer={**OUTER, "steps": 3}, checkpoint={"every_steps": 1})

    def interrupt(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(AssertionError, match=r"stopped at outer step 1 of 3: .*SIGTERM"):
        run_training(config, tmp_path / "run", on_checkpoint=interrupt)


def bits_events(run: Path) -> list[dict[str, object]]:
    file = run / "failures.jsonl"
    events = map(json.loads, file.read_text().splitlines() if file.exists() else [])
    return [event for event in events if event["kind"] == "bits"]


def test_going_on_where_other_bits_are_computed_is_told_once(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    config = load_config(RunConfig, run / "config.yaml").config

    def steps(number: int) -> RunConfig:
        outer = config.outer.model_copy(update={"steps": number})
        return config.model_copy(update={"outer": outer})

    def warnings(number: int) -> list[str]:
        said = run_training(steps(number), run, resume=True).lines
        return [line for line in said if line.startswith("warning:")]

    assert warnings(4) == []
    monkeypatch.setattr(ChunkWorker, "arithmetic", lambda _: "other")
    (warning,) = warnings(6)
    assert "from outer step 5 on results differ in their last bits" in warning
    assert warnings(7) == []
    assert [event["step"] for event in bits_events(run)] == [5]


def newer_schema(checkpoint: Path) -> None:
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    (checkpoint / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 2}))


def folder_in_place_of_a_file(checkpoint: Path) -> None:
    (checkpoint / "ema.safetensors").rename(checkpoint / "moved")
    (checkpoint / "ema.safetensors").mkdir()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (newer_schema, "schema version 2, .* use the version that wrote it"),
        (folder_in_place_of_a_file, r"ema\.safetensors: cannot be read"),
    ],
)
def test_resuming_does_not_pass_over_a_checkpoint_that_may_be_sound(
    tmp_path: Path, bars_path: Path, change: Callable[[Path], None], message: str
) -> None:
    config = bars_config(
        bars_path,
        outer={**OUTER, "steps": 3},
        checkpoint={"every_steps": 1, "storage": (tmp_path / "store").as_uri()},
    )
    run_training(config, tmp_path / "run")
    # A damaged one after it, of which there is no sound copy either, stays as it is, too.
    shutil.rmtree(tmp_path / "store/checkpoints/step-3")
    change(tmp_path / "run/checkpoints/step-2")
    (tmp_path / "run/checkpoints/step-3/ema.safetensors").write_bytes(b"x")
    before = tree(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        run_training(config, tmp_path / "run", resume=True)
    assert tree(tmp_path) == before


def test_resuming_with_nothing_but_damaged_checkpoints_is_refused_and_loses_nothing(
    tmp_path: Path, bars_path: Path
) -> None:
    config = bars_config(bars_path, outer={**OUTER, "steps": 2}, checkpoint={"every_steps": 1})
    run = tmp_path / "run"
    run_training(config, run)
    for step in (1, 2):
        (run / f"checkpoints/step-{step}/init.safetensors").write_bytes(b"x")
    before = tree(run)
    for resume in (True, "auto"):
        with pytest.raises(
            RunError, match=r"(?s)all checkpoints are damaged.*start a new run"
        ) as e:
            run_training(config, run, resume=resume)
        assert f"delete {run}/checkpoints/step-2, {run}/checkpoints/step-1" in str(e.value)
        assert tree(run) == before

    for step in (1, 2):
        shutil.rmtree(run / f"checkpoints/step-{step}")
    run_training(config, run, resume=True)
    assert [line["step"] for line in RunFolder(run).read_lines("metrics.jsonl")] == [1, 2]


def test_other_settings_cannot_be_resumed(trained: Path, bars_path: Path) -> None:
    changed = bars_config(bars_path, inner={"steps": 2, "batch_size": 4, "lr": 0.5})
    with pytest.raises(RunError, match=r"inner\.lr: 0\.01 before, 0\.5 now"):
        run_training(changed, trained, resume=True)


def test_resuming_what_is_no_run_says_so(tmp_path: Path, bars_path: Path) -> None:
    with pytest.raises(RunError, match="nothing to resume"):
        run_training(bars_config(bars_path), tmp_path / "none", resume=True)


def test_resuming_with_more_steps_is_kept_in_the_settings_of_the_run(
    tmp_path: Path, bars_path: Path
) -> None:
    for steps, resume in ((1, False), (2, True)):
        config = bars_config(bars_path, outer={**OUTER, "steps": steps})
        run_training(config, tmp_path / "run", resume=resume)
    kept = load_config(RunConfig, tmp_path / "run" / "config.yaml").config
    assert kept.outer.steps == 2


def test_resume_on_the_command_line_needs_only_the_run_folder(
    tmp_path: Path, bars_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = bars_config(bars_path, outer={**OUTER, "steps": 1})
    run_training(config, tmp_path / "run")

    line = ["train", "--run", str(tmp_path / "run"), "--local", "--resume"]
    assert run_cli([*line, "outer.steps=2"]) == 0
    assert "resuming at outer step 1" in capsys.readouterr().out
    assert load_run(tmp_path / "run").step == 2
    assert run_cli(line) == 0
    assert "done: 2 outer steps" in capsys.readouterr().out
    assert run_cli([*line, "inner.lr=0.5"]) == 2
    assert "inner.lr: 0.01 before, 0.5 now" in capsys.readouterr().err


def test_the_next_command_can_be_pasted_whatever_the_folder_is_called(
    tmp_path: Path, bars_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "r\u00fc n"
    run_training(bars_config(bars_path, outer={**OUTER, "steps": 1}), run)
    assert run_cli(["train", "--run", str(run), "--local", "--resume"]) == 0
    following = capsys.readouterr().out.rpartition("next: ")[2]
    assert shlex.split(following) == ["metagan", "evaluate", "--run", str(run)]


def test_a_second_start_is_refused_and_changes_nothing(trained: Path, bars_path: Path) -> None:
    before = (trained / "metrics.jsonl").read_bytes()
    with pytest.raises(RunError, match="holds a run already"):
        run_training(bars_config(bars_path), trained)
    assert (trained / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_checkpoints_and_leaves(
    tmp_path: Path, bars_path: Path, number: signal.Signals
) -> None:
    class Interrupting(Quiet):
        def progress(self, fields, *, force=False) -> None:
            super().progress(fields, force=force)
            if len(self.fields) == 2:
                os.kill(os.getpid(), number)

    config = bars_config(bars_path, outer={**OUTER, "steps": 50})
    outcome = train_run(
        config, tmp_path / "run", open_runner=local_runner(config), reporter=Interrupting()
    )
    assert outcome.status == "interrupted"
    assert outcome.step == 2
    assert load_run(tmp_path / "run").step == 2


def test_a_stop_signal_while_the_last_checkpoint_is_written_ends_nothing(
    tmp_path: Path, bars_path: Path
) -> None:
    unhandled: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: unhandled.append(number))

    def interrupt(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    try:
        config = bars_config(bars_path, outer={**OUTER, "steps": 2})
        run_training(config, tmp_path / "run", on_checkpoint=interrupt)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert unhandled == []
    assert load_run(tmp_path / "run").step == 2


def test_starting_from_another_run_takes_its_averaged_weights(
    tmp_path: Path, bars_path: Path, trained: Path
) -> None:
    config = bars_config(
        bars_path, outer={**OUTER, "steps": 1, "lr": 1e-12, "ema": 0.0, "init_from": str(trained)}
    )
    run_training(config, tmp_path / "next")
    before, after = load_run(trained, RunConfig).init, load_run(tmp_path / "next", RunConfig).init
    for name, weight in before.generator.items():
        torch.testing.assert_close(after.generator[name], weight, rtol=0, atol=1e-9)


def test_a_wider_network_cannot_start_from_a_narrow_one(
    tmp_path: Path, bars_path: Path, trained: Path
) -> None:
    config = bars_config(
        bars_path, gan={"width": 8, "latent_dim": 4}, outer={**OUTER, "init_from": str(trained)}
    )
    with pytest.raises(ValueError, match="its networks differ"):
        run_training(config, tmp_path / "next")
