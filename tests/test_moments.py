"""Learned starts of the inner loop's Adam: what they do, how they are learned and used."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metagan.algorithms import ALGORITHMS, EpisodeInputs, fomaml, joint, reptile
from metagan.checkpoint import load_newest
from metagan.derivatives import autograd_gradient, functional_gradient
from metagan.evaluate.target import adapt_to_target
from metagan.inner_loop import adapt
from metagan.inner_optimizer import InnerOptimizer
from metagan.moments import ADAM_EPSILON, learned_form, starting_mean, updated_means, with_moments
from metagan.params import GanParams, Layout, map_params
from metagan.settings import AlgorithmConfig, InnerConfig, RunConfig
from metagan.workflow.setup import LoadedRun, load_run
from tests.reference import gan_oracle
from tests.reference.cases import Case, assert_close, largest_difference, make_case, perturbed
from tests.workflow.conftest import bars_config, run_training

GRADIENTS = pytest.mark.parametrize("gradient", [functional_gradient, autograd_gradient])
LEARNED = {"optimizer": "adam", "lr": 2e-3, "batch_size": 4, "steps": 2, "state": "learned"}
OUTER = {"steps": 3, "meta_batch_size": 4, "episodes_per_chunk": 2, "ema": 0.0}


def learned_case(family: str = "dcgan", conditioning: str = "sample", **inner: object) -> Case:
    """Starts are spread around the squares of a GAN's gradients."""
    chosen = InnerConfig.model_validate({**LEARNED, "steps": 3, "batch_size": 3, **inner})
    case = make_case(family, conditioning, inner=chosen, second_order=True)
    init = perturbed(with_moments(case.init, chosen))
    init = init._replace(
        moments=map_params(lambda s: (9 + 10 * s) / chosen.state_gain, init.moments)
    )
    return case._replace(init=init)


def inputs_of(case: Case) -> EpisodeInputs:
    return EpisodeInputs(case.support, case.query)


def test_only_weights_that_move_have_moments_of_their_shape() -> None:
    case = make_case("dcgan", "sample")
    inner = InnerConfig(state="learned", generator_moves="body", discriminator_moves="head")
    learned = with_moments(case.init, inner)
    assert learned.players == case.init.players
    body = {n: w for n, w in case.init.generator.items() if n.startswith("body.")}
    heads = {n: w for n, w in case.init.discriminator.items() if n.startswith("head.")}
    expected = {f"generator.{n}": w.shape for n, w in body.items()}
    expected |= {f"discriminator.{n}": w.shape for n, w in heads.items()}
    assert {n: m.shape for n, m in learned.moments.items()} == expected
    assert not any(m.any() for m in learned.moments.values())


def test_a_state_that_is_reset_adds_nothing_to_what_is_learned() -> None:
    case = make_case("dcgan", "sample")
    assert Layout.of(with_moments(case.init, InnerConfig())) == Layout.of(case.init)


@GRADIENTS
@pytest.mark.parametrize(
    ("count", "d_updates", "g_updates", "proximal", "moves"),
    [(1.0, 1, 1, None, "all"), (0.5, 2, 1, 0.7, "all"), (40.0, 1, 2, None, "head")],
)
def test_adam_from_learned_moments_is_that_of_plain_modules(
    gradient, count, d_updates, g_updates, proximal, moves
):
    """The oracle keeps all squares and takes their mean anew; Reptile's rule is about the last."""
    case = learned_case(
        "flow",
        state_count=count,
        discriminator_steps=d_updates,
        generator_steps=g_updates,
        proximal=proximal,
        generator_moves=moves,
    )
    inner = case.config.inner
    players, critic = gan_oracle.adapt(
        gan_oracle.load_players(case.gan, case.init),
        case.support,
        case.config.gan,
        inner,
        case.query,
        learned=case.init,
    )
    found = adapt(
        case.gan, case.init, case.support, inner, critic_batches=case.query, gradient=gradient
    )
    generator, discriminator = map(
        gan_oracle.weights_of, (players.generator, players.discriminator)
    )
    assert largest_difference(found.params.generator, generator) <= 1e-12
    assert largest_difference(found.params.discriminator, discriminator) <= 1e-12
    assert largest_difference(found.critic, gan_oracle.weights_of(critic)) <= 1e-12
    anew = adapt(case.gan, case.init.players, case.support, inner).params
    assert largest_difference(anew.generator, generator) > 1e-4
    displacement, _ = reptile(case.gan, case.init, inputs_of(case), case.config, gradient)
    assert list(displacement.moments) == list(players.means)
    for name, mean in players.means.items():
        ends = torch.log(mean / 1e-8) / inner.state_gain
        expected = case.init.moments[name] - ends
        assert float((displacement.moments[name] - expected).abs().max()) <= 1e-12, name
    assert max(float(m.abs().max()) for m in displacement.moments.values()) > 1e-3


def test_a_start_that_counts_for_nothing_is_adam_that_starts_anew() -> None:
    case = learned_case(state_count=1e-12)
    found = adapt(case.gan, case.init, case.support, case.config.inner).params
    anew = adapt(case.gan, case.init.players, case.support, case.config.inner).params
    assert_close(found.players, anew, 1e-9)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    learned=st.lists(st.floats(-0.8, 0.8), min_size=1, max_size=3),
    grads=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=4),
    count=st.floats(1e-3, 1e3),
)
def test_a_mean_stays_positive_and_between_its_start_and_the_squares(learned, grads, count):
    """In float32, the type that runs are trained in."""
    inner = InnerConfig(state="learned", state_count=count)
    starts = starting_mean(torch.tensor(learned), inner)
    means, low, high = starts, starts, starts
    for number, grad in enumerate(grads, start=1):
        slope = torch.full_like(starts, grad)
        square = slope.square() + ADAM_EPSILON**2
        low, high = torch.minimum(low, square), torch.maximum(high, square)
        means = updated_means({"w": means}, {"w": slope}, inner, number)["w"]
    assert bool((means >= low * (1 - 1e-5)).all())
    assert bool((means <= high * (1 + 1e-5)).all())
    again = starting_mean(learned_form(means, inner), inner)
    torch.testing.assert_close(again, means, rtol=1e-4, atol=0)


def test_by_reptiles_rule_moments_settle_at_what_tasks_end_with() -> None:
    """With a gradient that never changes that is its square; without one, epsilon squared."""
    inner = InnerConfig(state="learned", state_gain=10.0)
    slope = torch.tensor([0.3, -2e-3, 0.0], dtype=torch.float64)
    weights = {"w": torch.zeros(3, dtype=torch.float64)}
    moments = {"generator.w": torch.tensor([0.0, 3.0, 2.0], dtype=torch.float64)}
    for _ in range(200):
        optimizer = InnerOptimizer(inner, "generator", GanParams(weights, {}, {}, moments))
        for _ in range(5):
            optimizer.step(weights, {"w": slope})
        ends = optimizer.moments()
        moments = map_params(lambda s, end: s - 0.5 * (s - end), moments, ends)
    settled = starting_mean(moments["generator.w"], inner)
    torch.testing.assert_close(settled, slope.square() + 1e-8, rtol=1e-9, atol=0)


@pytest.mark.parametrize("estimator", [fomaml, joint])
def test_rows_of_no_derivative_by_the_state_leave_it_as_it_is(estimator) -> None:
    """They train the first outer steps of those that learn it."""
    case = learned_case()
    found, _ = estimator(case.gan, case.init, inputs_of(case), case.config, autograd_gradient)
    assert list(found.moments) == list(case.init.moments)
    assert not any(slope.any() for slope in found.moments.values())


def run_from(start: LoadedRun, path: Path, steps: int = 3) -> torch.Tensor:
    """What a run's inner loop makes of a generator's head, by its own settings."""
    support = torch.linspace(-1, 1, 2 * 3 * 256).reshape(2, 3, 1, 16, 16)
    target = adapt_to_target(
        start.gan,
        start.init,
        support,
        inner=start.config.inner,
        task=start.config.task,
        steps=steps,
        batch_size=4,
        seed=0,
    )
    assert not target.params.moments, path
    return target.params.generator["head.weight"]


@pytest.mark.parametrize(
    ("algorithm", "optimizer"), [("reptile", "sgd"), ("reptile", "adam"), ("maml", "adam")]
)
def test_moments_are_trained_kept_resumed_and_used_when_adapting(
    tmp_path: Path, bars_path: Path, algorithm: str, optimizer: str
) -> None:
    config = bars_config(
        bars_path,
        algorithm={"name": algorithm},
        inner=LEARNED,
        outer={**OUTER, "optimizer": optimizer, "lr": 0.5 if optimizer == "sgd" else 1e-3},
        warmup={"steps": 1, "episodes": 4},
    )
    run_training(config, tmp_path / "run")
    run = load_run(tmp_path / "run", RunConfig)
    learned = run.init.moments
    assert max(float(m.abs().max()) for m in learned.values()) > 1e-3
    anew = LoadedRun(**{**run.__dict__, "init": run.init.players})
    assert not torch.equal(run_from(run, tmp_path), run_from(anew, tmp_path))
    short = config.model_copy(
        update={"outer": config.outer.model_copy(update={"steps": 2, "anneal": "none"})}
    )
    run_training(short, tmp_path / "resumed")
    run_training(config, tmp_path / "resumed", resume=True)
    one, other = (
        load_newest(tmp_path / name / "checkpoints", run.layout)[0] for name in ("run", "resumed")
    )
    assert one is not None
    assert other is not None
    assert one.state.tensors.keys() == other.state.tensors.keys()
    for name, tensor in one.state.tensors.items():
        assert torch.equal(tensor, other.state.tensors[name]), name


def test_the_rows_that_learn_the_state_are_those_that_can() -> None:
    for name in ALGORITHMS:
        values = {"algorithm": AlgorithmConfig(name=name), "inner": LEARNED}
        if name in ("reptile", "maml", "anil", "meta_sgd"):
            assert RunConfig.model_validate(values).inner.state == "learned"
        else:
            with pytest.raises(ValueError, match=rf"algorithm.name {name} .*set inner.state reset"):
                RunConfig.model_validate(values)
    with pytest.raises(ValueError, match=r"inner.optimizer sgd has no state; set inner.optimizer"):
        RunConfig.model_validate({"inner": {"optimizer": "sgd", "state": "learned"}})
