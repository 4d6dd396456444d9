"""The discriminator: one score per sample, from that sample alone."""

import pytest
import torch

from metagan.config.learning import GanConfig
from metagan.core.params import module_params
from metagan.data.form import Form
from metagan.kinds.image.discriminators import ImageDiscriminator


def build(size: int = 16, channels: int = 1, *, conditional: bool = True) -> ImageDiscriminator:
    torch.manual_seed(0)
    told = "sample" if conditional else "none"
    config = GanConfig(family="dcgan", conditioning=told, discriminator_width=4)
    return ImageDiscriminator(Form("image", (channels, size, size)), config).double()


def images(count: int, channels: int = 1, size: int = 16, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, size, size, generator=rng, dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("size", [16, 20, 28, 64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("conditional", [True, False])
def test_there_is_one_score_per_sample_at_every_size(size, channels, conditional):
    discriminator = build(size, channels, conditional=conditional)
    x, y = images(3, channels, size), images(3, channels, size, seed=1)
    told = {"sample": x} if conditional else {}
    assert discriminator(told, y).shape == (3,)


def test_there_are_no_buffers_and_a_body_and_a_head():
    discriminator = build()
    assert list(discriminator.buffers()) == []
    assert {name.split(".")[0] for name in module_params(discriminator)} == {"body", "head"}


def test_a_score_does_not_depend_on_batch_mates():
    discriminator, x, y = build(), images(4), images(4, seed=1)
    scores = discriminator({"sample": x}, y)
    for i in range(4):
        alone = discriminator({"sample": x[i : i + 1]}, y[i : i + 1])
        torch.testing.assert_close(alone, scores[i : i + 1], rtol=0, atol=1e-14)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator({"sample": x}, y)[0], x)
    assert float(gradient[1:].abs().max()) == 0.0
    assert float(gradient[0].abs().max()) > 0


def test_the_condition_counts_only_where_there_is_one():
    x, y = images(2), images(2, seed=1)
    paired, alone = build(), build(conditional=False)
    assert not torch.equal(paired({"sample": x}, y), paired({"sample": -x}, y))
    assert alone({}, y).shape == (2,)


def test_every_weight_has_a_gradient_and_so_has_every_pixel():
    discriminator, x = build(), images(3).requires_grad_()
    discriminator({"sample": images(3, seed=1)}, x).sum().backward()
    for name, weight in discriminator.named_parameters():
        assert float(weight.grad.abs().sum()) > 0, name
    assert bool((x.grad.abs() > 0).all())
