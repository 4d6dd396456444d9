"""Commands that are whole in themselves: config, data, doctor's printing; loading of settings."""

import argparse
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cluster.config import JobConfig
from cluster.doctor_nodes import Finding
from metagan.cli.app import run_cli
from metagan.cli.options import load, load_data, load_run, override
from metagan.config.load import ConfigError, load_config
from tests.doors import open_door
from tests.helpers import bars, write_pictures


@pytest.fixture
def pictures(tmp_path):
    """Two domains of two classes of three random grey pictures."""
    draw = np.random.default_rng(0)
    for domain in ("latin", "greek"):
        for label in ("a", "b"):
            folder = tmp_path / "letters" / domain / label
            folder.mkdir(parents=True)
            for index in range(3):
                pixels = draw.integers(0, 256, (20, 20), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return tmp_path / "letters"


def test_shown_settings_give_the_same_settings_and_their_origins(tmp_path, capsys):
    file = tmp_path / "run.yaml"
    file.write_text("outer:\n  steps: 7\n")
    assert run_cli(["config", "show", "-c", str(file), "inner.lr=3e-3"]) == 0
    text = capsys.readouterr().out
    lines = {line.partition(":")[0] + line.partition("#")[2] for line in text.splitlines()}
    assert f"  steps {file}:2" in lines
    assert "  lr command line" in lines
    again = tmp_path / "again.yaml"
    again.write_text(text)
    expected = load_config(JobConfig, file, ["inner.lr=3e-3"]).config
    assert load_config(JobConfig, again).config == expected


def test_the_printed_schema_covers_the_cluster(capsys):
    assert run_cli(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert "num_workers" in schema["$defs"]["ClusterConfig"]["properties"]


def test_explain_describes_one_setting_a_section_or_all(capsys):
    assert run_cli(["config", "explain", "inner.lr"]) == 0
    one = capsys.readouterr().out
    assert "a number, greater than 0" in one
    assert "0.0003" in one
    assert run_cli(["config", "explain", "inner"]) == 0
    section = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in section[1:]] == [
        f"inner.{name}" for name in JobConfig().inner.model_dump()
    ]
    assert run_cli(["config", "explain"]) == 0
    assert "cluster.num_workers" in capsys.readouterr().out


def test_inspect_counts_what_a_folder_holds(pictures, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    line = ["data", "inspect", str(pictures), "data.image_size=16", "--sheet", str(sheet)]
    assert run_cli(line) == 0
    out = capsys.readouterr().out
    assert "12 samples of 1 x 16 x 16" in out
    assert "4 classes in 2 domains" in out
    with Image.open(sheet) as drawn:
        assert min(drawn.size) > 16


@pytest.mark.parametrize(
    ("path", "overrides", "source", "expected"),
    [
        (None, [], "glyphs", None),
        ("letters", [], "auto", "letters"),
        ("letters", ["data.source=omniglot"], "omniglot", "letters"),
        (None, ["data.source=npz", "data.path=a.npz"], "npz", "a.npz"),
    ],
)
def test_a_path_says_that_no_glyphs_are_meant(path, overrides, source, expected):
    args = argparse.Namespace(config=None)
    config = load_data(args, path, overrides)
    assert (config.data.source, config.data.path) == (source, expected)


def test_settings_may_stand_where_inspect_expects_a_path(monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(
        "metagan.data.registry.load_dataset", lambda data: shown.append(data) or bars()
    )
    monkeypatch.setattr("metagan.data.inspect.inspect_dataset", lambda _dataset: None)
    monkeypatch.setattr("metagan.data.inspect.format_summary", lambda _summary, _width: "none")
    assert run_cli(["data", "inspect", "data.image_size=16"]) == 0
    assert (shown[0].source, shown[0].image_size) == ("glyphs", 16)
    text = "- 16 of 16 classes have the 10 samples of an episode (task.shots 5 + task.num_query 5)"
    division = "- a training would learn from 8 classes, choose on 4 and measure on 4"
    assert capsys.readouterr().out.splitlines() == ["none", text, division]


def test_prepared_data_are_the_same_data(pictures, tmp_path, capsys):
    out = tmp_path / "prepared"
    line = ["data", "prepare", str(pictures), str(out), "data.image_size=16"]
    assert run_cli(line) == 0
    assert "wrote 12 samples of 4 classes in 2 domains" in capsys.readouterr().out
    from metagan.data.registry import load_dataset

    settings = ["data.image_size=16", override("data.path", pictures)]
    before = load_config(JobConfig, None, [*settings, "data.source=image_folder"]).config
    after = load_config(
        JobConfig, None, ["data.image_size=16", "data.source=arrow", override("data.path", out)]
    ).config
    assert load_dataset(before.data).fingerprint() == load_dataset(after.data).fingerprint()


@pytest.mark.parametrize(
    ("num_domains", "classes", "settings"), [(4, 4, ""), (1, 10, " data.split_by=class")]
)
def test_the_command_that_prepare_prints_can_be_run_as_it_is(
    num_domains, classes, settings, tmp_path, capsys
):
    data = write_pictures(tmp_path / "bars", bars(num_domains, classes))
    out = tmp_path / "prepared"
    line = ["data", "prepare", str(data), str(out), "data.image_size=16"]
    assert run_cli(line) == 0
    _, said, command = capsys.readouterr().out.rpartition("train on it: metagan train ")
    expected = f"data.source=arrow data.path={out} data.image_size=16 data.channels=1{settings}"
    assert said
    assert command.strip() == expected
    from metagan.workflow.setup import prepare

    prepare(load_config(JobConfig, None, command.split()).config)


def test_data_of_two_classes_are_for_measuring_on(tmp_path, capsys):
    data = write_pictures(tmp_path / "bars", bars(1, 2))
    assert run_cli(["data", "inspect", str(data)]) == 0
    inspected = capsys.readouterr().out
    assert run_cli(["data", "prepare", str(data), str(tmp_path / "out")]) == 0
    for text in (inspected, capsys.readouterr().out):
        assert "too little to train on" in text
        assert text.rstrip().endswith("a trained run: metagan evaluate --data")


def test_unusable_data_are_an_error_of_the_user(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run_cli(["data", "inspect", str(tmp_path / "empty")]) == 2
    err = capsys.readouterr().err
    assert err.startswith("metagan: error: ")
    assert "empty" in err


@pytest.mark.parametrize(
    ("level", "code", "mark"), [("ok", 0, "ok  "), ("warning", 0, "warn"), ("problem", 4, "FAIL")]
)
def test_doctor_prints_the_fix_and_only_a_problem_fails(capsys, monkeypatch, level, code, mark):
    finding = Finding(level, "shm", "is small", "make it larger")
    open_door(monkeypatch, "cluster.doctor", diagnose=lambda *_: [finding])
    assert run_cli(["doctor"]) == code
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"{mark}  shm: is small; fix: make it larger"


def test_doctor_is_told_the_address_the_run_folder_and_the_settings(monkeypatch):
    seen = []
    line = ["doctor", "--address", "head:6379", "--run", "r", "cluster.num_workers=9"]
    open_door(monkeypatch, "cluster.doctor", diagnose=lambda *given: seen.append(given) or [])
    assert run_cli(line) == 0
    [(config, run_dir)] = seen
    assert (config.cluster.address, config.cluster.num_workers) == ("head:6379", 9)
    assert run_dir == Path("r")


def test_settings_of_a_run_are_those_it_was_trained_with(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 5\ninner:\n  steps: 2\n")
    args = argparse.Namespace(run=tmp_path, overrides=["inner.steps=3"])
    config = load_run(args).config
    assert (config.seed, config.inner.steps) == (5, 3)
    with pytest.raises(ConfigError, match="no run here"):
        load_run(argparse.Namespace(run=tmp_path / "no", overrides=[]))


@pytest.mark.parametrize(
    "setting", ["gan.width=32", "data.image_size=32", "gan.latent_dim=3", "gan.family=dcgan"]
)
def test_a_trained_run_refuses_settings_that_its_weights_do_not_fit(tmp_path, setting):
    (tmp_path / "config.yaml").write_text("seed: 5\n")
    args = argparse.Namespace(run=tmp_path, overrides=[setting])
    key, _, value = setting.partition("=")
    with pytest.raises(ConfigError, match=f"{re.escape(key)}.*trained with.*{value}"):
        load_run(args)


def test_what_the_user_writes_wins_over_a_commands_own_settings():
    args = argparse.Namespace(config=None, overrides=["seed=2"])
    assert load(args, "seed=1", "outer.steps=9").config.seed == 2


@pytest.mark.parametrize("path", ["null", "'a'", "a: b", "# c", "12", "with space", "é", "a\\b"])
def test_any_path_passes_through_an_override_unchanged(path):
    loaded = load_config(JobConfig, None, [override("data.path", Path(path))])
    assert loaded.config.data.path == path


def test_what_sources_log_reaches_the_user_once(capsys):
    import logging

    from metagan.cli.app import _logged_to
    from metagan.cli.console import Console

    log = logging.getLogger("metagan.data.cache")
    with Console() as console, _logged_to(console):
        for _ in range(2):
            log.info("using data prepared on %s", "Monday")
        log.warning("a cache cannot be used")
    said = capsys.readouterr()
    assert said.out == "using data prepared on Monday\n"
    assert said.err == "metagan: warning: a cache cannot be used\n"
    assert not log.isEnabledFor(logging.INFO)
