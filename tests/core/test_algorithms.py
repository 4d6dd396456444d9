"""Each row of the table of algorithms against plain modules."""

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metagan.config.algorithms import ALGORITHMS
from metagan.config.learning import (
    AlgorithmConfig,
    AlgorithmName,
    InnerConfig,
    OuterConfig,
    WarmupConfig,
)
from metagan.core.algorithms import (
    ESTIMATORS,
    check_moves,
    fomaml,
    inner_settings,
    joint,
    maml,
    reptile,
    step_weights,
)
from metagan.core.batches import EpisodeInputs
from metagan.core.derivatives import autograd_gradient, functional_gradient
from metagan.core.inner_loop import adapt
from metagan.core.outer_loop import plan_step
from metagan.core.params import GanParams, map_params
from tests.helpers import tiny_config
from tests.reference import gan_oracle
from tests.reference.cases import (
    ARCHITECTURES,
    LOSSES,
    Case,
    assert_close,
    largest_difference,
    make_case,
)

SLOW = pytest.mark.slow
AVERAGE = {"loss": "relativistic_average"}
GRADIENTS = pytest.mark.parametrize("gradient", [functional_gradient, autograd_gradient])


def inputs_of(case: Case) -> EpisodeInputs:
    return EpisodeInputs(case.support, case.query)


@GRADIENTS
def test_one_inner_step_of_reptile_is_the_scaled_inner_gradient(gradient):
    inner = InnerConfig(steps=1, batch_size=4, lr=0.03, discriminator_lr_scale=0.5, optimizer="sgd")
    case = make_case("flow", "sample", inner=inner)
    displacement, _ = reptile(case.gan, case.init, inputs_of(case), case.config, gradient)
    players = gan_oracle.load_players(case.gan, case.init)
    batch = case.support.step(0)
    gan_oracle.discriminator_loss(
        players.generator, players.discriminator, batch, case.config.gan, 1.0
    ).backward()
    d_grad = gan_oracle.grads_of(players.discriminator)
    with torch.no_grad():
        for name, weight in players.discriminator.named_parameters():
            weight -= 0.03 * 0.5 * d_grad[name]
    gan_oracle.generator_loss(
        players.generator, players.discriminator, batch, case.config.gan
    ).backward()
    expected = GanParams(
        map_params(lambda g: 0.03 * g, gan_oracle.grads_of(players.generator)),
        map_params(lambda g: 0.03 * 0.5 * g, d_grad),
    )
    assert_close(displacement, expected, 1e-12)


@GRADIENTS
def test_reptile_is_the_displacement_of_the_adapted_weights(gradient):
    case = make_case(
        "dcgan", "sample", inner=InnerConfig(steps=3, batch_size=3, lr=1e-2, optimizer="sgd")
    )
    displacement, _ = reptile(case.gan, case.init, inputs_of(case), case.config, gradient)
    adapted = adapt(case.gan, case.init, case.support, case.config.inner).params
    for moved, before, after in zip(displacement, case.init, adapted, strict=True):
        restored = map_params(torch.sub, before, moved)
        assert largest_difference(restored, after) <= 1e-13


def test_reptile_does_not_read_the_query_half():
    case = make_case("dcgan", "sample")
    spoiled = type(case.query)(*(torch.full_like(tensor, torch.nan) for tensor in case.query))
    first, _ = reptile(case.gan, case.init, inputs_of(case), case.config, functional_gradient)
    second, _ = reptile(
        case.gan,
        case.init,
        EpisodeInputs(case.support, spoiled),
        case.config,
        functional_gradient,
    )
    assert_close(first, second, 0.0)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("critic", ["query", "support"])
@pytest.mark.parametrize(("family", "conditioning"), [ARCHITECTURES[0], ARCHITECTURES[2]])
def test_fomaml_is_the_query_gradient_of_modules_that_hold_the_adapted_weights(
    family, conditioning, critic, loss
):
    case = make_case(
        family,
        conditioning,
        gan={"loss": loss},
        inner=InnerConfig(steps=3, batch_size=3, lr=0.05, optimizer="sgd"),
        algorithm=AlgorithmConfig(name="fomaml", generator_critic=critic),
    )
    players, twin = gan_oracle.adapt(
        gan_oracle.load_players(case.gan, case.init),
        case.support,
        case.config.gan,
        case.config.inner,
        case.query,
    )
    query = case.query.step(-1)
    gan_oracle._zero(players.generator, players.discriminator, twin)
    d_loss = gan_oracle.discriminator_loss(
        players.generator, players.discriminator, query, case.config.gan, 1.0
    )
    d_loss.backward()
    d_grad = gan_oracle.grads_of(players.discriminator)
    scorer = twin if critic == "query" else players.discriminator
    g_loss = gan_oracle.generator_loss(players.generator, scorer, query, case.config.gan)
    g_loss.backward()
    expected = GanParams(gan_oracle.grads_of(players.generator), d_grad)
    for gradient in (functional_gradient, autograd_gradient):
        found, losses = fomaml(case.gan, case.init, inputs_of(case), case.config, gradient)
        assert_close(found, expected, 1e-11)
        assert losses["loss_d_query"].item() == pytest.approx(d_loss.item(), rel=1e-11)
        assert losses["loss_g_query"].item() == pytest.approx(g_loss.item(), rel=1e-11)


def test_the_query_and_the_support_critic_give_different_generator_gradients():
    case = make_case(
        "dcgan", "sample", inner=InnerConfig(steps=3, batch_size=3, lr=0.05, optimizer="sgd")
    )
    grads = {}
    for critic in ("query", "support"):
        algorithm = AlgorithmConfig(name="fomaml", generator_critic=critic)
        config = case.config.model_copy(update={"algorithm": algorithm})
        grads[critic], _ = fomaml(case.gan, case.init, inputs_of(case), config, autograd_gradient)
    assert largest_difference(grads["query"].discriminator, grads["support"].discriminator) == 0
    assert largest_difference(grads["query"].generator, grads["support"].generator) > 1e-6


@GRADIENTS
@pytest.mark.parametrize(("family", "conditioning"), ARCHITECTURES)
def test_fomaml_with_a_vanishing_inner_rate_is_the_gradient_at_the_initialization(
    family, conditioning, gradient
):
    inner = InnerConfig(steps=2, batch_size=3, lr=1e-300, optimizer="sgd")
    case = make_case(family, conditioning, inner=inner)
    found, _ = fomaml(case.gan, case.init, inputs_of(case), case.config, gradient)
    players = gan_oracle.load_players(case.gan, case.init)
    query = case.query.step(-1)
    gan_oracle.discriminator_loss(
        players.generator, players.discriminator, query, case.config.gan, 1.0
    ).backward()
    d_grad = gan_oracle.grads_of(players.discriminator)
    gan_oracle.generator_loss(
        players.generator, players.discriminator, query, case.config.gan
    ).backward()
    assert_close(found, GanParams(gan_oracle.grads_of(players.generator), d_grad), 1e-12)


@pytest.mark.parametrize("name", sorted(n for n, row in ALGORITHMS.items() if row.second_order))
def test_second_order_rows_are_first_order_ones_until_their_step(name):
    config = tiny_config(
        algorithm=AlgorithmConfig(name=name, second_order_from=3), warmup=WarmupConfig(steps=2)
    )
    rows = [plan_step(config, ["a", "b"], [1, 1], step)[0].algorithm for step in range(7)]
    assert rows == ["joint", "joint", "fomaml", "fomaml", "fomaml", name, name]


def test_a_multi_step_query_loss_sums_the_first_order_gradients_of_all_steps():
    case = make_case(
        "dcgan",
        "sample",
        gan={"r1": 0.0, "r2": 0.0},
        inner=InnerConfig(steps=3, batch_size=3, lr=0.05, optimizer="sgd"),
        algorithm=AlgorithmConfig(name="fomaml", generator_critic="support", multi_step=4),
    )
    inputs = EpisodeInputs(case.support, case.query, outer_step=1)
    found, _ = fomaml(case.gan, case.init, inputs, case.config, autograd_gradient)
    last_only = case.config.model_copy(
        update={"algorithm": AlgorithmConfig(name="fomaml", generator_critic="support")}
    )
    # Without penalties, which are lazy, a shorter inner loop is the start of a longer one.
    single = [
        fomaml(
            case.gan,
            case.init,
            EpisodeInputs(type(case.support)(*(t[:steps] for t in case.support)), case.query),
            last_only,
            autograd_gradient,
        )[0]
        for steps in (1, 2, 3)
    ]
    expected = GanParams(
        *(
            map_params(lambda a, b, c: 0.25 * a + 0.25 * b + 0.5 * c, *(s[player] for s in single))
            for player in range(2)
        )
    )
    assert_close(found, expected, 1e-12)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    steps=st.integers(1, 9),
    span=st.integers(0, 6),
    warmup=st.integers(0, 3),
    outer_step=st.integers(0, 12),
)
def test_the_query_loss_narrows_to_the_last_inner_step(steps, span, warmup, outer_step):
    config = tiny_config(
        algorithm=AlgorithmConfig(name="maml", multi_step=span),
        warmup=WarmupConfig(steps=warmup),
        outer=OuterConfig(steps=20),
    )
    weights = step_weights(config, warmup + outer_step, steps)
    assert sum(weights) == pytest.approx(1)
    assert len(weights) == steps
    if outer_step >= span:
        assert weights == [0.0] * (steps - 1) + [1.0]
    elif outer_step == 0:
        assert weights == pytest.approx([1 / steps] * steps)
    else:
        assert 0 < weights[0] <= 1 / steps + 1e-12


def test_anil_adapts_the_heads_and_learns_everything():
    inner = InnerConfig(steps=3, batch_size=3, lr=0.05, optimizer="sgd")
    case = make_case("dcgan", "sample", inner=inner, algorithm=AlgorithmConfig(name="anil"))
    after = adapt(case.gan, case.init, case.support, inner_settings(case.config)).params
    found, _ = maml(case.gan, case.init, inputs_of(case), case.config, autograd_gradient)
    for player in range(2):
        for name, weight in case.init[player].items():
            in_body = name.startswith("body.")
            assert torch.equal(after[player][name], weight) or not in_body, name
            # Some biases have no effect: in front of a norm, or the same for both of a pair.
            if name.endswith(".weight"):
                assert torch.equal(after[player][name], weight) == in_body, name
                assert found[player][name].abs().max() > 1e-9, name


def test_the_settings_decide_what_anil_moves_where_they_say_something():
    case = make_case("dcgan", "sample", algorithm=AlgorithmConfig(name="anil"))
    inner = case.config.inner.model_copy(update={"discriminator_moves": "none"})
    config = case.config.model_copy(update={"inner": inner})
    chosen = inner_settings(config)
    assert (chosen.generator_moves, chosen.discriminator_moves) == ("head", "none")
    plain = case.config.model_copy(update={"algorithm": AlgorithmConfig(name="maml")})
    assert inner_settings(plain) == plain.inner


def test_a_pattern_that_no_weight_has_is_refused_with_those_there_are():
    case = make_case("dcgan", "sample")
    check_moves(InnerConfig(generator_moves="body.*", discriminator_moves="none"), case.init)
    with pytest.raises(ValueError, match=r"inner\.generator_moves has 'bdy\.\*'.*body\.project"):
        check_moves(InnerConfig(generator_moves="bdy.*"), case.init)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("family", "conditioning"), ARCHITECTURES)
def test_both_ways_through_the_inner_loop_agree(family, conditioning, loss):
    case = make_case(
        family,
        conditioning,
        second_order=True,
        gan={"loss": loss},
        inner=InnerConfig(steps=2, batch_size=3, lr=0.02, optimizer="sgd"),
    )
    one, other = (
        maml(case.gan, case.init, inputs_of(case), case.config, gradient)
        for gradient in (functional_gradient, autograd_gradient)
    )
    assert_close(one[0], other[0], 1e-10)
    assert one[1].keys() == other[1].keys()
    for name, value in one[1].items():
        assert not other[1][name].requires_grad
        assert float(value) == pytest.approx(float(other[1][name]), rel=1e-11)
    first_order, _ = fomaml(case.gan, case.init, inputs_of(case), case.config, autograd_gradient)
    assert largest_difference(first_order.generator, one[0].generator) > 1e-4


def test_maml_moves_along_the_same_inner_steps_as_first_order_maml():
    """A total inner derivative would adapt to other weights, and so to other query losses."""
    case = make_case(
        "dcgan", "sample", inner=InnerConfig(steps=3, batch_size=3, lr=0.05, optimizer="sgd")
    )
    inputs = inputs_of(case)
    _, expected = fomaml(case.gan, case.init, inputs, case.config, autograd_gradient)
    for gradient in (functional_gradient, autograd_gradient):
        _, losses = maml(case.gan, case.init, inputs, case.config, gradient)
        for name, value in expected.items():
            assert float(losses[name]) == pytest.approx(float(value), rel=1e-12), name


@GRADIENTS
def test_maml_with_a_vanishing_inner_rate_is_first_order_maml(gradient):
    case = make_case(
        "residual", "sample", inner=InnerConfig(steps=2, batch_size=3, lr=1e-300, optimizer="sgd")
    )
    found, _ = maml(case.gan, case.init, inputs_of(case), case.config, gradient)
    expected, _ = fomaml(case.gan, case.init, inputs_of(case), case.config, gradient)
    assert_close(found, expected, 1e-13)


@pytest.mark.parametrize(("outer_step", "scale"), [(0, 4.0), (1, 0.0), (3, 0.0), (8, 4.0)])
def test_joint_is_the_pooled_gradient_with_lazy_penalties(outer_step, scale):
    case = make_case("flow", "sample", gan={"penalty_every": 4})
    inputs = EpisodeInputs(case.support, case.query, outer_step)
    found, _ = joint(case.gan, case.init, inputs, case.config, autograd_gradient)
    players = gan_oracle.load_players(case.gan, case.init)
    batch = case.support.step(0)
    gan_oracle.discriminator_loss(
        players.generator, players.discriminator, batch, case.config.gan, scale
    ).backward()
    d_grad = gan_oracle.grads_of(players.discriminator)
    gan_oracle.generator_loss(
        players.generator, players.discriminator, batch, case.config.gan
    ).backward()
    assert_close(found, GanParams(gan_oracle.grads_of(players.generator), d_grad), 1e-12)


def test_every_row_of_the_table_has_an_estimator_and_the_other_way_round() -> None:
    assert ESTIMATORS.keys() == ALGORITHMS.keys() == set(get_args(AlgorithmName))
