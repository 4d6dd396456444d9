"""Data that have moved are the same data: their hash decides, and what differs is named."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cluster.config import JobConfig
from metagan.cli.app import run_cli
from metagan.config.load import ConfigError, load_config, to_yaml
from metagan.config.settings import RunConfig
from metagan.data.arrow import prepare
from metagan.runs.run_folder import RunError
from metagan.workflow.evaluate import build_subject
from metagan.workflow.setup import data_record, load_run
from metagan.workflow.setup import prepare as prepare_run
from metagan.workflow.train import check_same_run
from tests.helpers import bars, tiny_config, write_pictures
from tests.workflow.conftest import Quiet, run_training
from tune.config import SearchJobConfig
from tune.search import DATA_FILE, SETTINGS_FILE, _check_same_search, search

OUTER = {"meta_batch_size": 4, "episodes_per_chunk": 2, "steps": 1}


def config_of(path: Path, cache: Path, **data: Any) -> RunConfig:
    given = {"path": path, "image_size": 16, "cache_dir": cache, **data}
    return tiny_config(data=given, outer=OUTER)


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    """A run in `run`, whose data have been moved from `here` to the folder returned."""
    here = write_pictures(tmp_path / "here", bars(drawings=6))
    run_training(config_of(here, tmp_path / "cache"), tmp_path / "run")
    return here.rename(tmp_path / "there")


def resume(tmp_path: Path, config: RunConfig) -> None:
    run_training(config, tmp_path / "run", resume=True)


def test_a_path_without_a_source_is_written_down_as_what_was_meant(
    tmp_path: Path, moved: Path
) -> None:
    assert moved.is_dir()
    kept = load_config(RunConfig, tmp_path / "run" / "config.yaml").config
    assert (kept.data.source, kept.data.path) == ("auto", str(tmp_path / "here"))


def test_a_run_goes_on_where_its_data_are_now(
    tmp_path: Path, moved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["train", "--run", str(tmp_path / "run"), "--local", "--resume"]
    assert run_cli(line) == 2
    said = capsys.readouterr().err
    assert "here does not exist" in said
    assert "if the data have moved, set data.path to where they are now" in said
    assert run_cli([*line, f"data.path={moved}", "outer.steps=2"]) == 0
    assert load_run(tmp_path / "run").step == 2
    assert load_run(tmp_path / "run").config.data.path == str(moved)


def test_the_same_data_in_another_form_are_the_same_data(tmp_path: Path, moved: Path) -> None:
    for source in ("auto", "image_folder"):
        resume(tmp_path, config_of(moved, tmp_path / "cache", source=source))
        assert load_run(tmp_path / "run").config.data.source == source
    prepared = prepare(bars(drawings=6), tmp_path / "prepared")
    resume(tmp_path, config_of(prepared, tmp_path / "cache", source="arrow"))
    assert load_run(tmp_path / "run").config.data.path == str(prepared)


def test_inverted_data_in_prepared_form_are_the_same_data(tmp_path: Path) -> None:
    here = write_pictures(tmp_path / "here", bars(drawings=6))
    config = config_of(here, tmp_path / "cache", invert=True)
    run_training(config, tmp_path / "run")
    ready = prepare(prepare_run(config).dataset, tmp_path / "prepared")
    resume(tmp_path, config_of(ready, tmp_path / "cache", source="arrow", invert=True))
    assert load_run(tmp_path / "run").config.data.path == str(ready)


def test_other_settings_of_the_data_still_make_another_run(tmp_path: Path, moved: Path) -> None:
    for key, value in (("invert", True), ("split_by", "class")):
        with pytest.raises(RunError, match=rf"data\.{key}: .* before, .* now"):
            resume(tmp_path, config_of(moved, tmp_path / "cache", **{key: value}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("another picture", "domain0/angle0 has 7 samples, 6 before"),
        ("class gone", "class domain0/angle0 is not there any more"),
        ("domain added", "4 classes, such as more/angle0, are new"),
        ("other pixels", "the same classes, but other pictures"),
    ],
)
def test_a_run_does_not_go_on_with_other_data_and_says_what_differs(
    tmp_path: Path, moved: Path, change: str, said: str
) -> None:
    one = moved / "domain0" / "angle0"
    if change == "another picture":
        Image.new("L", (16, 16), 77).save(one / "x.png")
    elif change == "class gone":
        shutil.rmtree(one)
    elif change == "domain added":
        shutil.copytree(moved / "domain1", moved / "more")
    else:
        Image.new("L", (16, 16), 77).save(one / "00.png")
    before = (tmp_path / "run" / "config.yaml").read_bytes()
    with pytest.raises(RunError, match="was started on other data") as caught:
        resume(tmp_path, config_of(moved, tmp_path / "cache"))
    assert said in str(caught.value)
    assert (tmp_path / "run" / "config.yaml").read_bytes() == before


def test_a_run_of_before_counts_were_kept_names_classes_all_the_same(
    tmp_path: Path, moved: Path
) -> None:
    file = tmp_path / "run" / "data.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps({k: v for k, v in record.items() if k != "samples"}))
    shutil.rmtree(moved / "domain0" / "angle0")
    with pytest.raises(RunError, match="class domain0/angle0 is not there any more"):
        resume(tmp_path, config_of(moved, tmp_path / "cache"))


def test_an_evaluation_finds_moved_data_and_refuses_others(tmp_path: Path, moved: Path) -> None:
    run = load_run(tmp_path / "run")
    evaluate = {"shots": [1], "test_per_class": 2, "source_steps": 2}

    def at(path: Path) -> RunConfig:
        values = run.config.model_dump()
        values["data"]["path"] = path
        values["evaluate"] |= evaluate
        return RunConfig.model_validate(values)

    assert build_subject(run, at(moved), reporter=Quiet()).validation.num_classes == 16
    shutil.rmtree(moved / "domain0" / "angle0")
    with pytest.raises(RunError, match="class domain0/angle0 is not there any more"):
        build_subject(run, at(moved), reporter=Quiet())


def test_a_search_goes_on_with_moved_data_if_it_can_know_them(tmp_path: Path) -> None:
    before = SearchJobConfig(data={"path": "here"})
    (tmp_path / SETTINGS_FILE).write_text(to_yaml(before))
    now = SearchJobConfig(data={"path": "there", "source": "npz"})
    with pytest.raises(ConfigError, match=r"data\.path: 'here' before, 'there' now"):
        _check_same_search(now, tmp_path)
    (tmp_path / DATA_FILE).write_text("{}")
    _check_same_search(now, tmp_path)
    with pytest.raises(ConfigError, match=r"data\.image_size: 28 before, 32 now"):
        _check_same_search(SearchJobConfig(data={"path": "x", "image_size": 32}), tmp_path)


def test_a_leak_may_be_allowed_in_a_search_that_goes_on(tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).write_text(to_yaml(SearchJobConfig(data={"path": "here"})))
    now = {"path": "here", "allow_leaks": True}
    _check_same_search(SearchJobConfig(data=now), tmp_path)


def test_a_search_does_not_go_on_with_other_data(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", bars(drawings=6))
    values = config_of(data, tmp_path / "cache").model_dump()
    config = SearchJobConfig.model_validate({**values, "evaluate": {"shots": [1]}})
    (tmp_path / "out" / "tune").mkdir(parents=True)
    (tmp_path / "out" / SETTINGS_FILE).write_text(to_yaml(config))
    (tmp_path / "out" / DATA_FILE).write_text(json.dumps(data_record(prepare_run(config), None)))
    Image.new("L", (16, 16), 77).save(data / "domain0" / "angle0" / "x.png")
    with pytest.raises(RunError, match="domain0/angle0 has 7 samples, 6 before"):
        search(config, tmp_path / "out", resume=True, reporter=Quiet())


def test_training_says_that_the_run_folder_lies_in_the_data(tmp_path: Path) -> None:
    data = prepare(bars(drawings=6), tmp_path / "data")
    config = config_of(data, tmp_path / "cache")
    inside = run_training(config, data / "runs" / "one")
    [note] = [line for line in inside.lines if line.startswith("note: the run folder")]
    assert f"{data / 'runs' / 'one'} is inside data.path {data}" in note
    beside = run_training(config, tmp_path / "run")
    assert not [line for line in beside.lines if line.startswith("note: the run folder")]


def test_moved_data_are_no_reason_to_refuse_a_run_with_rollbacks(tmp_path: Path) -> None:
    class Folder:
        path = tmp_path
        config_file = tmp_path / "config.yaml"

    before = JobConfig(data={"path": "here"}, outer={"rollbacks": 1})
    Folder.config_file.write_text(to_yaml(before))
    check_same_run(Folder, JobConfig(data={"path": "there"}, outer={"rollbacks": 1}))  # type: ignore[arg-type]
