"""Inputs that are made from the pictures themselves, and networks that are told them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from PIL import Image

from metagan.config.image import ImageData
from metagan.config.learning import GanConfig
from metagan.data.form import Form
from metagan.kinds.image.build import build_players
from metagan.kinds.image.convert import fit, make_inputs, to_float
from metagan.kinds.image.taken import MASKS, hidden_of, hide, kept, shown, take
from metagan.seeding import generator
from tests.kinds.image.test_pairs import letters
from tests.reference.cases import gan_settings


def form(taken: str, channels: int = 1, size: int = 16) -> Form:
    more = {"mask": channels + 1, "grey": 1, "small": channels}[taken]
    return Form("image", (channels, size, size), {"inputs": taken}, (more, size, size))


def pictures(channels: int, size: int = 16, count: int = 5) -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.rand(count, channels, size, size, generator=rng) * 2 - 1


NAMES = [(7, index) for index in range(5)]


@pytest.mark.parametrize(("taken", "channels"), [("mask", 2), ("box", 2), ("small", 1)])
def test_the_form_says_what_networks_are_told(taken: str, channels: int) -> None:
    data = letters(hand=3, other=2)
    found = fit(data, [0, 1], ImageData(image_size=16, input=taken))
    assert found.given == (channels, 16, 16)
    inputs = make_inputs(data, found)(
        np.array([0, 1]), np.array([2, 0]), to_float(data.samples[:2]), 3
    )
    assert inputs.shape == (2, *found.given)
    # Kept as JSON, it is the same again.
    assert Form.of_json(found.as_json()) == found


def test_brightness_is_that_of_other_programs():
    colours = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    x = to_float(colours.transpose(0, 3, 1, 2))
    levels = (take(x, form("grey", 3), NAMES) + 1) * 127.5
    for picture, found in zip(colours, levels, strict=True):
        expected = np.asarray(Image.fromarray(picture).convert("L"), float)
        assert np.abs(found[0].numpy() - expected).max() < 1


def test_small_pictures_are_means_of_squares_enlarged_linearly():
    x = pictures(3)
    means = x.reshape(5, 3, 4, 4, 4, 4).mean((3, 5))
    expected = functional.interpolate(means, size=16, mode="bilinear", align_corners=False)
    torch.testing.assert_close(take(x, form("small", 3), NAMES), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [16, 28, 64])
def test_masks_hide_a_part_and_never_all(size: int) -> None:
    shares = [MASKS["mask"](size, generator(0, number)).mean() for number in range(100)]
    assert min(shares) >= 0.15
    assert max(shares) < 0.6
    assert np.std(shares) > 0.05
    boxes = [MASKS["box"](size, generator(0, number)) for number in range(50)]
    places = {tuple(np.argwhere(box)[0]) for box in boxes}
    assert {int(box.sum()) for box in boxes} == {(size // 2) ** 2}
    assert len(places) > 10


def test_what_is_hidden_is_black_and_the_rest_is_as_it_was():
    x = pictures(3)
    inputs = take(x, form("mask", 3), NAMES)
    hidden = hidden_of(inputs).bool()
    assert set(inputs[:, 3].unique().tolist()) == {-1.0, 1.0}
    seen, where = inputs[:, :3], hidden.expand(5, 3, 16, 16)
    assert torch.equal(seen[~where], x[~where])
    assert (seen[where] == -1).all()
    # To look at, it is grey there.
    looks = shown(inputs, form("mask", 3))
    assert torch.equal(looks[~where], x[~where])
    assert (looks[where] == 0).all()


def test_a_mask_belongs_to_a_sample_and_an_episode():
    data = letters(hand=3, other=3)
    config = ImageData(image_size=16, input="mask")
    told = make_inputs(data, fit(data, [0, 1], config))

    def masks(classes: list[int], places: list[int], seed: int) -> list[bytes]:
        x = torch.zeros(len(classes), 1, 16, 16)
        found = told(np.array(classes), np.array(places), x, seed)
        return [hidden_of(one).numpy().tobytes() for one in found]

    several = masks([0, 0, 1], [0, 1, 1], 4)
    assert len(set(several)) == 3
    # Whatever else is drawn with it.
    assert masks([1], [1], 4) == several[2:]
    assert masks([1], [1], 5) != several[2:]


@pytest.mark.parametrize("family", ["unet", "dcgan", "residual"])
def test_what_is_seen_is_drawn_as_it_is(family: str) -> None:
    config = GanConfig(**gan_settings(family, "input"))
    players = build_players(config, form("mask"), seed=0)
    x = pictures(1, count=3)
    inputs = take(x, form("mask"), NAMES[:3])
    z = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        drawn = players.generator({"input": inputs}, z)
    seen = ~hidden_of(inputs).bool().repeat(2, 1, 1, 1)
    assert torch.equal(drawn[seen], x.repeat(2, 1, 1, 1)[seen])
    assert not torch.equal(drawn, x.repeat(2, 1, 1, 1))
    assert players.unknown is not None
    assert torch.equal(players.unknown({"input": inputs}), hidden_of(inputs))
    assert build_players(config, form("small"), seed=0).unknown is None


def test_only_of_masks_something_is_kept():
    x, drawn = pictures(3), pictures(3).flip(0)
    for taken in ("grey", "small"):
        inputs = take(x, form(taken, 3), NAMES)
        assert torch.equal(kept(drawn, inputs, form(taken, 3)), drawn)
    hidden = torch.zeros(5, 16, 16, dtype=torch.bool)
    hidden[:, 3:7] = True
    found = kept(drawn, hide(x, hidden), form("mask", 3))
    assert torch.equal(found[:, :, 3:7], drawn[:, :, 3:7])
    assert torch.equal(found[:, :, :3], x[:, :, :3])


def test_looks_of_inputs_have_the_shape_of_pictures():
    x = pictures(3)
    for taken in ("mask", "grey", "small"):
        assert shown(take(x, form(taken, 3), NAMES), form(taken, 3)).shape == x.shape
