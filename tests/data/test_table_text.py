"""Tables as spreadsheets and scripts write them: which picture is of which class and split."""

import json
import unicodedata

import pytest

from metagan.data.dataset import DataError
from metagan.kinds.image.sources.manifest import listed_files, load, manifest_files
from tests.kinds.image.pictures import encode, noise, png, seeds_of, settings, write

ROWS = [
    ("img/0.png", "latin", "a", "train"),
    ("img/1.png", "latin", "b", "train"),
    ("img/2.png", "greek", "a", "test"),
    ("img/3.png", "greek", "a", "test"),
]
EXPECTED = {
    ("greek", "a", "test"): [2, 3],
    ("latin", "a", "train"): [0],
    ("latin", "b", "train"): [1],
}
HEADER = ("file_name", "domain", "label", "split")


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path, {f"img/{i}.png": encode(noise(i, 16)) for i in range(6)})


def table(rows=(HEADER, *ROWS), delimiter=",", end="\n"):
    return "".join(delimiter.join(row) + end for row in rows)


def read(folder, content, name="metadata.csv"):
    content = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(content)
    return load(settings(folder / name, "manifest"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_usual_delimiter_encoding_and_line_end_reads_alike(folder, delimiter, encoding, end):
    data = read(folder, table(delimiter=delimiter, end=end).encode(encoding))
    assert seeds_of(data) == EXPECTED
    assert data.notes == ()


@pytest.mark.parametrize(
    "rows",
    [
        [("File_Name", "DOMAIN", " Label ", "Split"), *ROWS],
        [("file name", "domain", "label", "split"), *ROWS],
        [("sep=;",), HEADER, *ROWS],
        [("",), ("", "", ""), HEADER, *ROWS],
        # A spreadsheet's empty columns and rows, with a name or without one.
        [(*HEADER, "", ""), *((*row, "", "") for row in ROWS), ("",) * 6, ("  ",)],
        [HEADER, *((*row, "", "") for row in ROWS)],
        # pandas numbers the rows, in a column without a name.
        [("", *HEADER), *((str(n), *row) for n, row in enumerate(ROWS))],
        [(*HEADER, "by"), *((*row, "x; y") for row in ROWS)],
    ],
)
def test_what_spreadsheets_and_pandas_add_to_a_table_changes_nothing(folder, rows):
    content = table(rows, ";" if rows[0] == ("sep=;",) else "\t")
    assert seeds_of(read(folder, content)) == EXPECTED


def test_quoted_line_ends_delimiters_and_odd_separators_stay_inside_a_value(folder):
    content = (
        'file_name;domain;label;"a\nnote"\n'
        'img/0.png;"runes; old";a;"two\nlines"\n'
        'img/1.png;"runes; old";b\u2028c;\n'
        "img/2.png;x\x85y;d;\n"
    )
    assert list(seeds_of(read(folder, content))) == [
        ("runes; old", "a", None),
        ("runes; old", "b\\u2028c", None),
        ("x\\x85y", "d", None),
    ]


def test_an_error_names_the_line_in_the_file_also_below_sep_and_quoted_line_ends(folder):
    rows = 'sep=;\nfile_name;domain;label\nimg/0.png;d;"a\nb"\nimg/1.png;d\n'
    with pytest.raises(DataError, match="line 5: 2 fields, but the header has 3"):
        read(folder, rows)


def test_a_value_below_no_name_is_refused_as_the_row_may_be_shifted(folder):
    content = "file_name,domain,label,\nimg/0.png,d,a,\nimg/1.png,d,shirt,top\n"
    with pytest.raises(DataError, match=r"line 3: 4 fields.* field 4, 'top', is below no name"):
        read(folder, content)
    with pytest.raises(DataError, match="line 2: 5 fields, but the header has 4"):
        read(folder, "file_name,domain,label,split\nimg/0.png,d,shirt,top,train\n")


def test_a_missing_column_is_named_with_all_that_are_there_whatever_the_delimiter(folder):
    with pytest.raises(
        DataError,
        match="line 1: no column file_name, domain, label; columns are filename, class, a, b, c;",
    ):
        read(folder, "filename;class;a;b;c\nimg/0.png;x;;;\n")
    with pytest.raises(DataError, match=r"repeated columns: label$"):
        read(folder, "file_name\tdomain\tlabel\tLabel\n")


def test_damaged_utf_16_is_refused(folder):
    with pytest.raises(DataError, match=r"metadata\.csv: damaged UTF-16; save .* as UTF-8"):
        read(folder, table().encode("utf-16")[:-1])


@pytest.mark.parametrize("label", ["a ", " a", "\ta", "a\xa0", "a\u200b", "\u3000a\ufeff"])
def test_a_label_with_white_space_around_it_is_the_same_class_and_noted(folder, label):
    rows = [HEADER, ("img/0.png", "d", "a", ""), ("img/1.png", "d", label, "")]
    data = read(folder, table(rows))
    assert seeds_of(data) == {("d", "a", None): [0, 1]}
    assert [note.split(",")[0] for note in data.notes] == ["labels: 1 value was changed"]


def test_spaces_behind_every_comma_change_no_name(folder):
    data = read(folder, table(delimiter=", "))
    assert seeds_of(data) == EXPECTED
    assert [note.split(" ")[:2] for note in data.notes] == [["domains:", "4"], ["labels:", "4"]]


def test_decomposed_names_are_the_composed_ones(folder):
    apart, joined = unicodedata.normalize("NFD", "é"), "é"
    rows = [HEADER, ("img/0.png", joined, apart, ""), ("img/1.png", apart, joined, "")]
    data = read(folder, table(rows))
    assert seeds_of(data) == {("é", "é", None): [0, 1]}
    assert len(data.notes) == 2


def test_numbers_spelled_in_several_ways_are_kept_apart_and_asked_about(folder):
    rows = [HEADER, *((f"img/{n}.png", "d", text, "") for n, text in enumerate(["1", "01", "1.0"]))]
    data = read(folder, table(rows))
    assert seeds_of(data) == {
        ("d", "01", None): [1],
        ("d", "1", None): [0],
        ("d", "1.0", None): [2],
    }
    assert data.notes == (
        "labels: do you mean one class? 'd/01' and 'd/1' and 'd/1.0' differ only by case, white "
        "space or zeros and are read apart; if they are one, spell them alike",
    )


def test_numbers_and_text_of_json_lines_are_one_class(folder):
    rows = [
        {"file_name": f"img/{n}.png", "domain": "d", "label": label}
        for n, label in enumerate([1, "1", 1.0, " 2", 2])
    ]
    data = read(folder, "\r\n".join(map(json.dumps, rows)), "metadata.jsonl")
    assert seeds_of(data) == {("d", "1", None): [0, 1, 2], ("d", "2", None): [3, 4]}
    assert data.notes[1].startswith("labels: d/1, d/2 are given as a number and as text")


def test_splits_are_read_whatever_their_case_and_spaces(folder):
    words = [" Train", "TRAINING", "test ", "Testing"]
    rows = [HEADER, *((*row[:3], word) for row, word in zip(ROWS, words, strict=True))]
    assert seeds_of(read(folder, table(rows))) == EXPECTED


def test_a_row_without_a_split_among_rows_with_one_leaves_its_class_without_one_and_noted(folder):
    rows = [HEADER, *ROWS[:3], ("img/4.png", "runes", "r", " ")]
    data = read(folder, table(rows))
    assert seeds_of(data) == {
        ("greek", "a", "test"): [2],
        ("latin", "a", "train"): [0],
        ("latin", "b", "train"): [1],
        ("runes", "r", None): [4],
    }
    assert data.notes == ("splits: classes in no published split are trained on: runes/r",)


def test_one_row_that_puts_a_class_into_two_splits_is_found_by_the_note(folder):
    rows = [HEADER, *ROWS, ("img/4.png", "latin", "b", "test")]
    (note,) = read(folder, table(rows)).notes
    assert note.endswith("merged (1 of 3 classes in several parts, such as latin/b)")


@pytest.mark.parametrize("name", ["img\\1.png", " img/1.png", "img/1.png\xa0", ".\\img\\1.png "])
def test_a_name_of_which_nothing_exists_is_tried_without_spaces_and_with_slashes(folder, name):
    rows = [HEADER, ("img/0.png", "d", "a", ""), (name, "d", "b", "")]
    data = read(folder, table(rows))
    assert seeds_of(data) == {("d", "a", None): [0], ("d", "b", None): [1]}
    assert listed_files(folder / "metadata.csv")[-1].samefile(folder / "img" / "1.png")


def test_a_file_whose_name_has_a_backslash_or_a_space_is_read_as_it_stands(folder):
    write(folder, {"a\\b.png": encode(noise(7, 16)), " c.png": encode(noise(8, 16))})
    write(folder, {"a/b.png": encode(noise(9, 16)), "c.png": encode(noise(10, 16))})
    rows = [HEADER, ("a\\b.png", "d", "a", ""), (" c.png", "d", "b", "")]
    assert seeds_of(read(folder, table(rows))) == {("d", "a", None): [7], ("d", "b", None): [8]}


def test_a_decomposed_file_name_is_found_by_its_composed_spelling(folder):
    write(folder, {unicodedata.normalize("NFD", "é.png"): encode(noise(7, 16))})
    data = read(folder, table([HEADER, ("é.png", "d", "a", "")]))
    assert seeds_of(data) == {("d", "a", None): [7]}


@pytest.mark.parametrize("name", [" ../img/0.png", "..\\img\\0.png ", "\u200b/etc/passwd"])
def test_spaces_do_not_hide_a_path_out_of_the_folder(folder, name):
    with pytest.raises(DataError, match=r"line 2: file_name .* leaves the manifest's folder"):
        read(folder, table([HEADER, (name, "d", "a", "")]))


@pytest.mark.parametrize(
    "again", ["./img/0.png", "img//0.png", "img\\0.png", " img/0.png", "link.png"]
)
def test_one_picture_under_two_spellings_of_its_name_counts_once(folder, again):
    (folder / "link.png").symlink_to(folder / "img" / "0.png")
    rows = [HEADER, ("img/0.png", "d", "a", ""), ("img/1.png", "d", "a", ""), (again, "d", "a", "")]
    data = read(folder, table(rows))
    assert seeds_of(data) == {("d", "a", None): [0, 1]}
    assert data.notes[0].startswith("left out: line 4 repeats ")


def test_a_picture_in_two_classes_or_two_splits_is_noted(folder):
    rows = [HEADER, ("img/0.png", "d", "a", "train"), ("img/0.png", "d", "b", "train")]
    data = read(folder, table([*rows, ("img/0.png", "d", "a", "test")]))
    assert (
        "labels: 1 picture is listed in more than one class, such as 0.png in d/a, d/b"
        in data.notes
    )
    assert data.notes[0] == "leak: line 4 repeats img/0.png of line 2 in another split"
    assert "left out: line 4 repeats img/0.png of line 2" in data.notes


def test_a_list_in_every_split_folder_gives_the_split(tmp_path):
    folder = write(
        tmp_path,
        {
            "train/0.png": encode(noise(0, 16)),
            "test/0.png": encode(noise(1, 16)),
            "train/metadata.csv": b"file_name,domain,label\n0.png,latin,a\n",
            "test/metadata.jsonl": b'{"file_name": "0.png", "domain": "greek", "label": "b"}',
        },
    )
    data = load(settings(folder, "manifest"))
    assert seeds_of(data) == {("greek", "b", "test"): [1], ("latin", "a", "train"): [0]}
    assert set(data.origin["sha256"]) == {"train/metadata.csv", "test/metadata.jsonl"}


def test_a_list_of_a_split_folder_without_the_needed_columns_or_with_another_split_is_named(
    tmp_path,
):
    folder = write(
        tmp_path, {"train/0.png": png(), "train/metadata.csv": b"file_name,label\n0.png,a\n"}
    )
    with pytest.raises(
        DataError, match=r"train/metadata\.csv, line 1: no column domain; columns ar"
    ):
        load(settings(folder, "manifest"))
    write(folder, {"train/metadata.csv": b"file_name,domain,label,split\n0.png,d,a,test\n"})
    with pytest.raises(DataError, match="line 2: split 'test', but the folder is called train"):
        load(settings(folder, "manifest"))


def test_several_lists_are_refused_as_one_would_hide_the_other(folder):
    write(folder, {"metadata.csv": table().encode(), "manifest.jsonl": b""})
    with pytest.raises(DataError, match=r"holds metadata\.csv, manifest\.jsonl; name the one that"):
        load(settings(folder, "manifest"))
    (folder / "manifest.jsonl").unlink()
    write(folder, {"train/metadata.csv": b""})
    with pytest.raises(DataError, match=r"holds metadata\.csv, train/metadata\.csv; name"):
        load(settings(folder, "manifest"))
    assert seeds_of(load(settings(folder / "metadata.csv", "manifest"))) == EXPECTED


def test_the_lists_and_the_pictures_that_a_path_reads_can_be_asked_for(folder):
    (folder / "metadata.csv").write_text(table(delimiter=";"), encoding="utf-16")
    assert manifest_files(folder) == [folder / "metadata.csv"]
    assert listed_files(folder / "metadata.csv") == [folder / f"img/{n}.png" for n in range(4)]
    (folder / "metadata.csv").write_text("nothing\n")
    assert listed_files(folder / "metadata.csv") == []


def test_pictures_behind_links_of_the_hubs_cache_are_read_and_other_links_out_are_not(tmp_path):
    repo = write(tmp_path / "datasets--me--letters", {"blobs/ab12": encode(noise(3, 16))})
    folder = write(repo / "snapshots" / ("0a" * 20), {"1.png": encode(noise(4, 16))})
    (folder / "0.png").symlink_to("../../blobs/ab12")
    (folder / "2.png").symlink_to(write(tmp_path / "other", {"blobs/cd": png()}) / "blobs" / "cd")
    rows = [HEADER, *((f"{n}.png", "d", "a", "") for n in range(3))]
    data = read(folder, table(rows))
    assert seeds_of(data) == {("d", "a", None): [3, 4]}
    assert data.notes == ("left out: line 4, 2.png: a link out of the data folder; not followed",)


def test_a_loop_of_links_is_left_out_like_a_missing_picture(folder):
    (folder / "img" / "loop.png").symlink_to("loop.png")
    data = read(folder, table([HEADER, *ROWS, ("img/loop.png", "greek", "a", "test")]))
    assert len(data.notes) == 1
    assert "img/loop.png: cannot be read" in data.notes[0]


def test_a_json_line_without_a_needed_key_lists_those_that_it_has(folder):
    with pytest.raises(
        DataError, match="line 1: no domain; there are file_name, class; needed are"
    ):
        read(folder, '{"file_name": "img/0.png", "class": "a"}', "metadata.jsonl")


def test_half_a_character_is_refused_in_a_file_name_and_spelled_out_in_a_label(folder):
    row = {"file_name": "img/0.png", "domain": "d", "label": "\ud800"}
    assert list(seeds_of(read(folder, json.dumps(row), "metadata.jsonl"))) == [
        ("d", "\\ud800", None)
    ]
    with pytest.raises(DataError, match=r"line 1: file_name .* holds half a character"):
        read(folder, json.dumps({**row, "file_name": "\ud800.png"}), "metadata.jsonl")
