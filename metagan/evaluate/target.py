"""Adapting an initialization to a target's few samples, and generating from the result.

Shapes: W classes, K support samples of each, R generated samples per support sample.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metagan.config.learning import InnerConfig
from metagan.config.settings import TaskConfig
from metagan.core.adapters import solve_support
from metagan.core.batches import GanBatch, all_pairs, draw_batches
from metagan.core.chunk_gradient import prefers_vmap
from metagan.core.derivatives import autograd_gradient, functional_gradient
from metagan.core.gan import GanPair
from metagan.core.inner_loop import adapt
from metagan.core.params import PLAYERS, GanParams, Params, detach, map_params
from metagan.data.dataset import DataError
from metagan.data.form import Form
from metagan.data.tasks import Half
from metagan.devices import backward_in_this_thread
from metagan.kinds.kind import Kind
from metagan.kinds.registry import find_kind
from metagan.seeding import derive_seed
from metagan.words import counted

# Sets of weights adapted at once: enough to fill one core's vector units, little enough memory.
SETS_AT_ONCE = 16
# Samples (or pairs) in a step of adaptation, whatever `inner.batch_size` a run was trained with:
# `evaluate.adapt_steps` are counted in them. It is the default of `inner.batch_size`.
ADAPT_BATCH = 10


@dataclass(frozen=True)
class Adaptation:
    """One way to adapt: steps, at a rate, and whether the head is solved for afterwards."""

    steps: int
    lr: float
    solve: bool

    @property
    def name(self) -> str:
        """In words; that of doing nothing is "none"."""
        parts = [f"{counted(self.steps, 'step')} at {self.lr:g}"] if self.steps else []
        return " + ".join([*parts, *(["solved"] if self.solve else [])]) or "none"

    @property
    def words(self) -> str:
        """The same for people."""
        steps = f"{counted(self.steps, 'inner step')} at rate {self.lr:g}"
        found = [steps if self.steps else "no inner steps"]
        return ", ".join([*found, *(["head solved in closed form"] if self.solve else [])])


@dataclass(frozen=True)
class AdaptedTarget:
    """A target's adapted GAN with the samples it was adapted on.

    Attributes:
        params: Weights of both players; sets of them stand in front of each if there are several.
        classes_each: Classes that a set of weights serves, one set after the other; 0: one serves
            all, with nothing in front. 1 where a task is a class.
        support: (W, K, *sample_shape) float32, as networks see samples.
        form: How the support was read; None: as the run's own samples.
        inputs: (W, K, *given_shape), those of the support; None where samples have none.
        asked: {label: (*given_shape)}, the inputs that there are, where there are so many and no
            more.
    """

    params: GanParams
    classes_each: int
    support: Tensor
    form: Form | None = None
    inputs: Tensor | None = None
    asked: Mapping[str, Tensor] | None = None

    def of_class(self, way: int) -> GanParams:
        """The weights that serve a class."""
        if not self.classes_each:
            return self.params
        which = way // self.classes_each
        return GanParams(*(map_params(lambda w: w[which], player) for player in self.params))

    def read_by(self, way: int) -> Half:
        """The samples that a GAN reads for a class, if it reads any: all of its set."""
        each = self.classes_each or len(self.support)
        return Half(self.support, self.inputs).of_classes(
            way // each * each, (way // each + 1) * each
        )


@backward_in_this_thread()
def adapt_to_target(
    gan: GanPair,
    init: GanParams,
    support: Tensor,
    *,
    inner: InnerConfig,
    task: TaskConfig,
    steps: int,
    seed: int,
    batch_size: int = ADAPT_BATCH,
    inputs: Tensor | None = None,
    solve: bool | None = None,
) -> AdaptedTarget:
    """Run the inner loop on a target's support.

    Where a task is a class, every class gets its own adapted weights; where a task is a domain,
    one set serves all classes, or as many as there are labels. With `steps` 0 the initialization
    is used as it is.

    Args:
        gan: The pair.
        init: The initialization.
        support: (W, K, *sample_shape), on the device to compute on.
        inner: Learning rates and optimizer.
        task: `unit` decides as above.
        steps: Inner steps, which may differ from those trained with.
        seed: Names every draw.
        batch_size: Samples or pairs in a step.
        inputs: (W, K, *given_shape), where samples come in pairs.
        solve: Whether the head is solved for in closed form after the steps; None: as `inner` says.

    Raises:
        DataError: If `support` or `inputs` are not that, or not what the networks are made for.
        ValueError: If a number is too small, or not whole.
    """
    _check_support(support, gan)
    if "input" in gan.config.conditioning:
        check_inputs(inputs, gan, tuple(support.shape[:2]))
    check_number("steps", steps, least=0)
    check_number("batch_size", batch_size, least=1)
    solves = inner.solve if solve is None else solve
    whole, each = Half(support, inputs), _classes_each(gan, task)
    sets: dict[str | int, Half] = {"all": whole}
    if each:
        starts = range(0, len(support), each)
        sets = {i: whole.of_classes(start, start + each) for i, start in enumerate(starts)}
    if steps:
        params = _stepped(gan, init, sets, inner, steps, seed, batch_size)
    elif each and (solves or "support" in gan.config.conditioning):
        # Sets that read their own part each, though their weights are alike.
        params = _each(init.players, lambda w: w.expand(len(sets), *w.shape))
    else:
        params, each = _each(init.players, lambda w: w[None]), 0
    if solves:
        params = _with_solved_heads(gan, params, list(sets.values()), init.rates)
    if not each:
        params = _each(params, lambda w: w[0])
    return AdaptedTarget(params, each, support, inputs=inputs)


def _stepped(
    gan: GanPair,
    init: GanParams,
    sets: Mapping[str | int, Half],
    inner: InnerConfig,
    steps: int,
    seed: int,
    batch_size: int,
) -> GanParams:
    """Both players after the inner loop on each set, by its name; sets stand in front."""

    def batches(name: str | int) -> GanBatch:
        part, device = sets[name], sets[name].samples.device
        part = Half(part.samples.cpu(), None if part.inputs is None else part.inputs.cpu())
        drawn = draw_batches(
            part,
            gan.config,
            steps=steps * inner.batches_per_step,
            batch_size=batch_size,
            seed=derive_seed(seed, "adapt", name),
            purpose="support",
            num_draws=gan.augment.num_draws,
            read=part,
            includes_read=True,
        )
        return GanBatch(*(tensor.to(device) for tensor in drawn))

    def one(batch: GanBatch) -> GanParams:
        return _weights(adapt(gan, init, batch, inner, gradient=functional_gradient).params)

    names = list(sets)
    together = prefers_vmap(gan, len(sets), next(iter(sets.values())).samples.device)
    at_once = SETS_AT_ONCE if together else 1
    parts: list[GanParams] = []
    for start in range(0, len(names), at_once):
        several = [batches(name) for name in names[start : start + at_once]]
        if at_once == 1:
            alone = adapt(gan, init, several[0], inner, gradient=autograd_gradient).params
            parts.append(_each(_weights(alone), lambda w: w[None]))
        else:
            stacked = GanBatch(*(torch.stack(tensors) for tensors in zip(*several, strict=True)))
            parts.append(detach(torch.func.vmap(one)(stacked)))
    return _each(parts[0], lambda *tensors: torch.cat(tensors), *parts[1:])


def _with_solved_heads(
    gan: GanPair, params: GanParams, sets: Sequence[Half], rates: Params
) -> GanParams:
    """Weights, sets in front, whose generators have heads that are solved for on each set."""
    solved = []
    for index, part in enumerate(sets):
        own = map_params(lambda w: w[index], params.generator)  # noqa: B023 - used at once
        pairs = all_pairs(part, gan.config, num_draws=gan.augment.num_draws)
        with torch.no_grad():
            solved.append(solve_support(gan, own, pairs, rates))
    generator = map_params(lambda *heads: torch.stack(heads), *solved)
    return params._replace(generator=generator)


def _each(params: GanParams, function: Callable[..., Tensor], *others: GanParams) -> GanParams:
    """A function of every weight of both players."""
    trees = (params, *others)
    return GanParams(
        *(map_params(function, *(tree[player] for tree in trees)) for player in range(len(PLAYERS)))
    )


def _classes_each(gan: GanPair, task: TaskConfig) -> int:
    """Classes that one set of weights serves; 0: all."""
    if task.unit == "class":
        return 1
    return gan.config.num_labels if "label" in gan.config.conditioning else 0


def check_number(name: str, value: object, *, least: int) -> None:
    """Refuse what is no whole number, or a smaller one.

    Raises:
        ValueError: With the name and the value.
    """
    if not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} is {value!r}; expected a whole number, at least {least}")


def kind_of_gan(gan: GanPair) -> tuple[Kind, Form]:
    """The kind of sample that a pair is made for, and their form."""
    if gan.form is None:
        raise ValueError("gan does not say what samples it is for; give one that build_gan made")
    return find_kind(gan.form.kind), gan.form


def _check_support(support: object, gan: GanPair) -> None:
    """Refuse what is no support of these networks.

    Args:
        support: To be (W, K, *sample_shape) floats.
        gan: The networks.

    Raises:
        DataError: With the fix.
    """
    kind, form = kind_of_gan(gan)
    if isinstance(support, Tensor):
        shape = tuple(support.shape)
        if len(shape) < 3 or 0 in shape or shape[2:] != form.shape:
            expected = ", ".join(str(size) for size in ("W", "K", *form.shape))
            hint = ""
            if len(form.shape) > 1 and shape[2:] == (*form.shape[1:], form.shape[0]):
                hint = "; the channels are last: use support.permute(0, 1, 4, 2, 3)"
            raise DataError(
                f"support has shape {shape}; expected ({expected}): W classes of K samples "
                f"each{hint}"
            )
    kind.check_support(support, form)


def check_inputs(inputs: object, gan: GanPair, places: tuple[int, ...]) -> None:
    """Refuse what are no inputs of these networks.

    Args:
        inputs: To be (*places, *given_shape) floats.
        gan: The networks, which are told inputs.
        places: Shape of the samples that they belong to.

    Raises:
        DataError: With the shape that is expected.
    """
    expected = (*places, *kind_of_gan(gan)[1].given)
    if isinstance(inputs, Tensor) and inputs.is_floating_point() and inputs.shape == expected:
        return
    given = tuple(inputs.shape) if isinstance(inputs, Tensor) else type(inputs).__name__
    raise DataError(
        f"inputs are {given}; gan.conditioning has input, so give floats of shape {expected}: the "
        "input of each sample, as networks see it"
    )


def _weights(params: GanParams) -> GanParams:
    """The players alone, detached: what was adapted has no use for learned rates any more."""
    return detach(params.players)
