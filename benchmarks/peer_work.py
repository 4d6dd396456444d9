"""The work of `benchmarks.peers`: the pair of networks, the tasks, the losses, the contract.

Everything random is drawn beforehand, so all contenders see the same tensors. The losses are
written out here and not taken from `metagan.losses`, so that an error there would show.

Shapes: B samples in a batch, S inner steps, P weights of both players.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from metagan.algorithms import EpisodeInputs
from metagan.batches import GanBatch, draw_batches
from metagan.gan import GanPair, build_gan
from metagan.params import GanParams, Layout, map_params
from metagan.settings import AlgorithmConfig, GanConfig, InnerConfig, RunConfig

ORDERS = ("first", "second")
#: The contender that the others are compared with.
REFERENCE = "plain"
INNER_LR = 0.05


@dataclass(frozen=True)
class Size:
    """How large a meta-step is.

    Attributes:
        width: Channels of both players' first stage; decides the number of weights.
        tasks: Episodes in the meta-step.
        steps: Inner steps, each a D update and then a G update.
        shots: Real samples of a task, and generated ones in each batch.
        side: Of the square grey pictures, pixels.
    """

    width: int
    tasks: int = 8
    steps: int = 5
    shots: int = 5
    side: int = 28


@dataclass(frozen=True)
class Work:
    """One meta-step, ready to compute.

    Attributes:
        config: Settings of metagan that mean this work.
        gan: The networks; their own weights are not used.
        init: The initialization.
        layout: Of `init` in a flat vector, (P,).
        tasks: Batches of every task's support and query half, S in front.
    """

    config: RunConfig
    gan: GanPair
    init: GanParams
    layout: Layout
    tasks: tuple[EpisodeInputs, ...]


class Contender(Protocol):
    """One way to compute a meta-gradient."""

    def sum_over(self, tasks: Sequence[EpisodeInputs], *, second_order: bool) -> Tensor:
        """The sum of the tasks' meta-gradients.

        Args:
            tasks: At least one.
            second_order: The derivative of each player's query loss through the inner loop to its
                own initialization (MAML); if not, its query gradient at the adapted weights.

        Returns:
            (P,), in the order of `Work.layout` and the dtype of `Work.init`.
        """


MakeContender = Callable[[Work], Contender]


def make_work(size: Size, dtype: torch.dtype) -> Work:
    """An unconditional DCGAN pair on pictures of noise, everything in this dtype."""
    config = RunConfig(
        gan=GanConfig(
            conditioning="none",
            family="dcgan",
            width=size.width,
            discriminator_width=size.width,
            loss="nonsaturating",
            r1=0.0,
            r2=0.0,
            mode_seeking=0.0,
            augment=(),
        ),
        algorithm=AlgorithmConfig(generator_critic="support"),
        inner=InnerConfig(steps=size.steps, batch_size=size.shots, lr=INNER_LR, optimizer="sgd"),
    )
    gan, params = build_gan(config.gan, (1, size.side, size.side), seed=0, second_order=True)
    init = GanParams(*(map_params(lambda w: w.to(dtype), player) for player in params))
    tasks = tuple(make_task(index, size, config, dtype) for index in range(size.tasks))
    return Work(config, gan, init, Layout.of(init), tasks)


def make_task(index: int, size: Size, config: RunConfig, dtype: torch.dtype) -> EpisodeInputs:
    """A task of its own brightness and contrast, with disjoint support and query pictures."""
    rng = np.random.default_rng(index)
    shape = (2, 1, size.shots, 1, size.side, size.side)
    pictures = np.tanh(rng.normal(rng.uniform(-1, 1), rng.uniform(0.2, 1), shape))
    support, query = (
        draw_batches(
            half,
            config.gan,
            steps=size.steps,
            batch_size=size.shots,
            seed=index,
            purpose=purpose,
        )
        for half, purpose in zip(
            torch.from_numpy(pictures).float(), ("support", "query"), strict=True
        )
    )
    return EpisodeInputs(
        *(GanBatch(*(tensor.to(dtype) for tensor in half)) for half in (support, query))
    )


def discriminator_loss(score: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """The non-saturating game's loss of D; one pass over both halves of the batch."""
    real_scores, fake_scores = score(torch.cat([real, fake])).split(len(real))
    return functional.softplus(-real_scores).mean() + functional.softplus(fake_scores).mean()


def generator_loss(score: Callable[[Tensor], Tensor], fake: Tensor) -> Tensor:
    """The non-saturating game's loss of G."""
    return functional.softplus(-score(fake)).mean()
