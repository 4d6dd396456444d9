"""CSV and Parquet: what is read, what is left out with a note, and every fault with its place."""

import datetime
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metagan.data.dataset import DataError
from metagan.kinds.vector.reading.tables import Table
from tests.kinds.vector.written import load, parquet, rows_of, write

GOOD = "label,a,b\nx,1,2\nx,3,4\ny,5,6\n"


def test_a_column_names_the_class_and_the_file_the_domain(tmp_path):
    data = load(write(tmp_path / "birds.csv", GOOD))
    assert rows_of(data) == {"birds/x": [[1, 2], [3, 4]], "birds/y": [[5, 6]]}
    assert (data.kind, data.samples.dtype) == ("vector", np.float32)
    assert data.origin["columns"] == ["a", "b"]
    assert data.notes == ()


def test_names_of_label_domain_and_columns_can_be_set(tmp_path):
    file = write(tmp_path / "f.csv", "species,site,a,b,c\nx,north,1,2,3\ny,south,4,5,6\n")
    data = load(file, label="species", domain="site", columns=("c", "a"))
    assert rows_of(data) == {"north/x": [[3, 1]], "south/y": [[6, 4]]}


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        "sep=;\n" + GOOD.replace(",", ";"),
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD + ",,\n\n,,\n",
        GOOD.replace(",a,", ',"a",').replace("x", '"x"'),
        "label,a,b,,\nx,1,2,,\nx,3,4,,\ny,5,6,,\n",
        GOOD.replace("1,2", " 1 ,2.0").replace("5", "+5e0").replace("6", "6."),
    ],
)
def test_whatever_program_wrote_it_the_same_is_read(tmp_path, text):
    assert rows_of(load(write(tmp_path / "f.csv", text))) == {
        "f/x": [[1, 2], [3, 4]],
        "f/y": [[5, 6]],
    }


def test_excels_unicode_text_is_read(tmp_path):
    (tmp_path / "f.tsv").write_bytes(GOOD.replace(",", "\t").encode("utf-16"))
    assert load(tmp_path / "f.tsv").samples.shape == (3, 2)


@pytest.mark.parametrize("word", ["", "NA", "nan", "NULL", "n/a", "-", "?", " "])
def test_rows_with_a_missing_value_are_left_out_and_counted(tmp_path, word):
    data = load(write(tmp_path / "f.csv", f"{GOOD}y,{word},6\n"))
    assert rows_of(data)["f/y"] == [[5, 6]]
    [note] = data.notes
    assert note.startswith("rows left out: 1 of 4 rows has a missing value, most in column a")
    assert note.endswith("f.csv, line 5")


def test_missing_values_in_more_than_half_of_the_rows_are_an_error(tmp_path):
    file = write(tmp_path / "f.csv", "label,a,b\nx,1,\nx,2,\nx,3,4\ny,,6\ny,5,6\n")
    with pytest.raises(DataError, match=r"3 of 5 rows have a missing value, most in column b"):
        load(file)


def test_a_class_without_a_complete_row_is_an_error(tmp_path):
    file = write(tmp_path / "f.csv", GOOD.replace("5,6", "5,"))
    with pytest.raises(DataError, match="class f/y has no row without a missing value"):
        load(file)


FAULTS = {
    "decimal commas": ("label;a\nx;1,5\ny;2,25\n", r"line 2, column a: '1,5'; it has a comma"),
    "thousands": ('label,a\nx,1\ny,"2,000"\n', r"line 3, column a: '2,000'; it has a comma"),
    "thousands by spaces": ("label,a\nx,1 000\ny,2\n", r"line 2, .*'1 000'.*thousands"),
    "units": ("label,a\nx,1\nx,3\ny,12 kg\n", r"line 4, column a: '12 kg'; it has a unit"),
    "percent": ("label,a\nx,5%\ny,7%\n", r"line 2, column a: '5%'; it has a unit"),
    "a bound": ("label,a\nx,5\ny,<0.1\n", r"line 3, column a: '<0.1'; it has a unit or sign"),
    "a word among numbers": ("label,a\nx,5\nx,6\ny,low\n", r"line 4, .*'low'; it is no number"),
    "infinity": ("label,a\nx,5\ny,inf\n", r"line 3, column a: 'inf'; numbers must be finite"),
    "too large": ("label,a\nx,5\ny,1e38\n", r"line 3, column a: 1e\+38; values must be finite"),
    "a name twice": ("label,a,a\nx,5,6\n", "repeated columns: a"),
    "a long row": ("label,a\n\nx,5\ny,6,7\n", r"line 4: 3 fields, but the header has 2"),
    "a short row": ("label,a,b\nx,5\n", r"line 2: 2 fields, but the header has 3"),
    "no header": ("1,2.5\n3,4.5\n", r"line 1: the first line is 1, 2\.5, which are numbers"),
    "no rows": ("label,a\n", "holds no rows below its columns label, a"),
    "nothing": ("", "is empty"),
    "no label column": ("Label,a\nx,5\n", "no column label; .* did you mean Label.*data.label"),
    "a misspelt label column": ("labels,a\nx,5\n", "no column label; .* did you mean labels"),
    "nothing like a label column": ("place,a\nx,5\n", "columns are place, a; set data.label"),
    "an empty label": ("label,a\nx,5\n ,6\n", r"line 3, column label: None; a name is needed"),
    "no numbers": ("label,name\nx,five\n", "no column of numbers is left; .*name holds text"),
    "a bad split": ("label,split,a\nx,spring,5\n", r"line 2: split 'spring'; use train"),
    "a title": (
        "Survey 2019\n\nlabel,a\nx,5\n",
        r"line 3: 2 fields.*take titles and comments above",
    ),
    "a padded title": ("Survey,,\nlabel,a,b\nx,5,6\n", "line 1: names only 1 of 3.*take titles"),
    "a comment": ("# in g, mm\nlabel,a,b\nx,5,6\n", r"header has 2 \(# in g\).*take titles and"),
    "a comment below": ("label,a\nx,5\n# end\n", "line 3: 1 field.*if the line is a comment"),
    "rows with names": (
        "label,a\n0,x,5\n1,y,6\n",
        "line 2: 3 fields.*if the first column holds the rows' names",
    ),
    "rows separated otherwise": ("label,a\nx;5\ny;6\n", "separate the fields of a row as the"),
    "units below the header": ("label,a\n-,mm\nx,1\ny,2\n", "'mm'; it is no number.*holds units"),
    "one column": ("label mass\nx 5\ny 6\n", "if that is more than one, separate columns by"),
    "UTF-16 without its mark": ("l\0a\0\n\0", "zero bytes"),
    "a quote that never closes": (
        'label,a,note\nx,5,ok\nx,6,"bad\ny,7,ok\ny,8,ok\n',
        r"line 3: a quote opens before 'bad' .*close it",
    ),
    "a quote that closes late": (
        'label,a,note\nx,5,ok\nx,6,"bad\ny,7,ok\ny,8,"ok"\n',
        r"line 3: a quote opens before 'bad'",
    ),
    "a domain in capitals": ("label,Domain,a\nx,1,5\n", "set data.domain=Domain"),
    "a split in capitals": ("label,Split,a\nx,train,5\n", "a column Split; .*call it split"),
    "a number to predict": ("label,a\n1.25,5\n2.5,6\n", "line 2, column label: '1.25'; .*predict"),
    "values below no name": ("label,a,\nx,5,6\n", "column 3 has values but no name"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_table_is_an_error_with_its_place_and_the_fix(tmp_path, fault):
    text, message = FAULTS[fault]
    with pytest.raises(DataError, match=message) as error:
        load(write(tmp_path / "f.csv", text))
    assert str(tmp_path / "f.csv") in str(error.value)


def test_a_number_to_predict_is_no_class(tmp_path):
    file = parquet(tmp_path / "f.parquet", label=[1.5, 2.0], a=[1.0, 2.0])
    with pytest.raises(DataError, match=r"row 0, column label: 1\.5.*a number to predict"):
        load(file)


LEFT_OUT = {
    "what pandas numbers": (",label,a\n0,x,5\n1,y,6\n", "column 1 counts or names the rows"),
    "the same, read again": ("Unnamed: 0,label,a\n7,x,5\n9,y,6\n", "Unnamed: 0 counts or names"),
    "ids": ("label,id,a\nx,17,5\ny,4,6\n", "id counts or names the rows"),
    "ids of patients": ("label,patient_id,a\nx,17,5\ny,4,6\n", "patient_id counts or names"),
    "ids that are texts": ("label,uuid,a\nx,1f,5\ny,22,6\n", "uuid counts or names"),
    "text": ("label,name,a\nx,Ann,5\ny,Bob,6\n", "name holds text"),
    "house numbers": ("label,nr,a\nx,12a,5\ny,7b,6\ny,8,6\n", "nr holds text"),
    "dates": ("label,day,a\nx,2024-01-02,5\ny,2024-01-03,6\n", "day holds dates"),
    "european dates": ("label,day,a\nx,1.2.2024,5\ny,3.12.24,6\n", "day holds dates"),
    "nothing": ("label,b,a\nx,,5\ny,,6\n", "b has no value in any row"),
    "patients": ("label,subject#,a\nx,17,5\ny,4,6\n", "subject# counts or names"),
    "ids in one word": ("label,PassengerId,a\nx,17,5\ny,4,6\n", "PassengerId counts or names"),
    "days in digits": ("label,d,a\nx,20240102,5\ny,20231231,6\n", "d holds dates"),
}


@pytest.mark.parametrize("what", LEFT_OUT)
def test_columns_that_are_no_measurements_are_left_out_with_a_note(tmp_path, what):
    text, told = LEFT_OUT[what]
    data = load(write(tmp_path / "f.csv", text))
    assert data.origin["columns"] == ["a"]
    assert any(note.startswith(f"columns left out: {told}") for note in data.notes), data.notes


def test_a_column_that_counts_the_rows_is_left_out_whatever_its_name(tmp_path):
    lines = "".join(f"{'xy'[n > 9]},{n + 1},{n % 7}\n" for n in range(20))
    data = load(write(tmp_path / "f.csv", "label,nummer,a\n" + lines))
    assert data.origin["columns"] == ["a"]
    named = load(tmp_path / "f.csv", columns=("nummer", "a"))
    assert named.samples.shape == (20, 2)
    assert "leak: nummer counts or names the rows, which may tell their class" in named.notes


def test_a_counter_may_begin_anywhere(tmp_path):
    lines = "".join(f"{'xy'[i % 2]},{1000 + i},{i * i % 7}\n" for i in range(20))
    data = load(write(tmp_path / "f.csv", f"label,n,a\n{lines}"))
    assert data.origin["columns"] == ["a"]


def test_a_column_that_rises_from_row_to_row_is_noted(tmp_path):
    lines = "".join(f"{'xy'[i % 2]},{i + i % 2 / 2},{i * i % 7}\n" for i in range(20))
    [note] = load(write(tmp_path / "f.csv", f"label,time,a\n{lines}")).notes
    assert note.startswith("columns: from row to row time rises")


def test_numbers_that_begin_with_zero_are_noted(tmp_path):
    [note] = load(write(tmp_path / "f.csv", "label,zip,a\nx,01234,5\ny,98765,6\n")).notes
    assert note.startswith("columns: some numbers in zip begin with 0")


def test_a_value_with_line_ends_is_read(tmp_path):
    text = 'label,a,note\nx,5,"first, second\nand, third"\ny,6,ok\n'
    assert rows_of(load(write(tmp_path / "f.csv", text))) == {"f/x": [[5]], "f/y": [[6]]}


def test_a_tsv_may_have_commas_instead(tmp_path):
    assert load(write(tmp_path / "f.tsv", GOOD)).samples.shape == (3, 2)


def test_lines_are_looked_up_for_faults_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(Table, "where", lambda *_: pytest.fail("a line was looked up"))
    assert len(load(write(tmp_path / "f.csv", GOOD)).samples) == 3


def test_a_domain_that_was_asked_for_must_be_there(tmp_path):
    file = write(tmp_path / "f.csv", "label,site,a\nx,north,5\n")
    with pytest.raises(DataError, match=r"no column sites; .*did you mean site\?"):
        load(file, domain="sites")


def test_files_that_are_not_read_and_copies_are_noted(tmp_path):
    write(tmp_path / "d" / "a.csv", GOOD)
    write(tmp_path / "d" / "b.csv", GOOD)
    write(tmp_path / "d" / "c.xlsx", "")
    write(tmp_path / "d" / "README.txt", "")
    notes = load(tmp_path / "d").notes
    assert "leak: b.csv is a copy of a.csv; take one of them away" in notes
    assert [note for note in notes if note.startswith("files left out")] == [
        "files left out: c.xlsx: not read; save each sheet as .csv"
    ]


def test_names_that_stand_for_something_else_are_noted(tmp_path):
    notes = load(write(tmp_path / "f.csv", f"{GOOD}NA,7,8\nTotal,9,9\n")).notes
    assert any("f/NA (1 row) may stand for a missing name" in note for note in notes)
    assert any("class f/Total has one row; if that sums up others" in note for note in notes)


def test_a_class_that_lost_most_of_its_rows_is_named(tmp_path):
    text = GOOD + "x,1,1\ny,,1\ny,,2\n"
    [note] = load(write(tmp_path / "f.csv", text)).notes
    assert note.endswith("; class f/y keeps 1 of 3")


def test_true_and_false_are_read_as_one_and_zero_with_a_note(tmp_path):
    data = load(write(tmp_path / "f.csv", "label,a,b\nx,true,1\ny,False,2\n"))
    assert rows_of(data) == {"f/x": [[1, 1]], "f/y": [[0, 2]]}
    assert data.notes == ("columns: a: true is read as 1 and false as 0",)


def test_a_point_before_three_digits_in_every_row_is_noted_as_a_decimal(tmp_path):
    mass = ["1.250", "9.870", "123.456", "2.000", "7.125"] * 3
    rows = [f"{'xy'[i % 2]},{m},{i % 4}.5" for i, m in enumerate(mass)]

    def noted(rows):
        text = "\n".join(["label,mass,width", *rows]) + "\n"
        data = load(write(tmp_path / "f.csv", text))
        assert 1.25 in data.samples
        return [note for note in data.notes if "three digits" in note]

    assert noted(rows) == [
        "columns: mass has three digits behind the point in every row, read as decimals; if the "
        "point separates thousands, write 1250 for 1.250"
    ]
    assert noted(rows[:9]) == []
    assert noted([*rows, "x,0.5,1.5"]) == []


def test_named_columns_must_be_there_and_hold_numbers(tmp_path):
    file = write(tmp_path / "f.csv", "label,Mass,day\nx,1,2024-01-02\ny,2,2024-01-03\n")
    with pytest.raises(DataError, match=r"no column masse; .* did you mean Mass"):
        load(file, columns=("masse",))
    with pytest.raises(DataError, match=r"line 2, column day: '2024-01-02'; .*days since"):
        load(file, columns=("Mass", "day"))
    with pytest.raises(DataError, match=r"data\.columns has label, which names"):
        load(file, columns=("Mass", "label"))
    with pytest.raises(DataError, match="names Mass twice"):
        load(file, columns=("Mass", "Mass"))


def test_named_columns_match_regardless_of_case_with_a_note(tmp_path):
    file = write(tmp_path / "f.csv", "Label,B,a,A\nx,1,2,3\ny,4,5,6\n")
    data = load(file, columns=("a", "b"))
    assert rows_of(data) == {"f/x": [[2, 1]], "f/y": [[5, 4]]}
    assert data.origin["columns"] == ["a", "b"]
    assert data.notes[0] == (
        "columns: f.csv: names match regardless of case: Label as label, B as b"
    )
    with pytest.raises(DataError, match="no column label"):
        load(file)  # Nothing is named, so nothing is known to be meant.


# --- several files ------------------------------------------------------------------------------


def test_a_folders_files_are_domains_and_columns_go_by_name(tmp_path):
    write(tmp_path / "d" / "north.csv", "label,a,b\nx,1,2\n")
    write(tmp_path / "d" / "south.csv", "b,a,label\n20,10,x\n")
    data = load(tmp_path / "d")
    assert rows_of(data) == {"north/x": [[1, 2]], "south/x": [[10, 20]]}


def test_files_called_like_a_split_are_its_parts(tmp_path):
    for name, label in (("train", "x"), ("test", "y")):
        write(tmp_path / "birds" / f"{name}.csv", f"label,a\n{label},1\n")
    data = load(tmp_path / "birds")
    assert [(r.domain, r.label, r.split) for r in data.classes] == [
        ("birds", "x", "train"),
        ("birds", "y", "test"),
    ]


def test_a_split_inside_classes_is_dropped_with_a_note(tmp_path):
    data = load(write(tmp_path / "f.csv", "label,split,a\nx,train,1\nx,test,2\ny,train,3\n"))
    assert {record.split for record in data.classes} == {None}
    assert any("is inside classes" in note for note in data.notes)


def test_a_column_that_one_file_lacks_is_an_error_with_both_files(tmp_path):
    write(tmp_path / "d" / "a.csv", "label,a,b\nx,1,2\n")
    write(tmp_path / "d" / "b.csv", "label,a\nx,1\n")
    with pytest.raises(DataError, match=r"b\.csv: no column b; columns are label, a; a\.csv has"):
        load(tmp_path / "d")
    assert load(tmp_path / "d", columns=("a",)).samples.shape == (2, 1)


def test_a_column_of_numbers_here_and_text_there_is_an_error(tmp_path):
    write(tmp_path / "d" / "a.csv", "label,a,b\nx,1,2\n")
    write(tmp_path / "d" / "b.csv", "label,a,b\nx,1,low\n")
    with pytest.raises(DataError, match=r"b\.csv, line 2, column b: 'low'; it holds text here"):
        load(tmp_path / "d")


def test_a_domain_column_in_some_files_only_is_an_error(tmp_path):
    write(tmp_path / "d" / "a.csv", "label,domain,a\nx,n,1\n")
    write(tmp_path / "d" / "b.csv", "label,a\nx,1\n")
    with pytest.raises(DataError, match=r"b\.csv: no column domain.*a\.csv has it"):
        load(tmp_path / "d")


def test_labels_that_differ_by_case_are_noted(tmp_path):
    data = load(write(tmp_path / "f.csv", "label,a\nx,1\nX,2\n"))
    assert any(note.startswith("labels: do you mean one class?") for note in data.notes)


# --- Parquet ------------------------------------------------------------------------------------


def test_parquet_types_are_read_as_numbers_or_left_out(tmp_path):
    file = parquet(
        tmp_path / "f.parquet",
        label=pa.array(["x", "y"]).dictionary_encode(),
        whole=pa.array([1, 2], pa.int8()),
        real=[0.5, None],
        flag=[True, False],
        text_of_numbers=["1.5", "2.5"],
        day=[datetime.date(2024, 1, 2)] * 2,
        vector=[[1.0], [2.0]],
        __index_level_0__=[5, 6],
    )
    with pytest.raises(DataError, match="class f/y has no row"):
        load(file)
    data = load(file, columns=("whole", "flag", "text_of_numbers"))
    assert rows_of(data) == {"f/x": [[1, 1, 1.5]], "f/y": [[2, 0, 2.5]]}
    every = parquet(tmp_path / "g.parquet", label=[1, 2], a=[1, 2], v=[[1.0], [2.0]], i=[None] * 2)
    notes = " ".join(load(every).notes)
    assert "v holds lists" in notes
    assert "i has no value" in notes


def test_infinity_in_parquet_is_an_error_with_its_row(tmp_path):
    file = parquet(tmp_path / "f.parquet", label=["x", "y"], a=[1.0, float("-inf")])
    with pytest.raises(DataError, match="row 1, column a: '-inf'; numbers must be finite"):
        load(file)


def test_a_damaged_file_is_an_error(tmp_path):
    (tmp_path / "f.parquet").write_bytes(b"PAR1" + bytes(40))
    with pytest.raises(DataError, match="not parquet, or damaged"):
        load(tmp_path / "f.parquet")


def test_extension_types_are_refused_before_anything_is_opened(tmp_path):
    field = pa.field("a", pa.float64(), metadata={"ARROW:extension:name": "made.up"})
    table = pa.table(
        [pa.array([1.0]), pa.array(["x"])], schema=pa.schema([field, ("label", "str")])
    )
    pq.write_table(table, tmp_path / "f.parquet")
    with pytest.raises(DataError, match=r"extension type.*its values again as plain columns"):
        load(tmp_path / "f.parquet")


def test_generated_tables_are_no_data(tmp_path):
    parquet(tmp_path / "d" / "real.parquet", label=["x"], a=[1.0])
    made = pa.table({"label": ["x"], "a": [2.0]})
    made = made.replace_schema_metadata({"metagan": json.dumps({"generated": True})})
    pq.write_table(made, tmp_path / "d" / "made.parquet")
    data = load(tmp_path / "d")
    assert rows_of(data) == {"real/x": [[1.0]]}
    assert data.notes == ("files left out: made.parquet: made by metagan generate",)
    alone = load(tmp_path / "d" / "made.parquet")
    assert any(note.startswith("generated:") for note in alone.notes)
