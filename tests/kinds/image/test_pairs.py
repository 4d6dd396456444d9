"""Pictures of which the same class in a reference domain is the input."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from metagan.config.image import ImageData
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.kinds.image.convert import fit, make_inputs, to_float


def letters(**counts: int) -> Dataset:
    """Domains of the letters a and b; a picture's grey says its domain, letter and number."""
    pictures = {}
    for d, (domain, count) in enumerate(counts.items()):
        for c, label in enumerate("ab"):
            greys = [100 * d + 10 * c + number for number in range(count)]
            pictures[ClassRecord(domain, label)] = [
                np.full((1, 16, 16), grey, np.uint8) for grey in greys
            ]
    return Dataset.from_classes(pictures)


def with_reference(data: Dataset, name: str) -> Dataset:
    return replace(data, origin={**data.origin, "reference_domain": name})


def test_the_input_of_a_picture_is_its_class_in_the_reference_domain():
    data = with_reference(letters(hand=3, plain=2), "plain")
    form = fit(data, [0, 1], ImageData(image_size=16))
    assert form.given == form.shape == (1, 16, 16)
    # Classes are hand/a, hand/b, plain/a, plain/b.
    classes, places = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2])
    found = make_inputs(data, form)(classes, places, torch.empty(4, 1, 16, 16), 0)
    # The third picture of a class has the first input again: the reference has two.
    expected = to_float(np.array([100, 101, 111, 110], np.uint8)[:, None, None, None])
    torch.testing.assert_close(found, expected.expand(4, 1, 16, 16))


def test_pictures_without_a_reference_have_no_inputs():
    data = letters(hand=2, plain=2)
    form = fit(data, [0], ImageData(image_size=16))
    assert form.given == ()
    with pytest.raises(DataError, match=r"the pictures have none; set data.reference_domain"):
        make_inputs(data, form)
