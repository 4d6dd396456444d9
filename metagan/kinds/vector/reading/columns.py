"""One column of a table: what it holds, and its numbers.

A cell that is empty or says `NA`, `null` and the like is missing. A column that mostly looks like
numbers, but in another notation than with a decimal point, is an error: a guess at `1.234,5` or
`12 kg` would be wrong in silence.

Shapes: N rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from metagan.data.paths.names import clean_name

Holds = Literal["numbers", "booleans", "text", "dates", "nothing", "lists", "odd numbers"]

NUMERIC: Final = frozenset({"numbers", "booleans"})

_MISSING: Final = pa.array(
    ["", "na", "n/a", "nan", "-nan", "null", "none", "nil", "<na>", "#n/a", "#na", "-", "--", "?"]
)
_BOOLEANS: Final = pa.array(["true", "false"])
_NUMBER: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_INFINITE: Final = r"^[+-]?(?i:inf|infinity)$"
_DATE: Final = (
    r"^(\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{4}/\d{1,2}/\d{1,2})([T ].*)?$"
)
_UNITS: Final = (
    r"%|[€$£¥]|[°º]?[CFK]|[°º]|[kKMGT]?i?B|[kmcdnµ]?(?:g|m|l|L|s|Hz|V|A|W|J|N|Pa)|min|h|bpm|ppm|px"
)
# How numbers are written otherwise, and what to do.
_NOTATIONS: Final = (
    (
        r"^[+-]?\d+(\.\d{3})*,\d+([eE][+-]?\d+)?$",
        "it has a comma; write numbers with a decimal point and no thousands separators, as "
        "pandas does after read_csv(..., decimal=',') or read_csv(..., thousands=',')",
    ),
    (
        r"^[+-]?\d{1,3}([, '\x{2019}\x{00a0}\x{202f}]\d{3})+(\.\d+)?$",
        "it has thousands separators; write numbers without them",
    ),
    (
        r"^[+-]?\d{1,3}(\.\d{3}){2,}$",
        "it has thousands separators; write numbers without them",
    ),
    (
        r"^[\x{2212}\x{2010}-\x{2014}\x{FF0D}](\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$",
        "its minus is another sign; write -",
    ),
    (
        r"^\((\d+\.?\d*|\.\d+)\)$",
        "it is in brackets; write negative numbers with -",
    ),
    (
        r"^(['`][+-]?[\d.]+'?|=\"?[+-]?[\d.]+\"?|[+-]?[\d.]+[dD][+-]?\d+|[+-]?\d{1,3}(_\d{3})+)$",
        "it is written as a program may read it and others do not; write it as 1250 or 1.25e3",
    ),
    (
        rf"^([<>~≈]|[€$£¥])?\s*[+-]?\d+([.,]\d+)*\s*({_UNITS})?$",
        "it has a unit or sign beside the number; write the number alone",
    ),
)
_WHICH_POINT: Final = (
    "every number with a point has three digits behind it, and others have none: write 1250 if it "
    "separates thousands, else a point in every number (7.000)"
)
_MOSTLY: Final = 0.5
# In some countries 1.250 is more than a thousand: then some numbers, the small ones, have no point.
_THOUSANDS: Final = r"^[+-]?[1-9]\d{0,2}(\.\d{3})$"
_MANY_POINTED: Final = 10  # Of fewer, all may have three digits by chance.
_SMALL: Final = r"^[+-]?\d{1,3}$"
_SURELY_THOUSANDS: Final = 3
_FAR_LARGER: Final = 3.0
_CODE: Final = r"^0\d+$"
_DAY: Final = r"^(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"


@dataclass(frozen=True)
class Column:
    """Contents of a column.

    Attributes:
        holds: In a word.
        values: (N,) float64, NaN where a value is missing; None where it holds no numbers.
        row: Of a value that is an example, or that is at fault.
        value: That value, as it is written.
        fix: What to do about it; empty where nothing is wrong.
        is_code: Some of its whole numbers begin with 0, as those of codes do.
        may_be_thousands: All of its numbers have three digits behind a point, as 1.250 has, which
            in some countries is more than a thousand; they are read as decimals.
    """

    holds: Holds
    values: NDArray[np.float64] | None = None
    row: int = 0
    value: str = ""
    fix: str = ""
    is_code: bool = False
    may_be_thousands: bool = False


def look_at_column(column: Any) -> Column:
    """Contents of an Arrow column; texts are numbers where all of them are."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_boolean(kind):
        return Column("booleans", _floats(column.cast(pa.uint8())))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _of_floats(_floats(column), column)
    if pa.types.is_null(kind):
        return Column("nothing", np.full(len(column), np.nan))
    if pa.types.is_temporal(kind):
        return Column("dates", **_first(column, column.is_valid()))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _of_texts(column.cast(pa.large_string()))
    return Column("lists" if pa.types.is_nested(kind) else "text", **_first(column))


def missing(column: Any) -> Any:
    """Which cells of an Arrow column of texts are missing, as an Arrow array of booleans."""
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(column))
    return pc.fill_null(pc.is_in(lower, value_set=_MISSING.cast(lower.type)), True)


def _of_floats(values: NDArray[np.float64], column: Any) -> Column:
    if np.isnan(values).all():
        return Column("nothing", values)
    infinite = np.isinf(values)
    if infinite.any():
        found = _first(column, pa.array(infinite))
        return Column("odd numbers", None, **found, fix="numbers must be finite")
    return Column("numbers", values)


def _of_texts(column: Any) -> Column:
    column = pc.utf8_trim_whitespace(column)
    absent = missing(column)
    present = len(column) - pc.sum(absent).as_py() if len(column) else 0
    if not present:
        return Column("nothing", np.full(len(column), np.nan))
    said = pc.if_else(absent, None, column)
    numbers = pc.fill_null(pc.match_substring_regex(said, _NUMBER), False)
    if pc.sum(numbers).as_py() == present:
        if _count(said, _DAY) == present:
            return Column("dates", **_first(column, pc.invert(absent)))
        if _may_be_thousands(said, present):
            pointed = pc.fill_null(pc.match_substring_regex(said, _THOUSANDS), False)
            return Column("odd numbers", None, **_first(column, pointed), fix=_WHICH_POINT)
        plain = pc.replace_substring_regex(said, r"^\+", "")
        plain = pc.replace_substring_regex(plain, r"\.($|[eE])", r".0\1")
        found = _of_floats(_floats(plain.cast(pa.float64())), column)
        return replace(
            found,
            is_code=_count(said, _CODE) > 0,
            may_be_thousands=_count(said, _THOUSANDS) == present >= _MANY_POINTED,
        )
    boolean = pc.is_in(pc.utf8_lower(said), value_set=_BOOLEANS.cast(said.type))
    if pc.sum(boolean).as_py() == present:
        true = pc.equal(pc.utf8_lower(said), "true")
        return Column("booleans", _floats(true.cast(pa.uint8())))
    if _count(said, _DATE) == present:
        return Column("dates", **_first(column, pc.invert(absent)))
    return _of_other_texts(column, said, numbers, present)


def _may_be_thousands(said: Any, present: int) -> bool:
    """True if some numbers have a point before exactly three digits, and far larger ones none."""
    pointed, small = _matching(said, _THOUSANDS), _matching(said, _SMALL)
    if len(pointed) + len(small) != present or min(len(pointed), len(small)) < _SURELY_THOUSANDS:
        return False
    return bool(np.median(np.abs(small)) > _FAR_LARGER * np.median(np.abs(pointed)))


def _matching(said: Any, pattern: str) -> NDArray[np.float64]:
    """The numbers that are written in one way."""
    matches = pc.fill_null(pc.match_substring_regex(said, pattern), False)
    return _floats(pc.replace_substring_regex(said.filter(matches), r"^\+", "").cast(pa.float64()))


def _of_other_texts(column: Any, said: Any, numbers: Any, present: int) -> Column:
    """Texts of which not all are numbers: names, or numbers with something wrong in some."""
    infinite = pc.fill_null(pc.match_substring_regex(said, _INFINITE), False)
    alike = pc.or_(numbers, infinite)
    fixes = [(infinite, "numbers must be finite")]
    for pattern, fix in _NOTATIONS:
        matches = pc.and_not(pc.fill_null(pc.match_substring_regex(said, pattern), False), alike)
        fixes.append((matches, fix))
        alike = pc.or_(alike, matches)
    if pc.sum(alike).as_py() < _MOSTLY * present:
        return Column("text", **_first(column, said.is_valid()))
    for matches, fix in fixes:
        if pc.any(matches).as_py():
            return Column("odd numbers", None, **_first(column, matches), fix=fix)
    odd = pc.and_not(said.is_valid(), alike)
    return Column(
        "odd numbers", None, **_first(column, odd), fix="it is no number; correct or empty it"
    )


def _count(column: Any, pattern: str) -> int:
    return int(pc.sum(pc.match_substring_regex(column, pattern)).as_py() or 0)


def _floats(column: Any) -> NDArray[np.float64]:
    """(N,) float64, NaN for null; of whole numbers too large for it the nearest."""
    if not pa.types.is_floating(column.type):
        column = column.cast(pa.float64(), safe=False)
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(values, np.float64)


def _first(column: Any, where: Any = None) -> dict[str, Any]:
    """The row and the value of the first cell that is meant."""
    if where is None:
        where = column.is_valid()
    row = pc.index(where, True).as_py()
    if row < 0:
        return {"row": 0, "value": ""}
    return {"row": row, "value": clean_name(str(column[row].as_py()))[:40]}


def names_of(column: Any) -> list[str | int | float | None]:
    """The values of an Arrow column as they name classes; None where one is missing."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        blank = pc.equal(pc.utf8_trim_whitespace(column), "")
        column = pc.if_else(blank, None, column)
    if pa.types.is_boolean(kind):
        column = column.cast(pa.string())
    values: Sequence[Any] = column.to_pylist()
    return list(values)
