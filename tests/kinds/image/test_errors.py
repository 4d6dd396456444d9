"""Errors of pictures whose truth is known, against slow and obvious formulas."""

import numpy as np
import torch

from metagan.data.form import Form
from metagan.kinds.image.errors import errors, ssim


def slow_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity of two grey pictures, a window at a time."""
    offsets = np.arange(-5, 6)
    kernel = np.exp(-0.5 * (offsets / 1.5) ** 2)
    window = np.outer(kernel, kernel) / kernel.sum() ** 2
    # The mirror image repeats the border.
    a, b = (np.pad(part, 5, mode="symmetric") for part in (a, b))
    total = 0.0
    size = a.shape[0] - 10
    for row in range(size):
        for column in range(size):
            x, y = (p[row : row + 11, column : column + 11] for p in (a, b))
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
            both = (window * (x - mx) * (y - my)).sum()
            top = (2 * mx * my + 1e-4) * (2 * both + 9e-4)
            total += top / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    return total / size**2


def test_structural_similarity_is_that_of_the_slow_formula() -> None:
    rng = np.random.default_rng(0)
    a = rng.uniform(0, 1, (3, 1, 16, 16))
    b = np.clip(a + rng.normal(0, 0.2, a.shape), 0, 1)
    expected = [slow_ssim(x[0], y[0]) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(ssim(a, b), expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ssim(a, a), 1.0, rtol=0, atol=1e-12)


def test_errors_are_in_levels_from_0_to_1() -> None:
    black, white = torch.full((2, 1, 16, 16), -1.0), torch.full((2, 1, 16, 16), 1.0)
    form = Form("image", (1, 16, 16), {})
    assert errors(black, white, form)["rmse"] == 1.0
    assert errors(white, white, form) == {"rmse": 0.0, "ssim": 1.0}
