"""Each player's loss on a batch, against one sample at a time on plain modules."""

import pytest
import torch

from metagan.config.learning import GanConfig
from metagan.core.batches import GanBatch
from metagan.core.gan import GanPair
from metagan.core.params import GanParams
from metagan.kinds.image.build import AUGMENT
from tests.helpers import tiny_config
from tests.reference import gan_oracle
from tests.reference.batch import rows_of
from tests.reference.cases import (
    ARCHITECTURES,
    LOSSES,
    Case,
    build,
    every_augment,
    gan_settings,
    kind_of,
    make_case,
)


def d_loss(case: Case, batch: GanBatch, **options: float) -> torch.Tensor:
    samples = case.gan.generate_batch(case.init.generator, batch)
    return case.gan.discriminator_loss(case.init.discriminator, batch, samples, **options)


def g_loss(case: Case, batch: GanBatch) -> torch.Tensor:
    samples = case.gan.generate_batch(case.init.generator, batch)
    return case.gan.generator_loss(case.init.discriminator, batch, samples)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("family", "conditioning"), ARCHITECTURES)
def test_losses_equal_those_of_plain_modules(family, conditioning, loss):
    case = make_case(
        family, conditioning, gan={"loss": loss, "augment": every_augment(family), "r2": 0.3}
    )
    players = gan_oracle.load_players(case.gan, case.init)
    batch = case.support.step(0)
    for scale in (0.0, 3.0):
        expected = gan_oracle.discriminator_loss(
            players.generator, players.discriminator, batch, case.config.gan, scale
        )
        found = d_loss(case, batch, penalty_scale=scale)
        assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    expected = gan_oracle.generator_loss(
        players.generator, players.discriminator, batch, case.config.gan
    )
    assert g_loss(case, batch).item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize(
    ("family", "conditioning", "options"),
    [
        *((*kind, {"spectral_norm": True}) for kind in ARCHITECTURES),
        ("flow", "sample", {"reconstruction": "l1", "reconstruction_weight": 0.7}),
        ("residual", "sample", {"reconstruction": "l1", "reconstruction_weight": 0.7}),
    ],
)
def test_spectral_norm_and_reconstruction_equal_those_of_plain_modules(
    family, conditioning, options
):
    augment = every_augment(family)
    case = make_case(family, conditioning, gan={"loss": "wgan_gp", "augment": augment, **options})
    players = gan_oracle.load_players(case.gan, case.init)
    batch = case.support.step(0)
    for oracle, found in (
        (gan_oracle.discriminator_loss, d_loss(case, batch, penalty_scale=2.0)),
        (gan_oracle.generator_loss, g_loss(case, batch)),
    ):
        scale = (2.0,) if oracle is gan_oracle.discriminator_loss else ()
        expected = oracle(players.generator, players.discriminator, batch, case.config.gan, *scale)
        assert found.item() == pytest.approx(expected.item(), rel=1e-11)


def test_reconstruction_without_mode_seeking_compares_the_right_samples():
    case = make_case("dcgan", "sample", gan={"mode_seeking": 0.0, "reconstruction": "l1"})
    plain = make_case("dcgan", "sample", gan={"mode_seeking": 0.0})
    batch = case.support.step(0)
    centre = case.gan.generate(
        case.init.generator, batch.condition, torch.zeros_like(batch.z[:, 0])
    )
    distance = (centre - batch.sample).abs().mean().item()
    assert g_loss(case, batch).item() - g_loss(plain, batch).item() == pytest.approx(distance)


def test_wgan_gp_looks_at_slopes_between_real_and_generated_samples():
    case = make_case("dcgan", "sample", gan={"loss": "wgan_gp"})
    assert (case.config.gan.r1, case.config.gan.r2) == (0, 0)
    batch = case.support.step(0)
    at = {}
    for share in (0.0, 0.5, 1.0):
        moved = batch._replace(between=torch.full_like(batch.between, share))
        at[share] = d_loss(case, moved, penalty_scale=1.0).item()
        assert d_loss(case, moved).item() == d_loss(case, batch).item()
    assert len(set(at.values())) == 3
    asked = GanConfig.model_validate({"loss": "wgan_gp", "r1": 0.5})
    assert (asked.r1, asked.r2) == (0.5, 0)


@pytest.mark.parametrize(("family", "conditioning"), ARCHITECTURES)
def test_samples_and_scores_do_not_depend_on_batch_mates(family, conditioning):
    case = make_case(family, conditioning)
    batch = case.support.step(0)
    samples = case.gan.generate(case.init.generator, batch.condition, batch.z[:, 0])
    scores = case.gan.score(case.init.discriminator, batch.condition, samples)
    assert scores.shape == (len(samples),)
    assert samples.shape == batch.real.shape
    for i in range(len(samples)):
        one = slice(i, i + 1)
        alone = case.gan.generate(
            case.init.generator, rows_of(batch.condition, one), batch.z[one, 0]
        )
        torch.testing.assert_close(alone, samples[one], rtol=0, atol=1e-13)
        score = case.gan.score(case.init.discriminator, rows_of(batch.condition, one), samples[one])
        torch.testing.assert_close(score, scores[one], rtol=0, atol=1e-13)


@pytest.mark.parametrize(("family", "conditioning"), ARCHITECTURES)
def test_several_latents_of_a_condition_equal_one_call_each(family, conditioning):
    case = make_case(family, conditioning)
    batch = case.support.step(0)
    latents = [batch.z[:, 0], batch.z[:, 1], -batch.z[:, 0]]
    together = case.gan.generate(case.init.generator, batch.condition, torch.cat(latents))
    single = [case.gan.generate(case.init.generator, batch.condition, z) for z in latents]
    torch.testing.assert_close(together, torch.cat(single), rtol=0, atol=1e-13)
    both = case.gan.generate_batch(case.init.generator, batch)[: 2 * len(batch.real)]
    torch.testing.assert_close(both, torch.cat(single[:2]), rtol=0, atol=1e-13)


def test_weights_of_the_modules_are_never_used():
    case = make_case("flow", "sample")
    batch = case.support.step(0)
    before = d_loss(case, batch, penalty_scale=1.0).item()
    with torch.no_grad():
        for module in (case.gan.generator, case.gan.discriminator):
            for weight in module.parameters():
                weight.fill_(torch.nan)
    after = d_loss(case, batch, penalty_scale=1.0).item()
    assert before == after


def test_penalties_scale_with_their_weights():
    losses = {}
    for name, weights in {"none": (0, 0), "r1": (1, 0), "r2": (0, 1), "both": (2, 3)}.items():
        case = make_case("dcgan", "sample", gan={"r1": weights[0], "r2": weights[1]})
        batch = case.support.step(0)
        losses[name] = d_loss(case, batch, penalty_scale=1.0).item()
        plain = d_loss(case, batch).item()
        assert plain == pytest.approx(losses["none"], rel=1e-14)
    r1, r2 = losses["r1"] - losses["none"], losses["r2"] - losses["none"]
    assert min(r1, r2) > 1e-6
    assert losses["both"] - losses["none"] == pytest.approx(2 * r1 + 3 * r2, rel=1e-9)


def test_a_generator_loss_that_is_not_relativistic_does_not_read_real_samples():
    case = make_case("dcgan", "none", gan={"loss": "hinge"})
    batch = case.support.step(0)
    spoiled = GanBatch(torch.full_like(batch.real, torch.nan), *batch[1:])
    assert g_loss(case, spoiled).item() == g_loss(case, batch).item()


def test_the_mode_seeking_weight_of_zero_ignores_the_second_latent():
    case = make_case("dcgan", "sample", gan={"mode_seeking": 0})
    batch = case.support.step(0)
    z = batch.z.clone()
    z[:, 1] = torch.nan
    spoiled = batch._replace(z=z)
    assert torch.isfinite(g_loss(case, spoiled))


def test_pairs_are_augmented_by_the_same_draws():
    """An equal pair stays equal, so D judges how the two differ and not where they lie."""

    class Difference(torch.nn.Module):
        def forward(self, condition, candidate):
            return (condition["sample"] - candidate).abs().flatten(1).sum(1)

    config = GanConfig(augment=("color", "translation", "cutout"))
    pair = GanPair(torch.nn.Identity(), Difference(), config, augment=AUGMENT)
    batch = make_case("flow", "sample").support.step(0)
    same = batch._replace(sample=batch.real)
    real, _ = pair._scores({}, same, batch.real)
    assert float(real.abs().max()) == 0.0


@pytest.mark.parametrize(("family", "conditioning"), ARCHITECTURES)
def test_untrained_weights_come_from_the_seed_alone(family, conditioning):
    config = tiny_config(
        kind_of(family),
        gan=gan_settings(family, conditioning),
        task={"unit": "class" if conditioning == "none" else "domain"},
    )
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    _, first = build(config, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    _, again = build(config, seed=3)
    _, other = build(config, seed=4)

    def flat(params: GanParams) -> torch.Tensor:
        return torch.cat([w.flatten() for player in params for w in player.values()])

    assert torch.equal(flat(first), flat(again))
    assert not torch.equal(flat(first), flat(other))
