"""Every generator: what the rest of the system counts on."""

import pytest
import torch

from metagan.config.learning import GanConfig
from metagan.core.params import module_params
from metagan.data.form import Form
from metagan.kinds.image.build import build_players
from tests.reference.cases import PICTURES, gan_settings

EVERY = pytest.mark.parametrize(("family", "conditioning"), PICTURES)


def build(family: str, conditioning: str, *, shape=(1, 16, 16), **changes: object):
    config = GanConfig(**gan_settings(family, conditioning, **changes))
    given = shape if "input" in conditioning else ()
    return build_players(config, Form("image", shape, given=given), seed=0).generator


def inputs(conditioning: str, shape=(1, 16, 16), count: int = 3):
    rng = torch.Generator().manual_seed(0)
    x = torch.rand((count, *shape), generator=rng) * 2 - 1
    z = torch.randn(count, 4, generator=rng)
    labels = torch.arange(count)[:, None].float()
    support = torch.rand((1, 4, *shape), generator=rng) * 2 - 1
    told = {"sample": x, "input": x, "label": labels, "support": support}
    condition = {word: told[word] for word in conditioning.split("+") if word != "none"}
    if "support" in condition:
        condition["reads"] = torch.ones(count, 4)
        if "input" in condition:
            condition["support_input"] = support.flip(-1)
    return condition, z


@EVERY
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 20, 20), (1, 28, 28), (3, 64, 64)])
def test_samples_have_the_shape_of_the_data_and_stay_near_its_range(family, conditioning, shape):
    with torch.no_grad():
        samples = build(family, conditioning, shape=shape)(*inputs(conditioning, shape))
    assert samples.shape == (3, *shape)
    assert float(samples.abs().max()) <= 1.1


@EVERY
def test_there_are_no_buffers_and_a_body_and_a_head(family, conditioning):
    generator = build(family, conditioning)
    assert list(generator.buffers()) == []
    names = {name.split(".")[0] for name in module_params(generator)}
    assert names == {"body", "head"}


@EVERY
def test_every_weight_has_a_gradient(family, conditioning):
    generator = build(family, conditioning)
    generator(*inputs(conditioning)).square().sum().backward()
    for name, weight in generator.named_parameters():
        assert weight.grad is not None, name
        assert float(weight.grad.abs().sum()) > 0, name


@EVERY
def test_the_latent_changes_the_sample(family, conditioning):
    generator = build(family, conditioning)
    condition, z = inputs(conditioning)
    generator.requires_grad_(False)
    assert float((generator(condition, z) - generator(condition, -z)).abs().max()) > 1e-4


@pytest.mark.parametrize("family", ["dcgan", "residual"])
def test_the_label_changes_the_sample(family):
    generator = build(family, "label", num_labels=4)
    labels, z = inputs("label")
    z = z[:1].expand(3, -1)
    generator.requires_grad_(False)
    samples = generator(labels, z)
    assert float((samples[0] - samples[1]).abs().max()) > 1e-4
    # Two latents for each: the labels in order, twice.
    twice = generator(labels, torch.cat([z, z]))
    torch.testing.assert_close(twice, torch.cat([samples, samples]))


def test_the_flow_starts_near_the_identity():
    generator = build("flow", "sample", shape=(1, 28, 28), width=16, latent_dim=4)
    condition, z = inputs("sample", (1, 28, 28))
    smooth = torch.nn.functional.avg_pool2d(condition["sample"], 9, stride=1, padding=4)
    with torch.no_grad():
        assert float((generator({"sample": smooth}, z) - smooth).abs().mean()) < 0.1


def test_the_flow_is_bounded_by_its_largest_displacement():
    generator = build("flow", "sample", max_displacement=0.25)
    ramp = torch.linspace(-1, 1, 16).expand(1, 1, 16, 16)
    with torch.no_grad():
        generator.body.flow.weight.mul_(1e4)
        warped, _ = generator.body(ramp, torch.ones(1, 4))
    # A field of 0.25 moves an x ramp of slope 16/15 per unit by 0.25 * 16/15; bicubic
    # up-sampling may overshoot a step by a tenth.
    assert float((warped - ramp).abs().max()) <= 0.25 * 16 / 15 * 1.35


def test_the_sizes_that_the_documentation_gives():
    config = GanConfig(family="flow", width=16, discriminator_width=16)
    made = build_players(config, Form("image", (1, 28, 28)), seed=0)
    players = (made.generator, made.discriminator)
    sizes = [sum(w.numel() for w in module.parameters()) for module in players]
    assert sizes == [53959, 23393]
