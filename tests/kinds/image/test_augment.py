"""Augmentation inside the discriminator: exact, drawn from outside, differentiable."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metagan.kinds.image.augment import NUM_AUGMENT_DRAWS, augment
from tests.reference.gan_oracle import augment_one


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=rng, dtype=torch.float64) * 2 - 1


def draws(count: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(count, NUM_AUGMENT_DRAWS, generator=rng, dtype=torch.float64)


def shift_draw(shift: int, reach: int) -> float:
    """The middle of the draws that give this shift."""
    return (shift + reach + 0.5) / (2 * reach + 1)


@pytest.mark.parametrize("size", [16, 28])
def test_translation_shifts_exactly_and_pads_with_the_corner(size):
    reach = size // 8
    image = images(1, 2, size, size)
    for dx in range(-reach, reach + 1):
        for dy in (-reach, 0, 1):
            row = torch.zeros(1, NUM_AUGMENT_DRAWS, dtype=torch.float64)
            row[0, 0], row[0, 1] = shift_draw(dx, reach), shift_draw(dy, reach)
            moved = augment(image, row, ("translation",))
            for y in range(0, size, 3):
                for x in range(0, size, 3):
                    inside = 0 <= y - dy < size and 0 <= x - dx < size
                    source = image[0, :, y - dy, x - dx] if inside else image[0, :, 0, 0]
                    assert torch.equal(moved[0, :, y, x], source)


def test_every_shift_is_equally_likely():
    rows = draws(7000)
    shifts = torch.floor(rows[:, 0] * 5).long().bincount(minlength=5)
    ramp = torch.arange(16.0, dtype=torch.float64).expand(7000, 1, 16, 16)
    moved = augment(ramp, rows, ("translation",))
    found = (8 - moved[:, 0, 8, 8]).long()
    counts = [int((found == shift).sum()) for shift in range(-2, 3)]
    assert counts == shifts.tolist()
    # Binomial(7000, 1/5): standard deviation 33.
    assert all(abs(count - 1400) < 5 * 33 for count in counts)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "kinds", [(), ("translation",), ("cutout",), ("color",), ("cutout", "color", "translation")]
)
def test_augmentation_equals_slicing_one_image_at_a_time(kinds, channels):
    batch, rows = images(6, channels, 16, 16), draws(6)
    expected = torch.stack([augment_one(x, row, kinds) for x, row in zip(batch, rows, strict=True)])
    torch.testing.assert_close(augment(batch, rows, kinds), expected, rtol=0, atol=1e-14)


@settings(max_examples=15, derandomize=True, deadline=None)
@given(seed=st.integers(0, 99), size=st.sampled_from([8, 16, 20]), count=st.integers(1, 4))
def test_an_image_is_augmented_alike_in_any_batch_and_under_vmap(seed, size, count):
    kinds = ("color", "translation", "cutout")
    batch, rows = images(count, 3, size, size, seed=seed), draws(count, seed)
    together = augment(batch, rows, kinds)
    for i in range(count):
        alone = augment(batch[i : i + 1], rows[i : i + 1], kinds)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-15)
    mapped = torch.func.vmap(lambda x, row: augment(x[None], row[None], kinds)[0])(batch, rows)
    torch.testing.assert_close(mapped, together, rtol=0, atol=1e-15)


def test_draws_decide_everything():
    batch, rows = images(3, 1, 16, 16), draws(3)
    kinds = ("color", "translation", "cutout")
    assert torch.equal(augment(batch, rows, kinds), augment(batch, rows, kinds))
    assert not torch.equal(augment(batch, rows, kinds), augment(batch, draws(3, 1), kinds))


@pytest.mark.parametrize("kind", ["color", "translation", "cutout"])
def test_gradients_flow_through_every_augmentation(kind):
    """All are linear in the picture, but for the padding, which counts as constant."""
    batch, rows, weight = images(2, 3, 8, 8), draws(2, seed=3), images(2, 3, 8, 8, seed=5)

    def value(x: torch.Tensor) -> torch.Tensor:
        return (weight * augment(x, rows, (kind,))).sum()

    gradient = torch.func.grad(value)(batch)
    direction = images(2, 3, 8, 8, seed=6)
    direction[:, :, 0, 0] = 0
    change = value(batch + direction) - value(batch)
    along = (gradient * direction).sum()
    assert abs(change.item()) > 0.01
    assert along.item() == pytest.approx(change.item(), rel=1e-10)


def test_cutout_is_a_square_of_about_half_the_width():
    ones = torch.ones(200, 1, 28, 28, dtype=torch.float64)
    holes = 1 - augment(ones, draws(200), ("cutout",))[:, 0]
    widths = holes.amax(1).sum(1)
    assert float(widths.max()) == 13
    assert float(holes.sum((1, 2)).max()) == 169
