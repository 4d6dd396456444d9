"""Methods that put back what was taken from pictures, against slow and obvious ones."""

import numpy as np
import pytest
import torch
import torch.nn.functional as functional

from metagan.data.form import Form
from metagan.kinds.image import fill
from metagan.kinds.image.fill import bicubic, colour_by_brightness, fillers, nearest_patch
from metagan.kinds.image.output import remark
from metagan.kinds.image.taken import hidden_of, hide, take
from tests.kinds.image.test_taken import NAMES, form, pictures


def test_the_nearest_patch_is_that_of_every_place_tried():
    shown, asked = pictures(1, 8, count=3), pictures(1, 8, count=5).flip(2)
    inputs = take(asked, form("mask", size=8), NAMES)
    found = nearest_patch(shown, inputs)
    seen = 1 - hidden_of(inputs)
    for index in range(len(asked)):
        best, nearest = None, np.inf
        for picture in shown[:, 0].numpy():
            for down in range(-2, 3):
                for right in range(-2, 3):
                    rows = np.clip(np.arange(8) + down, 0, 7)
                    columns = np.clip(np.arange(8) + right, 0, 7)
                    moved = picture[np.ix_(rows, columns)]
                    error = (moved - asked[index, 0].numpy()) ** 2 * seen[index, 0].numpy()
                    if error.sum() < nearest - 1e-6:
                        best, nearest = moved, error.sum()
        np.testing.assert_array_equal(found[index, 0].numpy(), best)


def test_a_moved_copy_is_found_again():
    shown = pictures(3, 16, count=4)
    asked = torch.roll(shown[2:3], (2, -3), (2, 3))
    hidden = torch.zeros(1, 16, 16, dtype=torch.bool)
    hidden[:, 6:10, 6:10] = True
    found = nearest_patch(shown, hide(asked, hidden))
    torch.testing.assert_close(found[:, :, 6:10, 6:10], asked[:, :, 6:10, 6:10])


def test_colours_are_means_at_the_same_brightness():
    levels = torch.linspace(-1, 1, 32)
    ramp = levels[None, None, None].expand(2, 1, 4, 32)
    rule = torch.cat([ramp, ramp.square(), -ramp], dim=1)
    rule[1] += 0.1
    found = colour_by_brightness(rule, ramp, ramp[:1])
    torch.testing.assert_close(found, rule[:1] + 0.05, atol=1e-6, rtol=0)


def test_levels_that_are_not_shown_lie_between_those_that_are():
    ends = torch.tensor([-1.0, 1.0])[None, None, None].expand(1, 1, 2, 2)
    found = colour_by_brightness(ends.expand(1, 3, 2, 2), ends, torch.zeros(1, 1, 2, 2))
    torch.testing.assert_close(found, torch.zeros(1, 3, 2, 2), atol=0.04, rtol=0)


def test_bicubic_is_cubic_interpolation_of_the_small_picture():
    x = pictures(3) / 2
    small = functional.avg_pool2d(x, 4)
    expected = functional.interpolate(small, size=16, mode="bicubic", align_corners=False)
    found = bicubic(take(x, form("small", 3), NAMES))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def ramps(channels: int) -> torch.Tensor:
    rows = torch.linspace(-0.9, 0.9, 16)[:, None].expand(16, 16)
    return rows.expand(2, channels, 16, 16).clone()


@pytest.mark.parametrize("channels", [1, 3])
def test_smooth_filling_goes_on_with_a_slope(channels: int) -> None:
    pytest.importorskip("skimage")
    pytest.importorskip("cv2")
    x, taken = ramps(channels), form("mask", channels)
    hidden = torch.zeros(2, 16, 16, dtype=torch.bool)
    hidden[:, 5:9, 4:12] = True
    inputs = hide(x, hidden)
    found = fillers(x[:1], inputs[:1], inputs, taken)
    assert set(found) == {"nearest patch", "biharmonic", "Telea"}
    torch.testing.assert_close(found["biharmonic"][""], x, atol=1e-3, rtol=0)
    telea = found["Telea"][""]
    assert float((telea - x).abs().mean()) < float((inputs[:, :-1] - x).abs().mean()) / 4
    seen = ~hidden[:, None].expand_as(x)
    for drawn in found.values():
        assert torch.equal(drawn[""][seen], x[seen])


def test_a_method_whose_library_is_missing_is_left_out_and_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fill, "_is_installed", lambda _: False)
    inputs = take(pictures(1), form("mask"), NAMES)
    assert set(fillers(pictures(1), inputs, inputs, form("mask"))) == {"nearest patch"}
    said = "biharmonic and Telea not measured: pip install 'metagan[inpainting]'"
    assert remark(form("mask"), "evaluate") == said
    assert remark(form("small"), "evaluate") == remark(form("mask"), "adapt") == ""


def test_other_inputs_have_their_own_methods():
    x = pictures(3)
    for taken, name in (("grey", "colour by brightness"), ("small", "bicubic")):
        inputs = take(x, form(taken, 3), NAMES)
        [(arm, answers)] = fillers(x, inputs, inputs, form(taken, 3)).items()
        assert arm == name
        assert answers[""].shape == x.shape
    assert fillers(x, x, x, Form("image", (3, 16, 16), given=(3, 16, 16))) == {}
