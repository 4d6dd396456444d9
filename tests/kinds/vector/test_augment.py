"""Augmentation of vectors: inside the discriminator, and the hand-made one."""

import numpy as np
import pytest
import torch

from metagan.data.form import Form
from metagan.kinds.vector.augment import augment, augment_for, classical


def test_every_column_has_a_draw_of_its_own():
    made = augment_for(Form("vector", (7,)))
    assert made.num_draws == 7
    assert made.apply is augment


def test_noise_has_no_mean_and_a_tenth_of_a_scale():
    samples = torch.ones(20_000, 3, dtype=torch.float64)
    draws = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved = augment(samples, draws, ("noise",)) - samples
    # Standard errors: 0.0007 of the mean, 0.0005 of the deviation.
    assert float(moved.mean(0).abs().max()) < 0.003
    assert moved.std(0).tolist() == pytest.approx([0.1] * 3, abs=0.002)


def test_equal_draws_give_equal_results_and_no_word_none():
    samples, draws = torch.randn(4, 3), torch.rand(4, 3)
    assert torch.equal(augment(samples, draws, ("noise",)), augment(samples, draws, ("noise",)))
    assert augment(samples, draws, ()) is samples


def test_a_gradient_passes_through_noise():
    samples = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    draws = torch.rand(4, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: augment(s, draws, ("noise",)), (samples,))


def test_jitter_is_one_factor_a_sample_and_noise_on_every_value():
    samples = torch.full((5000, 40), 50.0)
    moved = classical(samples, np.random.default_rng(0), "jitter")
    assert moved.dtype == torch.float32
    factors = moved.mean(1) / 50
    assert 0.899 < float(factors.min()) < 0.902
    assert 1.098 < float(factors.max()) < 1.101
    assert float(moved.std(1).mean()) == pytest.approx(0.1, abs=0.002)


def test_jitter_depends_on_its_generator_alone():
    samples = torch.randn(6, 4)
    first, again, other = (
        classical(samples, np.random.default_rng(seed), "jitter") for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_words_and_shapes_of_other_kinds_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="'affine'; of vectors it is jitter"):
        classical(torch.zeros(1, 2), rng, "affine")
    with pytest.raises(ValueError, match=r"\(1, 1, 16, 16\)"):
        classical(torch.zeros(1, 1, 16, 16), rng, "jitter")
