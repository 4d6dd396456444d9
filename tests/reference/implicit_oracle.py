"""The implicit meta-gradient by brute force: plain modules, central differences, one dense solve.

Only `.backward()` at given weights and values of losses are used: no second derivative, no
vector-Jacobian product and no conjugate gradient, so an error in any of those cannot hide here.

Shapes: N weights of all modules in a row, M of them moved by the inner loop.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from metagan.config.learning import GanConfig, InnerConfig
from metagan.core.batches import GanBatch
from metagan.core.params import GanParams, Params
from tests.reference import gan_oracle
from tests.reference.gan_oracle import Players

#: Of the differences; their error is its square, and a loss's rounding over it.
STEP = 1e-5


class Implicit(NamedTuple):
    """`gradient` of each player's own query loss, and how far from rest the inner loop was."""

    gradient: GanParams
    unrest: float


def implicit_gradient(
    players: Players,
    critic: nn.Module | None,
    start: GanParams,
    support: GanBatch,
    query: GanBatch,
    config: GanConfig,
    inner: InnerConfig,
) -> Implicit:
    """The derivative of both query losses at players that `gan_oracle.adapt` has brought to rest.

    At rest F(theta) + lambda (theta - phi) = 0 for the M weights that move, so with J = dF / dtheta
    theta's derivative by phi is lambda (J + lambda)^-1, and by weights that do not move
    -(J + lambda)^-1 dF / d(those). Batches have no inner steps in front.
    """
    modules = [players.generator, players.discriminator, *([critic] if critic else [])]
    starts = [start.generator, start.discriminator, start.discriminator][: len(modules)]
    moved = torch.cat(
        [torch.full((w.numel(),), w.requires_grad) for m in modules for w in m.parameters()]
    )
    at = torch.cat([parameters_to_vector(module.parameters()) for module in modules]).detach()
    phi = torch.cat([weight.flatten() for weights in starts for weight in weights.values()])

    def field() -> Tensor:
        return _field(modules, support, query, config)

    def query_losses() -> Tensor:
        g_loss = gan_oracle.generator_loss(modules[0], modules[-1], query, config)
        d_loss = gan_oracle.discriminator_loss(modules[0], modules[1], query, config, 1.0)
        return torch.stack([g_loss, d_loss]).detach()

    jacobian = _slopes(field, modules, at)[moved]
    slopes = _slopes(query_losses, modules, at)
    proximal = inner.proximal or 0.0
    unrest = field()[moved] + proximal * (at - phi)[moved]
    matrix = jacobian[:, moved] + proximal * torch.eye(int(moved.sum()), dtype=at.dtype)
    found: list[Params] = []
    for player, slope in enumerate(slopes):
        u = torch.linalg.solve(matrix.T, slope[moved])
        by_start = torch.empty_like(at)
        by_start[moved] = proximal * u
        by_start[~moved] = slope[~moved] - jacobian[:, ~moved].T @ u
        parts = [_named(module, part) for module, part in _split(modules, by_start)]
        if player == 1 and critic is not None:
            # Discriminator and critic start from the same weights.
            parts[1] = {name: weight + parts[2][name] for name, weight in parts[1].items()}
        found.append(parts[player])
    return Implicit(GanParams(*found), float(unrest.abs().max()))


def _field(
    modules: Sequence[nn.Module], support: GanBatch, query: GanBatch, config: GanConfig
) -> Tensor:
    """Each module's gradient of its own inner loss, (N,)."""
    generator, discriminator, *twins = modules
    gan_oracle._zero(*modules)
    gan_oracle.discriminator_loss(generator, discriminator, support, config, 1.0).backward()
    for twin in twins:
        gan_oracle.discriminator_loss(generator, twin, query, config, 1.0).backward()
    of_critics = [gan_oracle.grads_of(module) for module in modules[1:]]
    gan_oracle._zero(*modules)
    gan_oracle.generator_loss(generator, discriminator, support, config).backward()
    grads = [gan_oracle.grads_of(generator), *of_critics]
    return torch.cat([grad.flatten() for part in grads for grad in part.values()])


def _slopes(function: Callable[[], Tensor], modules: Sequence[nn.Module], at: Tensor) -> Tensor:
    """Central differences of a vector of the modules' weights by each weight, (len, N)."""
    columns = []
    for index in range(len(at)):
        values = []
        for sign in (1, -1):
            nudged = at.clone()
            nudged[index] += sign * STEP
            _hold(modules, nudged)
            values.append(function())
        columns.append((values[0] - values[1]) / (2 * STEP))
    _hold(modules, at)
    return torch.stack(columns, dim=1)


def _hold(modules: Sequence[nn.Module], vector: Tensor) -> None:
    with torch.no_grad():
        for module, part in _split(modules, vector):
            vector_to_parameters(part.clone(), module.parameters())


def _split(modules: Sequence[nn.Module], vector: Tensor) -> list[tuple[nn.Module, Tensor]]:
    sizes = [sum(weight.numel() for weight in module.parameters()) for module in modules]
    return list(zip(modules, torch.split(vector, sizes), strict=True))


def _named(module: nn.Module, vector: Tensor) -> Params:
    named = dict(module.named_parameters())
    parts = torch.split(vector, [weight.numel() for weight in named.values()])
    return {
        name: part.reshape(weight.shape)
        for (name, weight), part in zip(named.items(), parts, strict=True)
    }
