"""The programs in examples/ run as they stand, on what takes seconds."""

import runpy
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import metagan
from metagan.config.settings import RunConfig
from metagan.workflow.setup import load_run
from metagan.workflow.train import TrainOutcome, train_run
from tests.conftest import REPOSITORY
from tests.helpers import bars
from tests.workflow.conftest import bars_config

EXAMPLES = REPOSITORY / "examples"


def run_example(name: str, *arguments: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [str(EXAMPLES / name), *map(str, arguments)]
    monkeypatch.setattr("sys.argv", words)
    runpy.run_path(words[0], run_name="__main__")


def test_training_in_one_process_leaves_a_run(
    tmp_path: Path,
    bars_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[RunConfig] = []

    def train_small(config: RunConfig, run: Path, **options: Any) -> TrainOutcome:
        asked.append(config)
        return train_run(bars_config(bars_path), run, **options)

    monkeypatch.setattr(metagan, "train_run", train_small, raising=False)
    run_example("train_in_one_process.py", tmp_path / "run", monkeypatch=monkeypatch)
    assert load_run(tmp_path / "run", RunConfig).step == 3
    assert "status='done'" in capsys.readouterr().out
    # What it asks for itself is minutes of work, and more than its warm-up.
    assert 0 < asked[0].warmup.steps < asked[0].outer.steps < 100


def test_adapting_to_pictures_draws_a_row_for_every_class(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bars()
    for index, label in enumerate(("ka", "ki")):
        (tmp_path / "mine" / label).mkdir(parents=True)
        for number in range(3):
            picture = data.class_samples(index)[number][0]
            Image.fromarray(picture).save(tmp_path / "mine" / label / f"{number}.png")
    out = tmp_path / "out.png"
    run_example("adapt_to_my_pictures.py", trained, tmp_path / "mine", out, monkeypatch=monkeypatch)
    with Image.open(out) as sheet:
        # 16 pictures of 16 pixels a row with a gap of 1, everything twice as large.
        assert sheet.size == (2 * 16 * 17, 2 * 2 * 17)


def test_every_example_is_run_here() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in tested] == []
