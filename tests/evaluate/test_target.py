"""Adapting to a target and generating from it."""

import dataclasses

import pytest
import torch

from metagan.config.learning import GanConfig, InnerConfig
from metagan.config.settings import TaskConfig
from metagan.core.batches import Condition, draw_batches
from metagan.core.derivatives import autograd_gradient
from metagan.core.gan import GanPair, build_gan
from metagan.core.inner_loop import adapt
from metagan.core.params import GanParams
from metagan.data.form import Form
from metagan.data.tasks import Half
from metagan.evaluate.drawing import SCORED_AGAINST, generate_samples
from metagan.evaluate.target import AdaptedTarget, adapt_to_target
from metagan.kinds.image.augment import NUM_AUGMENT_DRAWS
from metagan.kinds.image.build import build_players
from metagan.kinds.image.convert import to_float
from metagan.seeding import derive_seed
from tests.helpers import bars

INNER = InnerConfig(lr=0.05, optimizer="sgd")


@pytest.fixture(scope="module")
def support() -> torch.Tensor:
    data = bars(num_domains=1, classes=3, drawings=4)
    return torch.stack([to_float(data.class_samples(i)) for i in range(3)])


def players(conditioning: str) -> tuple[GanPair, GanParams]:
    family = "flow" if conditioning == "sample" else "dcgan"
    config = GanConfig.model_validate(
        {
            "width": 4,
            "discriminator_width": 4,
            "latent_dim": 4,
            "conditioning": conditioning,
            "family": family,
        }
    )
    return build_gan(build_players, config, Form("image", (1, 16, 16)), seed=0)


def adapted(support: torch.Tensor, unit: str, steps: int = 3) -> tuple[GanPair, AdaptedTarget]:
    gan, init = players("sample")
    target = adapt_to_target(
        gan,
        init,
        support,
        inner=INNER,
        task=TaskConfig.model_validate({"unit": unit}),
        steps=steps,
        batch_size=6,
        seed=5,
    )
    return gan, target


def test_each_class_is_adapted_as_if_it_were_alone(support: torch.Tensor) -> None:
    gan, target = adapted(support, "class")
    _, init = players("sample")
    for way in range(3):
        batches = draw_batches(
            Half(support[way : way + 1]),
            gan.config,
            steps=3,
            batch_size=6,
            seed=derive_seed(5, "adapt", way),
            purpose="support",
            num_draws=NUM_AUGMENT_DRAWS,
        )
        alone = adapt(gan, init, batches, INNER, gradient=autograd_gradient).params
        for name, weight in alone.generator.items():
            torch.testing.assert_close(
                target.params.generator[name][way], weight, rtol=1e-3, atol=1e-5
            )


def test_a_domain_has_one_set_of_weights_and_no_steps_change_nothing(
    support: torch.Tensor,
) -> None:
    _, target = adapted(support, "domain")
    _, init = players("sample")
    assert not target.classes_each
    assert target.params.generator.keys() == init.generator.keys()
    _, untouched = adapted(support, "class", steps=0)
    assert all(torch.equal(untouched.params.generator[n], w) for n, w in init.generator.items())


@pytest.mark.parametrize("unit", ["class", "domain"])
def test_the_seed_decides_what_is_generated(support: torch.Tensor, unit: str) -> None:
    gan, target = adapted(support, unit)
    samples = generate_samples(gan, target, per_support=2, seed=1)
    assert samples.shape == (3, 8, 1, 16, 16)
    assert samples.abs().max() <= 1
    assert torch.equal(samples, generate_samples(gan, target, per_support=2, seed=1))
    assert not torch.equal(samples, generate_samples(gan, target, per_support=2, seed=2))


def test_samples_that_continue_one_support_picture_stand_together(support: torch.Tensor) -> None:
    class Echo(torch.nn.Module):
        def forward(self, condition: Condition, z: torch.Tensor) -> torch.Tensor:
            return condition["sample"] + 0 * z.sum()

    gan = dataclasses.replace(players("sample")[0], generator=Echo())
    target = AdaptedTarget(GanParams({}, {}), False, support)
    samples = generate_samples(gan, target, per_support=2, seed=1, batch_size=5)
    assert torch.equal(samples, support.repeat_interleave(2, dim=1))


def test_an_unconditional_generator_adapts_per_class(support: torch.Tensor) -> None:
    gan, init = players("none")
    target = adapt_to_target(
        gan,
        init,
        support,
        inner=INNER,
        task=TaskConfig(),
        steps=2,
        batch_size=4,
        seed=0,
    )
    assert generate_samples(gan, target, per_support=1, seed=0).shape == (3, 4, 1, 16, 16)


@pytest.mark.parametrize("steps", [0, 2])
def test_more_classes_than_labels_are_adapted_to_in_parts(
    support: torch.Tensor, steps: int
) -> None:
    """Three classes and two labels: one set of weights for the first two, one for the third."""
    config = GanConfig(
        conditioning="label",
        num_labels=2,
        family="dcgan",
        width=4,
        discriminator_width=4,
        latent_dim=4,
    )
    gan, init = build_gan(build_players, config, Form("image", (1, 16, 16)), seed=0)
    task = TaskConfig(unit="domain", ways=2)

    def adapt_to(classes: torch.Tensor) -> AdaptedTarget:
        return adapt_to_target(
            gan, init, classes, inner=INNER, task=task, steps=steps, batch_size=4, seed=0
        )

    target = adapt_to(support)
    samples = generate_samples(gan, target, per_support=1, seed=0)
    assert samples.shape == support.shape
    if steps:
        assert target.classes_each == 2
        assert all(len(weight) == 2 for weight in target.params.generator.values())
        of_first_two = adapt_to(support[:2]).of_class(1)
        for name, weight in target.of_class(0).generator.items():
            assert torch.equal(weight, target.of_class(1).generator[name])
            torch.testing.assert_close(weight, of_first_two.generator[name], rtol=1e-4, atol=1e-6)
    latent = torch.randn(1, 4)
    by_label = [
        gan.generate(init.generator, {"label": torch.tensor([[y]])}, latent) for y in (0.0, 1.0)
    ]
    assert not torch.equal(*by_label)


def reference_best(
    gan: GanPair, target: AdaptedTarget, drawn: torch.Tensor, best_of: int
) -> torch.Tensor:
    """One candidate, one support sample and one score at a time."""
    rows = []
    for way, support in enumerate(target.support):
        critic = target.of_class(way).discriminator
        kept = []
        for group in drawn[way].split(best_of):
            totals = []
            for sample in group:
                told = [{"sample": x[None]} for x in support] if gan.config.conditioning else [{}]
                scores = [gan.score(critic, each, sample[None]).item() for each in told]
                totals.append(sum(scores) / len(scores))
            kept.append(group[totals.index(max(totals))])
        rows.append(torch.stack(kept))
    return torch.stack(rows)


@pytest.mark.parametrize("conditioning", ["sample", "none"])
@pytest.mark.parametrize("steps", [0, 2])
def test_best_of_keeps_what_the_classes_own_discriminator_scores_highest(
    support: torch.Tensor, conditioning: str, steps: int
) -> None:
    gan, init = players(conditioning)
    few = support[:, :SCORED_AGAINST]
    target = adapt_to_target(
        gan, init, few, inner=INNER, task=TaskConfig(), steps=steps, batch_size=4, seed=0
    )
    drawn = generate_samples(gan, target, per_support=6, seed=3)
    best = generate_samples(gan, target, per_support=2, seed=3, best_of=3, batch_size=5)
    torch.testing.assert_close(best, reference_best(gan, target, drawn, 3), rtol=0, atol=1e-5)
    assert best.shape == (3, 6, 1, 16, 16)
    assert not torch.equal(best, drawn.unflatten(1, (6, 3))[:, :, 0])


def test_a_large_support_is_scored_against_a_spread_part_of_it() -> None:
    class Copy(torch.nn.Module):
        def forward(self, condition: Condition, z: torch.Tensor) -> torch.Tensor:
            return condition["sample"][:1].expand(len(z), -1, -1, -1) + 0 * z[:, :1, None, None]

    asked: list[torch.Tensor] = []

    class Listening(torch.nn.Module):
        def forward(self, condition: Condition, candidates: torch.Tensor) -> torch.Tensor:
            asked.append(condition["sample"][0, 0, 0, 0])
            return candidates.flatten(1).sum(1)

    gan = dataclasses.replace(players("sample")[0], generator=Copy(), discriminator=Listening())
    many = torch.arange(15.0)[:, None, None, None].expand(1, 15, 1, 16, 16)
    generate_samples(
        gan, AdaptedTarget(GanParams({}, {}), False, many), per_support=1, seed=0, best_of=2
    )
    assert [float(value) for value in asked] == [0, 7, 14]


def test_best_of_below_one_is_refused(support: torch.Tensor) -> None:
    gan, target = adapted(support, "domain", steps=0)
    with pytest.raises(ValueError, match="best_of is 0"):
        generate_samples(gan, target, per_support=1, seed=0, best_of=0)
