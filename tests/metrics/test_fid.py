import numpy as np
import pytest
import torch

from metagan.metrics.features import NonFiniteFeaturesError, TooFewSamplesError
from metagan.metrics.fid import frechet_distance


def gaussian(seed, count, dims=4, mean=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(mean, scale, (count, dims))


def with_moments(samples, mean, std):
    """One-dimensional samples moved to have exactly this mean and deviation."""
    return (samples - samples.mean()) / samples.std(ddof=1) * std + mean


def test_one_dimension_has_the_closed_form_of_two_gaussians():
    x = with_moments(gaussian(0, 30, 1), 1.0, 2.0)
    y = with_moments(gaussian(1, 40, 1), -0.5, 0.5)
    expected = (1.0 + 0.5) ** 2 + (2.0 - 0.5) ** 2
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)


def test_axis_aligned_gaussians_add_up_over_axes():
    x = np.array([[1.0, 0], [-1, 0], [0, 2], [0, -2]])
    y = x * [3.0, 0.5]
    deviations = np.sqrt([2 / 3, 8 / 3])
    expected = np.square(deviations * [2.0, 0.5]).sum()
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_value_agrees_with_torchmetrics():
    from torchmetrics.image.fid import FrechetInceptionDistance

    features = torch.nn.Flatten()
    features.num_features = 16
    oracle = FrechetInceptionDistance(feature=features)
    oracle.set_dtype(torch.float64)
    mix = np.random.default_rng(2).normal(size=(16, 16))
    x, y = gaussian(0, 200, 16) @ mix, gaussian(1, 150, 16, mean=0.2)
    oracle.update(torch.from_numpy(x), real=True)
    oracle.update(torch.from_numpy(y), real=False)
    assert frechet_distance(x, y) == pytest.approx(float(oracle.compute()), rel=1e-6)


def test_identical_sets_are_at_zero_even_with_fewer_samples_than_features():
    x = gaussian(0, 10, 64)
    assert frechet_distance(x, x) == pytest.approx(0.0, abs=1e-6)


def test_symmetric_and_blind_to_order_and_to_rotation():
    x, y = gaussian(0, 50), gaussian(1, 40, mean=0.5, scale=2.0)
    rotation, _ = np.linalg.qr(gaussian(2, 4))
    base = frechet_distance(x, y)
    assert frechet_distance(y, x) == pytest.approx(base, rel=1e-9)
    assert frechet_distance(x[::-1], y[::-1]) == pytest.approx(base, rel=1e-9)
    assert frechet_distance(x @ rotation, y @ rotation) == pytest.approx(base, rel=1e-9)


def test_one_sample_and_nan_are_named_errors():
    with pytest.raises(TooFewSamplesError, match="real features: 1 samples"):
        frechet_distance(gaussian(0, 1), gaussian(1, 9))
    with pytest.raises(NonFiniteFeaturesError, match="real features"):
        frechet_distance(np.full((3, 2), np.nan), gaussian(1, 9, 2))
