"""Parquet folders as the hub publishes them: which row becomes which domain, class and split."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metagan.data.dataset import DataError
from metagan.data.paths.named_files import named_files
from metagan.data.registry import load_dataset
from metagan.kinds.image.sources.parquet import load
from tests.kinds.image.pictures import encode, noise, seeds_of, settings, write


def hub(**names):
    features = {column: {"_type": "ClassLabel", "names": found} for column, found in names.items()}
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


def save(root, name, seeds, labels, metadata=None, **columns):
    path = root / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": encode(noise(seed, 16)), "path": f"{seed}.png"} for seed in seeds]
    table = pa.table({"image": images, "label": labels, **columns})
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


def read(path):
    return load(settings(path, "parquet"))


def test_configurations_of_the_hub_are_domains_even_where_their_labels_are_bare_numbers(tmp_path):
    for n, name in enumerate(("blood", "skin")):
        save(tmp_path, f"{name}/train-00000-of-00001", [4 * n, 4 * n + 1], [0, 1])
        save(tmp_path, f"{name}/test-00000-of-00001", [4 * n + 2], [0])
    assert seeds_of(read(tmp_path)) == {
        ("blood", "0", None): [2, 0],
        ("blood", "1", None): [1],
        ("skin", "0", None): [6, 4],
        ("skin", "1", None): [5],
    }


@pytest.mark.parametrize(
    "places",
    [
        ("data/train-00000-of-00001-a09b74b3ef9c3b56", "data/test-00000-of-00001-0123456789abcdef"),
        ("data/train-00000-of-00001", "data/test-00000-of-00001"),
        ("default/train/0000", "default/test/0000"),
        ("train/part-0", "test/part-0"),
        ("letters-train", "letters-test"),
        ("letters/training", "letters/testing"),
    ],
)
def test_train_and_test_are_splits_of_one_domain_wherever_the_words_stand(tmp_path, places):
    save(tmp_path / "letters", places[0], [0, 1], ["a", "b"])
    save(tmp_path / "letters", places[1], [2], ["c"])
    assert seeds_of(load_dataset(settings(tmp_path / "letters"))) == {
        ("letters", "a", "train"): [0],
        ("letters", "b", "train"): [1],
        ("letters", "c", "test"): [2],
    }


def test_a_single_file_of_the_hub_is_called_like_its_data_set(tmp_path):
    path = save(tmp_path / "letters" / "data", "train-00000-of-00001", [0], ["a"])
    assert seeds_of(read(path)) == {("letters", "a", None): [0]}


def test_names_that_differ_between_the_files_of_one_domain_are_refused(tmp_path):
    save(tmp_path, "d-00000-of-00002", [0, 1], [0, 1], hub(label=["cat", "dog"]))
    save(tmp_path, "d-00001-of-00002", [2, 3], [0, 1], hub(label=["dog", "cat"]))
    with pytest.raises(
        DataError,
        match=r"00001-of-00002\.parquet: its labels are numbers named dog, cat, those of d-0.* d;",
    ):
        read(tmp_path)


@pytest.mark.parametrize("other", [hub(label=["cat", "dog"]), "text"])
def test_bare_numbers_beside_named_labels_of_one_domain_are_refused(tmp_path, other):
    save(tmp_path, "train", [0], [0])
    if other == "text":
        save(tmp_path, "test", [1], ["cat"])
    else:
        save(tmp_path, "test", [1], [0], other)
    with pytest.raises(DataError, match=r"its labels are numbers without names, those of test\.pa"):
        read(tmp_path)


def test_equal_names_in_other_files_and_names_written_as_text_are_one_class(tmp_path):
    save(tmp_path, "d-00000-of-00003", [0, 1], [0, 1], hub(label=["cat", "dog"]))
    save(tmp_path, "d-00001-of-00003", [2], [1], hub(label=["cat", "dog"]))
    save(tmp_path, "d-00002-of-00003", [3], ["cat"])
    assert seeds_of(read(tmp_path)) == {("d", "cat", None): [0, 3], ("d", "dog", None): [1, 2]}


def test_a_split_of_classes_may_name_other_classes_in_its_other_part(tmp_path):
    save(tmp_path / "d", "train", [0, 1], [0, 1], hub(label=["a", "b"]))
    save(tmp_path / "d", "test", [2], [0], hub(label=["c"]))
    assert seeds_of(read(tmp_path / "d")) == {
        ("d", "a", "train"): [0],
        ("d", "b", "train"): [1],
        ("d", "c", "test"): [2],
    }


def test_equal_numbers_with_other_names_in_other_domains_stay_apart(tmp_path):
    save(tmp_path, "blood/train", [0, 1], [0, 1], hub(label=["red", "white"]))
    save(tmp_path, "skin/train", [2, 3], [0, 1], hub(label=["mole", "scar"]))
    assert seeds_of(read(tmp_path)) == {
        ("blood", "red", None): [0],
        ("blood", "white", None): [1],
        ("skin", "mole", None): [2],
        ("skin", "scar", None): [3],
    }


def test_numbers_of_the_domain_and_split_columns_are_named_like_labels(tmp_path):
    save(
        tmp_path,
        "d",
        [0, 1, 2],
        [0, 0, 0],
        hub(label=["a"], domain=["latin", "greek"], split=["train", "test"]),
        domain=[1, 0, 1],
        split=[0, 1, 0],
    )
    assert seeds_of(read(tmp_path)) == {
        ("greek", "a", "train"): [0, 2],
        ("latin", "a", "test"): [1],
    }


def test_two_numbers_with_one_name_are_refused(tmp_path):
    save(tmp_path, "d", [0], [0], hub(label=["cat", "dog", "cat "]))
    with pytest.raises(DataError, match="gives two labels the name cat; give every number"):
        read(tmp_path)


def test_names_are_stripped_and_composed_and_noted(tmp_path):
    save(tmp_path, "d", [0, 1, 2], ["c0", "c0 ", "\xa0c1"], domain=["x", " x", "x"])
    data = read(tmp_path)
    assert seeds_of(data) == {("x", "c0", None): [0, 1], ("x", "c1", None): [2]}
    assert [note.split(" changed")[0] for note in data.notes] == [
        "domains: 1 value was",
        "labels: 2 values were",
    ]


def test_names_of_the_files_metadata_are_stripped_too(tmp_path):
    save(tmp_path, "a-00000-of-00002", [0], [0], hub(label=["c0 "]))
    save(tmp_path, "a-00001-of-00002", [1], ["c0"])
    assert seeds_of(read(tmp_path)) == {("a", "c0", None): [0, 1]}


TEXT = {
    "string": pa.string(),
    "large": pa.large_string(),
    "view": pa.string_view(),
    "dictionary": pa.dictionary(pa.int8(), pa.string()),
    "dictionary of large": pa.dictionary(pa.int32(), pa.large_string()),
}
BINARY = {
    "binary": pa.binary(),
    "large": pa.large_binary(),
    "view": pa.binary_view(),
    "struct of views": pa.struct([("bytes", pa.binary_view()), ("path", pa.string_view())]),
    "struct of large": pa.struct([("bytes", pa.large_binary())]),
}


@pytest.mark.parametrize("text", TEXT.values(), ids=TEXT)
@pytest.mark.parametrize("binary", BINARY.values(), ids=BINARY)
def test_every_form_of_text_and_of_bytes_is_read(tmp_path, text, binary):
    images = [encode(noise(seed, 16)) for seed in range(3)]
    rows = [{"bytes": image} for image in images] if pa.types.is_struct(binary) else images
    columns = {
        "image": pa.array(rows, binary),
        "label": pa.array(["a", "b", "a"], text),
        "domain": pa.array(["x", "y", "x"], text),
        "split": pa.array(["train", "test", "train"], text),
    }
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    assert seeds_of(read(tmp_path)) == {("x", "a", "train"): [0, 2], ("y", "b", "test"): [1]}


def test_bytes_of_a_fixed_size_are_read(tmp_path):
    images = [encode(noise(seed, 16)) for seed in range(2)]
    size = max(map(len, images))
    padded = pa.array([image.ljust(size, b"\0") for image in images], pa.binary(size))
    pq.write_table(pa.table({"image": padded, "label": ["a", "b"]}), tmp_path / "d.parquet")
    assert seeds_of(read(tmp_path)) == {("d", "a", None): [0], ("d", "b", None): [1]}


def test_floats_are_labels_where_they_are_whole_numbers(tmp_path):
    save(tmp_path, "d", [0, 1], pa.array([1.0, 2.0], pa.float32()))
    assert seeds_of(read(tmp_path)) == {("d", "1", None): [0], ("d", "2", None): [1]}
    save(tmp_path, "d", [0, 1], [1.0, float("nan")])
    with pytest.raises(DataError, match=r"d\.parquet, row 1: label is nan; a name is needed"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (
            {"img": [b""], "fine_label": [0], "coarse_label": [0]},
            r"one column 'image'; columns are img \(binary\), fine_label \(int64\), coarse_label "
            r"\(int64\); write the file again with the column that is meant called 'image'",
        ),
        ({"image": [b""], "fine_label": [0], "coarse_label": [0]}, "needs one column 'label'; col"),
        ({"image_bytes": [b""], "labels": [0]}, r"columns are image_bytes \(binary\), labels"),
        ({"image": [b""], "label": ["a"], "domain": [b"x"]}, "column 'domain' is binary"),
        ({"image": [b""], "label": ["a"], "split": [["train"]]}, "column 'split' is list"),
        ({"image": [b""], "label": [b"a"]}, "column 'label' is binary"),
    ],
)
def test_columns_that_are_missing_or_of_another_type_are_listed_not_guessed(
    tmp_path, columns, reason
):
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    with pytest.raises(DataError, match=reason):
        read(tmp_path)


def test_a_row_without_a_split_is_as_its_file_is_called(tmp_path):
    save(tmp_path / "d", "train", [0, 1], ["a", "b"], split=[None, ""])
    save(tmp_path / "d", "test", [2], ["c"], split=[" Test "])
    assert seeds_of(read(tmp_path / "d")) == {
        ("d", "a", "train"): [0],
        ("d", "b", "train"): [1],
        ("d", "c", "test"): [2],
    }


def test_a_domain_without_rows_and_a_name_that_holds_a_splits_word_are_noted(tmp_path):
    save(tmp_path, "crash-test", [0], ["a"])
    save(tmp_path, "latin", [1], ["a"])
    pq.write_table(
        pa.table({"image": pa.array([], pa.binary()), "label": pa.array([], pa.string())}),
        tmp_path / "greek.parquet",
    )
    data = read(tmp_path)
    assert data.domains == ("crash-test", "latin")
    assert data.notes[0] == "domains left out: greek, as greek.parquet holds no rows"
    assert data.notes[1].startswith("splits: read as domains with a split's word: ")


def in_hub_cache(root, name="datasets--me--letters", revision="0a" * 20):
    """A revision in which every file is a link, as `huggingface_hub` leaves it."""
    for n, split in enumerate(("train", "test")):
        blob = save(root / name / "blobs", f"{split}", [n], ["ab"[n]])
        blob.rename(blob.with_suffix(""))
        link = root / name / "snapshots" / revision / "data" / f"{split}-00000-of-00001.parquet"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../../../blobs/{split}")
    return root / name


@pytest.mark.parametrize("inside", ["", "snapshots/" + "0a" * 20])
def test_a_revision_in_the_hubs_cache_is_read_through_its_links(tmp_path, inside):
    repo = in_hub_cache(tmp_path)
    assert seeds_of(load_dataset(settings(repo / inside))) == {
        ("letters", "a", "train"): [0],
        ("letters", "b", "test"): [1],
    }


def test_two_revisions_in_the_hubs_cache_are_not_two_domains(tmp_path):
    in_hub_cache(tmp_path)
    repo = in_hub_cache(tmp_path, revision="0b" * 20)
    with pytest.raises(DataError, match=r"holds 2 revisions; name the one to read, such as data\."):
        read(repo)


def test_a_folder_of_other_links_is_refused_and_says_where_they_lead(tmp_path):
    real = save(tmp_path / "elsewhere" / "blobs", "real", [0], ["a"])
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "latin.parquet").symlink_to(real)
    (folder / "greek").symlink_to(real.parent)
    with pytest.raises(
        DataError, match=rf"holds only links \(greek: a link to {real.parent}; not followed; latin"
    ):
        read(folder)
    save(folder, "runes", [1], ["r"])
    data = read(folder)
    assert seeds_of(data) == {("runes", "r", None): [1]}
    assert [note.split(": a link")[0] for note in data.notes] == [
        "files left out: greek",
        "files left out: latin.parquet",
    ]
    assert named_files(folder, ".parquet")[0] == [folder / "runes.parquet"]


def test_hidden_files_are_no_data(tmp_path):
    save(tmp_path, "latin", [0], ["a"])
    write(tmp_path, {"._latin.parquet": b"a Mac's notes", ".cache/old.parquet": b"PAR1"})
    assert seeds_of(read(tmp_path)) == {("latin", "a", None): [0]}


def test_generated_pictures_are_data_only_where_their_file_is_named(tmp_path):
    metadata = {b"metagan": json.dumps({"generated": True, "seed": 0}).encode()}
    made = save(tmp_path, "more/samples", [0], ["a"], metadata)
    with pytest.raises(
        DataError, match=r"made by metagan generate; .* data\.path=.*samples\.parqu"
    ):
        read(tmp_path)
    data = read(made)
    assert seeds_of(data) == {("samples", "a", None): [0]}
    assert data.notes[0].startswith("generated: ")
    save(tmp_path, "latin", [1], ["a"])
    data = read(tmp_path)
    assert seeds_of(data) == {("latin", "a", None): [1]}
    assert data.notes == ("files left out: more/samples.parquet: made by metagan generate",)


def test_an_array_of_numpy_text_and_numbers_reads_like_lists(tmp_path):
    save(tmp_path, "d", [0, 1], np.array(["é", "e\u0301"]))
    assert seeds_of(read(tmp_path)) == {("d", "é", None): [0, 1]}


def sized(seed, size):
    """The picture of a seed, in a larger size."""
    return encode(noise(seed, 16).repeat(size // 16, 0).repeat(size // 16, 1))


def test_one_set_in_two_sizes_is_refused_as_a_leak_as_in_npz_files(tmp_path):
    def configurations(large_labels):
        for size, labels in ((16, [0, 1, 0]), (64, large_labels)):
            images = [sized(seed, size) for seed in range(3)]
            path = tmp_path / f"blood_{size}" / "train-00000-of-00001.parquet"
            path.parent.mkdir(exist_ok=True)
            pq.write_table(pa.table({"image": images, "label": labels}), path)

    configurations([0, 1, 0])
    with pytest.raises(
        DataError, match="the domain blood_64: the same set as blood_16, in another size"
    ):
        read(tmp_path)
    configurations([0, 1, 1])
    assert read(tmp_path).domains == ("blood_16", "blood_64")


@pytest.mark.parametrize("has_columns", [False, True])
def test_folders_named_after_the_values_of_columns_are_columns(tmp_path, has_columns):
    places = {
        "domain=kaggle/split=train/label=3/part-0": ("kaggle", "3", "train"),
        "domain=kaggle/split=test/label=a%20b/part-0": ("kaggle", "a b", "test"),
        "domain=r%C3%A9sum%C3%A9/split=train/label=3/part-0": ("résumé", "3", "train"),
    }
    for seed, (name, (domain, label, _)) in enumerate(places.items()):
        columns = {"domain": [domain], "label": [label]} if has_columns else {}
        path = tmp_path / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"image": [encode(noise(seed, 16))], **columns}), path)
    expected = {value: [seed] for seed, value in enumerate(places.values())}
    assert seeds_of(load_dataset(settings(tmp_path))) == expected
    kaggle = {key: seeds for key, seeds in expected.items() if key[0] == "kaggle"}
    assert seeds_of(read(tmp_path / "domain=kaggle")) == kaggle


def test_a_number_in_a_folders_name_has_the_name_that_the_files_metadata_give(tmp_path):
    for label in (0, 1):
        table = pa.table({"image": [encode(noise(label, 16))]})
        path = tmp_path / f"label={label}" / "part-0.parquet"
        path.parent.mkdir()
        pq.write_table(table.replace_schema_metadata(hub(label=["cat", "dog"])), path)
    name = tmp_path.name
    assert seeds_of(read(tmp_path)) == {(name, "cat", None): [0], (name, "dog", None): [1]}


def test_other_columns_in_folders_names_and_those_without_a_value_name_the_domain(tmp_path):
    save(tmp_path, "year=2020/label=a/part-0", [0], ["x"])
    save(tmp_path, "year=2021/domain=__HIVE_DEFAULT_PARTITION__/part-0", [1], ["x"])
    assert read(tmp_path).domains == (
        "year=2020",
        "year=2021/domain=__HIVE_DEFAULT_PARTITION__",
    )
