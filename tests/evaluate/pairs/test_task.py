"""Targets of pairs: what is shown, and what is asked."""

import numpy as np
import pytest
import torch

from metagan.config.image import ImageData
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.data.form import Form
from metagan.data.library import Library
from metagan.evaluate.pairs.task import draw_pairs, pick_pairs
from metagan.kinds.image.convert import fit, to_float

LETTERS = "abcdef"


def faces(*domains: str, letters: str = LETTERS) -> Dataset:
    """A picture of each letter in each face, whose grey says which one it is."""
    pictures = {}
    for d, domain in enumerate(("plain", *domains)):
        for c, label in enumerate(letters):
            grey = 10 * d + c
            pictures[ClassRecord(domain, label)] = [np.full((1, 16, 16), grey, np.uint8)]
    return Dataset.from_classes(pictures, origin={"reference_domain": "plain"})


def form_of(data: Dataset) -> Form:
    return fit(data, [0, 1], ImageData(image_size=16))


def levels(pictures: torch.Tensor) -> list[int]:
    """The grey of each picture, as it was stored."""
    return [round(float(level)) for level in (pictures[:, 0, 0, 0] + 1) * 127.5]


def test_what_is_asked_is_never_shown_and_is_the_same_at_every_number_of_shots() -> None:
    data = faces("bold", "thin", "wide")
    library = Library(data, [*data.classes_of("bold"), *data.classes_of("thin")], to_float)
    classes = data.classes_of("wide")
    few, more = (
        draw_pairs(data, classes, form_of(data), library, shots=k, most_shots=3, seed=5)
        for k in (1, 3)
    )
    assert torch.equal(few.truth, more.truth)
    assert torch.equal(few.shown, more.shown[:1])
    shown, asked = levels(more.shown), levels(more.truth)
    assert len(shown) == len(asked) == 3
    assert sorted(shown + asked) == [30 + c for c in range(6)]  # "wide" is the third of them.
    # The inputs are the same letters of the reference.
    assert [grey % 10 for grey in levels(more.asked)] == [grey % 10 for grey in asked]
    assert max(levels(more.asked)) < 10
    assert more.known.all()


def test_letters_that_no_training_domain_has_are_asked_and_never_shown() -> None:
    data = faces("bold", "wide")
    learned = [i for i in data.classes_of("bold") if data.classes[i].label not in "ef"]
    library = Library(data, learned, to_float)
    for seed in range(20):
        task = draw_pairs(
            data, data.classes_of("wide"), form_of(data), library, shots=3, most_shots=3, seed=seed
        )
        assert not {grey % 10 for grey in levels(task.shown)} & {4, 5}
        for known, grey in zip(task.known, levels(task.truth), strict=True):
            assert known == (grey % 10 not in (4, 5))


def test_a_domain_with_too_few_pairs_is_refused_with_its_numbers() -> None:
    data = faces("bold", "wide")
    library = Library(data, data.classes_of("bold"), to_float)
    with pytest.raises(DataError, match=r"domain wide has 6 pairs, too few for 6 shots"):
        pick_pairs(data, data.classes_of("wide"), library, most_shots=6, seed=0)
