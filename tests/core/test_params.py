"""Named weights and their flat form."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from metagan.core.params import (
    GanParams,
    Layout,
    detach,
    map_params,
    module_params,
    vector_hash,
)

SHAPES = st.lists(st.lists(st.integers(1, 4), max_size=3).map(tuple), min_size=1, max_size=4)


def random_params(generator_shapes: list, discriminator_shapes: list) -> GanParams:
    rng = torch.Generator().manual_seed(0)
    return GanParams(
        *(
            {f"w.{i}": torch.randn(shape, generator=rng) for i, shape in enumerate(shapes)}
            for shapes in (generator_shapes, discriminator_shapes)
        )
    )


@settings(max_examples=30, derandomize=True, deadline=None)
@given(generator=SHAPES, discriminator=SHAPES)
def test_flatten_and_unflatten_are_inverse(generator, discriminator):
    params = random_params(generator, discriminator)
    layout = Layout.of(params)
    vector = layout.flatten(params)
    assert vector.shape == (layout.size,)
    for before, after in zip(params, layout.unflatten(vector), strict=True):
        assert list(before) == list(after)
        for name, weight in before.items():
            assert torch.equal(weight, after[name])


@settings(max_examples=20, derandomize=True, deadline=None)
@given(generator=SHAPES, discriminator=SHAPES, episodes=st.integers(1, 3))
def test_stacked_weights_flatten_row_by_row(generator, discriminator, episodes):
    params = random_params(generator, discriminator)
    layout = Layout.of(params)
    stacked = GanParams(
        *(
            map_params(lambda w: torch.stack([w + i for i in range(episodes)]), player)
            for player in params
        )
    )
    matrix = layout.flatten(stacked)
    assert matrix.shape == (episodes, layout.size)
    for i in range(episodes):
        assert torch.equal(matrix[i], layout.flatten(params) + i)
    for player, restored in zip(stacked, layout.unflatten(matrix), strict=True):
        assert all(torch.equal(weight, restored[name]) for name, weight in player.items())


def test_the_generator_comes_first_and_the_slices_cover_the_vector():
    params = random_params([(2, 3), ()], [(4,)])
    layout = Layout.of(params)
    assert layout.sizes == [6, 1, 4]
    assert layout.parts() == {"generator": slice(0, 7), "discriminator": slice(7, 11)}
    vector = layout.flatten(params)
    assert torch.equal(vector[:6], params.generator["w.0"].flatten())
    assert torch.equal(vector[7:], params.discriminator["w.0"])


def test_learned_rates_come_last_and_keep_the_names_of_their_weights():
    rates = {"generator.w.0": torch.tensor(0.5), "discriminator.w.0": torch.ones(3)}
    params = random_params([(2,)], [(3,)])._replace(rates=rates)
    layout = Layout.of(params)
    assert list(layout.shapes)[2:] == ["rates.generator.w.0", "rates.discriminator.w.0"]
    assert layout.parts()["rates"] == slice(5, 9)
    restored = layout.unflatten(layout.flatten(params))
    assert all(torch.equal(restored.rates[name], rate) for name, rate in rates.items())


def test_unflattened_weights_are_views_of_the_vector():
    params = random_params([(2, 2)], [(3,)])
    vector = Layout.of(params).flatten(params)
    named = Layout.of(params).unflatten(vector)
    vector[0] = 42.0
    assert float(named.generator["w.0"][0, 0]) == 42.0


def test_a_vector_of_another_length_is_refused():
    layout = Layout.of(random_params([(2,)], [(3,)]))
    with pytest.raises(ValueError, match="a vector of 4 weights, but the GAN has 5"):
        layout.unflatten(torch.zeros(4))


def test_the_first_weight_that_is_not_finite_is_named():
    layout = Layout({"generator.w": (2, 2), "generator.b": (), "discriminator.w": (3,)})
    names = ["generator.w"] * 4 + ["generator.b"] + ["discriminator.w"] * 3
    vector = np.zeros(8, np.float32)
    assert layout.first_not_finite(vector) is None
    for index in reversed(range(8)):
        vector[index] = np.nan if index % 2 else -np.inf
        assert layout.first_not_finite(vector) == names[index]


def test_the_layout_hash_tells_names_order_and_shapes_apart():
    weight = torch.zeros(2, 3)
    layouts = [
        Layout.of(GanParams({"a": weight, "b": weight}, {"c": weight})),
        Layout.of(GanParams({"b": weight, "a": weight}, {"c": weight})),
        Layout.of(GanParams({"a": weight.T, "b": weight}, {"c": weight})),
        Layout.of(GanParams({"a": weight}, {"b": weight, "c": weight})),
    ]
    assert len({layout.sha256 for layout in layouts}) == 4
    assert (
        layouts[0].sha256 == Layout.of(GanParams({"a": weight, "b": weight}, {"c": weight})).sha256
    )


def test_the_vector_hash_is_of_the_bits():
    zero, minus_zero = np.zeros(3, np.float32), -np.zeros(3, np.float32)
    assert vector_hash(zero) != vector_hash(minus_zero)
    assert vector_hash(zero) == vector_hash(np.zeros(6, np.float32)[::2])


def test_a_module_with_running_statistics_is_refused():
    with pytest.raises(ValueError, match="BatchNorm2d has buffers"):
        module_params(nn.BatchNorm2d(2))


def test_module_params_are_copies_without_gradient():
    module = nn.Linear(2, 2)
    params = module_params(module)
    params["weight"].zero_()
    assert float(module.weight.detach().abs().sum()) > 0
    assert not any(weight.requires_grad for weight in params.values())


def test_detach_cuts_the_graph_and_keeps_values():
    weight = torch.ones(2, requires_grad=True) * 3
    cut = detach(GanParams({"a": weight}, {"b": weight}))
    assert not cut.generator["a"].requires_grad
    assert cut.discriminator["b"].tolist() == [3.0, 3.0]
