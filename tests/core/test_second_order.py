"""Second-order rows against differences of the query losses of plain modules."""

from collections.abc import Callable, Iterator

import pytest
import torch

from metagan.config.learning import AlgorithmConfig, InnerConfig
from metagan.core.algorithms import inner_settings, maml
from metagan.core.batches import EpisodeInputs
from metagan.core.derivatives import autograd_gradient
from metagan.core.params import GanParams
from metagan.core.rates import with_rates
from tests.reference import gan_oracle
from tests.reference.cases import dimmed, make_case, perturbed

SLOW = pytest.mark.slow
AVERAGE = {"loss": "relativistic_average"}
CASES = pytest.mark.parametrize(
    ("algorithm", "family", "conditioning", "critic", "optimizer", "rates", "multi_step", "gan"),
    [
        ("maml", "flow", "sample", "query", "sgd", "none", 0, {}),
        pytest.param(
            *("maml", "flow", "sample", "support", "sgd", "tensor_and_step", 4, AVERAGE), marks=SLOW
        ),
        ("maml", "dcgan", "none", "query", "adam", "none", 4, {"loss": "hinge"}),
        pytest.param(
            *("maml", "residual", "sample", "support", "adam", "tensor", 0),
            {"reconstruction": "l1", "reconstruction_weight": 0.5},
            marks=SLOW,
        ),
        ("maml", "dcgan", "sample", "query", "adam", "none", 0, {"loss": "nonsaturating"}),
        ("anil", "flow", "sample", "query", "sgd", "none", 0, {"loss": "least_squares"}),
        ("anil", "dcgan", "none", "support", "sgd", "tensor_and_step", 4, {"spectral_norm": True}),
        ("anil", "dcgan", "none", "query", "adam", "tensor_and_step", 4, AVERAGE),
        pytest.param(
            *("meta_sgd", "flow", "sample", "query", "sgd", "none", 0, {"loss": "wgan_gp"}),
            marks=SLOW,
        ),
        pytest.param(
            *("meta_sgd", "residual", "label", "query", "sgd", "none", 0, {"spectral_norm": True}),
            marks=SLOW,
        ),
        ("meta_sgd", "dcgan", "none", "support", "adam", "none", 4, {}),
    ],
)

#: (generator's, discriminator's) query loss at an initialization.
Oracle = Callable[[GanParams], tuple[float, float]]


def gradient_and_oracle(
    algorithm, family, conditioning, critic, optimizer, rates, multi_step, gan, monkeypatch
) -> tuple[GanParams, GanParams, Oracle]:
    """An initialization, what the row gives there, and the losses that it ought to be the slope of.

    Where a slope jumps, an inner gradient does, and the losses are not continuous. So everything
    is smooth here: the activations, samples away from the clamp, no absolute values. Derivatives
    through the padding of a translated picture are cut on purpose, so nothing is translated.
    """
    # Rates as far from their start as weights are leave a smaller gain something to differentiate.
    monkeypatch.setattr("metagan.core.rates.RATES_GAIN", 2.0)
    # Those with a rate for every step also have several updates in one, and a proximal term.
    several = {"discriminator_steps": 2, "generator_steps": 2, "proximal": 1.5}
    inner = InnerConfig(
        steps=3,
        batch_size=3,
        lr=0.02 if optimizer == "sgd" else 2e-3,
        optimizer=optimizer,
        learn_rates=rates,
    ).model_copy(update=several if rates == "tensor_and_step" else {})
    case = make_case(
        family,
        conditioning,
        second_order=True,
        gan={"penalty_every": 2, "r1": 0.1, "r2": 0.1, "mode_seeking": 0.0, "augment": [], **gan},
        inner=inner,
        algorithm=AlgorithmConfig(name=algorithm, generator_critic=critic, multi_step=multi_step),
    )
    support, query = (dimmed(half) for half in (case.support, case.query))
    chosen = inner_settings(case.config)
    init = perturbed(with_rates(case.init, chosen), scale=0.1)
    inputs = EpisodeInputs(support, query, outer_step=1)
    found, losses = maml(case.gan, init, inputs, case.config, autograd_gradient)
    # A quarter of four outer steps done: three quarters of the loss are over all steps alike.
    step_weights = (0.25, 0.25, 0.5) if multi_step else ()

    def oracle(init: GanParams) -> tuple[float, float]:
        return gan_oracle.query_losses(
            case.gan,
            init,
            support,
            query,
            case.config.gan,
            chosen,
            twin=critic == "query",
            step_weights=step_weights,
        )

    if not multi_step:  # The metrics are those of the last step alone.
        g_loss, d_loss = oracle(init)
        assert losses["loss_g_query"].item() == pytest.approx(g_loss, rel=1e-11)
        assert losses["loss_d_query"].item() == pytest.approx(d_loss, rel=1e-11)
    assert set(found.rates) == set(init.rates)
    assert bool(init.rates) == (algorithm == "meta_sgd" or rates != "none")
    return init, found, oracle


def tensors_of(found: GanParams, player: int) -> Iterator[tuple[int, str, torch.Tensor]]:
    """(part, name, gradient) of all that moves a player's loss: a rate belongs to its weight's."""
    for part, tensors in enumerate(found):
        for name, gradient in tensors.items():
            if player == (int(name.startswith("discriminator.")) if part >= 2 else part):
                yield part, name, gradient


#: A direction: by part of the initialization and name, what is added to a tensor.
Direction = dict[tuple[int, str], torch.Tensor]


def slope(oracle: Oracle, init: GanParams, player: int, along: Direction, step: float) -> float:
    """Central difference of a player's query loss."""
    up, down = (oracle(_nudged(init, along, sign * step))[player] for sign in (1, -1))
    return (up - down) / (2 * step)


def _nudged(init: GanParams, along: Direction, step: float) -> GanParams:
    moved = [dict(tensors) for tensors in init]
    for (part, name), direction in along.items():
        moved[part][name] = moved[part][name] + step * direction
    return GanParams(*moved)


def dense_slopes(
    init: GanParams, found: GanParams, oracle: Oracle
) -> Iterator[tuple[Direction, float]]:
    """Two random directions per player, which move all its tensors at once, and the slopes there.

    Each tensor's part of a direction is divided by the norm of the tensor's gradient, so each adds
    about as much to the slope, and an error in one shows as well as in another. The norm counts as
    at least 1e-4 of the largest: some gradients vanish (a bias in front of a norm).
    """
    rng = torch.Generator().manual_seed(1)
    for player in range(2):
        tensors = list(tensors_of(found, player))
        largest = max(float(gradient.norm()) for _, _, gradient in tensors)
        for _ in range(2):
            along = {
                (part, name): torch.randn(gradient.shape, generator=rng, dtype=gradient.dtype)
                / gradient.norm().clamp_min(1e-4 * largest)
                for part, name, gradient in tensors
            }
            yield along, slope(oracle, init, player, along, step=2e-8)


def promised(found: GanParams, along: Direction) -> float:
    """The slope that a gradient says there is."""
    return sum(float((found[part][name] * a).sum()) for (part, name), a in along.items())


@pytest.mark.usefixtures("smooth")
@CASES
def test_second_order_rows_are_the_derivative_of_the_query_losses_of_plain_modules(
    algorithm, family, conditioning, critic, optimizer, rates, multi_step, gan, monkeypatch
):
    """Any single tensor's gradient that is off by 1e-5 of itself is beyond the tolerance."""
    init, found, oracle = gradient_and_oracle(
        algorithm, family, conditioning, critic, optimizer, rates, multi_step, gan, monkeypatch
    )
    for along, measured in dense_slopes(init, found, oracle):
        assert measured == pytest.approx(promised(found, along), abs=2e-7)


@pytest.mark.slow
@pytest.mark.usefixtures("smooth")
@CASES
def test_second_order_rows_are_that_derivative_tensor_by_tensor(
    algorithm, family, conditioning, critic, optimizer, rates, multi_step, gan, monkeypatch
):
    init, found, oracle = gradient_and_oracle(
        algorithm, family, conditioning, critic, optimizer, rates, multi_step, gan, monkeypatch
    )
    losses = oracle(init)
    rng = torch.Generator().manual_seed(1)
    step = 4e-7
    for player in range(2):
        for part, name, gradient in tensors_of(found, player):
            scale = max(float(g.abs().max()) for g in found[part].values())
            along = torch.randn(gradient.shape, generator=rng, dtype=gradient.dtype)
            along = {(part, name): along / along.norm()}
            # The difference cannot be surer than the oracle's own rounding over the step.
            rounding = 2 * torch.finfo(torch.float64).eps * abs(losses[player]) / step
            assert slope(oracle, init, player, along, step) == pytest.approx(
                promised(found, along), rel=1e-6, abs=max(1e-7 * scale, rounding)
            ), name
