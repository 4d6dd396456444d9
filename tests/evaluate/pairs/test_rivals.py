"""Rivals that need no generator, against slow and obvious formulas."""

import numpy as np
import pytest
import torch

from metagan.data.form import Form
from metagan.data.library import Library
from metagan.evaluate.pairs.rivals import STRENGTHS, plain_arms
from metagan.evaluate.pairs.task import PairTask
from tests.data.test_library import clouds_of_styles

FREE = Form("vector", (2,), {"inputs": ["x", "y", "z"]}, (3,))
LABELLED = Form("vector", (3,), given=(3,))


def task_of(shown, inputs, asked, truth) -> PairTask:
    known = np.ones(len(truth), bool)
    return PairTask(shown, inputs, asked, truth, (), (), known, None, 0)


@pytest.fixture
def free() -> PairTask:
    torch.manual_seed(3)
    x, asked = torch.randn(4, 3), torch.randn(6, 3)
    return task_of(torch.randn(4, 2), x, asked, torch.randn(6, 2))


def test_the_mean_and_the_nearest_pair(free: PairTask) -> None:
    arms = plain_arms(free, FREE)
    torch.testing.assert_close(arms["mean"][""], free.shown.mean(0).expand(6, 2))
    for asked, drawn in zip(free.asked, arms["nearest pair"][""], strict=True):
        distances = [float((asked - x).norm()) for x in free.inputs]
        assert torch.equal(drawn, free.shown[int(np.argmin(distances))])


def test_ridge_regression_is_the_minimum_of_its_objective(free: PairTask) -> None:
    """By the primal normal equations with an intercept, which the program does not use."""
    x, y = free.inputs.double().numpy(), free.shown.double().numpy()
    centred = x - x.mean(0)
    unit = np.mean(np.sum(centred**2, axis=1))
    for name, drawn in plain_arms(free, FREE)["linear"].items():
        held = centred.T @ centred + float(name) * unit * np.eye(3)
        weights = np.linalg.solve(held, centred.T @ (y - y.mean(0)))
        expected = y.mean(0) + (free.asked.double().numpy() - x.mean(0)) @ weights
        np.testing.assert_allclose(drawn.numpy(), expected, rtol=0, atol=1e-6)
    assert set(plain_arms(free, FREE)["linear"]) == {f"{s:g}" for s in STRENGTHS}


def test_arms_of_the_training_domains_are_those_of_their_library() -> None:
    data, classes = clouds_of_styles()
    library = Library(data, classes, torch.tensor)
    shown, asked = torch.randn(2, 3), torch.randn(3, 3)
    labels = ("a", "b"), ("c", "d", "c")
    known = np.ones(3, bool)
    task = PairTask(shown, shown, asked, asked, *labels, known, library, 0)
    arms = plain_arms(task, LABELLED)
    found = library.combined(shown, *labels, strengths=STRENGTHS)
    assert torch.equal(arms["copy"][""], asked)
    assert torch.equal(arms["nearest domain"][""], found.nearest)
    assert torch.equal(arms["mean of domains"][""], found.mean)
    for strength in STRENGTHS:
        drawn = arms["ridge over domains"][f"{strength:g}"]
        assert torch.equal(drawn, found.ridge[strength])
