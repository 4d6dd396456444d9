"""Meta-learning libraries as contenders of `benchmarks.peers`, each imported only if installed.

A library supplies a player: a network with fast weights, and its own way to make an inner step. The
game between two of them is written once, in `PeerLoop`.
"""

import copy
import importlib
import importlib.util
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from benchmarks.peer_work import Work, discriminator_loss, generator_loss
from metagan.algorithms import EpisodeInputs
from metagan.params import Params

Inner = Literal["partial", "unrolled", "detached"]


class Player(Protocol):
    """A network with fast weights, as one library has them."""

    def __init__(self, module: nn.Module, lr: float) -> None:
        """Wrap a module that owns the initialization; done once, not in every episode."""

    def start(self, *, second_order: bool) -> None:
        """Begin an episode at the initialization."""

    def __call__(self, condition: Tensor, x: Tensor) -> Tensor:
        """The network at its fast weights."""

    def alias(self) -> None:
        """Give the fast weights new names in the graph, so that the next step is partial."""

    def step(self, loss: Tensor) -> None:
        """The library's inner update along this loss."""

    def outer_weights(self) -> list[Tensor]:
        """What a meta-gradient is taken by: the initialization, or the adapted weights (first)."""


class PeerLoop:
    """Two players of a library in an alternating inner loop."""

    def __init__(self, work: Work, player: type[Player], inner: Inner = "partial") -> None:
        """Copies of the pair's modules are wrapped here.

        Args:
            work: The meta-step.
            player: The library's.
            inner: How second-order inner steps are taken. "partial" is the algorithm. The others
                are what the obvious port of a GAN gives: "unrolled" without aliases, so that each
                derivative also runs back through the other player's updates; "detached" without
                them but with the fakes of D's step cut off, which loses a cross term.
        """
        self._inner = inner
        self._g, self._d = (
            player(owned(module, weights), work.config.inner.lr)
            for module, weights in zip(
                (work.gan.generator, work.gan.discriminator), work.init[:2], strict=True
            )
        )

    def sum_over(self, tasks: Sequence[EpisodeInputs], *, second_order: bool) -> Tensor:
        """See `Contender`."""
        episode = self._second_order if second_order else self._first_order
        total = episode(tasks[0])
        for task in tasks[1:]:
            total += episode(task)
        return total

    def _first_order(self, task: EpisodeInputs) -> Tensor:
        g, d = self._g, self._d
        g.start(second_order=False)
        d.start(second_order=False)
        for index in range(len(task.support.real)):
            batch = task.support.step(index)
            fake = g(batch.condition, batch.z[:, 0])
            d.step(discriminator_loss(self._score, batch.real, fake.detach()))
            g.step(generator_loss(self._score, fake))
        query = task.query.step(-1)
        fake = g(query.condition, query.z[:, 0])
        d_loss = discriminator_loss(self._score, query.real, fake.detach())
        d_slopes = torch.autograd.grad(d_loss, d.outer_weights())
        g_slopes = torch.autograd.grad(generator_loss(self._score, fake), g.outer_weights())
        return flat([*g_slopes, *d_slopes])

    def _second_order(self, task: EpisodeInputs) -> Tensor:
        g, d = self._g, self._d
        g.start(second_order=True)
        d.start(second_order=True)
        for index in range(len(task.support.real)):
            batch = task.support.step(index)
            fake = g(batch.condition, batch.z[:, 0])
            if self._inner == "detached":
                fake = fake.detach()
            if self._inner == "partial":
                d.alias()
            d.step(discriminator_loss(self._score, batch.real, fake))
            if self._inner == "partial":
                g.alias()
            g.step(generator_loss(self._score, g(batch.condition, batch.z[:, 0])))
        query = task.query.step(-1)
        fake = g(query.condition, query.z[:, 0])
        g_loss = generator_loss(self._score, fake)
        d_loss = discriminator_loss(self._score, query.real, fake)
        g_slopes = torch.autograd.grad(g_loss, g.outer_weights(), retain_graph=True)
        return flat([*g_slopes, *torch.autograd.grad(d_loss, d.outer_weights())])

    def _score(self, x: Tensor) -> Tensor:
        return self._d(x.new_empty(len(x), 0), x)


def owned(module: nn.Module, weights: Params) -> nn.Module:
    """A copy of the module that holds these weights and can be trained."""
    copied = copy.deepcopy(module).to(next(iter(weights.values())).dtype)
    copied.load_state_dict(weights)
    return copied.requires_grad_(True)


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """All elements, (P,)."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


class HigherPlayer:
    """higher: a stateless copy of the module and a differentiable copy of the optimizer."""

    def __init__(self, module: nn.Module, lr: float) -> None:
        self._higher: Any = importlib.import_module("higher")
        self._module = module
        self._optimizer = torch.optim.SGD(module.parameters(), lr=lr)

    def start(self, *, second_order: bool) -> None:
        """See `Player`."""
        self._second_order = second_order
        self._net = self._higher.monkeypatch(
            self._module, copy_initial_weights=False, track_higher_grads=second_order
        )
        self._differentiable = self._higher.get_diff_optim(
            self._optimizer,
            self._module.parameters(),
            fmodel=self._net,
            track_higher_grads=second_order,
        )

    def __call__(self, condition: Tensor, x: Tensor) -> Tensor:
        """See `Player`."""
        return self._net(condition, x)

    def alias(self) -> None:
        """See `Player`."""
        self._net.update_params([weight.view_as(weight) for weight in self._net.parameters()])

    def step(self, loss: Tensor) -> None:
        """See `Player`."""
        self._differentiable.step(loss)

    def outer_weights(self) -> list[Tensor]:
        """See `Player`."""
        return list(self._net.parameters(time=0 if self._second_order else -1))


class TorchOptPlayer:
    """TorchOpt's object interface: a differentiable optimizer that changes the module's weights."""

    def __init__(self, module: nn.Module, lr: float) -> None:
        self._torchopt: Any = importlib.import_module("torchopt")
        self._net, self._lr = module, lr
        self._start = self._torchopt.extract_state_dict(module, by="reference")
        self._init = list(module.parameters())

    def start(self, *, second_order: bool) -> None:
        """See `Player`."""
        self._second_order = second_order
        self._torchopt.recover_state_dict(self._net, self._start)
        if not second_order:
            # Without a copy, the detaching in place of `step` would end the caller's weights.
            self.alias()
            self._torchopt.stop_gradient(self._net)
        self._optimizer = self._torchopt.MetaSGD(self._net, lr=self._lr)

    def __call__(self, condition: Tensor, x: Tensor) -> Tensor:
        """See `Player`."""
        return self._net(condition, x)

    def alias(self) -> None:
        """See `Player`."""
        self._torchopt.recover_state_dict(
            self._net, self._torchopt.extract_state_dict(self._net, by="copy")
        )

    def step(self, loss: Tensor) -> None:
        """See `Player`; the object interface always builds the graph, first order cuts it."""
        self._optimizer.step(loss)
        if not self._second_order:
            self._torchopt.stop_gradient(self._net)

    def outer_weights(self) -> list[Tensor]:
        """See `Player`."""
        return self._init if self._second_order else list(self._net.parameters())


class Learn2LearnPlayer:
    """learn2learn's MAML wrapper: `clone`, `adapt`."""

    def __init__(self, module: nn.Module, lr: float) -> None:
        with without_roots("learn2learn", "learn2learn.algorithms"):
            maml: Any = importlib.import_module("learn2learn.algorithms.maml")
        self._maml = maml.MAML(module, lr=lr)

    def start(self, *, second_order: bool) -> None:
        """See `Player`."""
        self._second_order = second_order
        self._net = self._maml.clone(first_order=not second_order)

    def __call__(self, condition: Tensor, x: Tensor) -> Tensor:
        """See `Player`."""
        return self._net(condition, x)

    def alias(self) -> None:
        """See `Player`."""
        self._net = self._net.clone()

    def step(self, loss: Tensor) -> None:
        """See `Player`."""
        self._net.adapt(loss)

    def outer_weights(self) -> list[Tensor]:
        """See `Player`."""
        return list((self._maml if self._second_order else self._net).parameters())


class TorchMetaPlayer:
    """torchmeta's gradient step on a dictionary of weights.

    It has no transposed convolution, so the network is one of its modules as a whole, which holds
    the weights and calls the given network with them.
    """

    def __init__(self, module: nn.Module, lr: float) -> None:
        with without_roots("torchmeta", "torchmeta.utils"):
            base: Any = importlib.import_module("torchmeta.modules").MetaModule
            helper: Any = importlib.import_module("torchmeta.utils.gradient_based")
        self._update, self._lr = helper.gradient_update_parameters, lr
        self._module = module
        self._names = [name for name, _ in module.named_parameters()]
        self._meta = base()
        for name, weight in module.named_parameters():
            self._meta.register_parameter(name.replace(".", "__"), weight)

    def start(self, *, second_order: bool) -> None:
        """See `Player`."""
        self._second_order = second_order
        self._params: OrderedDict[str, Tensor] = OrderedDict(self._meta.meta_named_parameters())

    def __call__(self, condition: Tensor, x: Tensor) -> Tensor:
        """See `Player`."""
        weights = dict(zip(self._names, self._params.values(), strict=True))
        return torch.func.functional_call(self._module, weights, (condition, x))

    def alias(self) -> None:
        """See `Player`."""
        self._params = OrderedDict(
            (n, weight.view_as(weight)) for n, weight in self._params.items()
        )

    def step(self, loss: Tensor) -> None:
        """See `Player`."""
        self._params = self._update(
            self._meta,
            loss,
            params=self._params,
            step_size=self._lr,
            first_order=not self._second_order,
        )

    def outer_weights(self) -> list[Tensor]:
        """See `Player`."""
        if self._second_order:
            return list(self._meta.meta_parameters())
        return list(self._params.values())


@contextmanager
def without_roots(*packages: str) -> Iterator[None]:
    """Inside, parts of these packages can be imported without their `__init__`.

    Those of unmaintained libraries import data sets and simulators that no longer install.
    """
    added = []
    for name in packages:
        if name not in sys.modules:
            spec = importlib.util.find_spec(name)
            assert spec is not None
            empty = ModuleType(name)
            empty.__path__ = list(spec.submodule_search_locations or ())
            sys.modules[name] = empty
            added.append(name)
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]


PEERS: dict[str, type[Player]] = {
    "higher": HigherPlayer,
    "torchopt": TorchOptPlayer,
    "learn2learn": Learn2LearnPlayer,
    "torchmeta": TorchMetaPlayer,
}


def installed_peers() -> dict[str, type[Player]]:
    """The libraries of the table that are here, by name."""
    return {name: player for name, player in PEERS.items() if importlib.util.find_spec(name)}
