"""What evaluation refuses, before it trains anything."""

from pathlib import Path
from typing import Any

import pytest

from metagan.dataset import DataError
from metagan.run_folder import RunError
from metagan.settings import RunConfig
from metagan.sources.arrow import prepare
from metagan.workflow.evaluate import build_subject
from metagan.workflow.setup import load_run
from tests.helpers import bars
from tests.workflow.conftest import Quiet


def refused(run: Path, *, evaluate: dict[str, Any], data: dict[str, Any]) -> str:
    """The message, after a check that nothing was trained on the way to it."""
    loaded = load_run(run, RunConfig)
    values = loaded.config.model_dump()
    values["evaluate"] |= evaluate
    values["data"] |= data
    reporter = Quiet()
    with pytest.raises((DataError, RunError)) as caught:
        build_subject(loaded, RunConfig.model_validate(values), reporter=reporter)
    assert reporter.lines == []
    assert not (run / "source_classifier").exists()
    return str(caught.value)


def test_too_many_shots_are_refused_before_any_training(trained: Path) -> None:
    message = refused(trained, evaluate={"shots": (1, 50), "test_per_class": 2}, data={})
    assert message.startswith("validation classes: only 0 of 4 classes have 50 shots + 2 test")


def test_other_data_than_the_run_was_trained_on_are_refused(trained: Path, tmp_path: Path) -> None:
    other = prepare(bars(drawings=11), tmp_path / "other")
    message = refused(trained, evaluate={"shots": (1,)}, data={"path": str(other)})
    assert "was started on other data" in message
