import numpy as np
import pytest

from metagan.metrics.features import TooFewSamplesError
from metagan.metrics.prdc import Prdc, precision_recall_density_coverage


def gaussian(seed, count, dims=8, mean=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(mean, scale, (count, dims))


@pytest.mark.parametrize("k", [1, 5])
def test_all_four_agree_with_the_authors_package(k, capsys):
    from prdc import prdc

    x, y = gaussian(0, 120), gaussian(1, 90, mean=0.3, scale=0.8)
    oracle = prdc.compute_prdc(x, y, nearest_k=k)
    capsys.readouterr()
    ours = precision_recall_density_coverage(x, y, k=k)
    assert vars(ours) == pytest.approx({name: float(value) for name, value in oracle.items()})


def test_identical_sets_are_perfect():
    x = gaussian(0, 60)
    assert precision_recall_density_coverage(x, x) == Prdc(1.0, 1.0, 1.0, 1.0)


def test_distant_sets_share_nothing():
    result = precision_recall_density_coverage(gaussian(0, 60), gaussian(1, 60, mean=50))
    assert result == Prdc(0.0, 0.0, 0.0, 0.0)


def test_one_mode_out_of_two_is_precise_but_covers_half():
    left, right = gaussian(0, 50, mean=-30), gaussian(1, 50, mean=30)
    result = precision_recall_density_coverage(
        np.concatenate([left, right]), gaussian(2, 400, mean=-30)
    )
    assert result.precision > 0.9
    assert result.coverage == pytest.approx(0.5, abs=0.05)


def test_swapping_the_sets_swaps_precision_and_recall():
    x, y = gaussian(0, 50), gaussian(1, 70, scale=1.3)
    one, other = precision_recall_density_coverage(x, y), precision_recall_density_coverage(y, x)
    assert (one.precision, one.recall) == (other.recall, other.precision)


def test_distances_survive_features_far_from_the_origin():
    x, y = gaussian(0, 50), gaussian(1, 70, scale=1.3)
    near = precision_recall_density_coverage(x, y)
    far = precision_recall_density_coverage(x + 1e6, y + 1e6)
    assert vars(far) == pytest.approx(vars(near), abs=0.02)


def test_no_more_samples_than_neighbours_is_a_named_error():
    with pytest.raises(TooFewSamplesError, match="real features: 5 samples; at least 6"):
        precision_recall_density_coverage(gaussian(0, 5), gaussian(1, 20))
    with pytest.raises(ValueError, match="k is 0"):
        precision_recall_density_coverage(gaussian(0, 5), gaussian(1, 20), k=0)
