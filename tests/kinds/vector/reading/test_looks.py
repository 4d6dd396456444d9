"""Notes on columns that tell nothing, too much, or something else than they seem to."""

import numpy as np
import pytest

from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.data.reader import find_reader
from metagan.kinds.vector.files import READER
from metagan.kinds.vector.reading.looks import check_looks, describe
from tests.kinds.vector.written import settings

RNG = np.random.default_rng(0)
USUAL = RNG.normal(size=(100, 1))


def dataset(column, beside=USUAL):
    """Two classes of 50 rows: a column of normal draws, and the one that is looked at."""
    rows = np.concatenate([beside, np.reshape(column, (100, 1))], axis=1).astype(np.float32)
    records = {ClassRecord("d", "a"): rows[:50], ClassRecord("d", "b"): rows[50:]}
    return Dataset.from_classes(records, kind="vector", origin={"columns": ["usual", "odd"]})


def test_usual_columns_have_no_notes():
    assert check_looks(dataset(np.random.default_rng(1).normal(size=100) * 1e4 + 7)) == []


NOTED = {
    "one value": (np.full(100, 3.0), "columns: odd has one value in all rows"),
    "the label": (np.repeat([1.0, 2.0], 50), "leak: odd has one value in every class"),
    "codes": (RNG.integers(0, 4, 100), "columns: odd (4 values) holds only a few whole numbers"),
    "-999": (
        np.where(np.arange(100) % 20 == 0, -999.0, RNG.uniform(0, 9, 100)),
        "columns: odd (-999 in 5 rows) is unlike all other values",
    ),
    "-999 among fractions as large": (
        np.where(np.arange(100) % 20 == 0, -999.0, 600 * RNG.normal(size=100)),
        "columns: odd (-999 in 5 rows) is unlike all other values",
    ),
    "another sign of nothing": (
        np.where(np.arange(100) % 20 == 0, -1.0, RNG.uniform(5, 6, 100)),
        "columns: odd (-1 in 5 rows) is unlike all other values",
    ),
    "seconds since 1970": (
        1.7e9 + RNG.uniform(0, 60, 100),
        "columns: float32 keeps 7 digits, and the values of odd differ, if at all, behind",
    ),
    "an hour, since 1970": (
        1.7e9 + 100 * RNG.uniform(0, 60, 100),
        "columns: float32 keeps 7 digits, and the values of odd differ, if at all, behind",
    ),
    "long tails": (
        np.exp(4 * RNG.normal(size=100)),
        "columns: values farther than 10 scales from the median are drawn in",
    ),
    "other units": (1e7 * RNG.normal(size=100), "columns: the scale of odd is"),
}


@pytest.mark.parametrize("what", NOTED)
def test_a_column_that_is_not_what_it_seems_is_noted_by_name(what):
    column, told = NOTED[what]
    notes = check_looks(dataset(column))
    assert any(note.startswith(told) for note in notes), notes
    assert all("usual" not in note for note in notes) or what == "other units"


def test_a_column_that_repeats_another_is_noted():
    [note] = check_looks(dataset(USUAL))
    assert note.startswith("columns: odd = usual are equal in every row")


@pytest.mark.parametrize("change", [lambda rows: 1000 * rows, lambda rows: rows + 20])
def test_a_domain_in_other_units_is_noted(change):
    rows = np.random.default_rng(2).normal(size=(100, 1)).astype(np.float32)
    records = {ClassRecord("north", "a"): rows, ClassRecord("south", "a"): change(rows)}
    data = Dataset.from_classes(records, kind="vector", origin={"columns": ["mass"]})
    assert any(
        note.startswith("columns: domains may have other units") and "mass (north: median" in note
        for note in check_looks(data)
    )
    records = {ClassRecord("north", "a"): rows, ClassRecord("south", "a"): 3 * rows + 1}
    data = Dataset.from_classes(records, kind="vector", origin={"columns": ["mass"]})
    assert check_looks(data) == []


@pytest.mark.parametrize("first", [-1.0, 1.0])
def test_a_column_that_one_domain_did_not_measure_is_noted(first):
    rows = np.random.default_rng(3).normal(size=(100, 2)).astype(np.float32)
    # Nothing times a negative number is a negative zero, which nobody wants to read.
    rows[0, 1] = first
    records = {ClassRecord(name, "a"): rows + i for i, name in enumerate(("east", "north"))}
    records[ClassRecord("west", "a")] = rows * [1, 0]
    data = Dataset.from_classes(records, kind="vector", origin={"columns": ["mass", "chol"]})
    [note] = check_looks(data)
    assert "one domain has one value where others have many: chol (0 in west)" in note


def test_data_of_one_value_are_an_error():
    with pytest.raises(DataError, match="every column has one value in all rows"):
        check_looks(dataset(np.ones(100), np.ones((100, 1))))


def test_inspect_says_the_ranges_in_short_and_the_share_of_repeats():
    data = dataset(np.arange(100))
    looks = describe(data, {0: 10})
    assert looks.domains["d"].endswith("odd 0..99, median 49.5; 10 % duplicate")
    assert looks.remarks == ("a vector is usual, odd",)


def test_the_reader_packs_checks_and_judges(tmp_path):
    assert find_reader("vector") is READER
    packed = READER.pack({"a": [[1, 2]]}, "classes")
    assert packed["a"].dtype == np.float32
    READER.check(packed["a"])
    with pytest.raises(DataError, match="float64"):
        READER.check(np.zeros((2, 2)))
    with pytest.raises(DataError, match="NaN or infinity"):
        READER.check_values(np.array([[1, np.nan]], np.float32))
    data = dataset(np.arange(100))
    assert READER.judge(data, settings(tmp_path)) == ([], {})
    assert not READER.blank(data).any()
    assert READER.is_data("a.CSV")
    assert not READER.is_data("a.png")


def test_prepared_data_with_other_columns_are_refused(tmp_path):
    data = dataset(np.arange(100))
    READER.check_prepared(data, settings(tmp_path, columns=("usual", "odd")), tmp_path)
    READER.check_prepared(data, settings(tmp_path, columns=("Usual", "ODD")), tmp_path)
    with pytest.raises(DataError, match=r"columns usual, odd, but data\.columns is odd"):
        READER.check_prepared(data, settings(tmp_path, columns=("odd",)), tmp_path)


def test_a_sheet_is_a_picture_and_the_same_every_time(tmp_path):
    data = dataset(np.arange(100))
    first, second = (READER.sheet(data, tmp_path / "new" / name) for name in ("a.png", "b.png"))
    assert first.read_bytes().startswith(b"\x89PNG")
    assert first.read_bytes() == second.read_bytes()
