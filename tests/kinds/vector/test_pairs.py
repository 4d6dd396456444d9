"""Vectors of which some columns are told and the others drawn."""

import numpy as np
import pytest
import torch

from metagan.config.vector import VectorData
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.data.form import Form
from metagan.kinds.vector.convert import (
    fit,
    form_of_inputs,
    joined,
    make_inputs,
    to_inputs,
    to_samples,
    to_tensor,
)
from metagan.kinds.vector.scales import drawn_columns

COLUMNS = ["a", "s", "b"]


def data_of(rows: np.ndarray) -> Dataset:
    found = Dataset.from_classes({ClassRecord("d", "k"): rows}, kind="vector")
    return Dataset(
        found.samples, found.offsets, found.classes, "vector", origin={"columns": COLUMNS}
    )


@pytest.fixture
def data() -> Dataset:
    rng = np.random.default_rng(0)
    return data_of(rng.normal([1, 100, -5], [1, 30, 2], (40, 3)))


@pytest.fixture
def form(data: Dataset) -> Form:
    return fit(data, [0], VectorData(inputs=("b", "a")))


def test_the_named_columns_are_told_in_their_order_and_the_others_drawn(data, form):
    assert (form.shape, form.given) == ((1,), (2,))
    assert drawn_columns(form) == ["s"]
    rows = data.samples[:5]
    drawn, told = to_tensor(rows, form), to_inputs(rows, form)
    center, scale = np.array(form.facts["center"]), np.array(form.facts["scale"])
    scaled = (rows - center) / scale
    np.testing.assert_allclose(drawn.numpy(), scaled[:, [1]], atol=1e-5)
    np.testing.assert_allclose(told.numpy(), scaled[:, [2, 0]], atol=1e-5)


def test_a_form_with_inputs_survives_its_file(form):
    assert Form.of_json(form.as_json()) == form
    before = {key: value for key, value in form.as_json().items() if key != "given"}
    assert Form.of_json(before).given == ()


def test_inputs_and_what_is_drawn_come_together_as_rows_of_the_users_files(data, form):
    rows = data.samples[:4]
    drawn = to_samples(to_tensor(rows, form), form)
    told = rows[:, [2, 0]]
    whole, of_whole = joined(told, drawn, form)
    np.testing.assert_allclose(whole, rows, rtol=1e-5)
    assert drawn_columns(of_whole) == COLUMNS
    alone = form_of_inputs(form)
    assert drawn_columns(alone) == ["b", "a"]
    torch.testing.assert_close(to_tensor(told, alone), to_inputs(rows, form))


def test_inputs_of_a_data_set_are_looked_up_by_class_and_place(data, form):
    inputs = make_inputs(data, form)
    classes, places = np.zeros(3, np.int64), np.array([4, 0, 7])
    found = inputs(classes, places, torch.empty(3, 1), 0)
    torch.testing.assert_close(found, to_inputs(data.samples[places], form))


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (("a", "q"), "data.inputs names q, but the vectors' columns are a, s, b"),
        (("a", "a"), "name each column once"),
        (("a", "b", "s"), "names every column, so that nothing is left to draw"),
    ],
)
def test_inputs_that_cannot_be_are_refused(data, inputs, said):
    with pytest.raises(DataError, match=said):
        fit(data, [0], VectorData(inputs=inputs))


def test_samples_without_inputs_have_none_to_tell(data):
    with pytest.raises(DataError, match=r"no column is one; name them by data.inputs"):
        make_inputs(data, fit(data, [0], VectorData()))
