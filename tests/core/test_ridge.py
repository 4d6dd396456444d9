"""Learning through a head that is solved for: against plain modules, a dense solve, differences."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from metagan.config.learning import AlgorithmConfig, InnerConfig
from metagan.core.adapters import FIRST_STRENGTH, STRENGTH
from metagan.core.algorithms import maml, ridge
from metagan.core.batches import EpisodeInputs, GanBatch
from metagan.core.derivatives import autograd_gradient, functional_gradient
from metagan.core.params import GanParams, Layout
from tests.reference import gan_oracle
from tests.reference.cases import episode_inputs, episode_keys, perturbed, run_setup

NETWORKS = pytest.mark.parametrize("family", ["mlp", "unet"])
ALONE = {"adversarial_weight": 0.0, "mode_seeking": 0.0}


def setup_of(family: str, algorithm: str = "ridge", **inner: object):
    """Settings, networks, weights in float64, their layout, and one episode's inputs."""
    config, source, gan, params, layout = run_setup(
        family,
        "input+support",
        second_order=algorithm != "ridge",
        gan=ALONE,
        inner=InnerConfig(steps=1, batch_size=3, lr=0.02, optimizer="sgd", **inner),
        algorithm=AlgorithmConfig(name=algorithm),
    )
    init = perturbed(params)
    # A learned number that has moved a little, as ten outer steps would move it.
    rates = {name: 0.002 * rate.sign() for name, rate in init.rates.items()}
    [inputs] = episode_inputs(source, config, episode_keys(source, 1))
    return config, gan, init._replace(rates=rates), layout, inputs


def dense_head(features: Tensor, answers: Tensor, head: nn.Module, strength: float) -> np.ndarray:
    """(W, b) by least squares over every position of every pair and every held weight."""
    rows, targets = [], []
    flat = features.detach().reshape(*features.shape[:2], -1).numpy()
    wanted = answers.detach().reshape(*answers.shape[:2], -1).numpy()
    share = flat.shape[-1] ** -0.5
    for pair in range(len(flat)):
        for place in range(flat.shape[-1]):
            rows.append(share * np.append(flat[pair, :, place], 1.0))
            targets.append(share * wanted[pair, :, place])
    weight, bias = (part.detach().numpy() for part in (head.weight, head.bias))
    prior = np.concatenate([weight.reshape(len(bias), -1), bias[:, None]], axis=1)
    rows += list(np.eye(prior.shape[1]) * strength**0.5)
    targets += list(prior.T * strength**0.5)
    return np.linalg.lstsq(np.array(rows), np.array(targets), rcond=None)[0].T


def query_loss(gan, init: GanParams, inputs: EpisodeInputs, config) -> float:
    """The generator's query loss with a solved head, on a plain module."""
    generator = copy.deepcopy(gan.generator).double()
    generator.load_state_dict(init.generator)
    whole = inputs.whole
    assert whole is not None
    zero = torch.zeros(len(whole.real), gan.config.latent_dim, dtype=torch.float64)
    strength = FIRST_STRENGTH * math.exp(100 * float(init.rates[STRENGTH]))
    head = dense_head(generator.body(whole.condition, zero), whole.real, generator.head, strength)
    with torch.no_grad():
        shape = generator.head.weight.shape
        generator.head.weight.copy_(torch.from_numpy(head[:, :-1]).reshape(shape))
        generator.head.bias.copy_(torch.from_numpy(head[:, -1]))
    last = GanBatch(*(tensor[-1] for tensor in inputs.query))
    return float(gan_oracle.generator_loss(generator, nn.Identity(), last, config.gan))


@NETWORKS
@pytest.mark.parametrize("gradient", [autograd_gradient, functional_gradient])
def test_ridge_is_the_derivative_of_the_query_loss_with_a_dense_solution(family, gradient):
    config, gan, init, layout, inputs = setup_of(family)
    found, metrics = ridge(gan, init, inputs, config, gradient)
    assert metrics["loss_g_query"].item() == pytest.approx(
        query_loss(gan, init, inputs, config), rel=1e-9
    )
    slope, at = layout.flatten(found), layout.flatten(init)
    rng = torch.Generator().manual_seed(1)
    for _ in range(3):
        direction = torch.randn(at.shape, generator=rng, dtype=torch.float64)
        # The strength's own number counts a hundredfold.
        direction[layout.parts()["rates"]] *= 0.01
        step = 1e-6 * direction
        ends = [
            query_loss(gan, layout.unflatten(at + sign * step), inputs, config) for sign in (1, -1)
        ]
        assert float(slope @ direction) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=2e-4)


def test_the_strength_has_a_derivative_of_its_own():
    config, gan, init, _, inputs = setup_of("mlp")
    found, _ = ridge(gan, init, inputs, config, autograd_gradient)
    ends = []
    for sign in (1, -1):
        moved = {STRENGTH: init.rates[STRENGTH] + sign * 1e-7}
        ends.append(query_loss(gan, init._replace(rates=moved), inputs, config))
    assert float(found.rates[STRENGTH]) == pytest.approx((ends[0] - ends[1]) / 2e-7, rel=1e-4)


def test_maml_with_a_solved_head_and_a_rate_of_almost_nothing_is_ridge():
    config, gan, init, layout, inputs = setup_of("mlp", "maml", solve=True)
    inner = config.inner.model_copy(update={"lr": 1e-12})
    config = config.model_copy(update={"inner": inner})
    by_steps, _ = maml(gan, init, inputs, config, autograd_gradient)
    plain, _ = ridge(gan, init, inputs, config, autograd_gradient)
    torch.testing.assert_close(
        layout.flatten(by_steps), layout.flatten(plain), rtol=1e-6, atol=1e-9
    )


def test_without_an_adversary_there_is_nothing_but_a_generator():
    _, gan, init, layout, _ = setup_of("unet")
    assert gan.discriminator is None
    assert init.discriminator == {}
    assert set(layout.parts()) == {"generator", "rates"}
    assert Layout.of(init).size == sum(w.numel() for w in init.generator.values()) + 1
