"""Contenders of `benchmarks.peers` that need no other library: plain loops, and metagan itself."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call

from benchmarks.peer_work import Work, discriminator_loss, generator_loss
from metagan.algorithms import ALGORITHMS, EpisodeInputs

# Private, because the public result of a chunk is a sum in float32, too coarse for parity.
from metagan.chunk_gradient import episode_gradients
from metagan.params import GanParams, Params


class PlainLoop:
    """The reference: `torch.autograd.grad` and weights in dictionaries, one task after the other.

    The second-order loop generates the fakes once for each player's step, as a partial derivative
    by G needs a pass of its own where the fakes of D's step stay in the graph.
    """

    def __init__(self, work: Work, *, aliased: bool = True) -> None:
        """With `aliased` false second-order inner steps are total derivatives: an unrolled GAN."""
        self._work, self._lr = work, work.config.inner.lr
        self._renamed = _aliases if aliased else dict

    def sum_over(self, tasks: Sequence[EpisodeInputs], *, second_order: bool) -> Tensor:
        """See `Contender`."""
        episode = self._second_order if second_order else self._first_order
        total = episode(tasks[0])
        for task in tasks[1:]:
            total += episode(task)
        return total

    def _first_order(self, task: EpisodeInputs) -> Tensor:
        g, d = (_leaves(player) for player in self._work.init[:2])
        for index in range(len(task.support.real)):
            batch = task.support.step(index)
            fake = self._generate(g, batch.z[:, 0])
            d_loss = discriminator_loss(lambda x: self._score(d, x), batch.real, fake.detach())  # noqa: B023
            d = _leaves(self._moved(d, _slopes(d_loss, d)))
            g_loss = generator_loss(lambda x: self._score(d, x), fake)  # noqa: B023
            g = _leaves(self._moved(g, _slopes(g_loss, g)))
        query = task.query.step(-1)
        fake = self._generate(g, query.z[:, 0])
        d_loss = discriminator_loss(lambda x: self._score(d, x), query.real, fake.detach())
        d_grad = _slopes(d_loss, d)
        g_grad = _slopes(generator_loss(lambda x: self._score(d, x), fake), g)
        return self._work.layout.flatten(GanParams(g_grad, d_grad))

    def _second_order(self, task: EpisodeInputs) -> Tensor:
        g_init, d_init = (_leaves(player) for player in self._work.init[:2])
        g, d = g_init, d_init
        for index in range(len(task.support.real)):
            batch = task.support.step(index)
            fake = self._generate(g, batch.z[:, 0])
            # G's weights are a function of D's, and D's of G's. Fresh aliases end the graph between
            # the loss and the weights that it is differentiated by: a partial derivative.
            d = self._renamed(d)
            d_loss = discriminator_loss(lambda x: self._score(d, x), batch.real, fake)  # noqa: B023
            d = self._moved(d, _slopes(d_loss, d, create_graph=True))
            g = self._renamed(g)
            fake = self._generate(g, batch.z[:, 0])
            g_loss = generator_loss(lambda x: self._score(d, x), fake)  # noqa: B023
            g = self._moved(g, _slopes(g_loss, g, create_graph=True))
        query = task.query.step(-1)
        fake = self._generate(g, query.z[:, 0])
        g_loss = generator_loss(lambda x: self._score(d, x), fake)
        d_loss = discriminator_loss(lambda x: self._score(d, x), query.real, fake)
        g_grad = _slopes(g_loss, g_init, retain_graph=True)
        return self._work.layout.flatten(GanParams(g_grad, _slopes(d_loss, d_init)))

    def _generate(self, weights: Params, z: Tensor) -> Tensor:
        return functional_call(self._work.gan.generator, weights, (z.new_empty(len(z), 0), z))

    def _score(self, weights: Params, x: Tensor) -> Tensor:
        return functional_call(self._work.gan.discriminator, weights, (x.new_empty(len(x), 0), x))

    def _moved(self, weights: Params, slopes: Params) -> Params:
        return {name: weight - self._lr * slopes[name] for name, weight in weights.items()}


def _leaves(weights: Params) -> Params:
    return {name: weight.detach().requires_grad_() for name, weight in weights.items()}


def _aliases(weights: Params) -> Params:
    return {name: weight.view_as(weight) for name, weight in weights.items()}


def _slopes(
    loss: Tensor, weights: Params, *, create_graph: bool = False, retain_graph: bool = False
) -> Params:
    slopes = torch.autograd.grad(
        loss,
        list(weights.values()),
        create_graph=create_graph,
        retain_graph=create_graph or retain_graph,
    )
    return dict(zip(weights, slopes, strict=True))


class TorchFunc:
    """Nested `torch.func` transforms, whose derivatives are partial by construction."""

    def __init__(self, work: Work) -> None:
        self._work, self._lr = work, work.config.inner.lr

    def sum_over(self, tasks: Sequence[EpisodeInputs], *, second_order: bool) -> Tensor:
        """See `Contender`."""
        episode = self._second_order if second_order else self._first_order
        return torch.stack([self._work.layout.flatten(episode(task)) for task in tasks]).sum(0)

    def _first_order(self, task: EpisodeInputs) -> GanParams:
        g, d = self._adapted(self._work.init.generator, self._work.init.discriminator, task)
        query = task.query.step(-1)
        return GanParams(
            torch.func.grad(self._g_loss)(g, d, query.z[:, 0]),
            torch.func.grad(self._d_loss)(d, g, query.real, query.z[:, 0]),
        )

    def _second_order(self, task: EpisodeInputs) -> GanParams:
        query = task.query.step(-1)

        def losses(g_init: Params, d_init: Params) -> tuple[Tensor, Tensor]:
            g, d = self._adapted(g_init, d_init, task)
            z = query.z[:, 0]
            return self._g_loss(g, d, z), self._d_loss(d, g, query.real, z)

        values, pull = torch.func.vjp(losses, *self._work.init[:2])[:2]
        one, zero = torch.ones_like(values[0]), torch.zeros_like(values[0])
        return GanParams(pull((one, zero))[0], pull((zero, one))[1])

    def _adapted(self, g: Params, d: Params, task: EpisodeInputs) -> tuple[Params, Params]:
        for index in range(len(task.support.real)):
            batch = task.support.step(index)
            z = batch.z[:, 0]
            d_slopes = torch.func.grad(self._d_loss)(d, g, batch.real, z)
            d = {name: weight - self._lr * d_slopes[name] for name, weight in d.items()}
            g_slopes = torch.func.grad(self._g_loss)(g, d, z)
            g = {name: weight - self._lr * g_slopes[name] for name, weight in g.items()}
        return g, d

    def _g_loss(self, g: Params, d: Params, z: Tensor) -> Tensor:
        return generator_loss(lambda x: self._score(d, x), self._generate(g, z))

    def _d_loss(self, d: Params, g: Params, real: Tensor, z: Tensor) -> Tensor:
        return discriminator_loss(lambda x: self._score(d, x), real, self._generate(g, z))

    def _generate(self, weights: Params, z: Tensor) -> Tensor:
        return functional_call(self._work.gan.generator, weights, (z.new_empty(len(z), 0), z))

    def _score(self, weights: Params, x: Tensor) -> Tensor:
        return functional_call(self._work.gan.discriminator, weights, (x.new_empty(len(x), 0), x))


class Metagan:
    """What a worker of metagan computes for a chunk, by one of its two paths."""

    def __init__(self, work: Work, *, vectorised: bool) -> None:
        self._work, self._vectorised = work, vectorised

    def sum_over(self, tasks: Sequence[EpisodeInputs], *, second_order: bool) -> Tensor:
        """See `Contender`."""
        work = self._work
        estimates = episode_gradients(
            ALGORITHMS["maml" if second_order else "fomaml"].estimator,
            work.gan,
            work.layout,
            work.init,
            tasks,
            work.config,
            vectorised=self._vectorised,
        )
        total = torch.zeros(work.layout.size, dtype=tasks[0].support.real.dtype)
        for gradient, _ in estimates:
            total += gradient
        return total
