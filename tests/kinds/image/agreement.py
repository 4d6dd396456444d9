"""Comparing a data set with what was written, and pictures to write whose pixels are known."""

import numpy as np
from PIL import Image

from tests.kinds.image.pictures import encode
from tests.reference.reader import Raw, Record

DEEP = 1
"""Levels: floats are divided before resizing here and after it there, and rounded in between."""


def pixels(number):
    """(H, W) uint8, another picture for every number, mostly not square."""
    rng = np.random.default_rng([7, number])
    return rng.integers(0, 256, rng.integers(5, 25, 2), dtype=np.uint8)


def file(number):
    """A PNG of that picture."""
    return encode(pixels(number))


def record(domain, label, split, number):
    """Record of a picture that the test itself wrote."""
    return Record(domain, label, split, Raw(pixels(number)))


def drawings(top, alphabets, seed):
    """{path: 1-bit PNG} and {path: what it shows} of one part of Omniglot, ink 0 on paper 1."""
    rng, files, shown = np.random.default_rng(seed), {}, {}
    for number, alphabet in enumerate(alphabets):
        for character in (1, 2, 13):
            for drawer in (1, 2):
                paper = rng.random((23, 19)) > 0.2
                name = f"{alphabet}/character{character:02}/{number:04}_{drawer:02}.png"
                files[f"{top}/{name}"] = encode(Image.fromarray(paper))
                shown[f"{top}/{name}"] = Raw(paper * np.uint8(255))
    return files, shown


def assert_same(data, expected, *, tolerance=0):
    """Domain, label, split and every pixel are those expected, in the same order.

    Args:
        data: A data set of the product, or another dictionary like the expected one.
        expected: {(domain, label): (split, [samples])}, see `reader.dataset`.
        tolerance: Levels by which pixels may differ, see `DEEP`.
    """
    if not isinstance(data, dict):
        data = {
            (record.domain, record.label): (record.split, list(data.class_samples(index)))
            for index, record in enumerate(data.classes)
        }
    assert {key: split for key, (split, _) in data.items()} == {
        key: split for key, (split, _) in expected.items()
    }
    for key, (_, samples) in expected.items():
        found = np.stack(data[key][1])
        assert found.shape == np.shape(samples), key
        assert np.abs(found.astype(int) - samples).max() <= tolerance, key
