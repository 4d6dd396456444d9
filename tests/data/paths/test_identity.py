"""Which domain and split a file is by its path."""

import pytest

from metagan.data.dataset import DataError
from metagan.data.paths.identity import file_roles, root_name


def roles(*paths):
    found, _ = file_roles([tuple(path.split("/")) for path in paths], "root")
    return [(role.domain, role.split) for role in found]


def notes_on(*paths, root="root"):
    return file_roles([tuple(path.split("/")) for path in paths], root)[1]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        # Configurations of the hub: a folder is a domain, whatever its files are called.
        (
            ["blood/train-00000-of-00001", "skin/train-00000-of-00001"],
            [("blood", "train"), ("skin", "train")],
        ),
        (
            ["blood/train/0000", "blood/test/0000", "skin/train/0000"],
            [("blood", "train"), ("blood", "test"), ("skin", "train")],
        ),
        # One configuration: the root's name, with or without a hash behind the counter.
        (
            ["data/train-00000-of-00001-a09b74b3ef9c3b56", "data/test-00000-of-00001-b1c2d3e4f5a6"],
            [("root", "train"), ("root", "test")],
        ),
        (
            ["default/train/0000", "default/partial-test/0000"],
            [("root", "train"), ("root", "test")],
        ),
        (["train-00000-of-00002", "train-00001-of-00002"], [("root", "train")] * 2),
        (
            ["validation", "dev-1", "test2017"],
            [("root", s) for s in ("validation",) * 2 + ("test",)],
        ),
        (["split=train/part-0", "split=test/part-0"], [("root", "train"), ("root", "test")]),
        (["pets_train/0000", "pets_test/0000"], [("pets", "train"), ("pets", "test")]),
        (["train-shards/part.1", "train-shards/part.2"], [("root", "train")] * 2),
        (["training set", "test_images"], [("root", "train"), ("root", "test")]),
        # A split's word beside a name counts where the other part of the name is there, too.
        (
            ["pets-train", "pets_test", "birds"],
            [("pets", "train"), ("pets", "test"), ("birds", None)],
        ),
        (["latin", "crash-test"], [("latin", None), ("crash-test", None)]),
        (["blood-train", "skin-test"], [("blood-train", None), ("skin-test", None)]),
        # Folders and stems that every file shares are no part of the name.
        (["v1/latin", "v1/runes"], [("latin", None), ("runes", None)]),
        (["blood/pictures", "skin/pictures"], [("blood", None), ("skin", None)]),
        (["a/x", "a/y", "b/x"], [("a/x", None), ("a/y", None), ("b/x", None)]),
        (["train/latin", "test/greek"], [("latin", "train"), ("greek", "test")]),
        # What stands in another folder does not decide.
        (
            ["latin/train", "latin/test", "greek/letters"],
            [("latin", "train"), ("latin", "test"), ("greek/letters", None)],
        ),
        (
            ["a/base/0000", "a/novel/0000", "b/poem/0000"],
            [("a", "train"), ("a", "test"), ("b/poem", None)],
        ),
        (["novel", "poem"], [("novel", None), ("poem", None)]),
        (["base", "novel"], [("root", "train"), ("root", "test")]),
        # Numbered parts are merged.
        (["chunk1", "chunk2"], [("root", None)] * 2),
        (["latin/fold1", "latin/fold2", "greek/fold1"], [("latin", None)] * 2 + [("greek", None)]),
        # Numbers are names, unless they count shards.
        (["1", "2"], [("1", None), ("2", None)]),
        (["2019", "2020"], [("2019", None), ("2020", None)]),
        (["001/images", "002/images"], [("001", None), ("002", None)]),
        (["0000", "0001"], [("root", None)] * 2),
        (["part-00000-c000.snappy", "part-00001-c000.snappy"], [("root", None)] * 2),
        # Two different paths are never one domain by accident.
        (["root/train", "train"], [("root/root", "train"), ("root", "train")]),
        (["data/train", "latin"], [("data", "train"), ("latin", None)]),
    ],
)
def test_the_path_without_splits_and_counters_is_the_domain(paths, expected):
    assert roles(*paths) == expected


def test_a_path_with_two_splits_is_refused():
    with pytest.raises(DataError, match="train/test-00000-of-00001: its path names two splits"):
        roles("train/test-00000-of-00001")


def test_domains_that_hold_a_splits_word_are_noted_unless_the_user_named_the_folder_so():
    (note,) = notes_on("latin", "blood-train", "a/skin-test", "0000", root="my-test")
    assert note.startswith("splits: read as domains with a split's word: a/skin-test, blood-train;")
    assert notes_on("contest", "trainers") == []


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("kanji", "kanji"),
        ("kanji/train", "kanji"),
        ("MNIST/raw", "MNIST"),
        ("data", "data"),
        ("datasets--ylecun--mnist/snapshots/" + "0a" * 20, "mnist"),
    ],
)
def test_a_folder_gives_its_name_unless_it_is_a_splits_or_a_revisions(tmp_path, place, name):
    folder = tmp_path / place
    folder.mkdir(parents=True)
    assert root_name(folder) == name


@pytest.mark.parametrize(
    ("beside", "name"),
    [("base", "letters"), ("train", "letters"), ("poem", "novel"), ("", "novel")],
)
def test_a_folder_called_by_a_word_of_two_meanings_is_a_part_beside_other_parts(
    tmp_path, beside, name
):
    (tmp_path / "letters" / "novel").mkdir(parents=True)
    if beside:
        (tmp_path / "letters" / beside).mkdir()
        (tmp_path / "letters" / "annotations").mkdir()
    assert root_name(tmp_path / "letters" / "novel") == name


def test_a_single_file_is_called_like_the_folder_above_data(tmp_path):
    (tmp_path / "pets" / "data").mkdir(parents=True)
    assert root_name(tmp_path / "pets" / "data" / "train.parquet") == "pets"
