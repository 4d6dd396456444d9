"""The implicit meta-gradient against exact solutions, and MAML on the same game."""

import pytest
import torch

from metagan.config.learning import AlgorithmConfig, InnerConfig
from metagan.core.algorithms import imaml, maml
from metagan.core.batches import EpisodeInputs
from metagan.core.derivatives import autograd_gradient, functional_gradient
from metagan.core.implicit import implicit_gradient, solve_normal_equations
from metagan.core.inner_loop import adapt
from metagan.core.params import GanParams
from tests.helpers import tiny_config
from tests.reference.cases import dimmed, make_case
from tests.reference.quadratic_game import SIZE, QuadraticGame

GRADIENTS = pytest.mark.parametrize("gradient", [functional_gradient, autograd_gradient])


def game_inputs(game: QuadraticGame, steps: int) -> EpisodeInputs:
    return EpisodeInputs(game.batches("support", steps), game.batches("query", steps))


def game_config(name: str, *, steps: int, lr: float, proximal: float | None, **algorithm: object):
    return tiny_config(
        inner=InnerConfig(steps=steps, lr=lr, optimizer="sgd", proximal=proximal),
        algorithm=AlgorithmConfig(name=name, generator_critic="support", **algorithm),
    )


@GRADIENTS
@pytest.mark.parametrize("proximal", [0.0, 1.5])
@pytest.mark.parametrize("steps", [1, 4])
def test_maml_on_a_quadratic_game_is_a_power_of_its_step(gradient, steps, proximal):
    game = QuadraticGame()
    config = game_config("maml", steps=steps, lr=0.07, proximal=proximal)
    found, _ = maml(game, game.init, game_inputs(game, steps), config, gradient)
    step, phi_share, add = game.inner_step(0.07, proximal)
    phi = game.point(game.init)
    theta, by_phi = phi, torch.eye(2 * SIZE, dtype=torch.float64)
    for _ in range(steps):
        theta = step @ theta + phi_share @ phi + add
        by_phi = step @ by_phi + phi_share
    if not proximal:
        torch.testing.assert_close(by_phi, torch.linalg.matrix_power(step, steps))
    g_slope, d_slope = game.query_slopes(theta)
    expected = torch.cat([(by_phi.T @ g_slope)[:SIZE], (by_phi.T @ d_slope)[SIZE:]])
    torch.testing.assert_close(game.point(found), expected, rtol=1e-12, atol=1e-12)


@GRADIENTS
def test_imaml_on_a_quadratic_game_is_the_exact_solution(gradient):
    game, proximal = QuadraticGame(), 4.0
    config = game_config("imaml", steps=400, lr=0.1, proximal=proximal, cg_steps=4 * SIZE)
    found, metrics = imaml(game, game.init, game_inputs(game, 400), config, gradient)
    both = torch.eye(2 * SIZE, dtype=torch.float64)
    matrix = game.jacobian + proximal * both
    phi = game.point(game.init)
    theta = torch.linalg.solve(matrix, proximal * phi - game.constants["support"])
    g_slope, d_slope = game.query_slopes(theta)
    by_phi = proximal * torch.linalg.inv(matrix)
    expected = torch.cat([(by_phi.T @ g_slope)[:SIZE], (by_phi.T @ d_slope)[SIZE:]])
    torch.testing.assert_close(game.point(found), expected, rtol=1e-9, atol=1e-9)
    assert metrics["cg_residual_g"] < 1e-9
    assert metrics["cg_residual_d"] < 1e-9


def test_imaml_is_what_maml_tends_to_with_many_inner_steps():
    game = QuadraticGame()
    inputs = game_inputs(game, 400)
    through, _ = maml(
        game,
        game.init,
        inputs,
        game_config("maml", steps=400, lr=0.1, proximal=4.0),
        autograd_gradient,
    )
    config = game_config("imaml", steps=400, lr=0.1, proximal=4.0, cg_steps=4 * SIZE)
    implicit, _ = imaml(game, game.init, inputs, config, autograd_gradient)
    torch.testing.assert_close(game.point(implicit), game.point(through), rtol=1e-9, atol=1e-9)


def test_few_conjugate_gradient_steps_come_nearer_with_each():
    game = QuadraticGame()
    residuals = []
    for steps in (1, 2, 4, 12):
        config = game_config("imaml", steps=100, lr=0.1, proximal=2.0, cg_steps=steps)
        _, metrics = imaml(game, game.init, game_inputs(game, 100), config, autograd_gradient)
        residuals.append(float(metrics["cg_residual_g"]))
    assert residuals == sorted(residuals, reverse=True)
    assert residuals[0] < 1
    assert residuals[-1] < 1e-9


def test_weights_that_do_not_move_have_their_derivative_too():
    """theta = a (w, still) solves slope * w + still + proximal * (w - phi) = 0."""
    slope, still, phi, proximal = 3.0, 0.4, 0.7, 2.0

    def fixed_point(still: torch.Tensor, phi: torch.Tensor) -> torch.Tensor:
        return (proximal * phi - still) / (slope + proximal)

    leaves = [torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (still, phi)]
    w = fixed_point(*leaves)
    loss = (w.square() + w * leaves[0] + leaves[0] ** 3).sum()
    by_still, by_phi = torch.autograd.grad(loss, leaves)
    at = {"moves": w.detach(), "still": leaves[0].detach()}
    slopes = {
        "moves": 2 * at["moves"] + at["still"],
        "still": at["moves"] + 3 * at["still"] ** 2,
    }
    found, _ = implicit_gradient(
        lambda at: {"moves": slope * at["moves"] + at["still"]},
        at,
        slopes,
        proximal=proximal,
        steps=3,
    )
    torch.testing.assert_close(found["moves"], by_phi, rtol=1e-12, atol=0)
    torch.testing.assert_close(found["still"], by_still, rtol=1e-12, atol=0)


def test_a_right_side_of_zero_has_the_solution_zero():
    zero = {"a": torch.zeros(3)}
    u, residual = solve_normal_equations(lambda x: x, lambda x: x, zero, steps=3)
    assert torch.equal(u["a"], zero["a"])
    assert float(residual) == 0


@pytest.mark.usefixtures("smooth")
@pytest.mark.parametrize(
    ("family", "conditioning", "critic", "moves", "penalty"),
    [
        ("dcgan", "sample", "query", "all", 0.0),
        ("residual", "none", "support", "head", 0.1),
    ],
)
def test_imaml_is_the_derivative_of_the_query_losses_after_a_solved_inner_loop(
    family, conditioning, critic, moves, penalty
):
    """Central differences of the losses after an inner loop that has settled.

    Everything is smooth here, as in the same test of MAML. A flow generator is not: where a bent
    picture's slope jumps, the inner loop walks to and fro and never settles.
    """
    case = make_case(
        family,
        conditioning,
        second_order=True,
        gan={
            "penalty_every": 1,
            "r1": penalty,
            "r2": penalty,
            "mode_seeking": 0.0,
            "augment": [],
        },
        inner=InnerConfig(
            steps=50,
            batch_size=3,
            lr=0.02,
            optimizer="sgd",
            proximal=20.0,
            generator_moves=moves,
            discriminator_moves=moves,
        ),
        algorithm=AlgorithmConfig(name="imaml", generator_critic=critic, cg_steps=20),
    )
    # One batch for all steps, so that there is something to settle on.
    support, query = (
        type(half)(*(t[:1].expand(50, *t.shape[1:]) for t in half))
        for half in (case.support, case.query)
    )
    support, query = (dimmed(half) for half in (support, query))
    inner = case.config.inner
    adapted = adapt(case.gan, case.init, support, inner, keep_steps=(48, 49))
    before, after = (adapted.path[i][0].generator["head.weight"] for i in (48, 49))
    assert float((before - after).abs().max()) < 1e-10
    inputs = EpisodeInputs(support, query)
    found, metrics = imaml(case.gan, case.init, inputs, case.config, autograd_gradient)
    assert metrics["cg_residual_g"] < 1e-9

    def losses_from(init: GanParams) -> tuple[float, float]:
        # The inner loop itself is compared with plain modules elsewhere; those take minutes here.
        twin = query if critic == "query" else None
        end = adapt(case.gan, init, support, inner, critic_batches=twin, gradient=autograd_gradient)
        last = query.step(-1)
        samples = case.gan.generate_batch(end.params.generator, last)
        scorer = end.params.discriminator if end.critic is None else end.critic
        d_loss = case.gan.discriminator_loss(
            end.params.discriminator, last, samples, penalty_scale=1.0
        )
        return float(case.gan.generator_loss(scorer, last, samples)), float(d_loss)

    g_loss, d_loss = losses_from(case.init)
    assert float(metrics["loss_g_query"]) == pytest.approx(g_loss, rel=1e-10)
    assert float(metrics["loss_d_query"]) == pytest.approx(d_loss, rel=1e-10)
    rng = torch.Generator().manual_seed(1)
    for player in range(2):
        # Along a random direction of all of a player's weights at once.
        along = {
            name: torch.randn(w.shape, generator=rng, dtype=w.dtype)
            for name, w in case.init[player].items()
        }
        exact = sum(float((found[player][name] * a).sum()) for name, a in along.items())
        step = 1e-6
        values = []
        for sign in (1, -1):
            moved = [dict(weights) for weights in case.init]
            for name, a in along.items():
                moved[player][name] = moved[player][name] + sign * step * a
            values.append(losses_from(GanParams(*moved))[player])
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(exact, rel=1e-6)
