import numpy as np
import pytest
import torch

from metagan.kinds.image.classical import Ranges, classical

STILL = Ranges(rotation=0, shear=0, scale=0, translation=0, elastic=0, brightness=0, contrast=0)


def ranges(**changes):
    return Ranges(**{**vars(STILL), **changes})


def pictures(count=8, channels=1, height=28, width=28):
    return torch.from_numpy(
        np.random.default_rng(0).uniform(-1, 1, (count, channels, height, width))
    ).float()


def blob(x, y, size=64, spread=3.0):
    """A smooth bright spot with its centre at pixel (x, y) on a dark ground, (1, 1, H, W)."""
    axis = torch.arange(size).float()
    spot = torch.exp(
        -((axis - x) ** 2)[None, :] / spread**2 - ((axis - y) ** 2)[:, None] / spread**2
    )
    return (2 * spot - 1)[None, None]


def centre_of(image):
    """(x, y) of the ink of one picture, in pixels from the middle."""
    ink = (image[0] + 1).double()
    axis = torch.arange(image.shape[-1]).double() - (image.shape[-1] - 1) / 2
    return np.array([float((ink.sum(0) * axis).sum()), float((ink.sum(1) * axis).sum())]) / float(
        ink.sum()
    )


def centres(images):
    return np.stack([centre_of(image) for image in images])


def test_strength_zero_returns_the_images_unchanged():
    images = pictures()
    assert torch.equal(classical(images, np.random.default_rng(0), strength=0), images)


def test_no_ranges_at_all_return_the_images_up_to_rounding():
    images = pictures(channels=3, height=16, width=24)
    moved = classical(images, np.random.default_rng(0), ranges=STILL)
    torch.testing.assert_close(moved, images, atol=1e-5, rtol=0)


def test_equal_generator_states_give_equal_bits_and_the_input_is_left_alone():
    images = pictures()
    before = images.clone()
    one, other = (classical(images, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(images, before)
    assert not torch.equal(one, classical(images, np.random.default_rng(4)))


def test_torchs_global_generator_is_not_touched():
    state = torch.get_rng_state()
    classical(pictures(), np.random.default_rng(0))
    assert torch.equal(torch.get_rng_state(), state)


def test_every_image_of_a_batch_has_its_own_draw():
    moved = classical(blob(40, 30).expand(16, -1, -1, -1), np.random.default_rng(0))
    assert len(torch.unique(moved.flatten(1), dim=0)) == 16


def test_translation_moves_by_up_to_its_share_of_the_size_and_nothing_else():
    moved = classical(
        blob(31.5, 31.5).expand(300, -1, -1, -1),
        np.random.default_rng(0),
        ranges=ranges(translation=0.1),
    )
    offsets = centres(moved)
    assert np.abs(offsets).max() == pytest.approx(6.4, abs=0.1)
    assert offsets.std() == pytest.approx(6.4 / np.sqrt(3), rel=0.08)
    ink = (moved + 1).sum(dim=(1, 2, 3))
    torch.testing.assert_close(ink, ink.mean().expand(300), atol=0, rtol=0.01)


def test_rotation_keeps_the_radius_and_reaches_its_angle():
    moved = classical(
        blob(47.5, 31.5).expand(300, -1, -1, -1),
        np.random.default_rng(0),
        ranges=ranges(rotation=20),
    )
    offsets = centres(moved)
    np.testing.assert_allclose(np.linalg.norm(offsets, axis=1), 16, atol=0.1)
    angles = np.rad2deg(np.arctan2(offsets[:, 1], offsets[:, 0]))
    assert np.abs(angles).max() == pytest.approx(20, abs=0.5)
    assert angles.std() == pytest.approx(20 / np.sqrt(3), rel=0.08)


def test_rotation_of_a_wide_picture_is_in_pixels():
    # The middle 64 rows of the same scene, twice as wide: the radius must still be kept.
    scene = torch.nn.functional.pad(blob(47.5, 31.5), (32, 32, 0, 0), value=-1.0)
    moved = classical(
        scene.expand(50, -1, -1, -1), np.random.default_rng(0), ranges=ranges(rotation=20)
    )
    ink = (moved[:, 0] + 1).double()
    xs, ys = torch.arange(128).double() - 63.5, torch.arange(64).double() - 31.5
    total = ink.sum(dim=(1, 2))
    x = (ink.sum(dim=1) * xs).sum(dim=1) / total
    y = (ink.sum(dim=2) * ys).sum(dim=1) / total
    np.testing.assert_allclose(torch.hypot(x, y).numpy(), 16, atol=0.1)


def test_scale_lies_between_its_ratio_and_the_inverse():
    moved = classical(
        blob(47.5, 31.5).expand(300, -1, -1, -1),
        np.random.default_rng(0),
        ranges=ranges(scale=0.25),
    )
    ratios = centres(moved)[:, 0] / 16
    assert ratios.min() == pytest.approx(0.8, abs=0.02)
    assert ratios.max() == pytest.approx(1.25, abs=0.02)


def test_elastic_displacement_is_smooth_and_bounded():
    moved = classical(
        blob(31.5, 31.5).expand(300, -1, -1, -1),
        np.random.default_rng(0),
        ranges=ranges(elastic=0.05),
    )
    offsets = centres(moved)
    # A corner of the control grid lies on the spot: it moves by up to 5 % of 64 pixels.
    assert 2.0 < np.abs(offsets).max() < 3.6
    assert np.abs(offsets.mean(axis=0)).max() < 0.3


def test_brightness_and_contrast_stay_in_bounds_and_move_the_values():
    flat = torch.full((200, 3, 8, 8), 0.2)
    brighter = classical(flat, np.random.default_rng(0), ranges=ranges(brightness=0.1))
    levels = brighter.mean(dim=(1, 2, 3))
    assert float(levels.min()) == pytest.approx(0.1, abs=0.005)
    assert float(levels.max()) == pytest.approx(0.3, abs=0.005)
    halves = torch.cat([torch.full((200, 1, 8, 4), -0.5), torch.full((200, 1, 8, 4), 0.5)], dim=-1)
    spread = classical(halves, np.random.default_rng(0), ranges=ranges(contrast=0.25)).amax(
        (1, 2, 3)
    )
    assert float(spread.min()) == pytest.approx(0.4, abs=0.01)
    assert float(spread.max()) == pytest.approx(0.625, abs=0.01)
    strong = classical(pictures(), np.random.default_rng(0), strength=3)
    assert strong.abs().max() <= 1


def test_strength_multiplies_ranges():
    images = blob(31.5, 31.5).expand(200, -1, -1, -1)
    half, full = (
        centres(
            classical(images, np.random.default_rng(0), strength=s, ranges=ranges(translation=0.1))
        )
        for s in (0.5, 1.0)
    )
    np.testing.assert_allclose(half * 2, full, atol=0.05)


def test_dark_ground_is_continued_outside_the_image():
    dark = torch.full((50, 1, 28, 28), -1.0)
    moved = classical(dark, np.random.default_rng(0), ranges=Ranges(brightness=0, contrast=0))
    torch.testing.assert_close(moved, dark, atol=1e-6, rtol=0)


def test_an_empty_batch_stays_empty_and_other_input_is_refused():
    assert classical(torch.empty(0, 1, 8, 8), np.random.default_rng(0)).shape == (0, 1, 8, 8)
    with pytest.raises(ValueError, match=r"torch\.uint8"):
        classical(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), np.random.default_rng(0))
    with pytest.raises(ValueError, match="strength is -1"):
        classical(pictures(), np.random.default_rng(0), strength=-1)
