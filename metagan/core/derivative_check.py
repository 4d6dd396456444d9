"""Trial at a run's start that both networks can be differentiated as often as the run will.

Some operations have no second derivative, and torch says so only when one is asked for: with
workers, on a cluster, in the first outer step that needs it. Second-order rows differentiate an
inner gradient; a gradient penalty adds an order of its own to the discriminator.

Shapes: B samples in a batch.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from metagan.config.algorithms import ALGORITHMS
from metagan.config.learning import GanConfig
from metagan.config.settings import RunConfig
from metagan.core.algorithms import ESTIMATORS, inner_settings
from metagan.core.batches import EpisodeInputs, GanBatch, all_pairs, draw_batches
from metagan.core.chunk_gradient import episode_gradients, prefers_vmap
from metagan.core.gan import GanPair
from metagan.core.params import PLAYERS, GanParams, Layout
from metagan.data.form import Form
from metagan.data.tasks import Half
from metagan.devices import pinned_threads

# What torch raises where a derivative is missing, by autograd, by `torch.func` and under vmap.
_MISSING = (RuntimeError, NotImplementedError)
_NO_PENALTY = {"r1": 0.0, "r2": 0.0, "gradient_penalty": 0.0}


def check_derivatives(gan: GanPair, init: GanParams, config: RunConfig, form: Form) -> None:
    """Compute the meta-gradient of the smallest chunk there is, on noise and on the CPU.

    It takes the path that a CPU worker would. What a GPU alone lacks is not found, nor a derivative
    that an operation cuts without an error (`detach`, `once_differentiable`):
    `torch.autograd.gradgradcheck` finds those in a layer of one's own.

    Args:
        gan: The pair, on the CPU.
        init: All that is learned.
        config: The run.
        form: Of the samples.

    Raises:
        ValueError: If a derivative is missing, with the module and what can be set instead.
    """
    try:
        _smallest_chunk(gan, init, config, form)
    except _MISSING as error:
        culprit = next(_culprits(gan, init, config, form), "the networks or their losses")
        raise ValueError(
            f"algorithm.name {config.algorithm.name} cannot differentiate {culprit} as often as "
            f"it has to ({_first_line(error)}); {_advice(gan, init, config, form)}"
        ) from error


def _smallest_chunk(gan: GanPair, init: GanParams, config: RunConfig, form: Form) -> None:
    """One inner step on single samples; penalties are part of the first step."""
    name = config.algorithm.name
    inner = config.inner.model_copy(update={"steps": 1, "batch_size": 1})
    algorithm = config.algorithm.model_copy(update={"cg_steps": 1})
    small = config.model_copy(update={"inner": inner, "algorithm": algorithm})
    most = min(2, config.outer.episodes_per_chunk) if ALGORITHMS[name].adapts else 1
    # One serves as well where episodes are not vectorised.
    by_vmap = prefers_vmap(gan, most, torch.device("cpu"))
    episodes = most if by_vmap else 1
    support, query = (_noise(small, form, half, gan) for half in ("support", "query"))
    inputs = [EpisodeInputs(support, query, whole=_whole(small, form, gan))] * episodes
    estimator = ESTIMATORS[name]
    layout = Layout.of(init)
    with pinned_threads(1):
        list(episode_gradients(estimator, gan, layout, init, inputs, small, vectorised=by_vmap))


def _noise(config: RunConfig, form: Form, half: str, gan: GanPair) -> GanBatch:
    noise = _noise_half(form)
    return draw_batches(
        noise,
        config.gan,
        steps=config.inner.batches_per_step,
        batch_size=1,
        seed=0,
        purpose=half,
        num_draws=gan.augment.num_draws,
        read=noise,
    )


def _whole(config: RunConfig, form: Form, gan: GanPair) -> GanBatch | None:
    """A support of noise to solve a head on, where one is solved for."""
    if not inner_settings(config).solve:
        return None
    return all_pairs(_noise_half(form), config.gan, num_draws=gan.augment.num_draws)


def _noise_half(form: Form) -> Half:
    rng = torch.Generator().manual_seed(0)
    samples = torch.rand(1, 2, *form.shape, generator=rng) * 2 - 1
    return Half(samples, torch.rand(1, 2, *form.given, generator=rng) if form.given else None)


def _culprits(gan: GanPair, init: GanParams, config: RunConfig, form: Form) -> Iterator[str]:
    """The innermost modules whose output cannot be differentiated twice, as "generator.<name>"."""
    batch = _noise(config, form, "support", gan).step(0)
    for player, inputs in zip(
        PLAYERS, ((batch.condition, batch.z[:, 0]), (batch.condition, batch.real)), strict=True
    ):
        module: nn.Module | None = getattr(gan, player)
        if module is None:
            continue
        for name, part, arguments in _calls(module, getattr(init, player), inputs):
            if not _twice_differentiable(part, arguments):
                yield f"{player}.{name}" if name else f"the {player}"


def _calls(
    module: nn.Module, params: dict[str, Tensor], inputs: tuple[Any, ...]
) -> list[tuple[str, nn.Module, tuple[Any, ...]]]:
    """(name, submodule, what it is called with), inner ones before those that they are part of."""
    seen: list[tuple[str, nn.Module, tuple[Any, ...]]] = []

    def note(name: str) -> Callable[[nn.Module, tuple[Any, ...], object], None]:
        return lambda part, arguments, _: seen.append((name, part, arguments))

    handles = [part.register_forward_hook(note(name)) for name, part in module.named_modules()]
    try:
        torch.func.functional_call(module, params, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _twice_differentiable(module: nn.Module, arguments: tuple[Any, ...]) -> bool:
    """True if a module has second derivatives by its arguments and by its weights, if any."""
    given = [a.detach() if isinstance(a, Tensor) else a for a in arguments]
    params = {name: w.detach().requires_grad_() for name, w in module.named_parameters()}
    numbers = [a for a in given if isinstance(a, Tensor) and a.is_floating_point()]
    leaves = [*(a.requires_grad_() for a in numbers), *params.values()]
    try:
        result = torch.func.functional_call(module, params, tuple(given))
        outputs = result if isinstance(result, tuple) else (result,)
        # Squares, so that the first derivative depends on every input.
        total = torch.stack([output.square().sum() for output in outputs]).sum()
        slopes = torch.autograd.grad(total, leaves, create_graph=True, materialize_grads=True)
        twice = torch.stack([slope.square().sum() for slope in slopes]).sum()
        if twice.requires_grad:
            torch.autograd.grad(twice, leaves, allow_unused=True)
    except _MISSING:
        return False
    return True


def _advice(gan: GanPair, init: GanParams, config: RunConfig, form: Form) -> str:
    """Settings to use instead, of those that were found to work."""
    first_order: dict[str, object] = {
        "algorithm": config.algorithm.model_copy(update={"name": "fomaml"})
    }
    no_penalty: dict[str, object] = {"gan": config.gan.model_copy(update=_NO_PENALTY)}
    choices = [("set gan.r1, gan.r2 and gan.gradient_penalty to 0", no_penalty)]
    if ALGORITHMS[config.algorithm.name].second_order:
        choices.insert(0, ("use algorithm.name fomaml or reptile, which take fewer", first_order))
        both = f"{choices[0][0]}, and {choices[1][0]}"
        choices.append((both, {**first_order, **no_penalty}))
    for words, update in choices:
        changed = config.model_copy(update=update)
        chosen: GanConfig = changed.gan
        try:
            _smallest_chunk(replace(gan, config=chosen), init, changed, form)
        except _MISSING:
            continue
        return words
    return "replace that operation"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
