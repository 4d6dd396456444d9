"""Splits, episodes and the plan of an outer step."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metagan.config.image import ImageData
from metagan.config.settings import TaskConfig
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.data.splits import SPLITS, Splits, make_splits, splits_from_names
from metagan.data.tasks import DatasetTasks, EpisodeKey, Half, meta_batch
from metagan.kinds.image.convert import to_float, to_uint8
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


# --- splits ------------------------------------------------------------------------------------


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


# --- episodes ----------------------------------------------------------------------------------


def numbered(num_domains: int = 3, classes: int = 4, count: int = 8) -> Dataset:
    """Pictures whose pixels tell class and sample apart."""
    return Dataset.from_classes(
        {
            ClassRecord(f"domain{d}", f"class{c}"): [
                np.array([[[d * classes + c, s]]], np.uint8) for s in range(count)
            ]
            for d in range(num_domains)
            for c in range(classes)
        }
    )


def tasks_of(dataset: Dataset, task: TaskConfig, **data: object) -> DatasetTasks:
    splits = make_splits(dataset, ImageData(**data), seed=0)
    return DatasetTasks(dataset, splits, task, to_float)


def ids(half: Half) -> list[list[tuple[int, int]]]:
    """(class, sample) of each picture, by way."""
    pixels = to_uint8(half.samples)[:, :, 0, 0]
    return [[(int(p[0]), int(p[1])) for p in way] for way in pixels]


@settings(max_examples=30, derandomize=True, deadline=None)
@given(
    unit=st.sampled_from(["class", "domain"]),
    ways=st.integers(1, 6),
    shots=st.integers(1, 4),
    num_query=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_support_and_query_are_disjoint_and_of_one_class_per_way(
    unit, ways, shots, num_query, seed
):
    dataset = numbered()
    config = TaskConfig(unit=unit, ways=ways, shots=shots, num_query=num_query)
    source = tasks_of(dataset, config)
    task = source.tasks("train")[0]
    episode = source.episode(EpisodeKey(task, seed))
    num_ways = 1 if unit == "class" else min(ways, 4)
    assert episode.support.samples.shape == (num_ways, shots, 1, 1, 2)
    assert episode.query.samples.shape == (num_ways, num_query, 1, 1, 2)
    support, query = ids(episode.support), ids(episode.query)
    drawn = [sample for half in (support, query) for way in half for sample in way]
    assert len(set(drawn)) == len(drawn)
    for one, other in zip(support, query, strict=True):
        assert len({c for c, _ in one + other}) == 1
    for index in {c for c, _ in drawn}:
        record = dataset.classes[index]
        assert task == (record.name if unit == "class" else record.domain)


def test_equal_keys_give_bit_equal_episodes_from_sources_built_apart():
    key = None
    for unit in ("class", "domain"):
        config = TaskConfig(unit=unit, ways=2, shots=3, num_query=3)
        first, second = (tasks_of(bars(), config) for _ in range(2))
        key = EpisodeKey(first.tasks("train")[0], 17)
        for _ in range(3):
            first.episode(EpisodeKey(first.tasks("train")[1], 4))
        one, other = first.episode(key), second.episode(key)
        assert torch.equal(one.support.samples, other.support.samples)
        assert torch.equal(one.query.samples, other.query.samples)
        third = first.episode(EpisodeKey(key.task, 18))
        assert not torch.equal(one.support.samples, third.support.samples)


def test_the_same_seed_draws_differently_in_another_task():
    source = tasks_of(numbered(count=30), TaskConfig(shots=10, num_query=5))
    first, second = (source.episode(EpisodeKey(t, 3)) for t in source.tasks("train")[:2])
    assert [s for _, s in ids(first.support)[0]] != [s for _, s in ids(second.support)[0]]


def test_a_small_domain_gives_every_class_once():
    config = TaskConfig(unit="domain", ways=5, shots=2, num_query=2)
    source = tasks_of(numbered(3, 3), config)
    episode = source.episode(EpisodeKey(source.tasks("train")[0], 0))
    assert len({way[0][0] for way in ids(episode.support)}) == len(episode.support.samples) == 3


def test_a_domain_in_several_splits_is_a_task_of_its_own_in_each():
    dataset = numbered(2, 10)
    config = TaskConfig(unit="domain", ways=10, shots=2, num_query=2)
    source = tasks_of(dataset, config, split_by="class")
    splits = make_splits(dataset, ImageData(split_by="class"), seed=0)
    for split in SPLITS:
        assert source.tasks(split) == [f"domain0@{split}", f"domain1@{split}"]
        for task in source.tasks(split):
            episode = source.episode(EpisodeKey(task, 0))
            assert {way[0][0] for way in ids(episode.support)} == {
                i for i in splits.of(split) if dataset.classes[i].domain == task[:7]
            }


def test_classes_with_too_few_samples_are_left_out_and_listed():
    samples = {
        ClassRecord(f"d{d}", f"c{c}"): np.zeros((2 if c == 0 else 6, 1, 2, 2), np.uint8)
        for d in range(3)
        for c in range(2)
    }
    source = tasks_of(Dataset.from_classes(samples), TaskConfig(shots=3, num_query=3))
    assert source.left_out == ("d0/c0", "d1/c0", "d2/c0")
    assert all(len(source.tasks(split)) == 1 for split in SPLITS)
    with pytest.raises(DataError, match=r"task.shots 5 \+ task.num_query 5 = 10 samples"):
        tasks_of(Dataset.from_classes(samples), TaskConfig(shots=5, num_query=5))


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ({"source": "npz", "path": "a.npz"}, r"class of data.path a.npz has .* 3; lower them$"),
        ({"source": "npz", "path": "a.npz", "prepared": "b"}, r"class of data.path b has"),
        ({"source": "glyphs"}, r"class has .*lower them or raise data.drawings_per_class$"),
        ({"source": "glyphs", "prepared": "b"}, r"class of data.path b has .* 3; lower them$"),
    ],
)
def test_too_few_samples_everywhere_say_how_many_there_are_and_where(origin, expected):
    dataset = dataclasses.replace(bars(2, 2, 3), origin=origin)
    with pytest.raises(DataError, match=r"10 samples, the largest has 3") as caught:
        DatasetTasks(dataset, Splits((0,), (1,), (2, 3)), TaskConfig(), to_float)
    assert re.search(expected, str(caught.value))


def test_an_unknown_task_is_named():
    source = tasks_of(numbered(), TaskConfig(shots=1, num_query=1))
    with pytest.raises(ValueError, match="no task named 'nowhere'"):
        source.episode(EpisodeKey("nowhere", 0))


def test_task_weights_count_classes():
    samples = {
        ClassRecord(f"d{d}", f"c{c}"): np.zeros((4, 1, 2, 2), np.uint8)
        for d in range(4)
        for c in range(d + 1)
    }
    dataset = Dataset.from_classes(samples)
    config = TaskConfig(unit="domain", shots=2, num_query=2)
    source = tasks_of(dataset, config, test_domains=("d0",), validation_domains=("d1",))
    assert source.tasks("train") == ["d2", "d3"]
    assert source.task_weights("train") == [3, 4]


# --- pixels and meta-batches -------------------------------------------------------------------


def test_pixels_survive_the_way_to_float_and_back():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    floats = to_float(pixels)
    assert float(floats.min()) == -1.0
    assert float(floats.max()) == 1.0
    assert floats.dtype == torch.float32
    np.testing.assert_array_equal(to_uint8(floats), pixels)
    assert to_uint8(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_a_meta_batch_is_a_function_of_its_arguments():
    tasks = [f"t{i}" for i in range(10)]
    first = meta_batch(tasks, step=3, size=6, seed=1)
    assert first == meta_batch(tasks, step=3, size=6, seed=1)
    assert first != meta_batch(tasks, step=4, size=6, seed=1)
    assert first != meta_batch(tasks, step=3, size=6, seed=2)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(num_tasks=st.integers(1, 12), size=st.integers(1, 20), weighted=st.booleans())
def test_tasks_repeat_only_when_there_are_too_few(num_tasks, size, weighted):
    tasks = [f"t{i}" for i in range(num_tasks)]
    weights = list(range(1, num_tasks + 1)) if weighted else None
    keys = meta_batch(tasks, step=0, size=size, seed=0, weights=weights)
    assert len(keys) == size
    assert {key.task for key in keys} <= set(tasks)
    assert len({key.seed for key in keys}) == size
    if size <= num_tasks:
        assert len({key.task for key in keys}) == size


def test_tasks_are_drawn_in_proportion_to_their_weights():
    drawn = [
        key.task
        for step in range(3000)
        for key in meta_batch(["a", "b"], step=step, size=1, seed=0, weights=[1, 3])
    ]
    # Binomial(3000, 3/4): standard deviation 24.
    assert drawn.count("b") == pytest.approx(2250, abs=100)


def place_of(classes: np.ndarray, places: np.ndarray, samples: torch.Tensor, seed: int):
    """Inputs that say which sample they belong to."""
    assert isinstance(seed, int)
    assert len(samples) == len(classes)
    return torch.from_numpy(np.stack([classes, places], axis=1)).float()


def pooled(dataset: Dataset, **task: object) -> DatasetTasks:
    splits = make_splits(dataset, ImageData(), seed=0)
    config = TaskConfig(unit="domain", **task)
    return DatasetTasks(dataset, splits, config, to_float, place_of)


@settings(max_examples=20, derandomize=True, deadline=None)
@given(shots=st.integers(1, 4), num_query=st.integers(1, 4), seed=st.integers(0, 1000))
def test_pairs_are_drawn_from_a_whole_domain_disjoint_and_with_their_own_inputs(
    shots, num_query, seed
):
    dataset = numbered()
    source = pooled(dataset, shots=shots, num_query=num_query)
    task = source.tasks("train")[0]
    episode = source.episode(EpisodeKey(task, seed))
    drawn = []
    for half, count in ((episode.support, shots), (episode.query, num_query)):
        assert half.samples.shape == (1, count, 1, 1, 2)
        assert half.inputs.shape == (1, count, 2)
        for way, sample, told in zip(
            [p[0] for p in ids(half)[0]],
            [p[1] for p in ids(half)[0]],
            half.inputs[0].tolist(),
            strict=True,
        ):
            assert told == [way, sample]
            assert dataset.classes[way].domain == task
            drawn.append((way, sample))
    assert len(set(drawn)) == shots + num_query


def test_one_sample_of_each_class_is_enough_for_pairs():
    source = pooled(numbered(count=1), shots=2, num_query=2)
    assert source.left_out == ()
    episode = source.episode(EpisodeKey(source.tasks("train")[0], 0))
    assert len({way for way, _ in ids(episode.support)[0] + ids(episode.query)[0]}) == 4


def test_domains_of_too_few_pairs_are_told_as_domains():
    with pytest.raises(DataError, match=r"no training domain has task.shots 3 \+ .* largest has 4"):
        pooled(numbered(count=1), shots=3, num_query=2)
