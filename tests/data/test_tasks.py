"""Episodes and the plan of an outer step."""

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
from metagan.data.splits import SPLITS, Splits, make_splits
from metagan.data.tasks import DatasetTasks, EpisodeKey, Half, meta_batch
from metagan.kinds.image.convert import to_float, to_uint8
from tests.helpers import bars


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
