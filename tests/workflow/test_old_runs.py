"""Runs that an earlier version wrote, with settings that are no longer there."""

import shutil
from pathlib import Path

import pytest
import torch

from metagan.cli.app import run_cli
from metagan.config.load import ConfigError, load_config, to_yaml
from metagan.config.removed import REMOVED
from metagan.config.settings import RunConfig
from metagan.config.yaml import format_value
from metagan.runs.checkpoint import CheckpointError, load_newest, params_from_named
from metagan.runs.run_folder import RunFolder
from metagan.workflow.setup import load_run
from tests.helpers import bars, write_pictures
from tests.workflow.conftest import bars_config, run_training
from tune.config import SearchJobConfig

HARMLESS = [(key, value) for key, values in REMOVED.items() for value in values]
OTHER = {
    "algorithm.cg_batches": 2,
    "checkpoint.max_storage_failures": 0,
    "evaluate.adapt_batch_size": 5,
    "evaluate.classifier_batch": 32,
    "inner.rates_gain": 10.0,
    "inner.state": "learned",
    "inner.state_count": 3.0,
    "inner.state_gain": 10.0,
    "outer.min_fraction": 1.0,
    "tune.second_objective": "compute",
}
ADVICE = "metagan 0.1.0 was the last to read this setting; leave it out, or use that version"


def with_setting(text: str, key: str, value: object) -> str:
    """A settings file with one more line, the first of its section."""
    section, dot, name = key.rpartition(".")
    line = f"{name}: {format_value(value)}\n"
    if not dot:
        return line + text
    assert text.count(f"\n{section}:\n") == 1
    return text.replace(f"\n{section}:\n", f"\n{section}:\n  {line}")


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    file = tmp_path / "search.yaml"
    file.write_text(to_yaml(SearchJobConfig()))
    return file


@pytest.mark.parametrize(("key", "value"), HARMLESS)
def test_a_file_may_hold_a_removed_setting_that_asks_for_nothing(settings_file, key, value):
    settings_file.write_text(with_setting(settings_file.read_text(), key, value))
    assert load_config(SearchJobConfig, settings_file).config == SearchJobConfig()


@pytest.mark.parametrize(("key", "value"), OTHER.items())
def test_a_removed_setting_that_asks_for_something_is_refused(settings_file, key, value):
    text = with_setting(settings_file.read_text(), key, value)
    settings_file.write_text(text)
    written = f"  {key.rpartition('.')[2]}: {format_value(value)}"
    line = text.splitlines().index(written) + 1
    with pytest.raises(ConfigError) as caught:
        load_config(SearchJobConfig, settings_file)
    [problem] = caught.value.problems
    assert problem.startswith(
        f"{settings_file}:{line}: {key}: is {format_value(value)}, but {ADVICE}"
    )


@pytest.mark.parametrize(("key", "value"), HARMLESS)
def test_a_removed_setting_is_refused_where_somebody_asks_for_it_now(key, value):
    with pytest.raises(ConfigError, match=f"command line: {key}: {ADVICE}"):
        load_config(SearchJobConfig, None, [f"{key}={format_value(value)}"])


def test_an_old_run_resumes_to_the_bits_of_a_new_one(tmp_path: Path, bars_path: Path) -> None:
    config = bars_config(bars_path)
    run_training(config, tmp_path / "whole")
    shorter = config.model_copy(update={"outer": config.outer.model_copy(update={"steps": 2})})
    run_training(shorter, tmp_path / "old")
    file = RunFolder(tmp_path / "old").config_file
    for key, (value, *_) in REMOVED.items():
        if not key.startswith("tune."):
            file.write_text(with_setting(file.read_text(), key, value))
    assert load_run(tmp_path / "old").step == 2
    run_training(config, tmp_path / "old", resume=True)
    layout = load_run(tmp_path / "whole").layout
    old, new = (load_newest(tmp_path / n / "checkpoints", layout)[0] for n in ("old", "whole"))
    assert old is not None
    assert new is not None
    assert old.state.step == new.state.step == config.outer.steps
    for name, tensor in new.state.tensors.items():
        assert torch.equal(old.state.tensors[name], tensor), name


def test_every_command_goes_on_with_an_old_run(trained: Path, tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(trained, tmp_path / "run"))
    for key, values in REMOVED.items():
        if not key.startswith("tune."):
            run.config_file.write_text(with_setting(run.config_file.read_text(), key, values[0]))
    pictures, again = write_pictures(tmp_path / "mine", bars(num_domains=1)), tmp_path / "again"
    for line in (
        f"adapt --run {run.path} --support {pictures}/domain0 --steps 1 --out {tmp_path}/adapted",
        f"report --run {run.path}",
        f"train -c {run.config_file} --run {again} --local outer.steps=1",
        f"train --run {run.path} --local --resume outer.steps=4",
    ):
        assert run_cli(line.split()) == 0
    assert load_run(run.path).step == 4
    assert not any(f" {key.rpartition('.')[2]}:" in run.config_file.read_text() for key in REMOVED)


def test_a_run_that_learned_adams_state_is_refused(trained: Path, tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(trained, tmp_path / "run"))
    loaded = load_run(run.path, RunConfig)
    text = run.config_file.read_text()
    run.config_file.write_text(with_setting(text, "inner.state", "learned"))
    with pytest.raises(ConfigError, match=f"config.yaml:.* inner.state: is learned, but {ADVICE}"):
        load_run(run.path)
    tensors = {name: torch.zeros(shape) for name, shape in loaded.layout.shapes.items()}
    tensors["moments.generator.head.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=r"x: holds a learned state .*metagan 0\.1\.0 was"):
        params_from_named(tensors, loaded.layout, file="x")
