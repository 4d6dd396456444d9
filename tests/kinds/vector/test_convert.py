"""From stored vectors to what networks see, and back; facts come from training classes alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metagan.config.vector import VectorData
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.data.form import Form
from metagan.kinds.vector.convert import (
    check_classes,
    check_support,
    far_from,
    fit,
    to_samples,
    to_tensor,
    within,
)
from metagan.kinds.vector.other_data import other_looks, other_settings

CONFIG = VectorData(path="rows.csv")
FORM = Form("vector", (2,), {"columns": ["a", "b"], "center": [1.0, -2.0], "scale": [0.5, 100.0]})


def dataset(classes, columns=None):
    records = {ClassRecord("d", name): np.asarray(rows, np.float32) for name, rows in classes}
    return Dataset.from_classes(records, kind="vector", origin={"columns": columns or []})


def test_center_is_the_median_and_scale_that_of_a_normal_with_the_same_quartiles():
    rows = np.random.default_rng(0).normal(3.0, 2.0, (40_001, 1)).astype(np.float32)
    form = fit(dataset([("a", rows)]), [0], CONFIG)
    assert form.facts["center"] == [float(np.median(rows))]
    # Standard error of the scale with so many draws: about 0.02.
    assert form.facts["scale"][0] == pytest.approx(2.0, abs=0.06)


def test_wild_values_move_neither_center_nor_scale():
    rows = np.arange(100, dtype=np.float32)[:, None]
    wild = rows.copy()
    wild[:5] = -1e9
    calm = fit(dataset([("a", rows)]), [0], CONFIG).facts
    moved = fit(dataset([("a", wild)]), [0], CONFIG).facts
    assert moved == calm


def test_where_the_quartiles_are_equal_scale_is_the_deviation_and_for_one_value_one():
    rows = np.zeros((100, 2), np.float32)
    rows[:5, 0] = 10.0
    facts = fit(dataset([("a", rows)]), [0], CONFIG).facts
    assert facts["scale"] == [pytest.approx(float(rows[:, 0].std())), 1.0]


def test_held_out_classes_change_nothing_of_the_form():
    train = np.random.default_rng(0).normal(size=(30, 3))
    forms = [
        fit(dataset([("a", train), ("b", held), ("c", train + 1)]), [0, 2], CONFIG)
        for held in (train * 1e6 - 9, np.ones((2, 3)))
    ]
    assert forms[0] == forms[1]


def test_a_form_is_json_and_the_same_every_time():
    rows = np.random.default_rng(0).normal(size=(31, 4)) / 3
    data = dataset([("a", rows)], columns=["w", "x", "y", "z"])
    form = fit(data, [0], CONFIG)
    assert fit(data, [0], CONFIG) == form
    assert Form.of_json(json.loads(json.dumps(form.as_json()))) == form
    assert form.facts["columns"] == ["w", "x", "y", "z"]


def test_without_names_columns_are_numbered():
    assert fit(dataset([("a", [[1, 2]])]), [0], CONFIG).facts["columns"] == ["x0", "x1"]


def test_no_class_to_learn_from_is_an_error_with_the_settings():
    with pytest.raises(DataError, match=r"data\.validation_fraction"):
        fit(dataset([("a", [[1, 2]])]), [], CONFIG)


def test_a_value_is_its_distance_from_the_median_in_scales():
    found = to_tensor(np.array([[1.5, 98.0]], np.float32), FORM)
    assert found.dtype == torch.float32
    assert found.tolist() == [[1.0, 1.0]]


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(st.floats(-9.5, 9.5, width=32), min_size=1, max_size=8),
    center=st.floats(-1e6, 1e6),
    scale=st.floats(1e-3, 1e6),
)
def test_unclipped_values_come_back_within_the_rounding_of_float32(values, center, scale):
    form = Form("vector", (1,), {"columns": ["a"], "center": [center], "scale": [scale]})
    stored = (np.array(values, np.float64)[:, None] * scale + center).astype(np.float32)
    back = to_samples(to_tensor(stored, form), form)
    assert back.dtype == np.float32
    error = np.abs(back.astype(np.float64) - stored)
    assert (error <= 2.0**-23 * (np.abs(stored) + 10 * scale)).all()


def test_values_beyond_ten_scales_are_drawn_in():
    found = to_tensor(np.array([[1e6, -1e9]], np.float32), FORM)
    assert found.tolist() == [[10.0, -10.0]]
    assert to_samples(torch.tensor([[25.0, -1e30]]), FORM).tolist() == [[6.0, -1002.0]]
    assert within(torch.tensor([-11.0, 2.0, 11.0])).tolist() == [-10.0, 2.0, 10.0]


def test_leading_axes_are_kept():
    stored = np.zeros((2, 3, 2), np.float32)
    assert to_tensor(stored, FORM).shape == (2, 3, 2)
    assert to_samples(torch.zeros(4, 5, 2), FORM).shape == (4, 5, 2)


@pytest.mark.parametrize("convert", [to_tensor, lambda s, form: to_samples(torch.tensor(s), form)])
def test_another_number_of_columns_is_refused(convert):
    with pytest.raises(DataError, match=r"\(1, 3\)"):
        convert(np.zeros((1, 3), np.float32), FORM)


def test_whole_numbers_are_not_what_networks_draw():
    with pytest.raises(DataError, match="int64"):
        to_samples(torch.zeros(1, 2, dtype=torch.int64), FORM)


def test_a_support_with_a_value_that_is_not_finite_is_refused_with_its_column():
    support = torch.zeros(2, 3, 2)
    check_support(support, FORM)
    with pytest.raises(DataError, match="support is float64"):
        check_support(support.double().numpy(), FORM)
    support[1, 2, 1] = torch.nan
    with pytest.raises(DataError, match=r"support\[1, 2\], column 'b': nan"):
        check_support(support, FORM)


@pytest.mark.parametrize(
    "rows",
    [
        np.array([[1, 2], [3, 4]]),
        np.array([[True, False]]),
        torch.ones(2, 2, dtype=torch.bfloat16),
        [[1.0, 2.0], [3.0, 4.0]],
        [np.ones(2), np.zeros(2)],
        [torch.ones(2)],
    ],
)
def test_arrays_tensors_and_lists_are_taken(rows):
    found = check_classes({"new": rows}, FORM)["new"]
    assert found.dtype == np.float32
    assert found.shape == (len(rows), 2)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([1, 2], "classes is a list; give a mapping"),
        ({}, "classes is empty"),
        ({"a": np.zeros((0, 2))}, r"classes\['a'\] has no sample"),
        ({"a": np.zeros(2)}, r"shape \(2,\); expected \(n, D\) \(of one sample"),
        ({"a": np.zeros((2, 3))}, r"classes\['a'\] has shape \(2, 3\).*expected are 2 \(a, b\)"),
        ({"a": [[1.0], [1.0, 2.0]]}, "different lengths"),
        ({"a": np.array([["x", "y"]])}, "holds <U1"),
        ({"a": np.array([[1.0, np.nan]])}, r"classes\['a'\], row 0, column 'b': nan"),
        ({"a": np.array([[-np.inf, 1.0]])}, "row 0, column 'a': -inf"),
        ({"a": np.array([[1e38, 1.0]])}, "column 'a': 1e[+]38"),
        ({"a": "rows.csv"}, "metagan.read_support"),
    ],
)
def test_what_is_no_class_of_vectors_is_refused_by_name(classes, message):
    with pytest.raises(DataError, match=message):
        check_classes(classes, FORM)


USUAL = np.array([[1.2, -50.0], [0.8, 80.0]], np.float32)


def test_columns_in_other_units_are_warned_of_by_name():
    assert far_from([USUAL, USUAL], FORM) is None
    assert far_from([USUAL * [1000, 1]], FORM) == (
        "1 of 2 columns lies more than 10 scales away from what was learned from, and networks do "
        "not see how far: a (median 1000, learned from 1); check the units, and the order of the "
        "columns"
    )
    with pytest.warns(UserWarning, match="check the units"):
        check_classes({"new": USUAL * [1000, 1]}, FORM)


def test_other_data_are_read_with_the_runs_columns():
    config = VectorData(path="rows.csv")
    assert other_settings(config, FORM, "table", ()) == {"columns": ("a", "b")}
    assert other_settings(config, FORM, "npz", ()) == {"columns": ("a", "b")}
    assert other_settings(config, FORM, "table", ("columns",)) == {}
    numbered = replace(FORM, facts={**FORM.facts, "columns": ["x0", "x1"]})
    assert other_settings(config, numbered, "npz", ()) == {}
    assert other_settings(config, numbered, "table", ()) == {"columns": ("x0", "x1")}


def test_other_data_in_other_units_are_warned_of():
    assert other_looks(dataset([("a", USUAL)]), FORM, CONFIG) is None
    assert "check the units" in other_looks(dataset([("a", USUAL * [1, 1e6])]), FORM, CONFIG)
    assert other_looks(dataset([("a", USUAL[:, :1])]), FORM, CONFIG) is None
