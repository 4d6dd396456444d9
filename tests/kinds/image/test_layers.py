"""Layers that stay exact under vmap and, where asked, twice-differentiable."""

import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from metagan.core.layers import GroupNorm, leaky_clamp
from metagan.kinds.image.layers import ToPixels, Upsample, pixel_grid, warp


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=rng, dtype=torch.float64)


# --- group normalization -----------------------------------------------------------------------


def test_group_norm_equals_torch_with_affine_weights():
    ours, theirs = GroupNorm(8).double(), nn.GroupNorm(4, 8).double()
    scale, shift = normal(8, seed=1), normal(8, seed=2)
    ours.load_state_dict({"scale": scale, "shift": shift})
    theirs.load_state_dict({"weight": scale, "bias": shift})
    x = normal(3, 8, 5, 6)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-13)


def test_group_norm_takes_inputs_that_are_not_contiguous():
    layer, x = GroupNorm(4).double(), normal(2, 5, 6, 4).permute(0, 3, 1, 2)
    torch.testing.assert_close(layer(x), layer(x.contiguous()), rtol=0, atol=1e-14)


def test_second_order_gradients_under_vmap_equal_the_loop():
    """Torch's fused norms with affine weights are silently wrong here (1e-4 to 3e-3)."""
    layer = GroupNorm(4)

    def after_one_step(weights: dict, x: torch.Tensor) -> torch.Tensor:
        def loss(w: dict, inputs: torch.Tensor) -> torch.Tensor:
            hidden = functional.conv2d(inputs, w["conv"], padding=1)
            hidden = torch.func.functional_call(
                layer, {"scale": w["scale"], "shift": w["shift"]}, hidden
            )
            return functional.softplus(hidden).square().mean()

        gradient = torch.func.grad(loss)(weights, x)
        moved = {name: weights[name] - 0.5 * gradient[name] for name in weights}
        return loss(moved, x.flip(0))

    weights = {
        "conv": normal(4, 2, 3, 3, seed=1),
        "scale": 1 + 0.3 * normal(4, seed=2),
        "shift": 0.3 * normal(4, seed=3),
    }
    episodes = normal(5, 3, 2, 6, 6)
    outer = torch.func.grad(after_one_step)
    together = torch.func.vmap(outer, (None, 0))(weights, episodes)
    for i, x in enumerate(episodes):
        single = outer(weights, x)
        for name in weights:
            assert float((together[name][i] - single[name]).abs().max()) <= 1e-10, name
    assert float(together["scale"].abs().max()) > 1e-3


# --- warping -----------------------------------------------------------------------------------


def displacement(count: int, height: int, width: int, *, scale: float = 0.3) -> torch.Tensor:
    return scale * normal(count, height, width, 2, seed=7)


@settings(max_examples=20, derandomize=True, deadline=None)
@given(
    height=st.integers(2, 7),
    width=st.integers(2, 7),
    channels=st.integers(1, 3),
    scale=st.floats(0.0, 3.0),
)
def test_both_ways_to_warp_agree_in_values_and_gradients(height, width, channels, scale):
    image = normal(2, channels, height, width)
    field = displacement(2, height, width, scale=scale)
    weight = normal(2, channels, height, width, seed=9)

    def value(x: torch.Tensor, f: torch.Tensor, twice: bool) -> torch.Tensor:
        return (weight * warp(x, f, twice=twice)).sum()

    torch.testing.assert_close(
        warp(image, field, twice=True), warp(image, field, twice=False), rtol=0, atol=1e-10
    )
    if scale > 1e-6:  # At zero the derivative has a kink at every pixel centre.
        once, twice = (
            torch.func.grad(value, argnums=(0, 1))(image, field, way) for way in (False, True)
        )
        for a, b in zip(once, twice, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


@pytest.mark.parametrize("twice", [True, False])
def test_no_displacement_is_the_identity(twice):
    image = normal(2, 3, 6, 6)
    still = warp(image, torch.zeros(2, 6, 6, 2, dtype=torch.float64), twice=twice)
    torch.testing.assert_close(still, image, rtol=0, atol=1e-13)


@pytest.mark.parametrize("twice", [True, False])
def test_a_displacement_of_whole_pixels_shifts_and_the_border_is_repeated(twice):
    image = normal(1, 1, 4, 8)
    field = torch.zeros(1, 4, 8, 2, dtype=torch.float64)
    field[..., 0] = 2 * 2 / 8  # Two pixels of eight; 2 is the whole width.
    moved = warp(image, field, twice=twice)
    torch.testing.assert_close(moved[..., :6], image[..., 2:], rtol=0, atol=1e-12)
    torch.testing.assert_close(
        moved[..., 6:], image[..., -1:].expand(1, 1, 4, 2), rtol=0, atol=1e-12
    )


def test_the_gathered_warp_has_first_and_second_derivatives():
    image = normal(1, 2, 4, 5).requires_grad_()
    # Away from kinks: shares of a pixel stay between 0.2 and 0.8.
    cells = torch.randint(-1, 2, (1, 4, 5, 2), generator=torch.Generator().manual_seed(0))
    pixels = cells + 0.2 + 0.6 * torch.rand(1, 4, 5, 2, generator=torch.Generator().manual_seed(1))
    field = (pixels.double() * torch.tensor([2 / 5, 2 / 4])).requires_grad_()

    def function(x: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
        return warp(x, f, twice=True)

    assert torch.autograd.gradcheck(function, (image, field))
    assert torch.autograd.gradgradcheck(function, (image, field))


@pytest.mark.parametrize("twice", [True, False])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_field_that_is_not_finite_ends_in_nan_and_not_in_a_crash(bad, twice):
    """grid_sample's derivative writes outside its memory at a NaN."""
    image = torch.zeros(2, 1, 8, 8)
    field = torch.zeros(2, 8, 8, 2)
    field[0] = bad
    for _ in range(20):
        x, f = image.clone().requires_grad_(), field.clone().requires_grad_()
        out = warp(x, f, twice=twice)
        assert out[1].isfinite().all()
        assert out[0].isnan().all() or bad == torch.inf
        out.sum().backward()
        assert x.grad[1].isfinite().all()


@pytest.mark.parametrize("twice", [True, False])
def test_warping_under_vmap_equals_the_loop(twice):
    images, fields = normal(3, 2, 1, 6, 6), 0.3 * normal(3, 2, 6, 6, 2, seed=4)

    def value(x: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
        return warp(x, f, twice=twice).square().sum()

    gradient = torch.func.grad(value, argnums=(0, 1))
    together = torch.func.vmap(gradient)(images, fields)
    for i in range(3):
        for a, b in zip(together, gradient(images[i], fields[i]), strict=True):
            torch.testing.assert_close(a[i], b, rtol=0, atol=1e-12)


def test_pixel_centres_are_those_of_grid_sample():
    grid = pixel_grid(3, 4, torch.zeros((), dtype=torch.float64))
    theta = torch.eye(2, 3, dtype=torch.float64)[None]
    expected = functional.affine_grid(theta, [1, 1, 3, 4], align_corners=False)[0]
    torch.testing.assert_close(grid, expected, rtol=0, atol=1e-15)


# --- the rest ----------------------------------------------------------------------------------


def test_the_leaky_clamp_by_hand():
    x = torch.tensor([-3.0, -1.0, 0.25, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    y = leaky_clamp(x)
    assert y.tolist() == pytest.approx([-1.1, -1.0, 0.25, 1.0, 1.05])
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert slope[[0, 2, 4]].tolist() == pytest.approx([0.05, 1.0, 0.05])


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("small", "size"), [(4, 8), (7, 14), (4, 16), (7, 28)])
def test_upsampling_equals_torch_in_values_and_gradients(mode, small, size):
    x, layer = normal(2, 3, small, small), Upsample(small, size, mode)
    weight = normal(2, 3, size, size, seed=1)

    def expected(a: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(a, size=(size, size), mode=mode, align_corners=False)

    torch.testing.assert_close(layer(x), expected(x), rtol=0, atol=1e-12)
    ours = torch.func.grad(lambda a: (weight * layer(a)).sum())(x)
    theirs = torch.func.grad(lambda a: (weight * expected(a)).sum())(x)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    assert list(layer.state_dict()) == []


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_last_layer_is_a_convolution(outputs):
    layer = ToPixels(5, outputs).double()
    x, weight = normal(2, 5, 6, 7), normal(2, outputs, 6, 7, seed=1)
    params = dict(layer.named_parameters())
    assert list(params) == ["weight", "bias"]

    def loss(x: torch.Tensor, w: dict, exact: bool) -> torch.Tensor:
        if exact:
            y = functional.conv2d(x, w["weight"], w["bias"], padding=1)
        else:
            y = torch.func.functional_call(layer, w, (x,))
        return (weight * y).square().sum()

    values = [loss(x, params, exact).item() for exact in (True, False)]
    assert values[0] == pytest.approx(values[1], rel=1e-13)
    exact, ours = (
        torch.func.grad(lambda x, w, e=e: loss(x, w, e), argnums=(0, 1))(x, params)
        for e in (True, False)
    )
    torch.testing.assert_close(ours[0], exact[0], rtol=1e-12, atol=1e-12)
    for name in params:
        torch.testing.assert_close(ours[1][name], exact[1][name], rtol=1e-12, atol=1e-12)
