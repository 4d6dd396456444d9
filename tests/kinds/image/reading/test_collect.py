"""The words for what many files have in common."""

from collections import Counter

import pytest

from metagan.data.paths.names import a_few
from metagan.kinds.image.reading.collect import describe_sizes


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ({(28, 28): 300}, "28 x 28 (300)"),
        ({(28, 28): 12, (105, 90): 300}, "105 x 90 (300), 28 x 28 (12)"),
        ({(9, 9): 1, (5, 7): 1, (5, 6): 1}, "5 x 6 (1), 5 x 7 (1), 9 x 9 (1)"),
        (
            {(1, 1): 9, (2, 2): 8, (3, 3): 7, (90, 1): 1, (5, 5): 1, (40, 30): 2},
            "1 x 1 (9), 2 x 2 (8), 3 x 3 (7), 3 more, from 5 x 5 to 40 x 30",
        ),
        ({(1, n): n for n in range(1, 5)}, "1 x 4 (4), 1 x 3 (3), 1 x 2 (2), 1 more, 1 x 1"),
        ({}, ""),
    ],
)
def test_sizes_are_told_by_frequency_and_the_rest_by_its_ends(sizes, text):
    assert describe_sizes(Counter(sizes)) == text


def test_names_from_files_are_few_and_cannot_steer_the_terminal():
    assert a_few(["a", "b\x1b[2J"]) == "a, b\\x1b[2J"
    assert a_few([str(n) for n in range(9)]) == "0, 1, 2, 3, 4, 4 more"
    assert a_few([]) == "none"
