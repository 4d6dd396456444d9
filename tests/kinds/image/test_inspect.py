"""The summary of pictures and the sheet of them show what is in them."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.data.inspect import domain_lines, format_summary, inspect_dataset
from metagan.kinds.image.inspect import contact_sheet


def _noise(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (count, 1, 8, 8), dtype=np.uint8)


@pytest.fixture
def dataset() -> Dataset:
    samples = {"a": _noise(2, 0), "b": _noise(5, 1)}
    return Dataset.from_classes(
        {
            **{ClassRecord("north", label): pixels for label, pixels in samples.items()},
            ClassRecord("south", "c"): _noise(3, 2),
        }
    )


def test_the_sizes_of_the_files_are_told_where_they_are_known(dataset):
    known = dataclasses.replace(dataset, origin={"sizes": "105 x 105 (9), 28 x 28 (1)"})
    text = format_summary(inspect_dataset(known), 60)
    assert "- sizes as stored: 105 x 105 (9), 28 x 28 (1)\n" in text


def test_every_domain_tells_its_classes_levels_and_what_is_out_of_the_usual():
    pictures = np.zeros((200, 1, 8, 8), np.uint8)
    pictures[:, 0, 0, :2] = np.arange(200)[:, None] + [1, 40]
    pictures[199] = 7  # blank
    pictures[198] = pictures[0]
    dataset = Dataset.from_classes(
        {
            ClassRecord("north", letter): pictures[i * 25 :][:25]
            for i, letter in enumerate("abcdefgh")
        },
        origin={"pictures": {"north": {"pictures": 200, "colour": 150, "deep": 1}}},
    )
    assert domain_lines(inspect_dataset(dataset), most=5) == [
        "north: 8 classes (a, b, c, d, e, 3 more), 200 samples, levels 0..237, median 0; 75 % in "
        "colour; under 1 % blank; under 1 % above 8 bits"
    ]
    long = {ClassRecord("north", f"{i} of a long name {'x' * 20}"): pictures[:2] for i in range(3)}
    (line,) = domain_lines(inspect_dataset(Dataset.from_classes(long)), most=5)
    assert f"(0 of a long name {'x' * 20}, 2 more)" in line
    several = Dataset.from_classes({ClassRecord(name, "a"): pictures[:3] for name in "pqr"})
    *_, last = domain_lines(inspect_dataset(several), most=2)
    assert last == "and 1 more domain: metagan data inspect"


def test_a_contact_sheet_shows_the_first_samples_of_each_domain(dataset, tmp_path):
    path = contact_sheet(
        dataset, tmp_path / "new" / "sheet.png", classes_per_domain=2, samples_per_class=2, zoom=1
    )
    pixels = np.asarray(Image.open(path))
    # Two bands of two samples, with gaps of 6 pixels.
    assert pixels.shape[0] == 6 + 2 * (2 * 8 + 6)
    left = pixels.shape[1] - 6 - 16
    np.testing.assert_array_equal(pixels[6:14, left : left + 8, 0], dataset.class_samples(0)[0, 0])
    np.testing.assert_array_equal(
        pixels[14:22, left + 8 : left + 16, 2], dataset.class_samples(1)[1, 0]
    )


@pytest.mark.usefixtures("series")
def test_a_contact_sheet_of_other_samples_is_refused(tmp_path):
    series = Dataset.from_classes({ClassRecord("d", "c"): np.zeros((2, 5, 3))}, kind="series")
    with pytest.raises(DataError, match="needs images, not series"):
        contact_sheet(series, tmp_path / "sheet.png")
