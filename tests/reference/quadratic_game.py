"""A game with quadratic losses, in the place of a GAN: everything about it has a closed form.

The generator's weights are a vector g, the discriminator's d. With theta = (g, d), each player's
own slope is a row of J theta + c, where c comes with the batch.
"""

from types import SimpleNamespace

import torch
from torch import Tensor

from metagan.core.batches import GanBatch
from metagan.core.params import GanParams
from tests.reference.batch import batch_of

SIZE = 3


class QuadraticGame:
    """Has the methods of a `GanPair` that the inner loop and the algorithms call."""

    config = SimpleNamespace(penalty_every=1, has_adversary=True)

    def __init__(self, seed: int = 0) -> None:
        rng = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=rng, dtype=torch.float64)

        own = [m @ m.T / SIZE for m in (draw(SIZE, SIZE), draw(SIZE, SIZE))]
        # The players' cross terms are not each other's transpose: J is not symmetric.
        self.jacobian = torch.cat(
            [torch.cat([own[0], draw(SIZE, SIZE)], 1), torch.cat([draw(SIZE, SIZE), own[1]], 1)]
        )
        self.init = GanParams({"head.w": draw(SIZE)}, {"head.w": draw(SIZE)})
        self.constants = {"support": draw(2 * SIZE), "query": draw(2 * SIZE)}

    def batches(self, half: str, steps: int) -> GanBatch:
        """c in place of pictures, the same for every inner step; other fields are not read."""
        c = self.constants[half].expand(steps, 1, -1)
        return batch_of(c, z=torch.zeros(steps, 1, 2), augment=c, between=c)

    def generate(self, params: dict[str, Tensor], *_: Tensor) -> Tensor:
        return params["head.w"]

    def generate_batch(self, params: dict[str, Tensor], batch: GanBatch) -> Tensor:  # noqa: ARG002
        return params["head.w"]

    def generator_loss(self, critic: dict[str, Tensor], batch: GanBatch, g: Tensor) -> Tensor:
        own, cross = self.jacobian[:SIZE, :SIZE], self.jacobian[:SIZE, SIZE:]
        c = batch.real.mean(0)[:SIZE]
        return g @ own @ g / 2 + g @ (cross @ critic["head.w"] + c)

    def discriminator_loss(
        self, params: dict[str, Tensor], batch: GanBatch, g: Tensor, *, penalty_scale: float
    ) -> Tensor:
        assert penalty_scale >= 0
        own, cross = self.jacobian[SIZE:, SIZE:], self.jacobian[SIZE:, :SIZE]
        d, c = params["head.w"], batch.real.mean(0)[SIZE:]
        return d @ own @ d / 2 + d @ (cross @ g + c)

    def point(self, params: GanParams) -> Tensor:
        """theta = (g, d)."""
        return torch.cat([params.generator["head.w"], params.discriminator["head.w"]])

    def inner_step(self, lr: float, proximal: float) -> tuple[Tensor, Tensor, Tensor]:
        """(T, s, t) of an inner step of SGD from phi: theta -> T theta + s phi + t.

        D moves first, then G against the D just moved.
        """
        both = torch.eye(2 * SIZE, dtype=torch.float64)
        slope = self.jacobian + proximal * both
        c = self.constants["support"]
        is_d = torch.cat([torch.zeros(SIZE), torch.ones(SIZE)]).double().diag()
        d_map, d_phi, d_add = both - lr * is_d @ slope, lr * proximal * is_d, -lr * is_d @ c
        is_g = both - is_d
        g_map, g_phi, g_add = both - lr * is_g @ slope, lr * proximal * is_g, -lr * is_g @ c
        return g_map @ d_map, g_map @ d_phi + g_phi, g_map @ d_add + g_add

    def query_slopes(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """(dQ_G / dtheta, dQ_D / dtheta) of both players' query losses, G's scored by this D."""
        g, d = theta[:SIZE], theta[SIZE:]
        own = self.jacobian @ theta + self.constants["query"]
        by_g = torch.cat([own[:SIZE], self.jacobian[:SIZE, SIZE:].T @ g])
        by_d = torch.cat([self.jacobian[SIZE:, :SIZE].T @ d, own[SIZE:]])
        return by_g, by_d
