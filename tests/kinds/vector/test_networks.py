"""The players of vectors: what the rest of the system counts on."""

import pytest
import torch
from torch.func import functional_call

from metagan.config.learning import GanConfig
from metagan.core.params import module_params
from metagan.data.form import Form
from metagan.kinds.vector.networks import LayerNorm, build_players

CONDITIONINGS = ["none", "label", "sample", "sample+support", "input+support"]
GIVEN = 2
EVERY = pytest.mark.parametrize("conditioning", CONDITIONINGS)
WIDTHS = pytest.mark.parametrize("columns", [1, 2, 30])


def build(conditioning, columns=3, seed=0, second_order=False):
    config = GanConfig(
        family="mlp",
        conditioning=() if conditioning == "none" else conditioning.split("+"),
        width=8,
        discriminator_width=8,
        latent_dim=4,
        num_labels=3,
        augment=(),
        adversarial_weight=1.0,
    )
    form = Form("vector", (columns,), given=(GIVEN,) if "input" in conditioning else ())
    return build_players(config, form, seed=seed, second_order=second_order)


def inputs(conditioning, columns=3, count=3, dtype=torch.float32):
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(count, columns, generator=rng, dtype=dtype)
    z = torch.randn(count, 4, generator=rng, dtype=dtype)
    labels = torch.arange(count)[:, None].to(dtype)
    told = {
        "sample": x,
        "label": labels,
        "input": torch.randn(count, GIVEN, generator=rng, dtype=dtype),
        "support": torch.randn(1, 4, columns, generator=rng, dtype=dtype),
        "none": None,
    }
    condition = {word: told[word] for word in conditioning.split("+") if word != "none"}
    if "support" in condition:
        condition["reads"] = torch.ones(count, 4, dtype=dtype)
        if "input" in condition:
            condition["support_input"] = torch.randn(1, 4, GIVEN, generator=rng, dtype=dtype)
    return condition, z


@EVERY
@WIDTHS
def test_samples_and_scores_have_their_shapes(conditioning, columns):
    made = build(conditioning, columns)
    condition, z = inputs(conditioning, columns)
    samples = made.generator(condition, z)
    assert samples.shape == (3, columns)
    assert made.discriminator(condition, samples).shape == (3,)
    assert made.augment.num_draws == columns


@EVERY
def test_there_are_no_buffers_and_a_body_and_a_head(conditioning):
    made = build(conditioning)
    for module in (made.generator, made.discriminator):
        assert list(module.buffers()) == []
        assert {name.split(".")[0] for name in module_params(module)} == {"body", "head"}


@EVERY
def test_every_weight_has_a_gradient(conditioning):
    made = build(conditioning)
    condition, z = inputs(conditioning)
    made.discriminator(condition, made.generator(condition, z)).square().sum().backward()
    for module in (made.generator, made.discriminator):
        for name, weight in module.named_parameters():
            assert float(weight.grad.abs().sum()) > 0, name


@EVERY
def test_several_latents_of_each_condition_are_the_conditions_in_order(conditioning):
    generator = build(conditioning).generator
    condition, z = inputs(conditioning)
    both = generator(condition, torch.cat([z, -z]))
    torch.testing.assert_close(both, torch.cat([generator(condition, z), generator(condition, -z)]))


@EVERY
def test_the_latent_changes_the_sample(conditioning):
    generator = build(conditioning).generator
    condition, z = inputs(conditioning)
    assert float((generator(condition, z) - generator(condition, -z)).detach().abs().max()) > 1e-4


def test_a_conditional_generator_starts_near_the_given_sample():
    generator = build("sample").generator
    condition, z = inputs("sample")
    assert float((generator(condition, z) - condition["sample"]).detach().abs().max()) < 0.2


def test_the_label_changes_sample_and_score():
    made = build("label")
    labels, z = inputs("label")
    samples = made.generator(labels, z[:1].expand(3, -1))
    assert len({tuple(row) for row in samples.tolist()}) == 3
    scores = made.discriminator(labels, torch.ones(3, 3))
    assert len(set(scores.tolist())) == 3


def test_a_given_sample_changes_the_score_of_a_candidate():
    discriminator = build("sample").discriminator
    condition, _ = inputs("sample")
    candidate, opposite = torch.ones(3, 3), {"sample": -condition["sample"]}
    first, second = discriminator(condition, candidate), discriminator(opposite, candidate)
    assert float((first - second).detach().abs().max()) > 1e-4


def test_weights_depend_on_the_seed_alone():
    before = torch.random.get_rng_state()
    first, again, other = (
        build("sample"),
        build("sample", second_order=True),
        build("sample", seed=1),
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, weight in module_params(first.generator).items():
        assert torch.equal(weight, module_params(again.generator)[name])
    assert not torch.equal(first.generator.head.weight, other.generator.head.weight)


@EVERY
def test_first_and_second_derivatives_are_those_of_finite_differences(conditioning):
    made = build(conditioning, second_order=True)
    generator, discriminator = made.generator.double(), made.discriminator.double()
    condition, z = inputs(conditioning, dtype=torch.float64)

    def score(z):
        return discriminator(condition, generator(condition, z)).square()

    z.requires_grad_(True)
    assert torch.autograd.gradcheck(score, (z,))
    assert torch.autograd.gradgradcheck(score, (z,), atol=1e-4)


@EVERY
def test_vectorised_second_derivatives_equal_those_one_at_a_time(conditioning):
    made = build(conditioning, second_order=True)
    generator, discriminator = made.generator.double(), made.discriminator.double()
    condition, z = inputs(conditioning, dtype=torch.float64)
    weights = {name: w.detach() for name, w in module_params(generator).items()}

    def slope(weights, z):
        def loss(z):
            drawn = functional_call(generator, weights, (condition, z))
            return discriminator(condition, drawn).square().sum()

        return torch.func.grad(lambda z: torch.func.grad(loss)(z).square().sum())(z)

    many = torch.stack([z, 2 * z, -z])
    together = torch.func.vmap(lambda z: slope(weights, z))(many)
    for row, found in zip(many, together, strict=True):
        torch.testing.assert_close(found, slope(weights, row))


def test_the_norm_is_layer_normalization():
    x = torch.randn(5, 6, dtype=torch.float64)
    norm = LayerNorm(6).double()
    torch.testing.assert_close(norm(x), torch.nn.functional.layer_norm(x, (6,)))
