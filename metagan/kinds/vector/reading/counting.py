"""Columns that count or name the rows: they measure nothing, and may tell a row's class.

Shapes: N rows.
"""

import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_NOUNS: Final = r"subject|patient|participant|person|customer|user|sample|specimen|case|record"
_NUMBERS: Final = r"ids?|nr|no|num|number|index|#"
_COUNTS: Final = re.compile(
    r"unnamed:? ?\d*|column \d+|index|ids?|idx|uuid|guid|#|s/?n|serial|.+[ _.-]id|id[ _.-].+|"
    rf"(row|{_NOUNS})[ _.-]?({_NUMBERS})|{_NOUNS}|row|__index_level_\d+__",
    re.IGNORECASE,
)
_CAMEL_ID: Final = re.compile(r".*[a-z0-9]I[dD]")
_SURELY_COUNTS: Final = 10
"""So many rows in a column, numbered one after the other, are no measurement."""

_SURELY_RISES: Final = 20


def is_called_a_count(name: str) -> bool:
    """True if a column is called like a number or name of the row."""
    return bool(_COUNTS.fullmatch(name) or _CAMEL_ID.fullmatch(name))


def is_counter(values: NDArray[Any]) -> bool:
    """True if values are whole and grow by 1 from the first row to the last."""
    if len(values) < _SURELY_COUNTS or values[0] != np.floor(values[0]):
        return False
    return bool((np.diff(values) == 1).all())


def rises(values: NDArray[Any]) -> bool:
    """True if every one of many values is larger than the one before, without counting the rows."""
    if len(values) < _SURELY_RISES or is_counter(values):
        return False
    return bool((np.diff(values) > 0).all())
