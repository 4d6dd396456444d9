"""Pictures that are filled in, coloured and enlarged, by the commands."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import metagan
from metagan.cli.app import run_cli
from metagan.devices import pinned_threads
from metagan.runs.checkpoint import read_tensors
from tests.workflow.test_evaluate_pairs import QUICK
from tests.workflow.test_pairs import STYLES

MASKED = (*STYLES, "data.input=mask", "outer.steps=8", "checkpoint.every_steps=8")


pytestmark = pytest.mark.usefixtures("items_here")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that fills in, and letters of a style as a user may have them, whole and with holes."""
    folder = tmp_path_factory.mktemp("masked")
    with pinned_threads(1):
        line = ["train", "--run", str(folder / "run"), "--local", *MASKED]
        assert run_cli([*line, f"data.cache_dir={folder / 'cache'}"]) == 0
    run = metagan.load_run(folder / "run")
    data = metagan.open_dataset(run.config.data)
    style = next(name.partition("/")[0] for name in run.splits["test"])
    (folder / "whole").mkdir()
    (folder / "holes").mkdir()
    for number, index in enumerate(data.classes_of(style)[:8]):
        pixels = data.class_samples(index)[0]
        if number < 5:
            metagan.write_png(folder / "whole" / f"{number}.png", pixels)
            continue
        opacity = np.full((16, 16), 255, np.uint8)
        opacity[4:9, 4:12] = 0
        picture = np.stack([pixels[0], opacity], axis=-1)
        Image.fromarray(picture, "LA").save(folder / "holes" / f"letter {number}.png")
    return folder


def adapted(folder: Path, out: Path) -> Path:
    line = ["adapt", "--run", str(folder / "run"), "--support", str(folder / "whole")]
    assert run_cli([*line, "--out", str(out)]) == 0
    return out


def test_pictures_with_holes_are_filled_and_nothing_else_is_changed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["generate", "--adapted", str(adapted(folder, tmp_path / "a"))]
    holes = ["--inputs", str(folder / "holes")]
    assert run_cli([*line, *holes, "--out", str(tmp_path / "filled")]) == 0
    assert "wrote 3 answers to" in capsys.readouterr().out
    for file in sorted((folder / "holes").iterdir()):
        given = np.asarray(Image.open(file))
        filled = np.asarray(Image.open(tmp_path / "filled" / file.stem / "00000.png"))
        seen = given[..., 1] > 0
        np.testing.assert_array_equal(filled[seen], given[..., 0][seen])
        assert np.ptp(filled[~seen]) > 0
    # What has no hole, and a number of samples where answers are meant.
    whole = ["--inputs", str(folder / "whole")]
    assert run_cli([*line, *whole, "--out", str(tmp_path / "no")]) == 2
    assert "no part of it is hidden; make transparent" in capsys.readouterr().err
    assert run_cli([*line, "--num", "3", "--out", str(tmp_path / "no")]) == 2
    assert "name a file of inputs by --inputs" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_a_run_is_measured_against_classical_filling(folder: Path) -> None:
    pytest.importorskip("skimage")
    pytest.importorskip("cv2")
    run = folder / "run"
    assert run_cli(["evaluate", "--run", str(run), "--shots", "4", *QUICK]) == 0
    found = json.loads((run / "evaluation.json").read_text())
    plain = {"copy", "mean", "nearest pair", "linear", "nearest patch", "biharmonic", "Telea"}
    assert set(found["plain_arms"]) == plain
    arms = found["arms"]["4"]
    assert set(arms) == {"rmse", "ssim"}
    assert set(arms["rmse"]) == plain | {"run", "run not adapted", "scratch"}
    # What is seen is right in every arm, so that none is as far off as blank paper.
    assert arms["rmse"]["scratch"]["mean"] < arms["rmse"]["copy"]["mean"]
    assert list((run / "samples" / "adaptation").glob("*.png"))


def test_two_trainings_draw_the_same_masks(folder: Path, tmp_path: Path) -> None:
    line = ["train", "--run", str(tmp_path / "again"), "--local", *MASKED]
    assert run_cli([*line, f"data.cache_dir={folder / 'cache'}"]) == 0
    first, again = (
        read_tensors(run / "checkpoints" / "step-8", "ema.safetensors")
        for run in (folder / "run", tmp_path / "again")
    )
    assert all(first[name].equal(again[name]) for name in first)


@pytest.mark.parametrize(
    ("taken", "more"), [("grey", ["data.channels=3"]), ("small", []), ("small", ["flow"])]
)
def test_what_else_is_taken_is_put_back(taken: str, more: list[str], tmp_path: Path) -> None:
    settings = [*STYLES, f"data.input={taken}", "outer.steps=1", "checkpoint.every_steps=1"]
    if more == ["flow"]:
        more = ["gan.family=flow", "algorithm.name=joint"]
    run = tmp_path / "run"
    cache = f"data.cache_dir={tmp_path / 'cache'}"
    assert run_cli(["train", "--run", str(run), "--local", *settings, *more, cache]) == 0
    rng = np.random.default_rng(0)
    for part, side in (("whole", 16), ("asked", 4 if taken == "small" else 16)):
        (tmp_path / part).mkdir()
        for number in range(3):
            pixels = rng.integers(0, 256, (1, side, side), np.uint8)
            metagan.write_png(tmp_path / part / f"{number}.png", pixels)
    adapted(tmp_path, tmp_path / "a")
    line = ["generate", "--adapted", str(tmp_path / "a"), "--inputs", str(tmp_path / "asked")]
    assert run_cli([*line, "--out", str(tmp_path / "drawn")]) == 0
    with Image.open(tmp_path / "drawn" / "2" / "00000.png") as drawn:
        assert drawn.size == (16, 16)
        assert drawn.mode == ("RGB" if taken == "grey" else "L")
    assert run_cli(["evaluate", "--run", str(run), "--shots", "4", *QUICK]) == 0
    found = json.loads((run / "evaluation.json").read_text())
    method = "colour by brightness" if taken == "grey" else "bicubic"
    assert set(found["plain_arms"]) == {"copy", "mean", "nearest pair", "linear", method}


def test_an_exported_generator_says_how_hidden_parts_are_given(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["export", "--run", str(folder / "run"), "--format", "torch-export"]
    assert run_cli([*line, "--out", str(tmp_path / "g.pt2")]) == 0
    assert "a picture that is -1 where it is hidden" in capsys.readouterr().out
