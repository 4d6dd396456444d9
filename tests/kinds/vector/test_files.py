"""A user's examples in, generated vectors and pictures out."""

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from metagan.config.vector import VectorData
from metagan.data.dataset import DataError
from metagan.data.form import Form
from metagan.data.parquet_files import is_generated
from metagan.kinds.vector.look import look
from metagan.kinds.vector.other_data import other_settings
from metagan.kinds.vector.support import read_support
from metagan.kinds.vector.writing import write_samples
from tests.kinds.vector.written import load, parquet, rows_of, write

FORM = Form("vector", (2,), {"columns": ["a", "b"], "center": [0.0, 0.0], "scale": [1.0, 1.0]})
SAMPLES = np.random.default_rng(0).normal(size=(2, 3, 2)).astype(np.float32)


def read(path, **said):
    classes, notes = read_support(path, FORM, said)
    assert classes.form == FORM
    return {name: rows.tolist() for name, rows in classes.items()}, notes


# --- a user's examples --------------------------------------------------------------------------


def test_columns_go_by_name_in_any_order_and_labels_are_classes(tmp_path):
    found, notes = read(write(tmp_path / "f.csv", "b,label,a,note\n2,x,1,hm\n4,y,3,-\n"))
    assert found == {"x": [[1, 2]], "y": [[3, 4]]}
    assert notes == []


def test_without_labels_all_rows_are_one_class_called_like_the_file(tmp_path):
    assert read(write(tmp_path / "new.csv", "a,b\n1,2\n3,4\n"))[0] == {"new": [[1, 2], [3, 4]]}
    np.savez(tmp_path / "arrays.npz", x=[[1.0, 2.0]])
    assert read(tmp_path / "arrays.npz")[0] == {"arrays": [[1, 2]]}


def test_other_names_are_taken_by_place_with_a_note(tmp_path):
    found, [note] = read(write(tmp_path / "f.csv", "u,v,label\n1,2,x\n"))
    assert found == {"x": [[1, 2]]}
    assert note == (
        "columns: f.csv has none of the run's names, so u, v are taken in this order as a, b"
    )


def test_names_may_differ_by_case_with_a_note(tmp_path):
    found, [note] = read(write(tmp_path / "f.csv", "B,A,Label\n1,2,x\n"))
    assert found == {"x": [[2, 1]]}
    assert note == "columns: f.csv: names match regardless of case: B as b, A as a, Label as label"


def test_names_of_arrays_may_differ_by_case_as_those_of_tables(tmp_path):
    np.savez(tmp_path / "f.npz", x=[[1.0, 2.0]], y=["x"], columns=["B", "a"])
    found, [note] = read(tmp_path / "f.npz")
    assert found == {"x": [[2, 1]]}
    assert note == "columns: f.npz: names match regardless of case: B as b"


@pytest.mark.parametrize("ending", ["csv", "npz"])
def test_other_data_to_measure_on_match_names_as_examples_to_adapt_to_do(tmp_path, ending):
    file = tmp_path / f"f.{ending}"
    write(tmp_path / "f.csv", "B,LABEL,A\n1,x,2\n3,y,4\n")
    np.savez(tmp_path / "f.npz", x=[[1.0, 2.0], [3.0, 4.0]], y=["x", "y"], columns=["B", "A"])
    changes = other_settings(VectorData(), FORM, "table" if ending == "csv" else "npz", ())
    data = load(file, **changes)
    examples, notes = read(file)
    assert {name.removeprefix("f/"): rows for name, rows in rows_of(data).items()} == examples
    assert set(notes) & set(data.notes) == set(notes)
    assert len(notes) == 1


def test_columns_that_may_name_the_classes_are_noted(tmp_path):
    found, [note] = read(write(tmp_path / "f.csv", "a,b,kind\n1,2,x\n3,4,y\n"))
    assert set(found) == {"f"}
    assert note.startswith("columns left out: f.csv: kind, which the run has not; if one names")


def test_a_column_that_was_asked_for_must_be_there(tmp_path):
    file = write(tmp_path / "f.csv", "a,b,kind\n1,2,x\n")
    for key in ("label", "domain"):
        with pytest.raises(DataError, match=rf"no column kinds; .*mean kind\?; data\.{key} names"):
            read(file, **{key: "kinds"})


def test_arrays_without_names_are_taken_by_place_with_a_note(tmp_path):
    np.savez(tmp_path / "f.npz", x=[[1.0, 2.0]])
    assert read(tmp_path / "f.npz")[1] == [
        "columns: f.npz names none, so its columns are taken as a, b"
    ]


def test_files_in_other_forms_are_named_with_the_fix(tmp_path):
    write(tmp_path / "d" / "f.xlsx", "")
    for path in (tmp_path / "d", tmp_path / "d" / "f.xlsx"):
        with pytest.raises(DataError, match=r"save each sheet as \.csv"):
            read(path)


def test_a_missing_column_is_an_error_with_its_name(tmp_path):
    with pytest.raises(DataError, match=r"f\.csv: no column b; columns are a, c; the run learned"):
        read(write(tmp_path / "f.csv", "a,c\n1,2\n"))
    with pytest.raises(DataError, match=r"has 3 columns of numbers \(u, v, w\).*learned from 2"):
        read(write(tmp_path / "f.csv", "u,v,w\n1,2,3\n"))
    np.savez(tmp_path / "f.npz", x=[[1.0, 2.0, 3.0]])
    with pytest.raises(DataError, match="has 3 columns of numbers, but the run learned from 2"):
        read(tmp_path / "f.npz")


def test_the_label_column_can_be_named(tmp_path):
    assert read(write(tmp_path / "f.csv", "a,b,kind\n1,2,x\n"), label="kind")[0] == {"x": [[1, 2]]}


def test_labels_of_several_domains_are_told_apart(tmp_path):
    found, _ = read(write(tmp_path / "f.csv", "a,b,label,domain\n1,2,x,north\n3,4,x,south\n"))
    assert found == {"north/x": [[1, 2]], "south/x": [[3, 4]]}
    found, _ = read(write(tmp_path / "g.csv", "a,b,label,domain\n1,2,x,north\n3,4,y,north\n"))
    assert found == {"x": [[1, 2]], "y": [[3, 4]]}


def test_a_folder_is_read_file_by_file(tmp_path):
    write(tmp_path / "d" / "one.csv", "a,b\n1,2\n")
    parquet(tmp_path / "d" / "two.parquet", b=[4.0], a=[3.0])
    assert read(tmp_path / "d")[0] == {"one": [[1, 2]], "two": [[3, 4]]}


def test_a_row_with_a_missing_value_is_left_out_with_its_line(tmp_path):
    found, notes = read(write(tmp_path / "f.csv", "a,b\n1,2\n3,\n"))
    assert found == {"f": [[1, 2]]}
    assert notes == [f"left out: {tmp_path / 'f.csv'}, line 3: a value is missing"]
    with pytest.raises(DataError, match="no complete row"):
        read(write(tmp_path / "g.csv", "a,b\n1,\n,3\n"))


def test_a_folder_without_vectors_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"holds no \.npz, \.csv"):
        read(tmp_path)


# --- generated vectors --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["samples.npz", "samples.parquet"])
def test_what_is_written_is_read_back_as_it_was(tmp_path, name):
    told = write_samples(tmp_path / "out", ["x", "y"], SAMPLES, SAMPLES, 7, FORM)
    assert told == "samples.npz, samples.parquet, preview.png"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(told.split(", "))
    found, notes = read(tmp_path / "out" / name)
    assert found == {"x": SAMPLES[0].tolist(), "y": SAMPLES[1].tolist()}
    assert notes == []


def test_both_files_say_that_they_were_generated_and_with_which_seed(tmp_path):
    write_samples(tmp_path, ["x", "y"], SAMPLES, SAMPLES, 7, FORM)
    assert is_generated(tmp_path / "samples.parquet")
    metadata = pq.read_metadata(tmp_path / "samples.parquet").metadata
    assert b'"seed": 7' in metadata[b"metagan"]
    with np.load(tmp_path / "samples.npz") as file:
        assert bool(file["generated"])
        assert file["columns"].tolist() == ["a", "b"]
    for name in ("samples.npz", "samples.parquet"):
        notes = load(tmp_path / name, columns=("a", "b")).notes
        assert any(note.startswith("generated:") for note in notes)


def test_a_column_called_label_stays_a_column(tmp_path):
    form = Form("vector", (2,), {**FORM.facts, "columns": ["label", "b"]})
    write_samples(tmp_path, ["x", "y"], SAMPLES, SAMPLES, 7, form)
    table = pq.read_table(tmp_path / "samples.parquet")
    assert table.column_names == ["label", "b", "label (class)"]
    assert table["label"].to_pylist() == SAMPLES[:, :, 0].ravel().tolist()


# --- pictures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [1, 2, 5, 40])
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_every_class_has_a_panel_of_every_group(columns, groups):
    form = Form(
        "vector",
        (columns,),
        {
            "columns": [f"c$_{i}" for i in range(columns)],
            "center": [0.0] * columns,
            "scale": [1.0] * columns,
        },
    )
    rng = np.random.default_rng(0)
    rows = [[rng.normal(size=(4, columns)) for _ in range(groups)] for _ in range(5)]
    content = look(rows, form)
    assert content == look(rows, form)
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert picture.shape[1] == (290 if groups == 1 else 1160)
    assert (picture == 255).mean() > 0.5
    assert (picture.max(axis=2) < 60).any()


def test_other_shapes_are_refused():
    with pytest.raises(DataError, match="rows is empty"):
        look([], FORM)
    with pytest.raises(DataError, match=r"shape \(4, 3\); expected \(n, 2\)"):
        look([[np.zeros((4, 3))]], FORM)


def test_classes_are_found_by_the_runs_own_column_unless_another_one_is_said(
    tmp_path: Path,
) -> None:
    form = Form("vector", (2,), {**FORM.facts, "label": "species", "domain": "garden"})
    file = write(tmp_path / "own.csv", "species,kind,a,b\noak,x,1,2\nelm,x,3,4\n")
    assert set(read_support(file, form, {})[0]) == {"oak", "elm"}
    assert set(read_support(file, form, {"label": "kind"})[0]) == {"x"}


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_rows_of_one_group_are_strips_of_one_height(columns: int) -> None:
    names = [f"c{number}" for number in range(columns)]
    facts = {"columns": names, "center": [0.0] * columns, "scale": [1.0] * columns}
    form = Form("vector", (columns,), facts)
    group = np.linspace(-3, 3, 4 * columns, dtype=np.float32).reshape(4, columns)
    sizes = {
        number: Image.open(io.BytesIO(look([[group]] * number, form))).size for number in (1, 3)
    }
    assert sizes[3] == (sizes[1][0], 3 * sizes[1][1])
