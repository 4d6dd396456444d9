"""The in-memory form of all data."""

import numpy as np
import pytest

from metagan.data.dataset import ClassRecord, DataError, Dataset
from tests.helpers import bars


def pictures(count: int, value: int) -> np.ndarray:
    return np.full((count, 1, 4, 4), value, np.uint8)


def test_classes_are_sorted_by_domain_then_label_and_keep_their_samples():
    dataset = Dataset.from_classes(
        {
            ClassRecord("b", "x"): pictures(2, 1),
            ClassRecord("a", "y"): pictures(3, 2),
            ClassRecord("a", "x"): pictures(1, 3),
        }
    )
    assert [record.name for record in dataset.classes] == ["a/x", "a/y", "b/x"]
    assert dataset.offsets.tolist() == [0, 1, 4, 6]
    assert [dataset.count(i) for i in range(3)] == [1, 3, 2]
    assert [int(dataset.class_samples(i)[0, 0, 0, 0]) for i in range(3)] == [3, 2, 1]
    assert dataset.classes_of("a") == (0, 1)
    assert dataset.domains == ("a", "b")
    assert dataset.sample_shape == (1, 4, 4)


def test_samples_cannot_be_written_to_and_classes_are_views():
    dataset = bars(1, 2, 3)
    with pytest.raises(ValueError, match="read-only"):
        dataset.class_samples(0)[0] = 0
    assert np.shares_memory(dataset.class_samples(1), dataset.samples)


def test_a_class_without_samples_is_refused():
    with pytest.raises(DataError, match="at least one class"):
        Dataset.from_classes({ClassRecord("a", "x"): pictures(0, 0)})
    with pytest.raises(DataError, match="at least one class"):
        Dataset.from_classes({})


def test_unsorted_or_repeated_classes_and_wrong_offsets_are_refused():
    a, b = ClassRecord("a", "x"), ClassRecord("b", "x")
    with pytest.raises(ValueError, match="sorted"):
        Dataset(pictures(2, 0), np.array([0, 1, 2]), (b, a))
    with pytest.raises(ValueError, match="unique"):
        Dataset(pictures(2, 0), np.array([0, 1, 2]), (a, a))
    with pytest.raises(ValueError, match="offsets"):
        Dataset(pictures(3, 0), np.array([0, 1, 2]), (a, b))


def test_two_classes_whose_joined_names_are_equal_are_refused():
    with pytest.raises(ValueError, match="unique"):
        Dataset.from_classes(
            {ClassRecord("a/b", "c"): pictures(1, 0), ClassRecord("a", "b/c"): pictures(1, 0)}
        )


def test_the_fingerprint_reads_every_pixel_name_and_split():
    def build(value: int = 1, label: str = "x", split: str | None = None) -> str:
        samples = pictures(2, 0)
        samples[1, 0, 3, 3] = value
        return Dataset.from_classes({ClassRecord("a", label, split): samples}).fingerprint()

    assert build() == build()
    assert len({build(), build(value=2), build(label="y"), build(split="train")}) == 4
    assert bars().fingerprint() == bars().fingerprint()


def test_groups_are_a_part_of_the_fingerprint_where_there_are_any():
    def build(*groups: str | None) -> str:
        records = [ClassRecord(d, "x", None, g) for d, g in zip("ab", groups, strict=True)]
        return Dataset.from_classes(
            {r: pictures(1, i) for i, r in enumerate(records)}
        ).fingerprint()

    plain = {ClassRecord("a", "x"): pictures(1, 0), ClassRecord("b", "x"): pictures(1, 1)}
    assert build(None, None) == Dataset.from_classes(plain).fingerprint()
    assert len({build(None, None), build("g", None), build("g", "g"), build("g", "h")}) == 4


def test_all_classes_of_a_domain_have_one_group():
    one, other = ClassRecord("a", "x", None, "g"), ClassRecord("a", "y", None, "h")
    with pytest.raises(ValueError, match="classes of a are in the groups g and h"):
        Dataset.from_classes({one: pictures(1, 0), other: pictures(1, 1)})
    odd = ClassRecord("a", "x", None, 3)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="group must be text or None"):
        Dataset.from_classes({odd: pictures(1, 0)})
    dataset = Dataset.from_classes({one: pictures(1, 0), ClassRecord("b", "x"): pictures(1, 1)})
    assert (dataset.group_of("a"), dataset.group_of("b")) == ("g", None)


def test_the_fingerprint_tells_where_classes_end():
    a, b = ClassRecord("a", "x"), ClassRecord("a", "y")
    one = Dataset.from_classes({a: pictures(1, 0), b: pictures(3, 0)})
    other = Dataset.from_classes({a: pictures(2, 0), b: pictures(2, 0)})
    assert one.fingerprint() != other.fingerprint()


def test_the_fingerprint_of_pictures_is_that_of_earlier_versions():
    # Runs keep it, and are refused on data with another one.
    assert bars().fingerprint() == (
        "8d1d6878fc545c5b7ed6aa21db32d31d19bbbfde7af0182ba0e6d8ffa1e5ff40"
    )
    dataset = Dataset.from_classes(
        {
            ClassRecord("b", "x", "test"): np.arange(32, dtype=np.uint8).reshape(2, 1, 4, 4),
            ClassRecord("a", "y"): pictures(1, 7),
        }
    )
    assert dataset.fingerprint() == (
        "06c423164f73ef7b5e4cee15dba62a26fd72fb8bf9d2ae183032311f5ece4c51"
    )
