"""Folders of npz files, and arrays under other names: which picture is of which class."""

import numpy as np
import pytest

from metagan.data.dataset import DataError
from metagan.data.registry import load_dataset
from metagan.kinds.image.sources.npz import load, npz_files
from tests.kinds.image.pictures import noise, png, seeds_of, settings, write


def pictures(*seeds):
    return np.stack([noise(seed, 16) for seed in seeds])


def save(path, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path


def plain(path, seeds, labels):
    return save(path, images=pictures(*seeds), labels=np.array(labels))


def read(path):
    return load(settings(path, "npz"))


@pytest.mark.parametrize("place", ["", "medmnist/"])
def test_every_file_of_a_folder_is_a_domain_with_classes_of_its_own(tmp_path, place):
    for n, name in enumerate(("blood", "chest", "derma")):
        save(
            tmp_path / f"{place}{name}mnist.npz",
            train_images=pictures(5 * n, 5 * n + 1),
            train_labels=np.array([[1], [0]]),
            val_images=pictures(5 * n + 2),
            val_labels=np.array([[0]]),
            test_images=pictures(5 * n + 3, 5 * n + 4),
            test_labels=np.array([[1], [1]]),
        )
    data = load_dataset(settings(tmp_path))
    assert seeds_of(data) == {
        ("bloodmnist", "0", None): [1, 2],
        ("bloodmnist", "1", None): [0, 3, 4],
        ("chestmnist", "0", None): [6, 7],
        ("chestmnist", "1", None): [5, 8, 9],
        ("dermamnist", "0", None): [11, 12],
        ("dermamnist", "1", None): [10, 13, 14],
    }
    assert set(data.origin["sha256"]) == {
        f"{place}{n}mnist.npz" for n in ("blood", "chest", "derma")
    }


@pytest.mark.parametrize(
    "names", [("train", "test"), ("hands-train", "hands_test"), ("train/hands", "test/hands")]
)
def test_files_called_like_splits_are_parts_of_one_domain(tmp_path, names):
    plain(tmp_path / "hands" / f"{names[0]}.npz", [0, 1], ["a", "b"])
    plain(tmp_path / "hands" / f"{names[1]}.npz", [2, 3], ["b", "a"])
    data = read(tmp_path / "hands")
    found = {key: sorted(seeds) for key, seeds in seeds_of(data).items()}
    assert found == {("hands", "a", None): [0, 3], ("hands", "b", None): [1, 2]}
    assert data.notes[-1].startswith("splits: parts merged")


def test_files_of_one_name_in_several_folders_are_several_domains(tmp_path):
    plain(tmp_path / "blood" / "images.npz", [0], [0])
    plain(tmp_path / "skin" / "images.npz", [1], [0])
    assert seeds_of(read(tmp_path)) == {("blood", "0", None): [0], ("skin", "0", None): [1]}


def test_a_split_of_classes_is_kept(tmp_path):
    path = save(
        tmp_path / "glyphs.npz",
        train_images=pictures(0, 1),
        train_labels=[0, 1],
        test_images=pictures(2),
        test_labels=[2],
    )
    data = read(path)
    assert seeds_of(data) == {
        ("glyphs", "0", "train"): [0],
        ("glyphs", "1", "train"): [1],
        ("glyphs", "2", "test"): [2],
    }
    assert data.notes == ()


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("train_x", "train_y", "test_x", "test_y"),
        ("train_images", "train_targets", "test-images", "test-labels"),
        ("training_data", "training_target", "testing_data", "testing_target"),
        ("X", "y", "X_val", "y_val"),
    ],
)
def test_other_usual_names_are_read(tmp_path, names):
    values = (pictures(0, 1), [0, 1], pictures(2), [0])
    path = save(tmp_path / "d.npz", **dict(zip(names, values, strict=True)))
    assert seeds_of(read(path)) == {("d", "0", None): [0, 2], ("d", "1", None): [1]}


def test_the_usual_name_is_taken_where_another_would_do_as_well(tmp_path):
    # scikit-learn's digits: data holds the same pictures, flat.
    path = save(
        tmp_path / "digits.npz",
        data=pictures(5, 6).reshape(2, -1),
        images=pictures(0, 1),
        target=[7, 9],
        target_names=np.arange(10),
    )
    assert seeds_of(read(path)) == {("digits", "7", None): [0], ("digits", "9", None): [1]}


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        (
            {"x": pictures(0), "data": pictures(1), "y": [0]},
            "x, data may all be the images; call the right one images; arrays are data, x, y$",
        ),
        (
            {"images": pictures(0), "y": [0], "target": [1]},
            "y, target may all be the labels; call the right one labels; arrays are images, target",
        ),
        ({"arr_0": pictures(0), "arr_1": [0]}, "no array images or .*; arrays are arr_0, arr_1$"),
        (
            {"x_train": pictures(0), "y_test": [0]},
            "has x_train but no train_labels; arrays are x_t",
        ),
        (
            {f"a{n}": [0] for n in range(12)},
            "arrays are a0, a1, a10, a11, a2, a3, a4, a5, a6, a7, a8, a9$",
        ),
        (
            {"images": pictures(0, 1), "labels": np.eye(2)},
            r"labels has shape \(2, 2\); .*; they are one-hot: save labels.argmax\(axis=1\)$",
        ),
        (
            {"images": pictures(0, 1), "labels": np.array([[1, 1, 0], [0, 0, 0]])},
            r"shape \(2, 3\); .*; a picture with several labels is in no single class: leave",
        ),
        ({"images": pictures(0), "labels": [np.nan]}, "labels is float64 and holds nan"),
        ({"images": pictures(0), "labels": [-1.0]}, "negative label -1"),
        ({"images": pictures(0), "labels": [" "]}, "labels holds an empty label"),
        ({"images": pictures(0).reshape(1, -1), "labels": [0]}, r"shape \(1, 256\); .* reshape it"),
        (
            {"images": pictures(0), "labels": np.array([b"\xff"])},
            "labels holds text that is not UTF",
        ),
    ],
)
def test_arrays_that_could_be_meant_in_two_ways_or_fit_none_are_listed(tmp_path, arrays, reason):
    with pytest.raises(DataError, match=reason):
        read(save(tmp_path / "d.npz", **arrays))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.array([1.0, 2.0, 1.0], np.float32), ["1", "2"]),
        (np.array([True, False, True]), ["1", "0"]),
        (np.array([b"a", b"b", b"a"]), ["a", "b"]),
        (np.array(["c0", "c1", "c0 "]), ["c0", "c1"]),
        (np.array(["e\u0301", "b", "\xa0é"]), ["é", "b"]),
        (np.array([["a"], ["b"], ["a"]]), ["a", "b"]),
    ],
)
def test_labels_of_every_type_are_one_class_for_one_name(tmp_path, labels, expected):
    path = save(tmp_path / "d.npz", images=pictures(0, 1, 2), labels=labels)
    one, other = expected
    assert seeds_of(read(path)) == {("d", one, None): [0, 2], ("d", other, None): [1]}


def test_names_that_were_changed_or_may_be_one_are_noted(tmp_path):
    path = plain(tmp_path / "d.npz", [0, 1, 2], ["Cat", "cat ", "dog"])
    assert [note[:30] for note in read(path).notes] == [
        "labels: 1 value was changed, a",
        "labels: do you mean one class?",
    ]


def test_numbers_and_text_as_labels_of_one_domain_are_refused(tmp_path):
    plain(tmp_path / "d" / "train.npz", [0], ["a"])
    plain(tmp_path / "d" / "test.npz", [1], [0])
    with pytest.raises(DataError, match=r"labels is <U1, but test\.npz:labels is int64, and both"):
        read(tmp_path / "d")


def test_one_set_in_two_sizes_is_refused_as_a_leak(tmp_path):
    plain(tmp_path / "blood.npz", [0, 1], [0, 1])
    large = np.kron(pictures(0, 1), np.ones((1, 4, 4), np.uint8))
    save(tmp_path / "blood_64.npz", images=large, labels=[0, 1])
    with pytest.raises(DataError, match=r"blood_64\.npz: the same set as blood\.npz, in another"):
        read(tmp_path)
    plain(tmp_path / "blood_64.npz", [2, 3], [0, 1])
    assert read(tmp_path).domains == ("blood", "blood_64")
    (tmp_path / "blood.npz").unlink()
    for size in (32, 64):
        larger = np.kron(pictures(0, 1), np.ones((1, size // 16, size // 16), np.uint8))
        save(tmp_path / f"blood_{size}.npz", images=larger, labels=[0, 1])
    with pytest.raises(DataError, match=r"blood_64\.npz: the same set as blood_32\.npz, in an"):
        read(tmp_path)


def test_a_file_without_pictures_or_a_damaged_one_fails_the_folder_and_is_named(tmp_path):
    plain(tmp_path / "a.npz", [0], [0])
    save(tmp_path / "b.npz", images=np.zeros((0, 16, 16), np.uint8), labels=np.zeros(0, int))
    with pytest.raises(DataError, match=r"b\.npz: no samples found"):
        read(tmp_path)
    write(tmp_path, {"b.npz": b"PK\x03\x04garbage"})
    with pytest.raises(DataError, match=r"b\.npz: not npz, or damaged"):
        read(tmp_path)


def test_floats_of_every_file_have_a_range_of_their_own(tmp_path):
    save(tmp_path / "a.npz", images=np.full((1, 16, 16), 1.0), labels=[0])
    save(tmp_path / "b.npz", images=np.full((1, 16, 16), 51.0), labels=[0])
    assert [int(value) for value in read(tmp_path).samples[:, 0, 0, 0]] == [255, 51]


def test_links_hidden_files_and_deeper_folders_are_no_part_of_a_folder(tmp_path):
    folder = tmp_path / "sets"
    plain(folder / "a.npz", [0], [0])
    plain(folder / "deep" / "deeper" / "b.npz", [1], [0])
    write(folder, {"._a.npz": b"a Mac's notes"})
    (folder / "c.npz").symlink_to(plain(tmp_path / "c.npz", [2], [0]))
    data = read(folder)
    assert seeds_of(data) == {("a", "0", None): [0]}
    assert data.notes == (f"files left out: c.npz: a link to {tmp_path / 'c.npz'}; not followed",)
    assert npz_files(folder) == [folder / "a.npz"]
    (folder / "a.npz").unlink()
    with pytest.raises(DataError, match=r"sets: holds only links \(c\.npz: a link to"):
        read(folder)
    (folder / "c.npz").unlink()
    with pytest.raises(DataError, match=r"sets: holds no \.npz file"):
        read(folder)


def test_links_of_the_hubs_cache_are_read(tmp_path):
    repo = tmp_path / "datasets--me--hands"
    blob = plain(repo / "blobs" / "ab.npz", [0], ["a"])
    link = repo / "snapshots" / ("0a" * 20) / "hands.npz"
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    assert seeds_of(read(link.parent)) == {("hands", "a", None): [0]}


def test_a_loop_of_links_is_named_and_no_crash(tmp_path):
    (tmp_path / "loop.npz").symlink_to("loop.npz")
    with pytest.raises(DataError, match=r"holds only links \(loop\.npz: a link to "):
        read(tmp_path)
    plain(tmp_path / "hands.npz", [0], ["a"])
    assert seeds_of(read(tmp_path)) == {("hands", "a", None): [0]}


def test_pictures_beside_npz_files_are_another_layout_that_has_to_be_named(tmp_path):
    write(tmp_path, {"latin/a/0.png": png(), "latin/b/0.png": png(1)})
    plain(tmp_path / "features.npz", [0], [0])
    with pytest.raises(DataError, match=r"npz files.*data\.source=npz.*data\.source=image_folder"):
        load_dataset(settings(tmp_path))
    assert load_dataset(settings(tmp_path, "image_folder")).domains == ("latin",)


def test_a_domain_called_by_a_splits_word_is_a_domain_unless_another_part_is_there(tmp_path):
    for n, name in enumerate(("novel", "poem")):
        plain(tmp_path / "books" / f"{name}.npz", [2 * n, 2 * n + 1], ["a", "b"])
    data = read(tmp_path / "books")
    assert [record.name for record in data.classes] == ["novel/a", "novel/b", "poem/a", "poem/b"]
    assert data.notes[0].startswith("splits: read as domains with a split's word: novel;")
    (tmp_path / "books" / "poem.npz").rename(tmp_path / "books" / "base.npz")
    assert {record.domain for record in read(tmp_path / "books").classes} == {"books"}


def test_a_part_of_a_split_beside_other_files_is_refused_as_in_folders(tmp_path):
    for n, name in enumerate(("train", "test", "latin")):
        plain(tmp_path / f"{name}.npz", [2 * n, 2 * n + 1], ["a", "b"])
    with pytest.raises(DataError, match="test, train are called like parts of a split, but latin"):
        read(tmp_path)
