import numpy as np
import pytest

from metagan.metrics.diversity import diversity_ratio
from metagan.metrics.features import FeatureError

REAL = np.array([[0.0, 0], [3, 4], [10, 0], [10, 1]])
LABELS = ["a", "a", "b", "b"]


def ratio(generated, labels, real=REAL, real_labels=LABELS):
    return diversity_ratio(real, generated, real_labels=real_labels, generated_labels=labels)


def test_real_against_itself_is_one():
    assert ratio(REAL, LABELS) == pytest.approx(1.0)


def test_distances_count_inside_classes_only_and_classes_count_the_same():
    # Class a spreads 5 as the real one, class b has collapsed to one picture drawn five times.
    generated = np.concatenate([REAL[:2] + 100, np.repeat(REAL[2:3], 5, axis=0)])
    assert ratio(generated, ["a", "a", *"bbbbb"]) == pytest.approx(5 / (5 + 1))


def test_mean_is_over_pairs_of_different_samples():
    generated = np.array([[0.0, 0], [0, 1], [0, 3]])
    assert ratio(generated, ["a"] * 3) == pytest.approx((1 + 2 + 3) / 3 / 5)


def test_scaling_all_generated_deviations_scales_the_ratio():
    assert ratio(REAL * 0.25, LABELS) == pytest.approx(0.25)


def test_not_defined_without_a_class_of_two_on_both_sides_or_without_real_spread():
    assert ratio(REAL[:2], ["a", "c"]) is None
    assert ratio(REAL, LABELS, real=np.ones((4, 2))) is None


def test_labels_that_do_not_fit_are_a_named_error():
    with pytest.raises(FeatureError, match="generated labels have shape"):
        ratio(REAL, ["a"])
