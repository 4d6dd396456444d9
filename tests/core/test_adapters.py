"""The closed-form head, against a dense solve, finite differences and its own limits."""

import numpy as np
import pytest
import torch
from torch import Tensor

from metagan.core.adapters import (
    BIAS,
    FIRST_STRENGTH,
    STRENGTH,
    WEIGHT,
    solve_head,
    strength_of,
)

SHAPES = pytest.mark.parametrize(
    ("positions", "ones"), [((), ()), ((3, 4), (1, 1)), ((5,), (1,))], ids=["rows", "2d", "1d"]
)


def problem(
    pairs: int = 4, positions: tuple[int, ...] = (), ones: tuple[int, ...] = (), seed: int = 0
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Features of 3, answers of 2 channels, and a prior head, in float64."""
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    head = {WEIGHT: draw(2, 3, *ones), BIAS: draw(2)}
    return draw(pairs, 3, *positions), draw(pairs, 2, *positions), head


def dense(
    features: Tensor, answers: Tensor, head: dict[str, Tensor], strength: float
) -> np.ndarray:
    """(W, b), (2, 4), by least squares over every pair, every position and every held weight."""
    f, y = (part.flatten(2) if part.ndim > 2 else part[..., None] for part in (features, answers))
    rows, targets = [], []
    share = f.shape[-1] ** -0.5
    for pair in range(len(f)):
        for place in range(f.shape[-1]):
            rows.append(np.append(f[pair, :, place].numpy(), 1.0) * share)
            targets.append(y[pair, :, place].numpy() * share)
    prior = np.concatenate([head[WEIGHT].flatten(1).numpy(), head[BIAS][:, None].numpy()], axis=1)
    for index in range(prior.shape[1]):
        rows.append(np.eye(prior.shape[1])[index] * strength**0.5)
        targets.append(prior[:, index] * strength**0.5)
    return np.linalg.lstsq(np.array(rows), np.array(targets), rcond=None)[0].T


def joined(head: dict[str, Tensor]) -> np.ndarray:
    return np.concatenate([head[WEIGHT].flatten(1).numpy(), head[BIAS][:, None].numpy()], axis=1)


@SHAPES
@pytest.mark.parametrize("pairs", [1, 2, 10])
@pytest.mark.parametrize("strength", [1e-3, 0.3, 20.0])
def test_the_head_is_that_of_a_dense_least_squares_problem(pairs, strength, positions, ones):
    features, answers, head = problem(pairs, positions, ones)
    found = solve_head(features, answers, head, strength)
    assert {name: part.shape for name, part in found.items()} == {
        name: part.shape for name, part in head.items()
    }
    expected = dense(features, answers, head, strength)
    np.testing.assert_allclose(joined(found), expected, rtol=0, atol=1e-10)


@SHAPES
def test_answers_that_do_not_count_might_as_well_be_anything(positions, ones):
    """The head is that of the others alone: those with a weight of zero in the dense problem."""
    features, answers, head = problem(6, positions, ones)
    rng = torch.Generator().manual_seed(1)
    counts = (torch.rand(6, 1, *positions, generator=rng) < 0.5).double()
    found = solve_head(features, answers, head, 0.3, counts)
    lost = counts == 0
    changed = answers.masked_fill(lost.expand_as(answers), 1e3)
    np.testing.assert_allclose(
        joined(solve_head(features, changed, head, 0.3, counts)), joined(found), atol=1e-9
    )
    f, y = (part.reshape(6, part.shape[1], -1) for part in (features, answers))
    pairs = [(i, j) for i, j in torch.nonzero(counts.reshape(6, -1)).tolist()]
    rows = torch.stack([f[i, :, j] for i, j in pairs])
    targets = torch.stack([y[i, :, j] for i, j in pairs])
    # Each position of a pair weighs one part of all that it has, hidden or not.
    expected = dense(rows, targets, head, 0.3 * f.shape[-1])
    np.testing.assert_allclose(joined(found), expected, rtol=0, atol=1e-10)


def test_a_head_that_is_held_hard_stays_and_one_that_is_hardly_held_fits():
    features, answers, head = problem(pairs=40)
    np.testing.assert_allclose(
        joined(solve_head(features, answers, head, 1e9)), joined(head), atol=1e-6
    )
    true = {WEIGHT: torch.randn(2, 3).double(), BIAS: torch.randn(2).double()}
    exact = features @ true[WEIGHT].T + true[BIAS]
    found = solve_head(features, exact, head, 1e-9)
    np.testing.assert_allclose(joined(found), joined(true), atol=1e-6)


def test_two_halves_of_the_support_weigh_as_much_as_the_whole():
    """Repeating every pair is halving the strength: what counts is how much was seen."""
    features, answers, head = problem()
    twice = solve_head(features.repeat(2, 1), answers.repeat(2, 1), head, 0.4)
    np.testing.assert_allclose(
        joined(twice), joined(solve_head(features, answers, head, 0.2)), atol=1e-12
    )


@SHAPES
def test_its_derivatives_are_those_of_finite_differences(positions, ones):
    features, answers, head = problem(2, positions, ones)
    strength = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    inputs = [part.requires_grad_() for part in (features, answers, *head.values())]

    def solved(f: Tensor, y: Tensor, weight: Tensor, bias: Tensor, s: Tensor) -> Tensor:
        found = solve_head(f, y, {WEIGHT: weight, BIAS: bias}, s)
        return torch.cat([found[WEIGHT].flatten(), found[BIAS]])

    assert torch.autograd.gradcheck(solved, (*inputs, strength))
    assert torch.autograd.gradgradcheck(solved, (*inputs, strength))


@SHAPES
def test_episodes_at_once_equal_episodes_one_by_one(positions, ones):
    each = [problem(3, positions, ones, seed=seed) for seed in range(4)]
    features, answers = (torch.stack([one[i] for one in each]) for i in (0, 1))
    head = each[0][2]
    together = torch.func.vmap(lambda f, y: solve_head(f, y, head, 0.2))(features, answers)
    for index, (f, y, _) in enumerate(each):
        alone = solve_head(f, y, head, 0.2)
        for name, part in alone.items():
            torch.testing.assert_close(together[name][index], part, rtol=0, atol=1e-12)


def test_the_strength_starts_at_its_first_value_and_moves_with_what_is_learned():
    assert strength_of({}) == FIRST_STRENGTH
    for learned, expected in ((0.0, FIRST_STRENGTH), (0.01, FIRST_STRENGTH * np.e)):
        found = strength_of({STRENGTH: torch.tensor(learned, dtype=torch.float64)})
        assert float(found) == pytest.approx(expected)
