"""The summary of a data set says what is in it."""

import numpy as np
import pytest

from metagan.data.dataset import ClassRecord, Dataset
from metagan.data.inspect import format_summary, inspect_dataset


def _noise(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (count, 1, 8, 8), dtype=np.uint8)


@pytest.fixture
def dataset() -> Dataset:
    a, b, c = _noise(2, 0), _noise(5, 1), _noise(3, 2)
    b[4] = b[0]  # twice in its class
    c[1] = a[0]  # in a training and a test class
    return Dataset.from_classes(
        {
            ClassRecord("north", "a", "train"): a,
            ClassRecord("north", "b", "train"): b,
            ClassRecord("south", "c", "test"): c,
        },
        notes=["1 file unreadable: x.png", "leak: 1 sample is byte-identical in two classes"],
    )


def test_counts_per_domain_are_exact(dataset):
    summary = inspect_dataset(dataset)
    assert (summary.num_samples, summary.num_classes) == (10, 3)
    assert summary.sample_shape == (1, 8, 8)
    north, south = summary.domains
    assert (north.name, north.num_classes, north.num_samples) == ("north", 2, 7)
    assert (north.smallest, north.median, north.largest) == (2, 3.5, 5)
    assert (north.splits, north.labels) == ((("train", 2),), ("a", "b"))
    assert (south.num_samples, south.splits, south.labels) == (3, (("test", 1),), ("c",))


def test_identical_samples_are_counted_and_named(dataset):
    duplicates = inspect_dataset(dataset).duplicates
    assert duplicates.within_class == 1
    assert duplicates.across_classes == 1
    assert duplicates.across_splits == 1
    assert duplicates.examples == (("north/a", "south/c"),)


def test_the_text_has_every_number_and_every_note_once(dataset):
    text = format_summary(inspect_dataset(dataset), 100)
    assert "10 samples of 1 x 8 x 8 (image)" in text
    north = next(line for line in text.splitlines() if line.startswith("north "))
    assert north.split("  ")[-1].strip() == "2 train"
    assert "2 / 3.5 / 5" in north
    assert "north/a = south/c" in text
    assert text.count("1 file unreadable: x.png") == 1
    assert text.lower().count("leak") == 1
    assert "sizes" not in text


@pytest.mark.parametrize("width", [1, 20, 33, 80, 200])
def test_no_line_is_wider_than_the_terminal(dataset, width):
    text = format_summary(inspect_dataset(dataset), width)
    assert max(map(len, text.splitlines())) <= max(width, 20)
    assert "north" in text


def test_names_cannot_steer_the_terminal():
    dataset = Dataset.from_classes({ClassRecord("a\x1b[2Jb", "c"): _noise(2, 0)})
    assert "\x1b" not in format_summary(inspect_dataset(dataset))
