"""A tiny trained run that workflow tests share."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from metagan.config.settings import RunConfig
from metagan.evaluate.evaluation import serial_map
from metagan.workflow.train import local_runner, train_run
from tests.doors import open_door, shut_doors
from tests.helpers import tiny_config


class Quiet:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.fields: list[Mapping[str, object]] = []

    def progress(self, fields: Mapping[str, object], *, force: bool = False) -> None:  # noqa: ARG002
        self.fields.append(fields)

    def print(self, text: str) -> None:
        self.lines.append(text)


def bars_config(path: Path, **sections: Any) -> RunConfig:
    data = {"source": "arrow", "path": str(path), "image_size": 16}
    return tiny_config(data=data, **sections)


def run_training(config: RunConfig, run: Path, **options: Any) -> Quiet:
    reporter = Quiet()
    outcome = train_run(config, run, open_runner=local_runner(config), reporter=reporter, **options)
    # A signal that somebody sends to the tests' process ends a run early, and nothing else.
    assert outcome.status == "done", (
        f"the run was stopped at outer step {outcome.step} of {config.outer.steps}: this process "
        "was sent SIGINT or SIGTERM"
    )
    return reporter


@pytest.fixture(autouse=True)
def _no_cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that is not marked to start a Ray cannot start one by accident."""
    if request.node.get_closest_marker("ray") is None:
        shut_doors(monkeypatch)


def compute_here(patch: pytest.MonkeyPatch) -> None:
    """Have commands compute an evaluation's items in this process, without a Ray."""
    open_door(patch, "cluster.work", open_map=lambda _: contextlib.nullcontext(serial_map))


@pytest.fixture
def items_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """See `compute_here`."""
    compute_here(monkeypatch)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, bars_path: Path) -> Path:
    """A finished run of three outer steps."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    run_training(bars_config(bars_path), run)
    return run
