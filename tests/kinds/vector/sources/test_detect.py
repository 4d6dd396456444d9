"""The guess at a layout of vectors, by names alone."""

import pytest

from metagan.data.dataset import DataError
from metagan.kinds.vector.sources.detect import detect_source
from tests.kinds.vector.written import write


def test_a_layout_is_found_by_names_alone(tmp_path):
    write(tmp_path / "tables" / "inner" / "f.csv", "")
    write(tmp_path / "arrays" / "f.npz", "")
    assert detect_source(tmp_path / "tables") == "table"
    assert detect_source(tmp_path / "arrays") == "npz"
    for name, source in (("f.TSV", "table"), ("f.parquet", "table"), ("f.npz", "npz")):
        assert detect_source(tmp_path / name) == source


def test_what_cannot_be_told_or_read_is_an_error(tmp_path):
    write(tmp_path / "both" / "f.csv", "")
    write(tmp_path / "both" / "f.npz", "")
    write(tmp_path / "none" / "f.png", "")
    with pytest.raises(DataError, match=r"data\.source=npz.*data\.source=table"):
        detect_source(tmp_path / "both")
    with pytest.raises(DataError, match=r"data\.kind=image"):
        detect_source(tmp_path / "none")
    with pytest.raises(DataError, match="unpack it first"):
        detect_source(tmp_path / "f.csv.gz")
    with pytest.raises(DataError, match=r"save each sheet as \.csv"):
        detect_source(tmp_path / "f.xlsx")
    write(tmp_path / "uci" / "f.data", "")
    with pytest.raises(DataError, match=r"there is f\.data: if it is a table .* call it \.csv"):
        detect_source(tmp_path / "uci")


def test_prepared_data_and_runs_are_told_apart(tmp_path):
    for name in ("samples.arrow", "manifest.json"):
        write(tmp_path / "prepared" / name, "")
    assert detect_source(tmp_path / "prepared") == "arrow"
    write(tmp_path / "run" / "config.yaml", "")
    (tmp_path / "run" / "checkpoints").mkdir()
    with pytest.raises(DataError, match="is a run of metagan"):
        detect_source(tmp_path / "run")
