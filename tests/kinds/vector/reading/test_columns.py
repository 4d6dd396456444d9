"""Contents of a table's column, told from its cells."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from metagan.kinds.vector.reading.columns import look_at_column, names_of

HOLDS = {
    "numbers": [["1", "-2.5", "+3e2", ".5", "5.", "1.e-3"], ["1", "NA", ""], ["0", "1"]],
    "booleans": [["true", "False", ""], [True, None, False]],
    "nothing": [["", "NA"], [None, None], [float("nan")]],
    "text": [["Ann", "Bob"], ["12a", "7b", "8"], ["A1", "1", "B2"], [b"x"]],
    "dates": [["2024-01-02", "2024-1-3 10:00"], ["1.2.24", "3.12.2024"], [datetime.date.today()]],
    "lists": [[[1.0], [2.0]]],
    "odd numbers": [
        ["1,5"],
        ["1.000,5"],
        ["1 000"],
        ["5 %"],
        ["$3"],
        ["-inf", "1"],
        ["1", "x"],
        ["\N{MINUS SIGN}1", "2"],
        ["(5.0)", "3"],
        ["1.234.567"],
        ["5°"],
        ["'1.5'", "'2'"],
        ["1.2D+01"],
        ["1_000"],
        ["1.250", "3.400", "2.125", "870", "925", "999"],
    ],
}


@pytest.mark.parametrize(
    ("holds", "cells"), [(holds, cells) for holds, many in HOLDS.items() for cells in many]
)
def test_what_a_column_holds_is_told_from_its_cells(holds, cells):
    assert look_at_column(pa.chunked_array([pa.array(cells)])).holds == holds


def test_whole_numbers_among_three_digits_behind_the_point_are_read():
    cells = pa.array(["1.250", "3.400", "2.125", "0", "1", "2", "3"])
    assert look_at_column(pa.chunked_array([cells])).holds == "numbers"


def test_numbers_are_those_of_python_and_missing_ones_are_nan():
    texts = ["0.1", "-1e-5", "1e300", "123456789.123456789", "NA", "3."]
    found = look_at_column(pa.chunked_array([pa.array(texts)])).values
    assert np.array_equal(found[[0, 1, 2, 3, 5]], [float(t) for t in texts if t != "NA"])
    assert np.isnan(found[4])


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.float16(), pa.decimal128(5, 2)])
def test_every_type_of_number_is_read(kind):
    cells = pa.array([1, None, 2], pa.float32() if kind == pa.float16() else kind).cast(kind)
    found = look_at_column(pa.chunked_array([cells])).values
    assert np.array_equal(found, [1, np.nan, 2], equal_nan=True)


def test_the_first_cell_at_fault_is_named():
    found = look_at_column(pa.chunked_array([pa.array(["1", "2", " 3,5 ", "4,5"])]))
    assert (found.row, found.value) == (2, "3,5")
    assert "decimal point" in found.fix


def test_names_of_classes_are_as_they_are_written():
    cells = pa.array(["01", "NA", " ", None, "none"])
    assert names_of(pa.chunked_array([cells])) == ["01", "NA", None, None, "none"]
    assert names_of(pa.chunked_array([pa.array([True, False])])) == ["true", "false"]
    coded = pa.array(["x", "y"]).dictionary_encode()
    assert names_of(pa.chunked_array([coded])) == ["x", "y"]
