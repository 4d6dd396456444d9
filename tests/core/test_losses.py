"""Losses, penalties and augmentation against closed forms."""

import math
from typing import get_args

import pytest
import torch

from metagan.config.learning import AdversarialLossName
from metagan.core.losses import (
    ADVERSARIAL_LOSSES,
    gradient_penalty,
    mode_seeking,
    unit_gradient_penalty,
)
from metagan.kinds.image.augment import NUM_AUGMENT_DRAWS

REAL = torch.tensor([0.5, -2.0, 3.0], dtype=torch.float64)
FAKE = torch.tensor([1.5, 0.25, -1.0], dtype=torch.float64)
MEAN_REAL, MEAN_FAKE = REAL.mean().item(), FAKE.mean().item()


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=rng, dtype=torch.float64) * 2 - 1


def draws(count: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(count, NUM_AUGMENT_DRAWS, generator=rng, dtype=torch.float64)


# --- adversarial losses ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "d_term", "g_term"),
    [
        ("relativistic", lambda r, f: softplus(f - r), lambda r, f: softplus(r - f)),
        (
            "relativistic_average",
            lambda r, f: softplus(MEAN_FAKE - r) + softplus(f - MEAN_REAL),
            lambda r, f: softplus(MEAN_REAL - f) + softplus(r - MEAN_FAKE),
        ),
        ("least_squares", lambda r, f: ((r - 1) ** 2 + f**2) / 2, lambda _, f: (f - 1) ** 2 / 2),
        ("wgan_gp", lambda r, f: f - r, lambda _, f: -f),
        ("hinge", lambda r, f: max(0, 1 - r) + max(0, 1 + f), lambda _, f: -f),
        ("nonsaturating", lambda r, f: softplus(-r) + softplus(f), lambda _, f: softplus(-f)),
    ],
)
def test_adversarial_losses_have_their_closed_forms(name, d_term, g_term):
    loss = ADVERSARIAL_LOSSES[name]
    pairs = list(zip(REAL.tolist(), FAKE.tolist(), strict=True))
    expected_d = sum(d_term(r, f) for r, f in pairs) / 3
    expected_g = sum(g_term(r, f) for r, f in pairs) / 3
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(expected_d, rel=1e-14)
    assert loss.generator(REAL, FAKE).item() == pytest.approx(expected_g, rel=1e-14)


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_needs_real_says_whether_the_generator_reads_the_real_scores(name):
    loss = ADVERSARIAL_LOSSES[name]
    changed = loss.generator(REAL + 1, FAKE) != loss.generator(REAL, FAKE)
    assert bool(changed) == loss.needs_real


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_losses_stay_finite_at_extreme_scores(name):
    loss = ADVERSARIAL_LOSSES[name]
    for real, fake in ((1e4, -1e4), (-1e4, 1e4)):
        scores = torch.tensor([real]).requires_grad_(), torch.tensor([fake]).requires_grad_()
        for player in (loss.discriminator, loss.generator):
            value = player(*scores)
            assert torch.isfinite(value)
            grads = torch.autograd.grad(value, scores, allow_unused=True)
            assert all(g is None or torch.isfinite(g).all() for g in grads)


def test_every_loss_of_the_settings_is_in_the_table():
    assert set(ADVERSARIAL_LOSSES) == set(get_args(AdversarialLossName))


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_the_players_pull_the_generated_scores_in_opposite_directions(name):
    """Least squares does so only between its two targets, 0 and 1."""
    loss = ADVERSARIAL_LOSSES[name]
    fake = torch.sigmoid(FAKE).requires_grad_()
    (d_pull,) = torch.autograd.grad(loss.discriminator(REAL, fake).sum(), fake)
    (g_pull,) = torch.autograd.grad(loss.generator(REAL, fake).sum(), fake)
    assert (d_pull >= 0).all()
    assert (g_pull < 0).all()


# --- penalties ---------------------------------------------------------------------------------


def test_the_penalty_of_a_linear_critic_is_half_its_squared_norm_over_all_axes():
    weight = images(2, 5, 3)
    samples = images(4, 2, 5, 3, seed=1)
    value = gradient_penalty(lambda x: (x * weight).sum((1, 2, 3)), samples)
    assert value.item() == pytest.approx(0.5 * weight.square().sum().item(), rel=1e-14)


def test_the_penalty_is_a_mean_over_samples_and_not_of_the_mean_gradient():
    weights = images(4, 2, 3, 3)
    samples = images(4, 2, 3, 3, seed=1)
    value = gradient_penalty(lambda x: (x * weights).sum((1, 2, 3)), samples)
    assert value.item() == pytest.approx(0.5 * weights.square().sum().item() / 4, rel=1e-14)
    of_the_mean = 0.5 * weights.mean(0).square().sum()
    assert value.item() > 1.5 * of_the_mean.item()


def test_the_penalty_of_a_quadratic_critic_and_its_derivative_are_exact():
    samples = images(3, 1, 4, 4)
    a = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    value = gradient_penalty(lambda x: 0.5 * a * x.square().flatten(1).sum(1), samples)
    mean_square = samples.square().flatten(1).sum(1).mean().item()
    assert value.item() == pytest.approx(0.5 * 1.7**2 * mean_square, rel=1e-13)
    (slope,) = torch.autograd.grad(value, a)
    assert slope.item() == pytest.approx(1.7 * mean_square, rel=1e-13)


def test_the_unit_penalty_of_a_linear_critic_is_the_squared_distance_of_its_norm_from_one():
    weights, samples = images(4, 2, 3, 3), images(4, 2, 3, 3, seed=1)
    value = unit_gradient_penalty(lambda x: (x * weights).sum((1, 2, 3)), samples)
    norms = weights.square().sum((1, 2, 3)).sqrt()
    assert value.item() == pytest.approx((norms - 1).square().mean().item(), rel=1e-10)


def test_the_unit_penalty_has_a_finite_derivative_where_the_critic_is_flat():
    samples = images(3, 1, 4, 4)
    a = torch.zeros((), dtype=torch.float64, requires_grad=True)
    value = unit_gradient_penalty(lambda x: a * x.flatten(1).sum(1), samples)
    assert value.item() == pytest.approx(1, abs=1e-5)
    (slope,) = torch.autograd.grad(value, a)
    assert torch.isfinite(slope)


# --- mode seeking ------------------------------------------------------------------------------


def test_the_mode_seeking_term_by_hand():
    first = torch.tensor([[[[1.0, 0.0]]], [[[0.5, 0.5]]]])
    second = torch.tensor([[[[0.0, 0.0]]], [[[0.5, 0.5]]]])
    z_first, z_second = torch.tensor([[1.0, 1.0], [2.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 0]])
    # Sample 0: images 0.5 apart, latents 0.5: 1 / (1 + 0.02). Sample 1: equal images: 1 / 0.02.
    expected = (1 / 1.02 + 1 / 0.02) / 2
    assert float(mode_seeking(first, second, z_first, z_second)) == pytest.approx(expected)


def test_the_mode_seeking_term_pushes_samples_apart_and_is_bounded_at_equal_ones():
    z = torch.ones(1, 2), torch.zeros(1, 2)
    first = torch.full((1, 1, 2, 2), 0.3, requires_grad=True)
    second = torch.full((1, 1, 2, 2), 0.2)
    (slope,) = torch.autograd.grad(mode_seeking(first, second, *z), first)
    assert (slope < 0).all()
    (at_equal,) = torch.autograd.grad(mode_seeking(first, first.detach(), *z), first)
    assert torch.isfinite(at_equal).all()
    same_latent = mode_seeking(first.detach(), second, z[0], z[0])
    assert torch.isfinite(same_latent)
