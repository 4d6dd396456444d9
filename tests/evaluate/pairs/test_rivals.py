"""Rivals that need no generator, against slow and obvious formulas."""

import numpy as np
import pytest
import torch

from metagan.evaluate.pairs.rivals import STRENGTHS, plain_arms
from metagan.evaluate.pairs.task import Library, PairTask


def task_of(shown, inputs, asked, truth, library=None) -> PairTask:
    known = np.ones(len(truth), bool)
    return PairTask(shown, inputs, asked, truth, known, library, 0)


@pytest.fixture
def free() -> PairTask:
    torch.manual_seed(3)
    x, asked = torch.randn(4, 3), torch.randn(6, 3)
    return task_of(torch.randn(4, 2), x, asked, torch.randn(6, 2))


def test_the_mean_and_the_nearest_pair(free: PairTask) -> None:
    arms = plain_arms(free)
    torch.testing.assert_close(arms["mean"][""], free.shown.mean(0).expand(6, 2))
    for asked, drawn in zip(free.asked, arms["nearest pair"][""], strict=True):
        distances = [float((asked - x).norm()) for x in free.inputs]
        assert torch.equal(drawn, free.shown[int(np.argmin(distances))])


def test_ridge_regression_is_the_minimum_of_its_objective(free: PairTask) -> None:
    """By the primal normal equations with an intercept, which the program does not use."""
    x, y = free.inputs.double().numpy(), free.shown.double().numpy()
    centred = x - x.mean(0)
    unit = np.mean(np.sum(centred**2, axis=1))
    for name, drawn in plain_arms(free)["linear"].items():
        held = centred.T @ centred + float(name) * unit * np.eye(3)
        weights = np.linalg.solve(held, centred.T @ (y - y.mean(0)))
        expected = y.mean(0) + (free.asked.double().numpy() - x.mean(0)) @ weights
        np.testing.assert_allclose(drawn.numpy(), expected, rtol=0, atol=1e-6)
    assert set(plain_arms(free)["linear"]) == {f"{s:g}" for s in STRENGTHS}


@pytest.fixture
def drawn_like_others() -> PairTask:
    """A domain that is 0.7 of one source and 0.3 of another."""
    torch.manual_seed(1)
    shown, asked = torch.randn(5, 3, 1, 4, 4), torch.randn(5, 7, 1, 4, 4)
    weights = torch.tensor([0.7, 0.0, 0.3, 0.0, 0.0])
    own, truth = (torch.tensordot(weights, part, 1) for part in (shown, asked))
    inputs = torch.randn(3, 1, 4, 4), torch.randn(7, 1, 4, 4)
    return task_of(own, *inputs, truth, Library(shown, asked))


def test_arms_of_the_training_domains(drawn_like_others: PairTask) -> None:
    task, library = drawn_like_others, drawn_like_others.library
    arms = plain_arms(task)
    assert set(arms) == {"copy", "nearest domain", "mean of domains", "ridge over domains"}
    assert torch.equal(arms["copy"][""], task.asked)
    assert torch.equal(arms["nearest domain"][""], library.asked[0])
    torch.testing.assert_close(arms["mean of domains"][""], library.asked.mean(0))
    errors = [float((d - task.truth).square().mean()) for d in arms["ridge over domains"].values()]
    assert errors[0] < 0.01 * float((arms["mean of domains"][""] - task.truth).square().mean())
    # The stronger it holds, the nearer it is to the mean.
    assert errors == sorted(errors)


def test_a_source_without_a_letter_has_the_mean_of_the_others(drawn_like_others: PairTask) -> None:
    task = drawn_like_others
    shown, asked = task.library.shown.clone(), task.library.asked.clone()
    shown[0, 1], asked[0, 2] = torch.nan, torch.nan
    lacking = task_of(task.shown, task.inputs, task.asked, task.truth, Library(shown, asked))
    arms = plain_arms(lacking)
    for drawn in (d for candidates in arms.values() for d in candidates.values()):
        assert drawn.isfinite().all()
    torch.testing.assert_close(arms["nearest domain"][""][2], asked[1:, 2].mean(0))
