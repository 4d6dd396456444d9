"""Splits: which classes are learned from, which are held out."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metagan.config.image import ImageData
from metagan.data.dataset import DataError, Dataset
from metagan.data.pairs import known_as
from metagan.data.splits import SPLITS, Splits, make_splits, splits_from_names
from tests.helpers import bars


def published(dataset: Dataset, split_of: dict[str, str | None]) -> Dataset:
    """The same data, with a publisher's split by class name or domain."""
    classes = tuple(
        dataclasses.replace(r, split=split_of.get(r.name, split_of.get(r.domain)))
        for r in dataset.classes
    )
    return dataclasses.replace(dataset, classes=classes)


def domains_of(dataset: Dataset, splits: Splits) -> list[set[str]]:
    return [{dataset.classes[i].domain for i in splits.of(split)} for split in SPLITS]


def assert_partition(dataset: Dataset, splits: Splits) -> None:
    every = [i for split in SPLITS for i in splits.of(split)]
    assert sorted(every) == list(range(dataset.num_classes))
    assert all(list(splits.of(split)) == sorted(splits.of(split)) for split in SPLITS)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    num_domains=st.integers(3, 8),
    classes=st.integers(1, 9),
    test_fraction=st.floats(0.05, 0.5),
    validation_fraction=st.floats(0.05, 0.4),
    seed=st.integers(0, 5),
)
def test_domain_splits_hold_whole_domains_out(
    num_domains, classes, test_fraction, validation_fraction, seed
):
    dataset = bars(num_domains, classes, 1, size=2)
    config = ImageData(
        split_by="domain", test_fraction=test_fraction, validation_fraction=validation_fraction
    )
    splits = make_splits(dataset, config, seed=seed)
    assert_partition(dataset, splits)
    train, validation, test = domains_of(dataset, splits)
    assert len(train) + len(validation) + len(test) == len(train | validation | test)
    assert len(test) == max(1, round(test_fraction * num_domains))


@pytest.mark.parametrize("seed", range(3))
def test_class_splits_hold_classes_of_every_domain_out(seed):
    dataset = bars(3, 10, 1, size=2)
    config = ImageData(split_by="class", test_fraction=0.3, validation_fraction=0.2)
    splits = make_splits(dataset, config, seed=seed)
    assert_partition(dataset, splits)
    for split, expected in (("train", 5), ("validation", 2), ("test", 3)):
        for domain in dataset.domains:
            held = [i for i in splits.of(split) if dataset.classes[i].domain == domain]
            assert len(held) == expected


@pytest.mark.parametrize("split_by", ["domain", "class", "published"])
def test_splits_are_a_function_of_the_seed(split_by):
    dataset = bars(6, 8, 1, size=2)
    config = ImageData(split_by=split_by)
    by_seed = [make_splits(dataset, config, seed=seed) for seed in range(6)]
    assert by_seed == [make_splits(dataset, config, seed=seed) for seed in range(6)]
    assert len(set(by_seed)) > 1


def test_the_publishers_split_is_followed():
    plain = bars(4, 2, 1, size=2)
    dataset = published(
        plain,
        {"domain0": "train", "domain1": "train", "domain2": "validation", "domain3": "test"},
    )
    splits = make_splits(dataset, ImageData(), seed=0)
    assert domains_of(dataset, splits) == [{"domain0", "domain1"}, {"domain2"}, {"domain3"}]


def test_validation_is_drawn_from_the_training_part_where_the_publisher_has_none():
    dataset = published(bars(5, 2, 1, size=2), dict.fromkeys(("domain3", "domain4"), "test"))
    for seed in range(4):
        train, validation, test = domains_of(dataset, make_splits(dataset, ImageData(), seed=seed))
        assert test == {"domain3", "domain4"}
        assert len(validation) == 1
        assert validation <= {"domain0", "domain1", "domain2"}
        assert train == {"domain0", "domain1", "domain2"} - validation


@pytest.mark.parametrize("domains", [1, 3])
def test_validation_classes_are_drawn_where_no_training_domain_can_be_spared(domains):
    plain = bars(domains, 6, 1, size=2)
    held = {f"domain{d}/angle{c}": "test" for d in range(domains) for c in (4, 5)}
    rest = {record.name: "train" for record in plain.classes if record.name not in held}
    dataset = published(plain, held | rest)
    drawn = set()
    for seed in range(6):
        splits = make_splits(dataset, ImageData(), seed=seed)
        assert_partition(dataset, splits)
        assert {dataset.classes[i].name for i in splits.test} == set(held)
        assert len(splits.validation) == max(1, round(0.15 * len(rest)))
        drawn.add(splits.validation)
    assert len(drawn) > 1


def test_a_publishers_split_by_class_stays_one_by_class():
    plain = bars(2, 3, 1, size=2)
    dataset = published(
        plain,
        {
            f"domain{d}/angle{c}": split
            for d in range(2)
            for c, split in enumerate(("train", "validation", "test"))
        },
    )
    splits = make_splits(dataset, ImageData(), seed=0)
    assert [len(splits.of(split)) for split in SPLITS] == [2, 2, 2]
    assert {dataset.classes[i].label for i in splits.test} == {"angle2"}


def test_split_by_domain_ignores_the_publisher():
    dataset = published(bars(5, 2, 1, size=2), {"domain0": "validation", "domain1": "test"})
    splits = make_splits(dataset, ImageData(split_by="domain"), seed=0)
    assert_partition(dataset, splits)
    assert all(splits.of(split) for split in SPLITS)


@pytest.mark.parametrize("split_by", ["domain", "class", "published"])
def test_named_domains_are_held_out_whatever_the_rule(split_by):
    dataset = bars(5, 6, 1, size=2)
    config = ImageData(
        split_by=split_by, test_domains=("domain1",), validation_domains=("domain3",)
    )
    splits = make_splits(dataset, config, seed=0)
    assert_partition(dataset, splits)
    assert set(dataset.classes_of("domain1")) <= set(splits.test)
    assert set(dataset.classes_of("domain3")) <= set(splits.validation)
    if split_by != "class":
        assert domains_of(dataset, splits)[1:] == [{"domain3"}, {"domain1"}]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_domains": ("nowhere",)}, "data.test_domains: no domain named 'nowhere'"),
        ({"validation_domains": ("x",)}, "data.validation_domains: no domain named 'x'"),
        (
            {"test_domains": ("domain0",), "validation_domains": ("domain0",)},
            "both name 'domain0'",
        ),
        (
            {"test_domains": ("domain0", "domain1"), "validation_domains": ("domain2",)},
            "the train split is empty",
        ),
    ],
)
def test_impossible_splits_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        make_splits(bars(3, 2, 1, size=2), ImageData(**changes), seed=0)


def test_a_split_by_class_that_is_empty_names_the_share_to_change():
    with pytest.raises(DataError, match=r"validation split is empty.*raise data.validation_frac"):
        make_splits(bars(1, 3, 1, size=2), ImageData(split_by="class"), seed=0)
    shares = ImageData(split_by="class", test_fraction=0.5, validation_fraction=0.5)
    with pytest.raises(DataError, match=r"train split is empty.*lower data.test_fraction"):
        make_splits(bars(1, 4, 1, size=2), shares, seed=0)
    with pytest.raises(DataError, match=r"split is empty.*metagan evaluate --data"):
        make_splits(bars(1, 2, 1, size=2), ImageData(split_by="class"), seed=0)


def test_too_few_domains_or_classes_are_refused_with_the_way_out():
    with pytest.raises(DataError, match=r"validation split is empty \(domains 2"):
        make_splits(bars(2, 4, 1, size=2), ImageData(split_by="domain"), seed=0)
    with pytest.raises(DataError, match="split is empty"):
        make_splits(bars(4, 1, 1, size=2), ImageData(split_by="class"), seed=0)


def grouped(sizes: dict[str, int], *, classes: int = 2) -> Dataset:
    """Domains in groups of these sizes; one of size 1 is alone."""
    plain = bars(sum(sizes.values()), classes, 1, size=2)
    groups = [name if n > 1 else None for name, n in sizes.items() for _ in range(n)]
    records = (
        dataclasses.replace(r, group=groups[int(r.domain.removeprefix("domain"))])
        for r in plain.classes
    )
    return dataclasses.replace(plain, classes=tuple(records))


@pytest.mark.parametrize("seed", range(8))
def test_domains_of_a_group_stay_on_one_side(seed):
    dataset = grouped({"a": 4, "b": 3, "c": 1, "d": 2, "e": 1, "f": 2, "g": 1, "h": 3, "i": 3})
    splits = make_splits(dataset, ImageData(), seed=seed)
    assert_partition(dataset, splits)
    related = [{dataset.classes[i].group for i in splits.of(s)} - {None} for s in SPLITS]
    assert sum(map(len, related)) == len(set().union(*related)) == 6
    _, validation, test = domains_of(dataset, splits)
    # Shares are of domains; no group that would exceed one is added.
    assert 3 <= len(test) <= 4
    assert 1 <= len(validation) <= 2


def test_where_no_group_fits_the_smallest_is_held_out():
    dataset = grouped({"a": 5, "b": 4, "c": 6})
    for seed in range(4):
        held = [len(d) for d in domains_of(dataset, make_splits(dataset, ImageData(), seed=seed))]
        assert held == [6, 5, 4]


def test_draws_without_groups_are_those_of_earlier_versions():
    # A run that is made anew from its settings has to be the same run.
    dataset = bars(12, 3, 1, size=2)
    _, validation, test = domains_of(dataset, make_splits(dataset, ImageData(), seed=5))
    assert (validation, test) == ({"domain0", "domain4"}, {"domain5", "domain6"})


def test_related_domains_go_with_one_that_is_held_out_by_name():
    dataset = grouped({"a": 3, "b": 3, "c": 3})
    config = ImageData(test_domains=("domain1",), validation_domains=("domain3",))
    _, validation, test = domains_of(dataset, make_splits(dataset, config, seed=0))
    assert validation == {"domain3", "domain4", "domain5"}
    assert test == {"domain0", "domain1", "domain2"}
    both = ImageData(test_domains=("domain1",), validation_domains=("domain2",))
    with pytest.raises(
        DataError, match=r"'domain1' and .*'domain2', which are related \(group 'a'"
    ):
        make_splits(dataset, both, seed=0)


def test_a_published_split_is_followed_and_validation_is_drawn_from_it_by_group():
    dataset = published(grouped({"a": 3, "b": 2, "c": 2, "d": 2}), {"domain2": "test"})
    pairs = [{f"domain{n}", f"domain{n + 1}"} for n in (0, 3, 5, 7)]
    for seed in range(4):
        config = ImageData(validation_fraction=0.25)
        _, validation, test = domains_of(dataset, make_splits(dataset, config, seed=seed))
        assert test == {"domain2"}
        assert validation in pairs


def test_a_test_part_is_drawn_from_the_training_part_where_the_publisher_has_none():
    dataset = published(bars(6, 2, 1, size=2), dict.fromkeys(("domain3", "domain4"), "validation"))
    for seed in range(4):
        train, validation, test = domains_of(dataset, make_splits(dataset, ImageData(), seed=seed))
        assert validation == {"domain3", "domain4"}
        assert len(test) == 1
        assert train | test == {"domain0", "domain1", "domain2", "domain5"}


def test_too_few_groups_are_refused_with_their_number():
    dataset = grouped({"a": 3, "b": 2})
    with pytest.raises(DataError, match=r"validation split is empty \(domains 5 in 2 groups"):
        make_splits(dataset, ImageData(), seed=0)


def test_stored_names_give_the_same_splits():
    dataset = bars(5, 3, 1, size=2)
    splits = make_splits(dataset, ImageData(), seed=1)
    assert splits_from_names(splits.names(dataset), dataset) == splits


def test_stored_names_that_the_data_lost_are_named():
    dataset = bars(3, 2, 1, size=2)
    names = {"train": ["gone/x"], "validation": [], "test": ["gone/y"]}
    with pytest.raises(DataError, match=r"class 'gone/x' \(and 1 more\)"):
        splits_from_names(names, dataset)


def test_unseen_labels_are_in_no_training_domain_and_stay_where_is_measured():
    data = bars(num_domains=6)
    splits = make_splits(data, ImageData(unseen_labels=["angle2"]), seed=0)
    whole = make_splits(data, ImageData(), seed=0)
    assert {data.classes[i].label for i in splits.train} == {"angle0", "angle1", "angle3"}
    assert (splits.validation, splits.test) == (whole.validation, whole.test)
    assert set(splits.train) < set(whole.train)


def test_a_source_may_name_unseen_labels_and_settings_come_first():
    data = dataclasses.replace(bars(num_domains=6), origin={"unseen_labels": ["angle1"]})
    for config, unseen in (
        (ImageData(), "angle1"),
        (ImageData(unseen_labels=["angle3"]), "angle3"),
    ):
        learned = {data.classes[i].label for i in make_splits(data, config, seed=0).train}
        assert learned == {f"angle{i}" for i in range(4)} - {unseen}


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            ["angle9"],
            r"data.unseen_labels: no class is labelled 'angle9'; there are angle0",
        ),
        ([f"angle{i}" for i in range(4)], "names every label; leave some to learn from"),
    ],
)
def test_unseen_labels_that_cannot_be_are_refused(labels, said):
    with pytest.raises(DataError, match=said):
        make_splits(bars(), ImageData(unseen_labels=labels), seed=0)


def test_a_character_is_known_by_its_code_point():
    known = ["U+0041 LATIN CAPITAL LETTER A", "plain"]
    assert known_as("A", known) == known_as("U+0041", known) == known[0]
    assert known_as("plain", known) == "plain"
    assert known_as("B", known) is None
