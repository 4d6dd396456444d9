"""Which names are those of a split's parts."""

import pytest

from metagan.data.dataset import ClassRecord, DataError
from metagan.data.paths.identity import file_roles
from metagan.data.paths.split_words import (
    canonical_split,
    is_fold,
    names_of_parts,
    split_domain_notes,
    split_name,
)
from metagan.kinds.image.sources.layout import find_layout


@pytest.mark.parametrize(
    ("word", "split"),
    [
        ("train", "train"),
        ("Train", "train"),
        ("TRAINING_SET", "train"),
        ("train-images", "train"),
        ("trainset", "train"),
        ("train2017", "train"),
        ("01_train", "train"),
        ("base", "train"),
        ("meta-train", "train"),
        ("train_val", "train"),
        ("val2017", "validation"),
        ("ValidationData", "validation"),
        ("dev", "validation"),
        ("TEST ", "test"),
        ("test_images", "test"),
        ("testing (1)", "test"),
        ("novel", "test"),
        ("eval-set", "test"),
    ],
)
def test_the_words_of_publishers_are_understood(word, split):
    assert canonical_split(word) == split


OTHERS = (
    "latest contest trainee Testa invalid baseline novels data images latin-test trainA train_test "
    "set1 1 holdout"
)


@pytest.mark.parametrize("word", OTHERS.split())
def test_other_words_are_no_splits(word):
    assert canonical_split(word) is None


def test_what_a_name_says_besides_its_split_is_kept():
    assert split_name("trainA").rest == "A"
    assert split_name("val2017").rest == ""
    assert split_name("2017_val").rest == "2017"
    assert split_name("old_latin-train_2").rest == "old_latin"
    assert split_name("Old-Latin.test").rest == "Old-Latin"


def test_names_are_parts_of_a_split_only_if_all_of_them_are():
    assert names_of_parts({"base", "val", "novel"})["novel"].split == "test"
    assert names_of_parts({"latin-train", "latin-test"})["latin-test"].rest == "latin"
    assert names_of_parts({"fold1", "fold2", "test"})["fold1"].split == "train"
    assert names_of_parts({"train", "latin"}) is None
    assert names_of_parts({"novel", "poem"}) is None
    assert names_of_parts({"blood-test", "skin-test"}) is None
    assert names_of_parts({"test-tube", "train-station"}) is None


FOLDERS_AND_FILES = [
    # The hub, MedMNIST, COCO, ImageNet, CycleGAN, Roboflow, few-shot learning, torchvision, Kaggle.
    ("train test", "train:root test:root"),
    ("Train Val Test", "train:root validation:root test:root"),
    ("training_set test_set", "train:root test:root"),
    ("train2017 val2017", "train:root validation:root"),
    ("train valid test", "train:root validation:root test:root"),
    ("base val novel", "train:root validation:root test:root"),
    ("base novel", "train:root test:root"),
    ("seen unseen", "train:root test:root"),
    ("meta-train meta-test", "train:root test:root"),
    ("trainval test", "train:root test:root"),
    ("trainA trainB testA testB", "train:A train:B test:A test:B"),
    ("latin_train latin_test greek_train", "train:latin test:latin train:greek"),
    ("old-latin-train old-latin-test", "train:old-latin test:old-latin"),
    ("pets-train1 pets-train2 pets-test", "train:pets train:pets test:pets"),
    ("2019-train 2019-test 2020-train", "train:2019 test:2019 train:2020"),
    ("fold1 fold2 fold3", ":root :root :root"),
    ("fold1 fold2 test", "train:root train:root test:root"),
    # Two parts of one thing beside others, which are in no split.
    ("latin-train latin-test greek", "train:latin test:latin :greek"),
    # Words that are names here.
    ("novel poem", ":novel :poem"),
    ("valid invalid", ":valid :invalid"),
    ("seen heard", ":seen :heard"),
    ("base summit", ":base :summit"),
    ("dev ops", ":dev :ops"),
    ("novel essay-novel", ":novel :essay-novel"),
    ("latin latin-test", ":latin :latin-test"),
    ("blood-train skin-test", ":blood-train :skin-test"),
    ("crash-test greek", ":crash-test :greek"),
    ("test-tube train-station", ":test-tube :train-station"),
]


@pytest.mark.parametrize(("names", "expected"), FOLDERS_AND_FILES)
def test_folders_and_files_of_the_same_names_are_the_same_domains_and_splits(names, expected):
    names = names.split()
    folders = {(name, label): ["0.png"] for name in names for label in "ab"}
    places = find_layout(folders, "/data", "root").places
    roles, _ = file_roles([(name,) for name in names], "root")
    of_folders = [f"{place.split or ''}:{place.domain}" for place in places.values()][::2]
    assert of_folders == expected.split()
    assert [f"{role.split or ''}:{role.domain}" for role in roles] == expected.split()


@pytest.mark.parametrize("names", ["test latin", "train val_2 latin", "train latin-train latin"])
def test_plain_names_of_parts_beside_others_are_refused_in_folders_and_in_files(names):
    names = names.split()
    with pytest.raises(DataError, match=r"(test|train) is called|train, val_2 are called"):
        find_layout({(name, "a"): ["0.png"] for name in names}, "/data", "root")
    with pytest.raises(DataError, match="of a split, but latin"):
        file_roles([(name,) for name in names], "root")


def test_one_word_that_can_mean_other_things_is_a_name_where_it_stands_alone():
    assert names_of_parts({"novel"}) is None
    assert names_of_parts({"novel", "unseen"}) is None
    assert names_of_parts({"novel", "train"}) is not None
    assert names_of_parts({"test"}) is not None


def test_folds_are_known_by_their_numbers():
    assert all(map(is_fold, ["fold1", "Fold_10", "split-a", "cv3", "part 2"]))
    assert not any(
        map(is_fold, ["folder1", "fold", "splitter", "folds of cloth", "parts", "PARTY"])
    )


def notes_on(*names):
    return split_domain_notes(ClassRecord(*name.split("/")) for name in names)


@pytest.mark.parametrize(
    "domains",
    [("train", "test"), ("latin", "latin_test"), ("fold1", "fold2"), ("trainA", "valA")],
)
def test_equal_classes_of_domains_that_look_like_parts_are_a_leak(domains):
    [note] = notes_on(*(f"{domain}/{label}" for domain in domains for label in "ab"))
    assert note.startswith("leak by construction")
    assert "2 classes of the same name" in note
    assert all(domain in note for domain in domains)


def test_domains_of_other_names_or_with_other_classes_are_none():
    assert notes_on("latin-train/a", "latin-test/b") == []
    assert notes_on("hospital1/a", "hospital2/a", "hospital3/a") == []
    assert notes_on("blood-test/a", "skin-test/a") == []
    known = [ClassRecord("train", "a", "train"), ClassRecord("test", "a", "test")]
    assert split_domain_notes(known) == []
