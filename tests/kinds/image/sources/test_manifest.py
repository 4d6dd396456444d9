import json

import numpy as np
import pytest

from metagan.data.dataset import DataError
from metagan.data.registry import load_dataset
from metagan.kinds.image.sources.manifest import load
from tests.kinds.image.pictures import encode, noise, png, settings, write


def load_from(path, **changes):
    return load(settings(path, "manifest", **changes))


HEADER = "file_name,domain,label,split\n"


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path, {f"pictures/{i}.png": encode(noise(i, 16)) for i in range(4)})


def csv(folder, text, name="metadata.csv", encoding="utf-8"):
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


def test_a_csv_gives_domain_label_and_split(folder):
    path = csv(
        folder,
        HEADER
        + "pictures/0.png,latin,a,train\npictures/1.png,latin,a,train\n"
        + 'pictures/2.png,"runes, old",b,test\n',
    )
    data = load_from(path)
    assert [(r.domain, r.label, r.split) for r in data.classes] == [
        ("latin", "a", "train"),
        ("runes, old", "b", "test"),
    ]
    assert np.array_equal(data.samples[:, 0], np.stack([noise(i, 16) for i in range(3)]))


def test_json_lines_and_a_folder_with_a_manifest_read_alike(folder):
    rows = [
        {"file_name": "pictures/0.png", "domain": "d", "label": 1},
        {"file_name": "pictures/1.png", "domain": "d", "label": 2, "split": None, "more": [1]},
    ]
    path = folder / "metadata.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    from_lines = load_from(path)
    assert load_from(folder).fingerprint() == from_lines.fingerprint()
    csv(folder, "label,file_name,domain\n1,pictures/0.png,d\n2,pictures/1.png,d\n", "m.csv")
    assert load_from(folder / "m.csv").fingerprint() == from_lines.fingerprint()


def test_a_byte_order_mark_and_windows_line_ends_are_read(folder):
    path = csv(folder, "\ufefffile_name,domain,label\r\npictures/0.png,d,a\r\n")
    assert load_from(path).num_classes == 1


@pytest.mark.parametrize("name", ["../secret.png", "pictures/../../secret.png", "C:\\x.png"])
def test_file_names_that_leave_the_folder_are_refused_with_the_line(folder, name):
    write(folder.parent, {"secret.png": png()})
    path = csv(folder, f"{HEADER}pictures/0.png,d,a,\n{name},d,a,\n")
    with pytest.raises(DataError, match=r"line 3: file_name .* leaves the manifest's folder"):
        load_from(path)


def test_absolute_file_names_are_refused_even_below_the_folder(folder):
    path = csv(folder, f"{HEADER}{folder}/pictures/0.png,d,a,\n")
    with pytest.raises(DataError, match=r"line 2: file_name .* leaves"):
        load_from(path)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    secret = write(tmp_path / "outside", {"secret.png": png()}) / "secret.png"
    folder = write(tmp_path / "data", {"1.png": png()})
    (folder / "2.png").symlink_to(secret)
    data = load_from(csv(folder, f"{HEADER}1.png,d,a,\n2.png,d,a,\n"))
    assert data.count(0) == 1
    assert "line 3, 2.png: a link out of the data folder" in data.notes[0]


def test_missing_columns_are_named(folder):
    with pytest.raises(
        DataError, match=r"line 1: no column domain, label; columns are file_name, class; nee"
    ):
        load_from(csv(folder, "file_name,class\npictures/0.png,a\n"))
    with pytest.raises(DataError, match="line 1: no column file_name"):
        load_from(csv(folder, ""))
    with pytest.raises(DataError, match="repeated columns: label"):
        load_from(csv(folder, "file_name,domain,label,label\n"))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("pictures/0.png,d", "2 fields, but the header has 4"),
        ("pictures/0.png,,a,", "domain is ''; a name is needed"),
        ("pictures/0.png,d, ,", "label is ' '; a name is needed"),
        ("pictures/0.png,d,a,holdout", "split 'holdout'; use train, validation or test"),
        ('"pictures/0.png,d,a,', "unexpected end of data"),
    ],
)
def test_a_malformed_row_is_named_by_its_line(folder, row, reason):
    with pytest.raises(DataError, match=f"line 3: .*{reason}"):
        load_from(csv(folder, f"{HEADER}pictures/1.png,d,a,\n{row}\n"))


@pytest.mark.parametrize("row", ["{", "[1]", "nothing", '{"file_name": "x"}', "[" * 100_000])
def test_a_malformed_json_line_is_named_by_its_line(folder, row):
    good = json.dumps({"file_name": "pictures/0.png", "domain": "d", "label": "a"})
    path = csv(folder, f"{good}\n{row}\n", "metadata.jsonl")
    with pytest.raises(DataError, match="line 2: "):
        load_from(path)


@pytest.mark.parametrize("label", [True, None, 1.5, ["a"], {}])
def test_a_label_that_is_no_name_is_refused(folder, label):
    row = json.dumps({"file_name": "pictures/0.png", "domain": "d", "label": label})
    with pytest.raises(DataError, match="line 1: label is"):
        load_from(csv(folder, row, "metadata.jsonl"))


def test_a_manifest_that_is_not_utf_8_is_named_by_its_line(folder):
    path = csv(folder, f"{HEADER}pictures/0.png,d,a,\npictures/1.png,café,a,\n", encoding="latin-1")
    with pytest.raises(DataError, match="line 3: not UTF-8"):
        load_from(path)


def test_missing_and_broken_pictures_are_noted_by_line_and_repeats_count_once(folder):
    write(folder, {"bad.png": b"bad"})
    rows = ["pictures/0.png", "missing.png", "bad.png", "pictures/0.png"]
    data = load_from(csv(folder, HEADER + "".join(f"{name},d,a,\n" for name in rows)))
    assert data.count(0) == 1
    assert [note.split(",")[0] for note in data.notes] == [
        "left out: line 5 repeats pictures/0.png of line 2",
        "left out: line 3",
        "left out: line 4",
    ]


def test_a_manifest_without_rows_or_of_another_kind_is_refused(folder):
    with pytest.raises(DataError, match="lists no pictures"):
        load_from(csv(folder, HEADER))
    with pytest.raises(DataError, match=r"ends in \.csv or \.jsonl"):
        load_from(csv(folder, HEADER, "metadata.tsv"))
    with pytest.raises(DataError, match="holds no manifest"):
        load_from(folder / "pictures")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metadata.csv", "id,breed\n0,pug\n"),
        ("metadata.csv", "image_id;age\n0;7\n"),
        ("metadata.jsonl", '{"file": "a/0.png", "class": "a"}\n'),
        ("train/metadata.csv", "id,breed\n0,pug\n"),
    ],
)
def test_another_list_beside_folders_of_pictures_says_how_to_read_the_folders(tmp_path, name, text):
    write((tmp_path / name).parent, {f"{c}/0.png": png(i) for i, c in enumerate("ab")})
    write(tmp_path, {name: text.encode()})
    hint = f"folders such as a are the classes: data.source=image_folder data.path={tmp_path}"
    with pytest.raises(DataError) as error:
        load_dataset(settings(tmp_path))
    assert hint in str(error.value)
    assert load_dataset(settings(tmp_path, "image_folder")).num_classes == 2


def test_a_list_without_folders_beside_it_has_no_such_hint(folder):
    with pytest.raises(DataError) as error:
        load_from(csv(folder, "id,breed\n0,pug\n"))
    assert "image_folder" not in str(error.value)


def test_lists_in_folders_that_are_no_split_are_not_read_by_halves(tmp_path):
    row = b"file_name,domain,label\n0.png,d,a\n"
    for place in ("novel", "poem"):
        write(tmp_path, {f"{place}/0.png": png(1), f"{place}/metadata.csv": row})
    with pytest.raises(DataError, match="holds no manifest"):
        load_from(tmp_path)
    (tmp_path / "poem").rename(tmp_path / "base")
    assert [record.split for record in load_from(tmp_path).classes] == [None]


def test_pictures_of_a_folder_that_its_list_leaves_out_are_told(folder):
    path = csv(folder, HEADER + "pictures/0.png,d,a,\npictures/1.png,d,a,\n")
    write(folder, {"pictures/.trash/9.png": png(), "pictures/notes.txt": b"x"})
    assert load_from(folder).notes == (
        "files left out: 2 pictures are in no row of metadata.csv, such as pictures/2.png; to read "
        "folders as classes, set data.source=image_folder",
    )
    assert load_from(path).notes == ()
    csv(folder, HEADER + "".join(f"pictures/{i}.png,d,a,\n" for i in range(4)))
    assert load_from(folder).notes == ()
