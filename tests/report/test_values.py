import math

import pytest

from metagan.report.values import (
    count,
    duration,
    estimate,
    finite,
    fixed,
    listing,
    percent,
    pick,
    significant,
)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, "3", True, [], {}, 10**400])
def test_what_is_no_finite_number_is_none_and_shown_as_a_dash(value):
    assert finite(value) is None
    assert fixed(finite(value), 2) == percent(finite(value)) == count(value) == "\u2013"


def test_numbers_have_a_true_minus_and_zero_has_no_sign():
    assert fixed(-1.25, 1, signed=True) == "\u22121.2"
    assert fixed(1.25, 2, signed=True) == "+1.25"
    assert fixed(-0.001, 1, signed=True) == "0.0"
    assert fixed(12345.6, 1) == "12,345.6"


def test_significant_digits_do_not_depend_on_the_size():
    assert significant(0.012345) == "0.0123"
    assert significant(123.456) == "123"
    assert significant(0.0000012) == "1.20e\u22126"
    assert significant(0.0) == "0"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "\u2013"),
        (0, "0 s"),
        (0.0301, "30 ms"),
        (0.42, "0.42 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (912, "15 min 12 s"),
        (3599.7, "1 h 00 min"),
        (7230, "2 h 00 min"),
    ],
)
def test_durations_are_in_units_that_people_use(seconds, text):
    assert duration(seconds).replace("\u00a0", " ") == text


def test_an_estimate_is_mean_and_interval():
    value = estimate({"mean": 0.66, "low": 0.642, "high": 0.678, "seeds": 10})
    assert value is not None
    assert value.text() == "66.0 [64.2, 67.8]"
    assert value.text(signed=True) == "+66.0 [+64.2, +67.8]"


def test_an_estimate_without_ends_is_the_mean_alone_and_without_a_mean_nothing():
    value = estimate({"mean": 0.66, "low": None, "high": math.nan})
    assert value is not None
    assert value.text() == "66.0"
    assert estimate({"mean": None, "low": 0.1}) is None
    assert estimate("0.66") is None


def test_pick_goes_no_further_than_there_are_mappings():
    assert pick({"a": {"b": 1}}, "a", "b") == 1
    assert pick({"a": [1]}, "a", "b") is None
    assert pick(None, "a") is None


def test_listing_joins_with_and():
    assert listing([]) == ""
    assert listing(["a"]) == "a"
    assert listing("abc") == "a, b and c"
