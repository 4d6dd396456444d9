"""The demo takes the place of an earlier one, and of nothing else."""

import argparse
import contextlib
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from metagan.cli import demo
from metagan.config.settings import RunConfig
from metagan.core.outer_loop import EpisodeRunner, WorkerSpec
from metagan.runs.run_folder import RunError, RunFolder
from metagan.workflow.demo import claim_folders
from metagan.workflow.train import local_runner, train_run
from tests.doors import open_door
from tests.helpers import TINY_SETTINGS, tree
from tests.workflow.conftest import Quiet, bars_config

OUTER = {"steps": 1, "meta_batch_size": 2, "episodes_per_chunk": 2}
TINY = (
    "data.max_classes_per_domain=4",
    "data.drawings_per_class=12",
    *(setting for setting in TINY_SETTINGS if not setting.startswith("data.source")),
    "warmup.steps=1",
    "outer.steps=2",
)


def demo_runs(config: RunConfig, run: Path) -> None:
    """Do what a demo does in its folders before it evaluates."""
    claim_folders({run: config, run / "joint": config})
    for path in (run, run / "joint"):
        train_run(config, path, open_runner=local_runner(config), reporter=Quiet(), alone=False)


@pytest.fixture(scope="module")
def config(bars_path: Path) -> RunConfig:
    return bars_config(bars_path, outer=OUTER)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory, config: RunConfig) -> Path:
    """An earlier demo, to be copied."""
    demo = tmp_path_factory.mktemp("earlier") / "demo"
    demo_runs(config, demo)
    for name in ("report.html", "evaluation.json", "samples/adaptation/00-after.png"):
        file = demo / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("the demo's")
    return demo


@pytest.fixture
def run(tmp_path: Path, earlier: Path) -> Path:
    """A copy of the earlier demo."""
    return shutil.copytree(earlier, tmp_path / "demo")


def test_an_earlier_demo_goes_and_what_others_put_beside_it_stays(
    run: Path, config: RunConfig
) -> None:
    earlier = tree(run)
    users = {
        "export.onnx": b"exported",
        "evaluation-omniglot.json": b"{}",
        "evaluation_items/0123.json": b"{}",
        ".env": b"KEY=1",
        "adapted/preview.png": b"adapted",
        "samples/favourite.png": b"mine",
        "checkpoints/notes.txt": b"mine",
        "joint/export.pt2": b"exported",
    }
    for name, content in users.items():
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_bytes(content)
    claim_folders({run: config, run / "joint": config})
    left = {name: content for name, content in tree(run).items() if content is not None}
    marks = {"demo.txt", ".lock", "joint/demo.txt", "joint/.lock"}
    assert {name: left[name] for name in left.keys() - marks} == users

    demo_runs(config, run)
    again = tree(run)
    assert {name: again[name] for name in users} == users
    for name in ("", "joint/"):
        weights = f"{name}checkpoints/step-1/ema.safetensors"
        assert again[weights] == earlier[weights]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that keeps the glyphs once they are drawn, which takes seconds."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("runs", [0, 1])
def test_a_demo_that_is_killed_after_some_of_its_runs_is_started_again_by_the_same_command(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, runs: int
) -> None:
    class KilledError(Exception):
        pass

    opened: list[str] = []

    def open_runner(spec: WorkerSpec, config: object) -> AbstractContextManager[EpisodeRunner]:  # noqa: ARG001
        opened.append(spec.config.algorithm.name)
        if len(opened) > runs:
            raise KilledError
        return local_runner(spec.config)(spec)

    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    # As after SIGKILL: nobody cleans up.
    monkeypatch.setattr(RunFolder, "discard", lambda _: None)
    open_door(monkeypatch, "cluster.opening", open_runner=open_runner)
    open_door(monkeypatch, "cluster.connect", ray_session=contextlib.nullcontext)
    command = argparse.Namespace(run=tmp_path / "demo", overrides=["glyphs", *TINY])
    for _ in range(2):
        opened.clear()
        with pytest.raises(KilledError):
            demo.run(command, Quiet())
        assert opened == ["reptile", "joint"][: runs + 1]
        killed = RunFolder(tmp_path / "demo" / ["", "joint"][runs])
        assert killed.exists()
        assert not (killed.path / "metrics.jsonl").exists()


@pytest.mark.parametrize("name", [".", "joint"])
def test_a_run_that_the_demo_did_not_write_is_refused_and_nothing_changes(
    run: Path, config: RunConfig, name: str
) -> None:
    (run / name / "demo.txt").unlink()
    before = tree(run)
    with pytest.raises(RunError, match="did not write"):
        claim_folders({run: config, run / "joint": config})
    assert tree(run) == before


def test_a_demo_that_was_trained_further_is_the_users(run: Path, config: RunConfig) -> None:
    values = config.model_dump()
    values["outer"]["steps"] = 2
    longer = RunConfig.model_validate(values)
    train_run(longer, run, open_runner=local_runner(longer), reporter=Quiet(), resume=True)
    before = tree(run)
    with pytest.raises(RunError, match="was continued since"):
        claim_folders({run: config, run / "joint": config})
    assert tree(run) == before


def test_a_folder_without_a_run_is_not_taken(tmp_path: Path, config: RunConfig) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match=r"thesis\.txt"):
        claim_folders({tmp_path: config})
    assert tree(tmp_path) == {"thesis.txt": b"mine"}
