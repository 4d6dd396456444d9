"""The reference domain: the input of every pair, in no split."""

from collections.abc import Mapping

import numpy as np
import pytest

from metagan.config.image import ImageData
from metagan.config.vector import VectorData
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.data.pairs import measured_classes, reference_domain, reference_of, with_reference
from metagan.data.repeats import duplicate_notes, find_repeats
from metagan.data.splits import SPLITS, make_splits

PLAIN = dict.fromkeys(("d0", "d1", "d2", "d3", "d4", "d5"), "abc")


def dataset(
    labels: Mapping[str, str],
    *,
    reference: str | None = None,
    splits: Mapping[str, str] | None = None,
) -> Dataset:
    """Domains with a class of one picture for every letter; equal letters look alike."""
    return Dataset.from_classes(
        {
            ClassRecord(domain, label, (splits or {}).get(domain)): np.array(
                [[[[ord(label), 0], [0, 0]]]], np.uint8
            )
            for domain, letters in labels.items()
            for label in letters
        },
        origin={} if reference is None else {"reference_domain": reference},
    )


def test_every_class_is_paired_with_its_label_in_the_reference_and_the_reference_with_itself():
    data = dataset({"x": "bc", "ref": "abc", "y": "a"})
    pairs = reference_of(data, "ref")
    assert pairs.dtype == np.int64
    assert [data.classes[i].name for i in pairs] == [
        *("ref/a", "ref/b", "ref/c"),
        *("ref/b", "ref/c"),
        "ref/a",
    ]


def test_labels_that_the_reference_lacks_are_named():
    with pytest.raises(DataError) as error:
        reference_of(dataset({"x": "ad", "ref": "abc"}), "ref")
    assert str(error.value).startswith(
        "label d of domain x has no picture in data.reference_domain ref: "
    )
    with pytest.raises(DataError) as error:
        reference_of(dataset({"x": "defghij", "ref": "abc"}), "ref")
    assert "(nor have x/e, x/f, x/g, x/h, and 2 more)" in str(error.value)


def test_the_name_in_the_settings_goes_before_that_of_the_source():
    data = dataset(PLAIN, reference="d1")
    assert reference_domain(data) == "d1"
    assert reference_domain(with_reference(data, ImageData())) == "d1"
    named = with_reference(data, ImageData(reference_domain="d2"))
    assert named.origin == {"reference_domain": "d2"}
    assert named.fingerprint() == data.fingerprint()
    assert reference_domain(dataset(PLAIN)) is None
    assert with_reference(data, VectorData(path="x")) is data


def test_a_reference_that_the_data_lack_is_refused_with_the_domains_there_are():
    with pytest.raises(DataError) as error:
        with_reference(dataset(PLAIN), ImageData(reference_domain="Foo"))
    assert str(error.value) == (
        "data.reference_domain: no domain named 'Foo'; there are d0, d1, d2, d3, d4, d5"
    )
    many = dataset({f"d{number:02d}": "a" for number in range(30)})
    with pytest.raises(DataError, match=r"there are d00, .*, d19, 10 more$"):
        make_splits(many, ImageData(reference_domain="Foo"), seed=0)


@pytest.mark.parametrize("split_by", ["published", "domain", "class"])
@pytest.mark.parametrize("said_by", ["settings", "source"])
def test_the_reference_is_in_no_split(split_by, said_by):
    data = dataset(PLAIN, reference="d3" if said_by == "source" else None)
    named = {} if said_by == "source" else {"reference_domain": "d3"}
    config = ImageData(split_by=split_by, test_fraction=0.34, validation_fraction=0.33, **named)
    apart = set(data.classes_of("d3"))
    measured = [index for index in range(data.num_classes) if index not in apart]
    for seed in range(4):
        splits = make_splits(data, config, seed=seed)
        assert sorted(i for split in SPLITS for i in splits.of(split)) == measured
    assert list(measured_classes(with_reference(data, config))) == measured


def test_the_reference_cannot_be_held_out_by_name():
    data = dataset(PLAIN, reference="d3")
    for setting in ("test_domains", "validation_domains"):
        with pytest.raises(DataError, match=f"data.{setting} names 'd3', which is the reference"):
            make_splits(data, ImageData(**{setting: ("d3",)}), seed=0)


def test_a_domain_that_looks_like_the_reference_is_no_leak():
    published = {"d0": "train", "d1": "test"}
    data = dataset({"d0": "ab", "d1": "cd", "ref": "abcd"}, reference="ref", splits=published)
    assert duplicate_notes(data) == []
    assert find_repeats(data).across_published(data) == []
    data = dataset({"d0": "ab", "d1": "bc", "ref": "a"}, reference="ref", splits=published)
    assert duplicate_notes(data)[0].startswith("leak: 1 sample is byte-identical")
