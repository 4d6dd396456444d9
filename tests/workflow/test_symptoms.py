"""Training that goes wrong with finite numbers is reported, with the number."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from metagan.core.gan import GanPair, build_gan
from metagan.core.params import GanParams, map_params
from metagan.report.load import load_run_files
from metagan.report.training import curves, failures
from metagan.workflow.symptoms import SPREAD, Symptoms
from tests.workflow.conftest import bars_config, run_training

GAN = {"width": 4, "discriminator_width": 4, "latent_dim": 4, "mode_seeking": 0}


def warnings(run: Path) -> list[dict[str, Any]]:
    file = run / "failures.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def norms(*values: float) -> list[str]:
    symptoms = Symptoms("relativistic")
    return [
        text
        for value in values
        for text in symptoms.of_step("reptile", {"grad_norm_generator": value})
    ]


def test_a_solution_that_is_worse_than_none_is_told_once() -> None:
    symptoms = Symptoms("relativistic")
    (told,) = symptoms.of_step("imaml", {"cg_residual_g": 1.84, "cg_residual_d": 0.4})
    assert "cg_residual_g is 1.84" in told
    assert "algorithm.cg_steps" in told
    assert symptoms.of_step("imaml", {"cg_residual_g": 1.5, "cg_residual_d": 0.4}) == []
    assert symptoms.of_step("imaml", {"cg_residual_g": 0.9, "cg_residual_d": 0.4}) == []
    assert len(symptoms.of_step("imaml", {"cg_residual_g": 1.2, "cg_residual_d": 0.4})) == 1


def test_samples_that_are_all_the_same_are_told_and_in_the_report(
    bars_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generator without weights draws the same whatever its latent is; so it began here."""

    def collapsed(*args: Any, **kwargs: Any) -> tuple[GanPair, GanParams]:
        gan, init = build_gan(*args, **kwargs)
        return gan, init._replace(generator=map_params(torch.zeros_like, init.generator))

    monkeypatch.setattr("metagan.workflow.worker.build_gan", collapsed)
    config = bars_config(
        bars_path,
        gan={**GAN, "family": "dcgan", "conditioning": "none"},
        inner={"steps": 2, "batch_size": 4, "lr": 1e-5},
        outer={"steps": 4, "meta_batch_size": 2, "episodes_per_chunk": 2, "lr": 1e-5},
        checkpoint={"every_steps": 2},
    )
    run = tmp_path / "run"
    said = [line for line in run_training(config, run).lines if line.startswith("warning")]
    (warning,) = (w for w in warnings(run) if SPREAD in w["reason"])  # Once for two checkpoints.
    assert (warning["kind"], warning["step"]) == ("warning", 2)
    assert f"warning: outer step 2: {warning['reason']}" in said
    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [SPREAD in line for line in logged] == [False, True, False, True]
    assert logged[1][SPREAD] < 1e-3
    files = load_run_files(run)
    assert SPREAD in [chart.title for chart in curves(files) if chart]
    assert "mode collapse" in json.dumps(failures(files), default=vars)


def test_samples_as_varied_as_real_ones_are_no_collapse(trained: Path) -> None:
    assert warnings(trained) == []


def test_a_discriminator_that_always_wins_is_told(bars_path: Path, tmp_path: Path) -> None:
    """Against a generator that does not move, and without penalties."""
    config = bars_config(
        bars_path,
        gan={**GAN, "r1": 0, "r2": 0, "augment": []},
        inner={"steps": 6, "batch_size": 4, "lr": 0.02, "generator_moves": "none"},
        warmup={"steps": 1},
        outer={"steps": 37, "meta_batch_size": 1, "episodes_per_chunk": 1, "lr": 2e-2},
        checkpoint={"every_steps": 50},
    )
    run_training(config, tmp_path / "run")
    (warning,) = (w for w in warnings(tmp_path / "run") if "wins" in w["reason"])
    assert "the discriminator wins: the median of its loss over the last 20" in warning["reason"]


def test_a_loss_without_a_bottom_says_nothing_about_who_wins() -> None:
    for loss, expected in (("wgan_gp", 0), ("hinge", 1)):
        symptoms = Symptoms(loss)  # type: ignore[arg-type]
        found = [t for _ in range(50) for t in symptoms.of_step("maml", {"loss_d_last": -0.5})]
        assert len(found) == expected


def test_a_norm_far_above_the_usual_is_told_once_with_the_number() -> None:
    usual = [1.0, 2.0, 3.0] * 5
    assert norms(*usual, 199.0) == []
    (told,) = norms(*usual, 201.0, 202.0, 203.0)
    assert "grad_norm_generator is 201, 100 times the median of the last 15 outer steps" in told
    assert len(norms(*usual, 201.0, 2.0, 201.0)) == 2


def test_the_first_steps_have_no_usual_norm_yet() -> None:
    assert norms(*[1e-3] * 9, 1e6) == []


def test_norms_of_another_algorithm_are_not_compared() -> None:
    symptoms = Symptoms("relativistic")
    for _ in range(20):
        assert symptoms.of_step("joint", {"grad_norm_generator": 1e-3}) == []
    assert symptoms.of_step("reptile", {"grad_norm_generator": 1.0}) == []


@pytest.mark.parametrize("spread", [math.nan, 0.06, 1.0])
def test_only_nearly_no_spread_is_a_collapse(spread: float) -> None:
    assert Symptoms("hinge").of_step("reptile", {SPREAD: spread}) == []
