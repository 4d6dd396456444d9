"""Every row without a discriminator: what the generator learns from known answers alone."""

import itertools

import pytest
import torch

from metagan.config.algorithms import ALGORITHMS
from metagan.config.learning import AlgorithmConfig, InnerConfig
from metagan.core.chunk_gradient import chunk_gradient
from metagan.core.chunks import ChunkKey
from metagan.core.inner_loop import adapt
from tests.reference import gan_oracle
from tests.reference.cases import (
    both_ways,
    episode_inputs,
    episode_keys,
    little_learned,
    make_case,
    perturbed,
    run_setup,
)

ALONE = {"adversarial_weight": 0.0, "mode_seeking": 0.0}
ROWS = list(ALGORITHMS)
FAMILIES = ["mlp", "unet"]
SGD = InnerConfig(steps=3, batch_size=4, lr=0.02, optimizer="sgd")


def setup_of(algorithm: str, family: str):
    return run_setup(
        family,
        "input+support",
        second_order=ALGORITHMS[algorithm].second_order,
        gan=ALONE,
        inner=InnerConfig(steps=2, batch_size=3, lr=0.02, optimizer="sgd"),
        algorithm=AlgorithmConfig(name=algorithm, cg_steps=2),
        **({"outer": {"steps": 1}} if algorithm == "average" else {}),
    )


@pytest.mark.parametrize(("algorithm", "family"), list(itertools.product(ROWS, FAMILIES)))
def test_both_ways_of_computing_agree(algorithm, family):
    config, source, gan, params, layout = setup_of(algorithm, family)
    init = little_learned(perturbed(params))
    inputs = episode_inputs(source, config, episode_keys(source, 2))
    together, alone = both_ways(algorithm, gan, layout, init, inputs, config)
    torch.testing.assert_close(together[0], alone[0], rtol=1e-8, atol=1e-10)
    assert float(alone[0].abs().max()) > 0
    assert not any(name.startswith("loss_d") for name in alone[1])


@pytest.mark.parametrize("algorithm", ROWS)
def test_a_chunk_has_a_gradient_of_the_generator_alone(algorithm):
    config, source, gan, params, layout = setup_of(algorithm, "mlp")
    chunk = ChunkKey(0, 0, algorithm, episode_keys(source, 3))
    result = chunk_gradient(
        gan,
        layout,
        layout.flatten(params).numpy(),
        chunk,
        source,
        config,
        device=torch.device("cpu"),
    )
    assert result.report.num_finite == 3
    assert len(result.gradient_sum) == layout.size
    assert "discriminator" not in layout.parts()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("distance", ["l1", "l1_l2", "mse"])
def test_the_inner_loop_descends_the_distance_alone(family, distance):
    case = make_case(family, "input+support", gan={**ALONE, "reconstruction": distance}, inner=SGD)
    adapted = adapt(case.gan, case.init, case.support, case.config.inner)
    generator = gan_oracle.load_generator(case.gan, case.init)
    for index in range(len(case.support.real)):
        batch = case.support.step(index)
        generator.zero_grad()
        gan_oracle.generator_loss(generator, torch.nn.Identity(), batch, case.config.gan).backward()
        with torch.no_grad():
            for weight in generator.parameters():
                if weight.grad is not None:
                    weight -= case.config.inner.lr * weight.grad
    for name, weight in generator.named_parameters():
        torch.testing.assert_close(
            adapted.params.generator[name], weight.detach(), atol=1e-11, rtol=0
        )
    assert adapted.params.discriminator == {}
    assert set(adapted.losses) == {"loss_g_first", "loss_g_last"}


def test_a_score_is_asked_for_in_vain():
    case = make_case("mlp", "input+support", gan=ALONE)
    batch = case.support.step(0)
    with pytest.raises(ValueError, match=r"gan.adversarial_weight is 0: there is no discriminator"):
        case.gan.score({}, batch.condition, batch.real)
