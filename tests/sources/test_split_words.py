import pytest

from metagan.dataset import ClassRecord
from metagan.sources.split_words import (
    canonical_split,
    is_fold,
    names_of_parts,
    split_domain_notes,
    split_name,
)


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
