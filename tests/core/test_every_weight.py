"""The meta-gradient of every single weight against float64 central differences.

The losses that are differenced here are compared with plain modules in `test_algorithms`, which
looks along one random direction per tensor; here no weight can hide behind another one.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from metagan.config.learning import AlgorithmConfig, InnerConfig
from metagan.core.algorithms import fomaml, inner_settings, maml
from metagan.core.batches import EpisodeInputs
from metagan.core.derivatives import autograd_gradient, functional_gradient
from metagan.core.params import GanParams, Layout
from metagan.core.rates import with_rates
from tests.reference.cases import dimmed, make_case, perturbed

STEP = 2e-6
VARIED = {"mode_seeking": 0.3}
NEAR = {"reconstruction": "l1", "reconstruction_weight": 0.5}
PENALISED = {"loss": "wgan_gp", "gradient_penalty": 0.3, "spectral_norm": True}


class Slopes(NamedTuple):
    """A meta-gradient, and what it should be the slope of.

    Attributes:
        layout: Of vectors (P,).
        at: The initialization, (P,).
        found: The meta-gradient, (P,).
        of_generator: Whether a number is the generator's, (P,).
        losses: Both players' query losses, (n, 2), after adaptation from initializations (n, P).
    """

    layout: Layout
    at: Tensor
    found: Tensor
    of_generator: Tensor
    losses: Callable[[Tensor], Tensor]

    def along(self, directions: Tensor) -> Tensor:
        """Central differences of both losses along directions (n, P), (n, 2)."""
        nudges = STEP * directions
        return (self.losses(self.at + nudges) - self.losses(self.at - nudges)) / (2 * STEP)


def slopes_of(
    algorithm: str,
    family: str,
    conditioning: str,
    critic: str,
    rates: str,
    gan: Mapping[str, object],
) -> Slopes:
    case = make_case(
        family,
        conditioning,
        second_order=True,
        gan={"penalty_every": 2, "r1": 0.1, "r2": 0.1, "mode_seeking": 0.0, "augment": [], **gan},
        inner=InnerConfig(steps=2, batch_size=3, lr=0.02, optimizer="sgd", learn_rates=rates),
        algorithm=AlgorithmConfig(name=algorithm, generator_critic=critic),
    )
    support, query = (dimmed(half) for half in (case.support, case.query))
    inputs = EpisodeInputs(support, query, outer_step=1)
    init = perturbed(with_rates(case.init, inner_settings(case.config)))
    layout = Layout.of(init)
    found = layout.flatten(maml(case.gan, init, inputs, case.config, autograd_gradient)[0])
    # A learned rate belongs to the player whose weight it moves.
    owned = [
        {
            name: torch.full_like(w, float("discriminator" not in (part, name.partition(".")[0])))
            for name, w in tensors.items()
        }
        for part, tensors in zip(init._fields, init, strict=True)
    ]

    def losses(vector: Tensor) -> Tensor:
        _, metrics = fomaml(
            case.gan, layout.unflatten(vector), inputs, case.config, functional_gradient
        )
        return torch.stack([metrics["loss_g_query"], metrics["loss_d_query"]])

    return Slopes(
        layout,
        layout.flatten(init),
        found,
        layout.flatten(GanParams(*owned)) == 1,
        torch.func.vmap(losses),
    )


@pytest.mark.usefixtures("smooth")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "family", "conditioning", "critic", "rates"),
    [
        ("maml", "dcgan", "none", "query", "none"),
        ("anil", "flow", "sample", "query", "tensor_and_step"),
        ("meta_sgd", "dcgan", "none", "support", "none"),
    ],
)
def test_the_meta_gradient_of_every_weight_is_the_slope_of_its_players_query_loss(
    algorithm, family, conditioning, critic, rates
):
    case = slopes_of(algorithm, family, conditioning, critic, rates, {})
    one_hot = torch.nn.functional.one_hot
    both = torch.cat(
        [
            case.along(one_hot(indices, len(case.at)).to(case.at.dtype))
            for indices in torch.arange(len(case.at)).split(64)
        ]
    )
    slope = torch.where(case.of_generator, both[:, 0], both[:, 1])
    scale = slope.abs().max()
    torch.testing.assert_close(case.found, slope, rtol=1e-6, atol=float(1e-9 * scale))


@pytest.mark.usefixtures("smooth")
@pytest.mark.parametrize(
    ("algorithm", "family", "conditioning", "critic", "rates", "gan"),
    [
        # What is not smooth everywhere (distances of samples, pixels that are cut out) is so here.
        ("maml", "dcgan", "none", "query", "none", {**VARIED, "augment": ["color", "cutout"]}),
        (
            "maml",
            "flow",
            "sample",
            "query",
            "none",
            {**VARIED, **PENALISED, "reconstruction": "l1"},
        ),
        ("anil", "dcgan", "none", "support", "tensor", {**VARIED, "augment": ["color"]}),
        ("meta_sgd", "residual", "label", "query", "none", {**VARIED, "spectral_norm": True}),
        ("meta_sgd", "dcgan", "sample", "support", "none", {**PENALISED, "augment": ["cutout"]}),
    ],
)
def test_the_meta_gradient_is_the_slope_along_directions_of_all_tensors_at_once(
    algorithm, family, conditioning, critic, rates, gan
):
    """Terms and augmentations that the oracle of plain modules is not compared with."""
    case = slopes_of(algorithm, family, conditioning, critic, rates, gan)
    rng = torch.Generator().manual_seed(1)
    for player, of_player in enumerate((case.of_generator, ~case.of_generator)):
        drawn = torch.randn(6, len(case.at), generator=rng, dtype=case.at.dtype) * of_player
        directions = drawn / drawn.norm(dim=1, keepdim=True)
        slope = case.along(directions)[:, player]
        scale = float(slope.abs().max())
        assert scale > 1e-4
        torch.testing.assert_close(directions @ case.found, slope, rtol=1e-6, atol=1e-6 * scale)
