"""The inner loop against an oracle on plain modules, and what an inner step must not do."""

import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metagan.config.learning import AlgorithmConfig, InnerConfig
from metagan.core.algorithms import ESTIMATORS
from metagan.core.batches import EpisodeInputs, GanBatch
from metagan.core.derivatives import PartialGradient, autograd_gradient, functional_gradient
from metagan.core.gan import GanPair
from metagan.core.inner_loop import adapt, moves
from metagan.core.inner_optimizer import InnerOptimizer
from metagan.core.params import GanParams, map_params
from tests.reference import gan_oracle
from tests.reference.cases import (
    ARCHITECTURES,
    LOSSES,
    Case,
    assert_close,
    largest_difference,
    make_case,
)

GRADIENTS: dict[str, PartialGradient] = {
    "functional": functional_gradient,
    "autograd": autograd_gradient,
}


def oracle_adapt(case: Case, *, twin: bool = False) -> tuple[GanParams, dict]:
    players, critic = gan_oracle.adapt(
        gan_oracle.load_players(case.gan, case.init),
        case.support,
        case.config.gan,
        case.config.inner,
        case.query if twin else None,
    )
    adapted = GanParams(
        gan_oracle.weights_of(players.generator), gan_oracle.weights_of(players.discriminator)
    )
    return adapted, gan_oracle.weights_of(critic)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("family", "conditioning"), ARCHITECTURES)
def test_adapted_weights_equal_those_of_plain_modules(family, conditioning, loss):
    case = make_case(
        family,
        conditioning,
        gan={"loss": loss, "penalty_every": 2},
        inner=InnerConfig(steps=3, batch_size=3, lr=0.05, optimizer="sgd"),
    )
    expected, critic = oracle_adapt(case, twin=True)
    moved = min(largest_difference(a, b) for a, b in zip(expected[:2], case.init[:2], strict=True))
    assert moved > 1e-3
    for gradient in GRADIENTS.values():
        adapted = adapt(
            case.gan,
            case.init,
            case.support,
            case.config.inner,
            critic_batches=case.query,
            gradient=gradient,
        )
        assert_close(adapted.params, expected, 1e-12)
        assert largest_difference(adapted.critic, critic) <= 1e-12


@pytest.mark.parametrize("augment", [(), ("cutout",), ("color", "translation", "cutout")])
def test_adapted_weights_equal_those_of_plain_modules_with_every_augmentation(augment):
    case = make_case("flow", "sample", gan={"augment": list(augment)})
    expected, _ = oracle_adapt(case)
    adapted = adapt(case.gan, case.init, case.support, case.config.inner)
    assert_close(adapted.params, expected, 1e-12)


@pytest.mark.parametrize("name", GRADIENTS)
def test_inner_adam_equals_adam_written_by_hand(name):
    # Float64 differences of 1e-16 grow where a second moment is near epsilon squared.
    inner = InnerConfig(steps=4, batch_size=3, lr=2e-3, optimizer="adam")
    case = make_case("dcgan", "sample", inner=inner)
    expected, _ = oracle_adapt(case)
    adapted = adapt(case.gan, case.init, case.support, inner, gradient=GRADIENTS[name])
    assert_close(adapted.params, expected, 1e-10)


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize(
    ("d_updates", "g_updates", "proximal", "optimizer"),
    [(3, 1, None, "sgd"), (1, 3, 0.7, "sgd"), (2, 2, 2.0, "adam"), (1, 1, 5.0, "sgd")],
)
def test_several_updates_and_the_proximal_term_are_those_of_plain_modules(
    name, d_updates, g_updates, proximal, optimizer
):
    inner = InnerConfig(
        steps=3,
        batch_size=3,
        lr=2e-3 if optimizer == "adam" else 0.05,
        optimizer=optimizer,
        discriminator_steps=d_updates,
        generator_steps=g_updates,
        proximal=proximal,
    )
    case = make_case("flow", "sample", inner=inner, gan={"penalty_every": 2})
    assert len(case.support.real) == 3 * (d_updates + g_updates - 1)
    expected, critic = oracle_adapt(case, twin=True)
    found = adapt(
        case.gan,
        case.init,
        case.support,
        inner,
        critic_batches=case.query,
        gradient=GRADIENTS[name],
        keep_steps=(0, 2),
    )
    # Adam makes much of the last digits of a bias that has no effect (before a norm).
    tolerance = 1e-7 if optimizer == "adam" else 1e-12
    assert_close(found.params, expected, tolerance)
    assert largest_difference(found.critic, critic) <= tolerance
    assert list(found.path) == [0, 2]
    assert found.path[2][0].generator is found.params.generator


def test_the_proximal_term_holds_weights_near_where_they_started():
    inner = InnerConfig(steps=30, batch_size=3, lr=0.02, optimizer="sgd")
    case = make_case("dcgan", "none", inner=inner)
    distances = []
    for proximal in (0.0, 1.0, 30.0):
        near = inner.model_copy(update={"proximal": proximal})
        after = adapt(case.gan, case.init, case.support, near).params
        moved = map_params(torch.sub, after.generator, case.init.generator)
        distances.append(sum(float(w.square().sum()) for w in moved.values()))
    assert distances[0] > distances[1] > 2 * distances[2] > 0


def test_learning_rates_of_the_players_are_scaled_apart():
    inner = InnerConfig(steps=1, batch_size=3, lr=0.01, optimizer="sgd")
    case = make_case("dcgan", "none", inner=inner)
    double = inner.model_copy(update={"discriminator_lr_scale": 2.0})
    once = adapt(case.gan, case.init, case.support, inner).params
    twice = adapt(case.gan, case.init, case.support, double).params
    for name, weight in case.init.discriminator.items():
        torch.testing.assert_close(
            twice.discriminator[name] - weight,
            2 * (once.discriminator[name] - weight),
            rtol=1e-9,
            atol=1e-14,
        )
    frozen = inner.model_copy(update={"discriminator_lr_scale": 0.0})
    still = adapt(case.gan, case.init, case.support, frozen).params
    assert largest_difference(still.discriminator, case.init.discriminator) == 0
    assert largest_difference(still.generator, case.init.generator) > 0


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("generator", "discriminator"),
    # Freeze-D is a discriminator whose top layers alone move.
    [("head", "all"), ("body", "head"), ("all", "body.down3*")],
)
def test_a_part_of_the_weights_moves_as_in_plain_modules(generator, discriminator, optimizer):
    inner = InnerConfig(
        steps=3,
        batch_size=3,
        lr=2e-3,
        optimizer=optimizer,
        generator_moves=generator,
        discriminator_moves=discriminator,
    )
    case = make_case("flow", "sample", inner=inner)
    expected, critic = oracle_adapt(case, twin=True)
    for gradient in GRADIENTS.values():
        found = adapt(
            case.gan,
            case.init,
            case.support,
            inner,
            critic_batches=case.query,
            gradient=gradient,
        )
        assert_close(found.params, expected, 1e-10)
        assert largest_difference(found.critic, critic) <= 1e-10
        for pattern, before, after in zip(
            (generator, discriminator), case.init[:2], found.params[:2], strict=True
        ):
            for name, weight in before.items():
                assert torch.equal(weight, after[name]) or moves(pattern, name), name
                # Some biases have no effect: before a norm, or the same for both of a pair.
                if name.endswith(".weight") and moves(pattern, name):
                    assert not torch.equal(weight, after[name]), name


@pytest.mark.parametrize("name", GRADIENTS)
def test_a_frozen_player_stays_and_the_other_is_adapted_against_it(name):
    inner = InnerConfig(steps=2, batch_size=3, lr=0.05, optimizer="sgd")
    case = make_case("dcgan", "sample", inner=inner)
    for player, other in (("generator", "discriminator"), ("discriminator", "generator")):
        frozen = inner.model_copy(update={f"{player}_moves": "none"})
        after = adapt(case.gan, case.init, case.support, frozen, gradient=GRADIENTS[name])
        assert largest_difference(getattr(after.params, player), getattr(case.init, player)) == 0
        assert largest_difference(getattr(after.params, other), getattr(case.init, other)) > 1e-4
        assert {key: float(value) for key, value in after.losses.items()}


def test_a_pattern_names_weights_as_a_shell_does():
    names = ["body.up1.weight", "body.up2.bias", "body.down1.weight", "head.weight"]
    assert [moves("body.up*", name) for name in names] == [True, True, False, False]
    assert [moves("body", name) for name in names] == [True, True, True, False]
    assert not any(moves("none", name) for name in names)
    assert [moves("body.down*, head", name) for name in names] == [False, False, True, True]


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [
        (5, 8, [5, 0, 0, 0, 0]),
        (5, 1, [1, 1, 1, 1, 1]),
        (5, 2, [2, 0, 2, 0, 1]),
        (4, 2, [2, 0, 2, 0]),
        (10, 8, [8, 0, 0, 0, 0, 0, 0, 0, 2, 0]),
    ],
)
def test_lazy_penalties_add_up_to_one_per_step(steps, every, expected):
    class Recorder(GanPair):
        def discriminator_loss(self, params, batch, generated, *, penalty_scale=0.0):
            scales.append(penalty_scale)
            return super().discriminator_loss(params, batch, generated, penalty_scale=penalty_scale)

    scales: list[float] = []
    inner = InnerConfig(steps=steps, batch_size=2, lr=1e-2, optimizer="sgd")
    case = make_case("dcgan", "none", gan={"penalty_every": every}, inner=inner)
    recorder = Recorder(case.gan.generator, case.gan.discriminator, case.gan.config)
    adapt(recorder, case.init, case.support, inner)
    assert scales == expected
    assert sum(scales) == steps


def test_the_generator_step_sees_the_updated_discriminator():
    inner = InnerConfig(steps=1, batch_size=4, lr=0.1, optimizer="sgd")
    case = make_case("dcgan", "sample", inner=inner)
    adapted = adapt(case.gan, case.init, case.support, inner).params
    batch = case.support.step(0)

    def step_against(discriminator: dict) -> dict:
        gradient, _ = autograd_gradient(
            lambda p: case.gan.generator_loss(
                discriminator, batch, case.gan.generate_batch(p, batch)
            ),
            case.init.generator,
        )
        return map_params(lambda w, g: w - inner.lr * g, case.init.generator, gradient)

    new, old = adapted.discriminator, case.init.discriminator
    assert largest_difference(adapted.generator, step_against(new)) <= 1e-13
    assert largest_difference(adapted.generator, step_against(old)) > 1e-6


def test_an_inner_step_is_a_partial_derivative_whether_or_not_the_graph_is_kept():
    """A total derivative would run back through the other player's update (an unrolled GAN)."""
    inner = InnerConfig(steps=3, batch_size=3, lr=0.05, optimizer="sgd")
    case = make_case("dcgan", "sample", inner=inner)

    def adapted_generator(init: GanParams) -> tuple[torch.Tensor, GanParams]:
        after = adapt(case.gan, init, case.support, inner).params
        return sum(w.square().sum() for w in after.generator.values()), after

    plain = adapted_generator(case.init)[1]
    _, kept = torch.func.grad(adapted_generator, has_aux=True)(case.init)
    for one, other in zip(plain, kept, strict=True):
        for name, weight in one.items():
            assert torch.equal(weight, other[name]), name


def test_outer_derivative_through_the_inner_loop_equals_finite_differences():
    """Only the functional gradient is differentiable; this is what second order builds on."""
    inner = InnerConfig(steps=2, batch_size=2, lr=0.02, optimizer="sgd")
    case = make_case("dcgan", "none", gan={"augment": []}, inner=inner)
    rng = torch.Generator().manual_seed(3)
    direction = [
        map_params(lambda w: torch.randn(w.shape, generator=rng, dtype=w.dtype), player)
        for player in case.init
    ]

    def outer(t: torch.Tensor) -> torch.Tensor:
        init = GanParams(
            *(
                map_params(lambda w, d: w + t * d, player, along)
                for player, along in zip(case.init, direction, strict=True)
            )
        )
        after = adapt(case.gan, init, case.support, inner).params
        query = case.query.step(-1)
        samples = case.gan.generate_batch(after.generator, query)
        return case.gan.generator_loss(after.discriminator, query, samples)

    at = torch.zeros((), dtype=torch.float64)
    exact = float(torch.func.grad(outer)(at))
    step = 1e-6
    numeric = float(outer(at + step) - outer(at - step)) / (2 * step)
    assert exact == pytest.approx(numeric, rel=1e-5)
    assert abs(exact) > 1e-3


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_an_episode_does_not_depend_on_what_was_adapted_before(optimizer):
    inner = InnerConfig(steps=2, batch_size=3, optimizer=optimizer, lr=1e-2)
    case = make_case("flow", "sample", inner=inner)
    first = adapt(case.gan, case.init, case.support, inner).params
    adapt(case.gan, case.init, case.query, inner)
    again = adapt(case.gan, case.init, case.support, inner).params
    for one, other in zip(first, again, strict=True):
        assert largest_difference(one, other) == 0


def test_the_twin_critic_changes_nothing_about_the_players():
    case = make_case("flow", "sample")
    inner = case.config.inner
    alone = adapt(case.gan, case.init, case.support, inner)
    beside = adapt(case.gan, case.init, case.support, inner, critic_batches=case.query)
    assert alone.critic is None
    for one, other in zip(alone.params, beside.params, strict=True):
        assert largest_difference(one, other) == 0
    assert largest_difference(beside.critic, beside.params.discriminator) > 1e-6


def test_the_twin_critic_on_equal_samples_is_the_discriminator():
    case = make_case("dcgan", "sample")
    twins = adapt(case.gan, case.init, case.support, case.config.inner, critic_batches=case.support)
    # Its samples come from a pass of another batch size, hence the last bits.
    assert largest_difference(twins.critic, twins.params.discriminator) <= 1e-15


def test_the_initialization_is_not_written_to():
    case = make_case("flow", "sample")
    before = [map_params(torch.clone, player) for player in case.init]
    for gradient in GRADIENTS.values():
        adapt(case.gan, case.init, case.support, case.config.inner, gradient=gradient)
    for one, other in zip(before, case.init, strict=True):
        assert largest_difference(one, other) == 0
        assert not any(weight.requires_grad for weight in other.values())


def test_losses_are_those_of_the_first_and_the_last_step():
    inner = InnerConfig(steps=3, batch_size=3, lr=1e-2, optimizer="sgd")
    case = make_case("residual", "sample", gan={"penalty_every": 1}, inner=inner)
    losses = adapt(case.gan, case.init, case.support, inner).losses
    players = gan_oracle.load_players(case.gan, case.init)

    def d_loss(step: int) -> float:
        batch = case.support.step(step)
        loss = gan_oracle.discriminator_loss(
            players.generator, players.discriminator, batch, case.config.gan, 1.0
        )
        return loss.item()

    assert losses["loss_d_first"].item() == pytest.approx(d_loss(0), rel=1e-12)
    earlier = GanBatch(*(tensor[:2] for tensor in case.support))
    gan_oracle.adapt(players, earlier, case.config.gan, inner)
    assert losses["loss_d_last"].item() == pytest.approx(d_loss(2), rel=1e-12)
    assert set(losses) == {"loss_d_first", "loss_g_first", "loss_d_last", "loss_g_last"}


@settings(max_examples=8, derandomize=True, deadline=None)
@given(
    steps=st.integers(1, 4),
    batch_size=st.integers(1, 4),
    every=st.integers(1, 4),
    optimizer=st.sampled_from(["sgd", "adam"]),
)
def test_both_gradients_agree_for_any_number_of_steps(steps, batch_size, every, optimizer):
    inner = InnerConfig(steps=steps, batch_size=batch_size, lr=2e-3, optimizer=optimizer)
    case = make_case("flow", "sample", gan={"penalty_every": every}, inner=inner)
    one, other = (
        adapt(case.gan, case.init, case.support, inner, gradient=gradient)
        for gradient in GRADIENTS.values()
    )
    assert_close(one.params, other.params, 1e-10 if optimizer == "adam" else 1e-12)
    for name, value in one.losses.items():
        assert float(value) == pytest.approx(float(other.losses[name]), rel=1e-11)


@pytest.mark.parametrize("gradient", [functional_gradient, autograd_gradient])
@pytest.mark.parametrize("name", ["reptile", "fomaml", "imaml"])
def test_players_of_earlier_steps_are_let_go_where_no_derivative_needs_them(
    monkeypatch, name, gradient
):
    """So the memory of first-order algorithms does not grow with the inner steps."""
    taken = InnerOptimizer.step
    made: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []

    def watched(optimizer, weights, grads):
        stepped = taken(optimizer, weights, grads)
        made.extend(weakref.ref(tensor) for tensor in stepped.values())
        alive.append(sum(tensor() is not None for tensor in made))
        return stepped

    monkeypatch.setattr(InnerOptimizer, "step", watched)
    most = []
    for steps in (4, 16):
        made.clear()
        alive.clear()
        case = make_case(
            "dcgan",
            "none",
            second_order=name == "imaml",
            inner=InnerConfig(steps=steps, batch_size=3, lr=0.01, proximal=1.0),
            algorithm=AlgorithmConfig(name=name),
        )
        inputs = EpisodeInputs(case.support, case.query)
        ESTIMATORS[name](case.gan, case.init, inputs, case.config, gradient)
        most.append(max(alive))
    assert most[1] == most[0] > 0
