"""Runs that are told what their training domains answer to the same input, by the commands."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import metagan
from metagan.cli.app import run_cli
from metagan.data.library import WAYS, Library
from metagan.data.tasks import EpisodeKey, Half
from metagan.runs.checkpoint import read_tensors
from metagan.workflow.setup import load_run, prepare
from metagan.workflow.worker import converter
from tests.workflow.test_pairs import STYLES

SETTINGS = (*STYLES, "gan.conditioning=[input, support, library]")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("styles")
    line = ["train", "--run", str(folder / "run"), "--local", *SETTINGS]
    assert run_cli([*line, f"data.cache_dir={folder / 'cache'}"]) == 0
    return folder / "run"


def test_an_episode_is_told_what_the_other_training_domains_answer(run: Path) -> None:
    opened = load_run(run)
    setup = prepare(opened.config)
    task = setup.source.tasks("train")[0]
    episode = setup.source.episode(EpisodeKey(task, 3))
    inputs = episode.query.inputs
    assert inputs is not None
    assert inputs.shape[1:] == (1, 8, 1 + WAYS, 16, 16)[1:]
    data = setup.dataset
    others = [i for i in setup.splits.train if data.classes[i].domain != task]
    library = Library(data, others, converter(opened.form))
    # Its letters are found again by what they look like: no two of a style are alike.
    known = converter(opened.form)(
        np.stack([data.class_samples(i)[0] for i in data.classes_of(task)])
    )

    def labels(samples: torch.Tensor) -> list[str]:
        classes = data.classes_of(task)
        nearest = torch.cdist(samples.flatten(1), known.flatten(1)).argmin(1).tolist()
        return [data.classes[classes[place]].label for place in nearest]

    plain = [Half(h.samples, h.inputs[:, :, :1]) for h in (episode.support, episode.query)]  # type: ignore[index]
    told = library.beside(*plain, *(labels(h.samples[0]) for h in plain))
    for found, expected in zip((episode.support, episode.query), told, strict=True):
        assert found.inputs is not None
        torch.testing.assert_close(found.inputs, expected.inputs, rtol=0, atol=1e-6)


def test_held_out_domains_are_in_no_library(run: Path) -> None:
    opened = load_run(run)
    setup = prepare(opened.config)
    assert set(setup.source._library.domains) == {  # type: ignore[union-attr]
        name.partition("/")[0] for name in opened.splits["train"]
    }


def test_two_trainings_have_the_same_bits(run: Path, tmp_path: Path) -> None:
    line = ["train", "--run", str(tmp_path / "again"), "--local", *SETTINGS]
    assert run_cli([*line, f"data.cache_dir={tmp_path / 'cache'}"]) == 0
    file = Path("checkpoints") / "step-4"
    first, second = (read_tensors(r / file, "ema.safetensors") for r in (run, tmp_path / "again"))
    assert first.keys() == second.keys()
    for name, weight in first.items():
        assert torch.equal(weight, second[name]), name


def test_letters_are_adapted_to_and_drawn_with_what_the_library_answers(
    run: Path, tmp_path: Path
) -> None:
    opened = load_run(run)
    data = metagan.open_dataset(opened.config.data)
    style = opened.splits["test"][0].partition("/")[0]
    for index in data.classes_of(style)[:5]:
        place = tmp_path / "mine" / data.classes[index].label.partition(" ")[0]
        place.mkdir(parents=True)
        metagan.write_png(place / "0.png", data.class_samples(index)[0])
    line = ["adapt", "--run", str(run), "--support", str(tmp_path / "mine")]
    assert run_cli([*line, "--out", str(tmp_path / "adapted")]) == 0
    target = metagan.load_adapted(tmp_path / "adapted").target
    assert target.inputs is not None
    assert target.inputs.shape == (1, 5, 1 + WAYS, 16, 16)
    assert target.asked is not None
    assert len(target.asked) == 62
    # What is told of the letters that are shown is not what they are.
    for channel in range(1, 1 + WAYS):
        assert not torch.allclose(target.inputs[0, :, channel], target.support[0, :, 0], atol=0.1)
    line = ["generate", "--adapted", str(tmp_path / "adapted"), "--out", str(tmp_path / "letters")]
    assert run_cli(line) == 0
    assert len([path for path in (tmp_path / "letters").iterdir() if path.is_dir()]) == 62


@pytest.mark.usefixtures("items_here")
def test_it_is_measured_beside_the_library_itself(run: Path) -> None:
    line = ["evaluate", "--run", str(run), "--shots", "4", "evaluate.source_steps=5"]
    quick = ("evaluate.seeds=2", "evaluate.validation_seeds=2", "evaluate.adapt_steps=[0, 2]")
    assert run_cli([*line, *quick]) == 0
    found = json.loads((run / "evaluation.json").read_text())
    assert {"run", "ridge over domains", "nearest domain"} <= set(found["arms"]["4"]["rmse"])
    rows = [row for row in found["choices"] if row["arm"] == "run not adapted"]
    assert {row["how"] for row in rows} == {"reads"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("gan.conditioning=[library]", "gan.family=dcgan", "algorithm.name=reptile"), "add input"),
        (("task.unit=class", "algorithm.name=reptile"), "set task.unit domain"),
        (
            ("gan.conditioning=[input, library]", "gan.family=flow", "algorithm.name=reptile"),
            "flow",
        ),
    ],
)
def test_what_has_no_library_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: tuple[str, ...], said: str
) -> None:
    line = ["train", "--run", str(tmp_path / "run"), "--local", *SETTINGS, *settings]
    assert run_cli([*line, f"data.cache_dir={tmp_path / 'cache'}"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
