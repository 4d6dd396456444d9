"""The meta-gradient of every single weight against float64 central differences.

The losses that are differenced here are compared with plain modules in `test_algorithms`, which
looks along one random direction per tensor; here no weight can hide behind another one.
"""

import pytest
import torch
from torch import Tensor

from metagan.algorithms import EpisodeInputs, fomaml, inner_settings, maml
from metagan.derivatives import autograd_gradient, functional_gradient
from metagan.params import GanParams, Layout
from metagan.rates import with_rates
from metagan.settings import AlgorithmConfig, InnerConfig
from tests.reference.cases import make_case, perturbed

STEP = 2e-6


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
    case = make_case(
        family,
        conditioning,
        second_order=True,
        gan={"penalty_every": 2, "r1": 0.1, "r2": 0.1, "mode_seeking": 0.0, "augment": []},
        inner=InnerConfig(steps=2, batch_size=3, lr=0.02, optimizer="sgd", learn_rates=rates),
        algorithm=AlgorithmConfig(name=algorithm, generator_critic=critic),
    )
    support, query = (
        half._replace(real=0.5 * half.real, condition=0.5 * half.condition)
        for half in (case.support, case.query)
    )
    inputs = EpisodeInputs(support, query, outer_step=1)
    init = perturbed(with_rates(case.init, inner_settings(case.config)))
    layout = Layout.of(init)
    at = layout.flatten(init)
    found = layout.flatten(maml(case.gan, init, inputs, case.config, autograd_gradient)[0])
    # A learned rate belongs to the player whose weight it moves.
    owned = [
        {
            name: torch.full_like(w, float("discriminator" not in (part, name.partition(".")[0])))
            for name, w in tensors.items()
        }
        for part, tensors in zip(init._fields, init, strict=True)
    ]
    is_generators = layout.flatten(GanParams(*owned)) == 1

    def losses(vector: Tensor) -> Tensor:
        """Of both players, (2,), after adaptation from this initialization."""
        _, metrics = fomaml(
            case.gan, layout.unflatten(vector), inputs, case.config, functional_gradient
        )
        return torch.stack([metrics["loss_g_query"], metrics["loss_d_query"]])

    many = torch.func.vmap(losses)
    slopes = []
    for indices in torch.arange(len(at)).split(64):
        nudges = STEP * torch.nn.functional.one_hot(indices, len(at)).to(at.dtype)
        slopes.append((many(at + nudges) - many(at - nudges)) / (2 * STEP))
    both = torch.cat(slopes)
    slope = torch.where(is_generators, both[:, 0], both[:, 1])
    scale = slope.abs().max()
    torch.testing.assert_close(found, slope, rtol=1e-6, atol=float(1e-9 * scale))
