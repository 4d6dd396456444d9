"""The implicit meta-gradient: that of a solved inner loop, without a way back through its steps.

With the proximal term lambda / 2 |theta - phi|^2 in both inner losses, a solved inner loop is at a
fixed point of the game, F(theta) + lambda (theta - phi) = 0, where F holds each player's partial
derivative of its own loss. So a query loss Q(theta) has the derivative u by phi that solves
(I + J^T / lambda) u = dQ / dtheta, with J the Jacobian of F.

Source: Rajeswaran et al. 2019, arXiv:1909.04630, equation 6 and Algorithm 2. There J is a Hessian
and conjugate gradient solves the equation as it stands. A game's J is not symmetric, because a
player's step depends on the other player, so here conjugate gradient solves the normal equations.

Everything is one flat mapping of named tensors: "generator.<name>", "discriminator.<name>" and,
where a twin discriminator scores the generator's query loss, "critic.<name>".
"""

from collections.abc import Callable

import torch
from torch import Tensor

from metagan.core.params import Params, map_params

Field = Callable[[Params], Params]


def implicit_gradient(
    field: Field, at: Params, slope: Params, *, proximal: float, steps: int
) -> tuple[Params, Tensor]:
    """The derivative by the initialization of a loss at the fixed point.

    Args:
        field: F, from all weights to the derivatives of those that the inner loop moves.
        at: The fixed point: all weights.
        slope: dQ / dtheta of all weights.
        proximal: lambda, above 0.
        steps: Conjugate-gradient steps; with as many as there are weights it is exact.

    Returns:
        (derivative by every weight's initial value, those that do not move included; the solution's
        residual over the right-hand side's size, ()).
    """
    value, pull = torch.func.vjp(field, at)[:2]

    def through_field(u: Params) -> Params:
        return map_params(lambda w: w / proximal, pull(u)[0])

    def transposed(u: Params) -> Params:
        slopes = through_field(u)
        return {name: w + slopes[name] for name, w in u.items()}

    # J^T u is linear in u, so its derivative by u is J: no forward-mode derivative is needed,
    # which some operations do not have.
    zero = map_params(torch.zeros_like, value)
    pull_again = torch.func.vjp(lambda u: pull(u)[0], zero)[1]

    def straight(u: Params) -> Params:
        tangent = {name: u.get(name, torch.zeros_like(weight)) for name, weight in at.items()}
        moved = pull_again(tangent)[0]
        return {name: w + moved[name] / proximal for name, w in u.items()}

    right = {name: slope[name] for name in value}
    u, residual = solve_normal_equations(transposed, straight, right, steps=steps)
    slopes = through_field(u)
    still = {name: slope[name] - slopes[name] for name in at if name not in u}
    return {name: u[name] if name in u else still[name] for name in at}, residual


def solve_normal_equations(
    matrix: Field, transposed: Field, right: Params, *, steps: int
) -> tuple[Params, Tensor]:
    """Solve M u = b in the least-squares sense by conjugate gradient on M^T M u = M^T b.

    Args:
        matrix: u -> M u.
        transposed: r -> M^T r.
        right: b; where the search starts too, as M is near the identity.
        steps: Of conjugate gradient; a solved equation is left as it is.

    Returns:
        (u, |b - M u| / |b|).
    """
    u = right
    residual = map_params(torch.sub, right, matrix(u))
    gradient = transposed(residual)
    direction, size = gradient, _dot(gradient, gradient)
    for _ in range(steps):
        image = matrix(direction)
        length = _ratio(size, _dot(image, image))
        u = map_params(lambda a, b: a + length * b, u, direction)  # noqa: B023
        residual = map_params(lambda a, b: a - length * b, residual, image)  # noqa: B023
        gradient = transposed(residual)
        before, size = size, _dot(gradient, gradient)
        turn = _ratio(size, before)
        direction = map_params(lambda a, b: a + turn * b, gradient, direction)  # noqa: B023
    return u, _ratio(_dot(residual, residual), _dot(right, right)).sqrt()


def _dot(one: Params, other: Params) -> Tensor:
    return torch.stack([(a * other[name]).sum() for name, a in one.items()]).sum()


def _ratio(over: Tensor, under: Tensor) -> Tensor:
    """Over / under, and 0 where under is 0."""
    return torch.where(under > 0, over / under.where(under > 0, torch.ones_like(under)), 0.0)
