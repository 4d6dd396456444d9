"""Intervals against the textbook."""

import pytest

from metagan.metrics.intervals import interval, paired_interval


def test_interval_is_students() -> None:
    # Mean 3, standard deviation sqrt(2.5), n 5, t quantile 2.776445 at 4 degrees of freedom.
    found = interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.mean == 3.0
    assert found.seeds == 5
    assert found.high - found.mean == pytest.approx(2.7764451 * (2.5 / 5) ** 0.5, rel=1e-6)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_pairing_removes_what_repetitions_share() -> None:
    shared = [0.1, 0.5, 0.9]
    found = paired_interval([x + 0.02 for x in shared], shared)
    assert found.mean == pytest.approx(0.02)
    assert found.high - found.low < 1e-12


def test_one_repetition_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        interval([1.0])


def test_unequal_numbers_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired_interval([1.0, 2.0], [1.0])
