"""Learned inner rates: shapes, what they multiply, and that they are learned and used."""

from pathlib import Path

import pytest
import torch

from metagan.config.learning import AlgorithmConfig, InnerConfig
from metagan.config.settings import RunConfig
from metagan.core.algorithms import inner_settings
from metagan.core.inner_loop import adapt
from metagan.core.params import Layout
from metagan.core.rates import RATES_GAIN, multiplier, with_rates
from metagan.workflow.setup import load_run
from tests.reference.cases import assert_close, make_case
from tests.workflow.conftest import bars_config, run_training

OUTER = {"meta_batch_size": 4, "episodes_per_chunk": 2}

KINDS = ("tensor", "tensor_and_step", "weight")


@pytest.mark.parametrize("kind", KINDS)
def test_only_weights_that_move_have_rates_of_the_kind_that_is_set(kind: str) -> None:
    case = make_case("dcgan", "sample")
    inner = InnerConfig(steps=4, learn_rates=kind, discriminator_moves="head")
    learned = with_rates(case.init, inner)
    assert (learned.generator, learned.discriminator) == (
        case.init.generator,
        case.init.discriminator,
    )
    names = [f"generator.{name}" for name in case.init.generator]
    assert list(learned.rates) == [*names, "discriminator.head.weight", "discriminator.head.bias"]
    shapes = {
        "tensor": (),
        "tensor_and_step": (4,),
        "weight": tuple(case.init.generator["head.weight"].shape),
    }
    assert tuple(learned.rates["generator.head.weight"].shape) == shapes[kind]
    assert not any(rate.any() for rate in learned.rates.values())


def test_without_learned_rates_nothing_is_added() -> None:
    case = make_case("dcgan", "sample")
    assert Layout.of(with_rates(case.init, InnerConfig())) == Layout.of(case.init)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("kind", KINDS)
def test_rates_start_as_the_fixed_one_to_the_bit(kind: str, optimizer: str) -> None:
    inner = InnerConfig(steps=3, batch_size=3, lr=0.02, optimizer=optimizer, learn_rates=kind)
    case = make_case("flow", "sample", inner=inner, algorithm=AlgorithmConfig(name="maml"))
    fixed = adapt(case.gan, case.init, case.support, inner).params
    learned = adapt(case.gan, with_rates(case.init, inner), case.support, inner).params
    for player in range(2):
        assert all(torch.equal(fixed[player][n], w) for n, w in learned[player].items())


def test_a_rate_of_zero_freezes_its_tensor_and_a_doubled_one_doubles_the_first_step() -> None:
    inner = InnerConfig(steps=1, batch_size=3, lr=0.02, optimizer="sgd", learn_rates="tensor")
    case = make_case("dcgan", "sample", inner=inner, algorithm=AlgorithmConfig(name="maml"))
    start = with_rates(case.init, inner)
    rates = start.rates | {
        "discriminator.head.weight": torch.tensor(-1.0 / RATES_GAIN),
        "discriminator.body.down1.weight": torch.tensor(1.0 / RATES_GAIN),
    }
    fixed = adapt(case.gan, case.init, case.support, inner).params.discriminator
    moved = adapt(case.gan, start._replace(rates=rates), case.support, inner).params.discriminator
    before = case.init.discriminator
    assert torch.equal(moved["head.weight"], before["head.weight"])
    name = "body.down1.weight"
    torch.testing.assert_close(
        moved[name] - before[name], 2 * (fixed[name] - before[name]), rtol=1e-10, atol=1e-14
    )
    assert torch.equal(moved["body.down2.weight"], fixed["body.down2.weight"])


def test_after_the_learned_steps_the_last_rate_goes_on() -> None:
    inner = InnerConfig(steps=2, learn_rates="tensor_and_step")
    rates = {"generator.w": torch.tensor([1.0, -0.5]) / RATES_GAIN}
    found = [float(multiplier(rates, "generator.w", inner, step)) for step in range(4)]
    assert found == pytest.approx([2.0, 0.5, 0.5, 0.5])
    assert multiplier(rates, "generator.v", inner, 0) is None


def test_meta_sgd_learns_a_rate_for_every_weight_unless_told_otherwise() -> None:
    case = make_case("dcgan", "sample", algorithm=AlgorithmConfig(name="meta_sgd"))
    assert inner_settings(case.config).learn_rates == "weight"
    inner = case.config.inner.model_copy(update={"learn_rates": "tensor"})
    assert inner_settings(case.config.model_copy(update={"inner": inner})).learn_rates == "tensor"


def test_rates_that_an_algorithm_cannot_learn_are_refused() -> None:
    with pytest.raises(ValueError, match=r"algorithm.name reptile cannot learn rates; use maml"):
        RunConfig.model_validate({"inner": {"learn_rates": "tensor"}})


def test_rates_are_trained_kept_and_used_when_adapting(tmp_path: Path, bars_path: Path) -> None:
    config = bars_config(
        bars_path,
        algorithm={"name": "meta_sgd"},
        outer={**OUTER, "steps": 3, "optimizer": "adam", "lr": 1e-3, "ema": 0.0},
    )
    run_training(config, tmp_path / "run")
    run = load_run(tmp_path / "run", RunConfig)
    assert max(float(rate.abs().max()) for rate in run.init.rates.values()) > 1e-4
    case = make_case("flow", "sample", inner=config.inner)
    batches = type(case.support)(*(tensor.float() for tensor in case.support))
    inner = inner_settings(run.config)
    with_them, without = (
        adapt(run.gan, start, batches, inner).params.generator["head.weight"]
        for start in (run.init, run.init._replace(rates={}))
    )
    assert not torch.equal(with_them, without)
    assert_close(run.init, load_run(tmp_path / "run", RunConfig).init, 0)
