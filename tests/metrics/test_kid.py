import numpy as np
import pytest
import torch

from metagan.metrics.features import FeatureError, NonFiniteFeaturesError, TooFewSamplesError
from metagan.metrics.kid import Kid, kernel_distance


def gaussian(seed, count, dims=4, mean=0.0):
    return np.random.default_rng(seed).normal(mean, 1.0, (count, dims))


def textbook_kid(x, y):
    """Sums over pairs, one at a time."""

    def k(a, b):
        return (float(a @ b) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    within_x = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_x + within_y - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_value_is_the_sum_over_pairs():
    x, y = gaussian(0, 7), gaussian(1, 5, mean=0.5)
    assert kernel_distance(x, y).value == pytest.approx(textbook_kid(x, y), rel=1e-12)


def test_standard_error_is_the_textbook_jackknife():
    x, y = gaussian(0, 6), gaussian(1, 5, mean=0.5)
    expected = 0.0
    left_out = [textbook_kid(np.delete(x, i, axis=0), y) for i in range(6)]
    expected += 5 / 6 * np.square(np.array(left_out) - np.mean(left_out)).sum()
    left_out = [textbook_kid(x, np.delete(y, i, axis=0)) for i in range(5)]
    expected += 4 / 5 * np.square(np.array(left_out) - np.mean(left_out)).sum()
    assert kernel_distance(x, y).stderr == pytest.approx(np.sqrt(expected), rel=1e-10)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_value_agrees_with_torchmetrics():
    from torchmetrics.image.kid import KernelInceptionDistance

    features = torch.nn.Flatten()
    features.num_features = 8
    oracle = KernelInceptionDistance(feature=features, subsets=1, subset_size=50)
    oracle.set_dtype(torch.float64)
    x, y = gaussian(0, 50, 8), gaussian(1, 50, 8, mean=0.3)
    oracle.update(torch.from_numpy(x), real=True)
    oracle.update(torch.from_numpy(y), real=False)
    expected = float(oracle.compute()[0])
    assert kernel_distance(x, y).value == pytest.approx(expected, rel=1e-6)


def test_unbiased_where_both_sets_come_from_one_distribution():
    values = [
        kernel_distance(gaussian(2 * s, 20), gaussian(2 * s + 1, 30)).value for s in range(400)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))


def test_intervals_of_two_standard_errors_hold_the_true_distance():
    # In one dimension (xy + 1)^3 is a sum over powers p, so the squared MMD is the sum over p of
    # binomial(3, p) (E x^p - E y^p)^2, which for normals has a closed form.
    shift = 0.7
    shifted = np.array([1.0, shift, 1 + shift**2, 3 * shift + shift**3])
    truth = (np.array([1, 3, 3, 1]) * np.square(shifted - [1.0, 0.0, 1.0, 0.0])).sum()
    results = [
        kernel_distance(gaussian(2 * s, 400, 1), gaussian(2 * s + 1, 400, 1, shift))
        for s in range(120)
    ]
    held = np.mean([abs(r.value - truth) <= 2 * r.stderr for r in results])
    assert 0.90 <= held <= 0.99


def test_standard_error_is_the_spread_or_up_to_sqrt_2_above_it_for_equal_distributions():
    def spread_ratio(mean):
        results = [
            kernel_distance(gaussian(2 * s, 80, 8), gaussian(2 * s + 1, 80, 8, mean))
            for s in range(200)
        ]
        spread = np.std([r.value for r in results])
        return np.sqrt(np.mean([r.stderr**2 for r in results])) / spread

    assert spread_ratio(0.7) == pytest.approx(1.0, abs=0.15)
    assert spread_ratio(0.0) == pytest.approx(np.sqrt(2), abs=0.2)


def test_order_of_samples_and_of_the_two_sets_does_not_matter():
    x, y = gaussian(0, 30), gaussian(1, 20, mean=1)
    base = kernel_distance(x, y)
    for other in (kernel_distance(x[::-1], y[::-1]), kernel_distance(y, x)):
        assert other.value == pytest.approx(base.value, rel=1e-10)
        assert other.stderr == pytest.approx(base.stderr, rel=1e-8)


def test_more_rows_than_one_block_give_the_same_sums(monkeypatch):
    x, y = gaussian(0, 30), gaussian(1, 25, mean=1)
    whole = kernel_distance(x, y).value
    monkeypatch.setattr("metagan.metrics.kid._BLOCK_ROWS", 7)
    assert kernel_distance(x, y).value == pytest.approx(whole, rel=1e-12)


def test_two_samples_have_a_value_and_no_standard_error():
    result = kernel_distance([[0.0], [1.0]], [[0.0], [1.0]])
    assert result == Kid(pytest.approx(1 + 1 - 2 * (1 + 1 + 1 + 8) / 4), None)


def test_one_sample_is_a_named_error():
    with pytest.raises(TooFewSamplesError, match=r"generated features: 1 samples; at least 2"):
        kernel_distance(gaussian(0, 5), gaussian(1, 1))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
def test_unusable_values_are_a_named_error(value):
    bad = gaussian(0, 5)
    bad[3, 1] = value
    with pytest.raises(NonFiniteFeaturesError, match="1 of 5 samples, the first at index 3"):
        kernel_distance(gaussian(0, 5), bad)


def test_different_widths_are_a_named_error():
    with pytest.raises(FeatureError, match="4 columns and generated features 3"):
        kernel_distance(gaussian(0, 5), gaussian(0, 5, dims=3))
