"""Inner learning rates that are learned with the initialization.

The rate of a weight is `inner.lr` (times the discriminator's scale) times
1 + `RATES_GAIN` * r, where r is learned and starts at zero: the first inner loop is that of a fixed
rate. As in Meta-SGD a rate may become negative.

Sources: one for every weight, Li et al. 2017, arXiv:1707.09835, Algorithm 1 (Meta-SGD); one for
every tensor and inner step, Antoniou et al. 2019, arXiv:1810.09502, section 4 (MAML++).
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from metagan.config.learning import InnerConfig
from metagan.core.adapters import STRENGTH
from metagan.core.params import GanParams, Params

# The outer optimizer's steps are made for weights: Adam moves r by about `outer.lr`. At its default
# of 1e-4 this gain moves a rate by 1 % of its start in an outer step.
RATES_GAIN = 100.0


def parts_of(pattern: str) -> Sequence[str]:
    """The patterns in one of several, each without the spaces around it."""
    return [part.strip() for part in pattern.split(",")]


def moves(pattern: str, name: str) -> bool:
    """True if the inner loop moves a weight, by `inner.generator_moves` and the like.

    Args:
        pattern: all, none, body, head or a pattern of names; or several of them, by comma.
        name: Of the weight.
    """
    if "," in pattern:
        return any(moves(part, name) for part in parts_of(pattern))
    if pattern in ("all", "none"):
        return pattern == "all"
    if pattern in ("body", "head"):
        return name.startswith(f"{pattern}.")
    return fnmatchcase(name, pattern)


def with_rates(params: GanParams, inner: InnerConfig) -> GanParams:
    """The weights together with what is learned about adapting them, at its start.

    Args:
        params: Weights.
        inner: `learn_rates` decides the shapes: () for a tensor, (`inner.steps`,) for a tensor at
            each step, the weight's own shape for single weights. Only weights that the inner loop
            moves have rates.
    """
    # How strongly a solved head is held near the prior one; see `metagan.core.adapters`.
    rates: Params = {STRENGTH: torch.zeros(())} if inner.solve else {}
    if inner.learn_rates == "none":
        return params._replace(rates=rates) if rates else params
    for player, pattern in (
        ("generator", inner.generator_moves),
        ("discriminator", inner.discriminator_moves),
    ):
        for name, weight in getattr(params, player).items():
            if moves(pattern, name):
                shape: tuple[int, ...] = {
                    "tensor": (),
                    "tensor_and_step": (inner.steps,),
                    "weight": tuple(weight.shape),
                }[inner.learn_rates]
                rates[f"{player}.{name}"] = torch.zeros(shape)
    return params._replace(rates=rates)


def multiplier(rates: Params, key: str, inner: InnerConfig, step: int) -> Tensor | None:
    """Factor of a weight's inner rate; None if its rate is not learned.

    Args:
        rates: `GanParams.rates`.
        key: "generator.<name>" or "discriminator.<name>".
        inner: Kind of rates.
        step: Inner step, from 0; steps beyond the learned ones use the last one's rates.
    """
    if key not in rates:
        return None
    rate = rates[key]
    if inner.learn_rates == "tensor_and_step":
        rate = rate[min(step, len(rate) - 1)]
    return 1 + RATES_GAIN * rate
