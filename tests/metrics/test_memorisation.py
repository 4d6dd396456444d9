import numpy as np
import pytest

from metagan.metrics.features import FeatureError, TooFewSamplesError
from metagan.metrics.memorisation import memorisation


def gaussian(seed, count, dims=6):
    return np.random.default_rng(seed).normal(size=(count, dims))


def test_copies_of_the_support_are_all_found_at_distance_zero():
    support = gaussian(0, 20) + 100
    result = memorisation(gaussian(1, 200) + 100, np.repeat(support, 3, axis=0), support=support)
    assert result.copies == 1.0
    assert result.relative_distance == 0.0


def test_a_perfect_generator_has_the_share_of_the_tail_and_natural_distances():
    result = memorisation(gaussian(1, 4000), gaussian(2, 4000), support=gaussian(0, 20), tail=0.05)
    # Standard error of a 5 % share over 4000 samples on both sides: 0.005.
    assert result.copies == pytest.approx(0.05, abs=0.015)
    assert result.relative_distance == pytest.approx(1.0, abs=0.03)


def test_threshold_is_the_quantile_of_real_distances_and_counts_itself():
    real = np.arange(1.0, 102.0)[:, None]
    result = memorisation(real, [[2.0], [-1.5], [2.1]], support=[[0.0]], tail=0.01)
    assert result.threshold == pytest.approx(2.0)
    assert result.copies == pytest.approx(2 / 3)
    assert result.relative_distance == pytest.approx(2.0 / 51.0)


def test_half_copies_count_half():
    support = gaussian(0, 10)
    generated = np.concatenate([support, gaussian(3, 10) + 50])
    assert memorisation(gaussian(1, 300), generated, support=support).copies == 0.5


def test_real_samples_that_coincide_with_the_support_leave_no_relative_distance():
    x = gaussian(0, 10)
    result = memorisation(x, x, support=x)
    assert (result.copies, result.relative_distance) == (1.0, None)


def test_unfit_input_is_a_named_error():
    with pytest.raises(TooFewSamplesError, match="support features: 0 samples"):
        memorisation(gaussian(0, 5), gaussian(1, 5), support=np.empty((0, 6)))
    with pytest.raises(FeatureError, match="support features have 3 columns"):
        memorisation(gaussian(0, 5), gaussian(1, 5), support=gaussian(2, 5, 3))
    with pytest.raises(ValueError, match="tail is 1"):
        memorisation(gaussian(0, 5), gaussian(1, 5), support=gaussian(2, 5), tail=1)
