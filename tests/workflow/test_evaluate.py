"""Evaluation refuses mistakes before it trains anything; its table of initializations."""

from pathlib import Path
from typing import Any

import pytest

from metagan.config.settings import RunConfig
from metagan.data.arrow import prepare
from metagan.data.dataset import DataError
from metagan.evaluate.comparison import comparison_table, mean_quality
from metagan.evaluate.evaluation import ComparisonItem, ComparisonResult
from metagan.runs.run_folder import RunError
from metagan.workflow.evaluate import build_subject
from metagan.workflow.evaluation_tables import comparison_header, comparison_rows
from metagan.workflow.setup import load_run
from tests.helpers import bars
from tests.workflow.conftest import Quiet

QUALITY: dict[str, Any] = dict.fromkeys(
    ["kid", "fid", "precision", "recall", "density", "coverage", "diversity", "copies"], 0.5
) | {"kid_stderr": 0.25, "fid_n": 40, "support_distance": None, "extractor_sha256": "0f"}


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


def test_one_repetition_of_a_comparison_has_a_value_and_no_interval() -> None:
    results = [
        ComparisonResult(ComparisonItem(init, 0, repetition, 1, 0.5), QUALITY, accuracy)
        for init, repetition, accuracy in (("run", 0, 0.7), ("joint", 0, 0.6), ("joint", 1, 0.8))
    ]
    one, two = comparison_table(results)
    assert one["accuracy"] == {"mean": 0.7, "low": None, "high": None, "seeds": 1}
    assert two["accuracy"]["seeds"] == 2
    assert two["accuracy"]["low"] < two["accuracy"]["mean"] < two["accuracy"]["high"]
    assert comparison_rows({"comparison": [one]})[0] == [
        "this run", "0", "0.5000 ± 0.2500", "0.50", "70.0"
    ]  # fmt: skip


def test_quality_is_the_mean_over_repetitions_with_their_standard_error() -> None:
    kids = (0.1, 0.2, None, 0.6)
    results = [
        ComparisonResult(
            ComparisonItem("run", 5, repetition, 1, 0.5),
            QUALITY | {"kid": kid, "copies": 0.1 * repetition},
            0.5,
        )
        for repetition, kid in enumerate(kids)
    ]
    mean = mean_quality(results, "run", 5)
    assert mean["kid"] == pytest.approx(0.3)
    assert mean["kid_stderr"] == pytest.approx((0.07 / 3) ** 0.5)  # Variance 0.07 of three.
    assert mean["copies"] == pytest.approx(0.15)
    assert (mean["fid_n"], mean["extractor_sha256"]) == (40, "0f")
    assert mean["support_distance"] is None
    assert comparison_table(results)[0]["kid_stderr"] == mean["kid_stderr"]
    assert mean_quality(results[:1], "run", 5)["kid_stderr"] == 0.25
    assert mean_quality(results, "joint", 5) == {}


def test_initializations_are_compared_with_the_runs_own_in_pairs() -> None:
    accuracies = {
        ("run", 0): (0.5, 0.7, 0.9),
        ("run", 5): (0.0, 0.0, 0.0),
        ("joint", 0): (0.4, 0.6, 0.8),
    }
    results = [
        ComparisonResult(ComparisonItem(init, steps, repetition, 1, 0.5), QUALITY, accuracy)
        for (init, steps), values in accuracies.items()
        for repetition, accuracy in enumerate(values)
    ]
    own, adapted, joint = comparison_table(results)
    assert "run_minus" not in own
    assert "run_minus" not in adapted
    # All targets gain the same, however far apart they are: no doubt is left.
    assert joint["run_minus"] == pytest.approx({"mean": 0.1, "low": 0.1, "high": 0.1, "seeds": 3})
    result = {"comparison": [own, adapted, joint]}
    assert comparison_header(result)[-1] == "this run - it"
    assert [row[-1] for row in comparison_rows(result)] == ["", "", "+10.0 [+10.0, +10.0]"]
