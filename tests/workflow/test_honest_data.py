"""Users of a run learn what was done to its pictures, and what its data hide."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metagan.cli.app import run_cli
from metagan.config.load import to_yaml
from metagan.config.settings import RunConfig
from metagan.data.dataset import DataError
from metagan.kinds.image.pictures import png_bytes
from metagan.kinds.image.reading.record import Reading
from metagan.report.headline import headline
from metagan.runs.run_folder import RunFolder
from metagan.workflow.evaluate import Target, build_subject, leak_of
from metagan.workflow.setup import load_run, prepare
from tests.helpers import bars, tiny_config, write_pictures
from tests.workflow.conftest import Quiet, run_training


def leak_in(run, subject):
    """Finding of `leak_of` in the data that a subject is measured on."""
    return leak_of(run, subject.validation, subject.test if subject.is_foreign else None)


def folder_config(path: Path, cache: Path, **data: object) -> RunConfig:
    files = {"source": "image_folder", "path": str(path), "cache_dir": str(cache)}
    return tiny_config(data={**files, "image_size": 16, **data})


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "data", bars())


def domains(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_a_copy_of_a_training_domain_is_not_trained_on_silently(
    tmp_path: Path, pictures: Path
) -> None:
    first = domains(pictures)[0]
    shutil.copytree(pictures / first, pictures / f"{first} - Copy")
    data = {"test_domains": (f"{first} - Copy",)}
    config = folder_config(pictures, tmp_path / "cache", **data)
    with pytest.raises(
        DataError, match=r"leak: \d+ pictures are on both sides.*data\.allow_leaks=true"
    ) as e:
        run_training(config, tmp_path / "run")
    assert f"{first}/" in str(e.value)
    assert " - Copy/" in str(e.value)
    assert not (tmp_path / "run").exists()


def test_an_allowed_leak_is_told_stored_and_stands_in_the_headline(
    tmp_path: Path, pictures: Path
) -> None:
    first = domains(pictures)[0]
    shutil.copytree(pictures / first, pictures / f"{first} - Copy")
    data = {"test_domains": (f"{first} - Copy",), "allow_leaks": True}
    told = run_training(folder_config(pictures, tmp_path / "cache", **data), tmp_path / "run")
    assert any(line.strip().startswith("LEAK: ") for line in told.lines)
    stored = RunFolder(tmp_path / "run").read_json("data.json")["leak"]
    assert stored["samples"] == sum(1 for _ in (pictures / first).rglob("*.png"))
    assert stored["examples"][0][1].startswith(f"{first} - Copy/")
    evaluated = {"leak": stored, "downstream": {}}
    assert headline(evaluated).startswith("The evaluation holds no accuracies")
    row = {"mean": 0.5, "low": 0.4, "high": 0.6}
    evaluated["downstream"] = {"5": {"none": row, "generated": row, "generated_minus_none": row}}
    assert headline(evaluated).startswith(f"Leak: {stored['samples']} pictures are on both")


def test_a_run_that_was_started_before_leaks_were_looked_for_can_go_on(
    tmp_path: Path, pictures: Path
) -> None:
    first = domains(pictures)[0]
    shutil.copytree(pictures / first, pictures / f"{first} - Copy")
    data = {"test_domains": (f"{first} - Copy",)}
    config, run = folder_config(pictures, tmp_path / "cache", **data), tmp_path / "run"
    allowing = folder_config(pictures, tmp_path / "cache", **data, allow_leaks=True)
    run_training(allowing, run)
    (run / "config.yaml").write_text(to_yaml(config))
    with pytest.raises(DataError, match=r"data\.allow_leaks=true"):
        run_training(config, run, resume=True)
    lines = run_training(allowing, run, resume=True).lines
    assert any(line.strip().startswith("LEAK: ") for line in lines)


def test_a_leak_within_one_split_is_none(tmp_path: Path, pictures: Path) -> None:
    config = folder_config(pictures, tmp_path / "cache")
    splits = prepare(config).spec.splits
    first, second = splits["train"][:2]
    shutil.copy(pictures / first / "00.png", pictures / second / "99.png")
    run_training(config, tmp_path / "run")
    assert RunFolder(tmp_path / "run").read_json("data.json")["leak"] is None


def test_a_target_that_training_saw_is_told_when_it_is_evaluated(
    tmp_path: Path, pictures: Path
) -> None:
    config = folder_config(pictures, tmp_path / "cache")
    run_training(config, tmp_path / "run")
    run = load_run(tmp_path / "run", RunConfig)
    other = write_pictures(tmp_path / "other", bars(2, drawings=12))
    copied = run.splits["train"][0]
    there = other / domains(other)[0]
    for number in range(3):
        file = there / domains(there)[0] / f"9{number}.png"
        shutil.copy(pictures / copied / f"{number:02d}.png", file)
    few = {"shots": (1,), "test_per_class": 2, "source_steps": 2, "seeds": 2, "validation_seeds": 2}
    evaluation = type(config.evaluate).model_validate({**few, "adapt_steps": (0,)}, strict=False)
    settings = config.model_copy(update={"evaluate": evaluation})
    data = prepare(folder_config(other, tmp_path / "cache", split_by="class")).dataset
    target = Target(data, tuple(range(data.num_classes)), str(other), "auto")
    subject = build_subject(run, settings, reporter=Quiet(), target=target)
    leak = leak_in(run, subject)
    assert leak is not None
    assert leak.samples >= 3
    assert leak.examples[0][1].endswith("(target)")
    assert leak_in(run, build_subject(run, settings, reporter=Quiet())) is None


def test_the_leak_that_training_found_is_the_one_that_evaluation_tells(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = domains(pictures)[0]
    shutil.copytree(pictures / first, pictures / f"{first} - Copy")
    data = {"test_domains": (f"{first} - Copy",), "allow_leaks": True}
    run_training(folder_config(pictures, tmp_path / "cache", **data), tmp_path / "run")
    run = load_run(tmp_path / "run", RunConfig)
    few = {"shots": (1,), "test_per_class": 2, "source_steps": 2, "adapt_steps": (0,)}
    evaluation = type(run.config.evaluate).model_validate(few, strict=False)
    settings = run.config.model_copy(update={"evaluate": evaluation})
    subject = build_subject(run, settings, reporter=Quiet())
    with monkeypatch.context() as patch:
        patch.setattr("metagan.workflow.evaluate.find_repeats", None)  # It is not looked for again.
        kept = leak_in(run, subject)
    file = run.folder.path / "data.json"
    record = json.loads(file.read_text())
    del record["leak"]  # As in a run of an earlier version.
    file.write_text(json.dumps(record))
    assert kept is not None
    assert leak_in(run, subject) == kept


def test_training_begins_with_how_every_domain_looks_and_the_heaviest_notes(
    tmp_path: Path, pictures: Path
) -> None:
    first, second = domains(pictures)[:2]
    (pictures / first / "empty").mkdir()
    for number in range(8):
        (pictures / second / domains(pictures / second)[0] / f"z{number}.png").write_bytes(b"x")
    lines = run_training(folder_config(pictures, tmp_path / "cache"), tmp_path / "run").lines
    looks = [line for line in lines if "levels 0..255" in line]
    assert [line.strip().partition(":")[0] for line in looks] == domains(pictures)
    notes = [line for line in lines if "note: " in line]
    assert "folders without pictures" in notes[0]
    assert notes[-1].strip() == "note: and 4 more: metagan data inspect"


def test_a_run_remembers_the_level_in_the_middle_of_what_it_learnt(
    tmp_path: Path, pictures: Path
) -> None:
    run_training(folder_config(pictures, tmp_path / "c", invert=True), tmp_path / "run")
    reading = Reading.of_form(load_run(tmp_path / "run").form)
    assert reading.inverted
    assert reading.median is not None
    assert reading.median > 127
    dark = np.zeros((3, 16, 16), np.uint8)
    warning = reading.other_polarity([dark])
    assert warning is not None
    assert "mostly dark" in warning
    assert "add data.invert=false" in warning
    assert reading.other_polarity([255 - dark]) is None


@pytest.mark.parametrize(
    ("origin", "inverted"),
    [
        ({"source": "image_folder", "invert": True}, True),
        ({"source": "image_folder", "invert": False}, False),
        ({"source": "omniglot", "invert": False}, True),
        ({"source": "omniglot", "invert": True}, False),
        ({"source": "omniglot", "invert": False, "prepared": "there"}, True),
        ({"source": "glyphs"}, False),
    ],
)
def test_a_run_of_an_earlier_version_is_known_to_be_inverted_by_its_settings(
    trained: Path, tmp_path: Path, origin: dict[str, object], inverted: bool
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    kept = {"sha256": "0" * 64, "notes": [], "left_out": [], "origin": origin}
    (run / "data.json").write_text(json.dumps(kept))
    reading = Reading.of_form(load_run(run).form)
    assert (reading.inverted, dict(reading.whites), reading.median) == (inverted, {}, None)


def test_evaluating_on_other_pictures_reads_them_as_the_runs_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = write_pictures(tmp_path / "data", bars(), turned=True)
    config = folder_config(pictures, tmp_path / "cache", invert=True)
    run_training(config, tmp_path / "run")
    other = write_pictures(tmp_path / "other", bars(2), turned=True)
    line = ["evaluate", "--run", str(tmp_path / "run"), "--data", str(other), "--shots", "500"]
    assert run_cli(line) == 2  # Too few samples, but the pictures have been read.
    assert "add data.invert" not in capsys.readouterr().err
    assert run_cli([*line, "data.invert=false"]) == 2
    said = capsys.readouterr().err
    assert "mostly bright" in said
    assert "add data.invert=true" in said


def test_the_advice_on_polarity_is_not_what_was_done_already(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_training(folder_config(pictures, tmp_path / "cache"), tmp_path / "run")
    other = write_pictures(tmp_path / "other", bars(2))
    line = ["evaluate", "--run", str(tmp_path / "run"), "--data", str(other), "--shots", "500"]
    assert run_cli([*line, "data.invert=true"]) == 2
    assert "add data.invert=false" in capsys.readouterr().err


def test_what_other_data_hide_is_told_before_they_are_measured_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = write_pictures(tmp_path / "data", bars(), turned=True)
    run_training(folder_config(pictures, tmp_path / "cache"), tmp_path / "run")
    other = write_pictures(tmp_path / "other", bars(2), turned=True)
    place = next(other.glob("*/*"))
    (place / "99.png").write_bytes(png_bytes(bars().samples[0], is_generated=True))
    line = ["evaluate", "--run", str(tmp_path / "run"), "--data", str(other), "--shots", "500"]
    assert run_cli(line) == 2  # Too few samples, but the pictures have been read.
    said = capsys.readouterr()
    assert "note: generated: 1 picture was made by metagan generate" in said.out + said.err
    assert "polarity" not in said.out + said.err


def test_other_data_are_given_no_advice_that_a_trained_run_cannot_follow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bars()
    for index, record in enumerate(data.classes):
        for number, sample in enumerate(data.class_samples(index)):
            file = tmp_path / "deep" / record.domain / record.label / f"{number:02d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(sample[0].astype(np.uint16) * 16).save(file)
    run_training(folder_config(tmp_path / "deep", tmp_path / "cache"), tmp_path / "run")
    assert dict(load_run(tmp_path / "run").form.facts["whites"]) == {"integers": 4095.0}
    other = write_pictures(tmp_path / "other", bars(2))
    for file in other.rglob("*.png"):
        Image.merge("RGB", [Image.open(file), *[Image.new("L", (16, 16))] * 2]).save(file)
    line = ["evaluate", "--run", str(tmp_path / "run"), "--data", str(other), "--shots", "500"]
    for words, is_told in (([], False), (["data.white=4095"], True)):
        capsys.readouterr()
        assert run_cli([*line, *words]) == 2  # Too few samples, which are read.
        said = capsys.readouterr()
        assert ("data.white is 4095, but changes nothing" in said.out + said.err) is is_told
        assert "the run reads grey, and colour needs another run" in said.out + said.err
        assert "data.channels=3 keeps it" not in said.out + said.err
    line = ["adapt", "--run", str(tmp_path / "run"), "--support", str(next(other.iterdir()))]
    assert run_cli([*line, "--out", str(tmp_path / "a"), "--steps", "0"]) == 0
    said = capsys.readouterr()
    assert "the run reads grey, and colour needs another run" in said.out + said.err
    assert "data.channels=3 keeps it" not in said.out + said.err


def test_an_inverted_run_is_evaluated_on_prepared_pictures_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = write_pictures(tmp_path / "data", bars(), turned=True)
    run_training(folder_config(pictures, tmp_path / "cache", invert=True), tmp_path / "run")
    for other, warned in (("same", False), ("unlike", True)):
        folder = write_pictures(tmp_path / other, bars(2), turned=other == "same")
        ready = str(tmp_path / f"{other}-prepared")
        settings = ["data.image_size=16", "data.invert=true"]
        assert run_cli(["data", "prepare", str(folder), ready, *settings]) == 0
        capsys.readouterr()
        line = ["evaluate", "--run", str(tmp_path / "run"), "--data", ready, "--shots", "500"]
        assert run_cli(line) == 2  # Too few samples, but the pictures were opened.
        text = capsys.readouterr().err
        assert "lower evaluate.shots" in text
        assert ("mostly bright" in text) is warned
        assert ("prepare them again with data.invert=false" in text) is warned
