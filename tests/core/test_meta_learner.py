"""The outer optimizers against torch's, the moving average, and the way through a checkpoint."""

import numpy as np
import pytest
import torch

from metagan.config.learning import OuterConfig, WarmupConfig
from metagan.core.aggregate import DivergedError
from metagan.core.meta_learner import LearnerState, MetaLearner

NO_WARMUP = WarmupConfig(steps=0)


def gradients(count: int, size: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [
        (rng.standard_normal(size) * 10.0 ** rng.uniform(-3, 1)).astype(np.float32)
        for _ in range(count)
    ]


def start(size: int = 6) -> torch.Tensor:
    return torch.linspace(-1, 1, size)


def follow(optimizer: torch.optim.Optimizer, weight: torch.Tensor, grads: list) -> list:
    path = []
    for gradient in grads:
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
        path.append(weight.detach().numpy().copy())
    return path


@pytest.mark.parametrize(("beta1", "beta2"), [(0.0, 0.99), (0.9, 0.999)])
def test_adam_equals_torch(beta1, beta2):
    outer = OuterConfig(optimizer="adam", lr=0.01, beta1=beta1, beta2=beta2)
    learner = MetaLearner(start(), outer, NO_WARMUP)
    weight = start().requires_grad_()
    expected = follow(
        torch.optim.Adam([weight], lr=0.01, betas=(beta1, beta2)), weight, gradients(30)
    )
    for gradient, position in zip(gradients(30), expected, strict=True):
        learner.apply(gradient)
        np.testing.assert_allclose(learner.vector, position, atol=1e-6)


def test_nesterov_equals_torch():
    outer = OuterConfig(optimizer="nesterov", lr=0.01, momentum=0.9)
    learner = MetaLearner(start(), outer, NO_WARMUP)
    weight = start().requires_grad_()
    optimizer = torch.optim.SGD([weight], lr=0.01, momentum=0.9, nesterov=True)
    for gradient, position in zip(
        gradients(30), follow(optimizer, weight, gradients(30)), strict=True
    ):
        learner.apply(gradient)
        np.testing.assert_allclose(learner.vector, position, rtol=1e-5, atol=1e-6)


def test_sgd_with_linear_annealing_has_its_closed_form():
    steps, lr = 8, 0.5
    outer = OuterConfig(optimizer="sgd", lr=lr, anneal="linear", steps=steps)
    learner = MetaLearner(torch.zeros(1), outer, NO_WARMUP)
    rates = []
    for _ in range(steps):
        rates.append(learner.lr)
        learner.apply(np.array([-1.0], np.float32))
    assert rates == pytest.approx([lr * (1 - k / steps) for k in range(steps)])
    # lr (1 + 7/8 + ... + 1/8) = lr * 9/2.
    assert float(learner.vector[0]) == pytest.approx(lr * 4.5, rel=1e-6)
    assert learner.lr == 0.0


def test_warm_up_is_adam_with_its_own_rate_and_then_the_optimizer_starts_afresh():
    outer = OuterConfig(optimizer="adam", lr=0.1, beta1=0.9, beta2=0.99, steps=10)
    learner = MetaLearner(start(), outer, WarmupConfig(steps=4, lr=0.01))
    weight = start().requires_grad_()
    grads = gradients(10)
    warm = torch.optim.Adam([weight], lr=0.01, betas=(0.9, 0.99))
    main = torch.optim.Adam([weight], lr=0.1, betas=(0.9, 0.99))
    expected = follow(warm, weight, grads[:4]) + follow(main, weight, grads[4:])
    warming = []
    for gradient, position in zip(grads, expected, strict=True):
        warming.append(learner.warming_up)
        learner.apply(gradient)
        np.testing.assert_allclose(learner.vector, position, atol=2e-6)
    assert warming == [True] * 4 + [False] * 6


def test_warm_up_does_not_leak_into_sgd_and_annealing_starts_after_it():
    outer = OuterConfig(optimizer="sgd", lr=1.0, anneal="linear", steps=6)
    learner = MetaLearner(torch.zeros(2), outer, WarmupConfig(steps=2, lr=0.01))
    for _ in range(2):
        assert learner.lr == 0.01
        learner.apply(np.ones(2, np.float32))
    rates = []
    while learner.step < 6:
        rates.append(learner.lr)
        before = learner.vector
        learner.apply(np.ones(2, np.float32))
        np.testing.assert_allclose(before - learner.vector, rates[-1], rtol=1e-6)
    assert rates == [1.0, 0.75, 0.5, 0.25]
    assert set(learner.state().tensors) == {"init", "ema", "optimizer.steps"}


@pytest.mark.parametrize(("restart_at", "longest"), [(None, 3.0), (60, 1.01)])
def test_a_fresh_start_bounds_the_first_steps_of_weights_that_had_no_gradients(restart_at, longest):
    """Adam without one takes steps of many times its rate there."""
    outer = OuterConfig(optimizer="adam", lr=0.01)
    learner = MetaLearner(torch.zeros(2), outer, NO_WARMUP, restart_at=restart_at)
    lengths = []
    for step in range(64):
        before = learner.vector
        learner.apply(np.array([1.0, step >= 60], np.float32))
        lengths.append(abs(learner.vector - before)[1] / 0.01)
    assert lengths[:60] == [0.0] * 60
    assert (max(lengths) > longest) == (restart_at is None)


def test_the_learning_rate_is_defined_after_a_run_of_warm_up_alone():
    outer = OuterConfig(anneal="linear", steps=1)
    learner = MetaLearner(torch.zeros(1), outer, WarmupConfig(steps=1))
    learner.apply(np.ones(1, np.float32))
    assert learner.lr == 0.0


def test_the_average_has_its_closed_form():
    outer = OuterConfig(optimizer="sgd", lr=1.0, ema=0.5, steps=20)
    learner = MetaLearner(torch.zeros(1), outer, NO_WARMUP)
    average, position = 0.0, 0.0
    for step in range(20):
        learner.apply(np.array([-1.0], np.float32))
        position += 1
        decay = min(0.5, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * position
        assert float(learner.averaged[0]) == pytest.approx(average, rel=1e-6)
    # A ramp is followed decay / (1 - decay) = 1 step behind.
    assert position - average == pytest.approx(1.0, abs=1e-3)


def test_without_decay_the_average_is_the_initialization():
    learner = MetaLearner(start(), OuterConfig(ema=0.0), NO_WARMUP)
    for gradient in gradients(3):
        learner.apply(gradient)
    np.testing.assert_array_equal(learner.averaged, learner.vector)


@pytest.mark.parametrize("staleness", [0, 1, 3])
def test_a_fixed_delay_is_that_of_delayed_gradient_descent(staleness):
    """On |x|^2 / 2: x[t + 1] = x[t] - lr * x[max(0, t - s)]."""
    outer = OuterConfig(lr=0.3, optimizer="sgd", staleness=staleness)
    learner = MetaLearner(torch.ones(1), outer, NO_WARMUP)
    path = [1.0]
    for step in range(12):
        path.append(path[step] - 0.3 * path[max(0, step - staleness)])
        ahead = [float(learner.vector_for(step + i)[0]) for i in range(staleness + 1)]
        expected = [path[max(0, step + i - staleness)] for i in range(staleness + 1)]
        assert ahead == pytest.approx(expected, rel=1e-5)
        learner.apply(learner.vector_for(step))
    assert float(learner.vector[0]) == pytest.approx(path[-1], rel=1e-5)


def test_a_snapshot_of_another_delay_is_refused():
    learner = MetaLearner(start(), OuterConfig(staleness=2), NO_WARMUP)
    learner.apply(gradients(1)[0])
    with pytest.raises(ValueError, match=r"outer\.staleness 0 needs the last 0"):
        MetaLearner(start(), OuterConfig(), NO_WARMUP).load(learner.state())


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam"])
@pytest.mark.parametrize("pause", [1, 2, 3, 4])
@pytest.mark.parametrize("staleness", [0, 2])
def test_a_snapshot_continues_bit_equal(optimizer, pause, staleness):
    """Pauses lie in the warm-up, at its end and after it."""
    outer = OuterConfig(optimizer=optimizer, anneal="linear", steps=6, ema=0.9, staleness=staleness)
    warmup = WarmupConfig(steps=2)
    grads = gradients(6)
    whole = MetaLearner(start(), outer, warmup)
    for gradient in grads:
        whole.apply(gradient)
    first = MetaLearner(start(), outer, warmup)
    for gradient in grads[:pause]:
        first.apply(gradient)
    snapshot = first.state()
    resumed = MetaLearner(torch.zeros(6), outer, warmup)
    resumed.load(snapshot)
    for gradient in grads[pause:]:
        resumed.apply(gradient)
        first.apply(gradient)
    for learner in (resumed, first):
        assert learner.step == 6
        state, expected = learner.state().tensors, whole.state().tensors
        assert set(state) == set(expected)
        assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_later_steps_do_not_change_a_snapshot():
    learner = MetaLearner(start(), OuterConfig(), NO_WARMUP)
    learner.apply(gradients(1)[0])
    snapshot = learner.state()
    copies = {name: tensor.clone() for name, tensor in snapshot.tensors.items()}
    loaded = MetaLearner(start(), OuterConfig(), NO_WARMUP)
    loaded.load(snapshot)
    for gradient in gradients(3):
        learner.apply(gradient)
        loaded.apply(gradient)
    assert all(torch.equal(snapshot.tensors[name], value) for name, value in copies.items())


def test_the_given_vectors_are_copied():
    init, gradient = start(), gradients(1)[0]
    learner = MetaLearner(init, OuterConfig(), NO_WARMUP)
    gradient.flags.writeable = False
    learner.apply(gradient)
    assert torch.equal(init, start())
    learner.vector[:] = 0
    assert np.any(learner.vector != 0)


@pytest.mark.parametrize(
    "bad", [np.ones(5, np.float32), np.array([1, 2, 3, 4, 5, np.nan], np.float32)]
)
def test_a_wrong_gradient_is_refused_and_leaves_the_learner_alone(bad):
    learner = MetaLearner(start(), OuterConfig(), NO_WARMUP)
    with pytest.raises(ValueError, match="expected a finite one of shape"):
        learner.apply(bad)
    assert learner.step == 0
    assert torch.equal(torch.from_numpy(learner.vector), start())


@pytest.mark.parametrize(("optimizer", "what"), [("sgd", "initialization"), ("adam", "second")])
@pytest.mark.parametrize("staleness", [0, 2])
def test_an_update_to_infinity_is_divergence_and_leaves_the_learner_alone(
    optimizer, what, staleness
):
    outer = OuterConfig(optimizer=optimizer, lr=100.0, staleness=staleness)
    learner = MetaLearner(start(), outer, NO_WARMUP)
    learner.apply(gradients(1)[0])
    before = learner.state()
    with pytest.raises(DivergedError, match=rf"outer step 2: .* makes the {what} infinite.*1e\+37"):
        learner.apply(np.full(6, 1e37, np.float32))
    after = learner.state()
    assert after.step == before.step == 1
    assert after.tensors.keys() == before.tensors.keys()
    for name, tensor in before.tensors.items():
        assert torch.equal(after.tensors[name], tensor), name


def test_every_rollback_lowers_the_rate_and_is_in_the_snapshot():
    outer = OuterConfig(lr=0.8, rollback_lr=0.25, rollbacks=2)
    learner = MetaLearner(start(), outer, NO_WARMUP)
    assert "rollbacks" not in learner.state().tensors
    learner.rollbacks = 2
    again = MetaLearner(start(), outer, NO_WARMUP)
    again.load(learner.state())
    assert (learner.lr, again.lr) == (0.05, 0.05)


def test_a_snapshot_of_another_architecture_or_with_nan_is_refused():
    learner = MetaLearner(start(), OuterConfig(), NO_WARMUP)
    good = learner.state()
    for name, value in (("init", torch.zeros(5)), ("ema", torch.full((6,), torch.nan))):
        bad = LearnerState(3, {**good.tensors, name: value})
        with pytest.raises(ValueError, match=f"checkpoint tensor {name}"):
            learner.load(bad)
    assert learner.step == 0
