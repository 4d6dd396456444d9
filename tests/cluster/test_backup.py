"""A chunk counts as slow by the times of the others."""

from cluster.backup import StepTimes


def test_a_chunk_is_slow_at_a_multiple_of_the_median_and_never_below_a_second() -> None:
    times = StepTimes(3.0)
    assert times.limit_s == float("inf")
    for seconds in (4.0, 2.0, 100.0):
        times.add(seconds)
    assert times.limit_s == 12.0
    quick = StepTimes(3.0)
    quick.add(0.01)
    assert quick.limit_s == 1.0


def test_without_a_factor_nothing_is_slow() -> None:
    times = StepTimes(None)
    times.add(1.0)
    assert times.limit_s == float("inf")
