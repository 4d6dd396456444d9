"""Populations: trials that give up their weights for a better trial's, and change its settings.

Source: population based training, Jaderberg et al. 2017, arXiv:1711.09846, as Ray Tune has it. Two
things differ. Settings stay inside of the space (Tune's own perturbation leaves it). Nobody changes
over at the last step, where settings that trained nothing would be ranked.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ray.tune.schedulers import PopulationBasedTraining, TrialScheduler

from metagan.config.affects import settings_of
from metagan.config.load import ConfigError
from tune.config import SearchConfig, SearchJobConfig
from tune.space import Parameter, default_space, parse_space

#: What a run can change between two outer steps: the weights and all that is kept beside them keep
#: their shapes and their meaning.
CHANGEABLE = settings_of(SearchJobConfig, "live")


def is_population(config: SearchConfig) -> bool:
    """True if trials take over each other's weights while they train."""
    return config.scheduler == "pbt"


def parse_search_space(config: SearchJobConfig) -> tuple[Parameter, ...]:
    """The parameters of `tune.space`, which the scheduler can search.

    Raises:
        ConfigError: With all that is wrong with them, or with how a population is to exchange.
    """
    space = config.tune.space
    if not is_population(config.tune):
        return parse_space(space, config)
    if not space:
        # Of the space that fits the algorithm, what a running trial can change.
        default = default_space(config)
        space = {key: default[key] for key in default if not _why_not(key, config)}
    parameters = parse_space(space, config)
    if problems := [*_cannot_change(parameters, config), *_cannot_exchange(config)]:
        raise ConfigError(*problems)
    return parameters


def first_exchange(config: SearchJobConfig) -> int:
    """The outer step at which trials are first compared: they are where they are measured."""
    every = config.tune.report_every
    return math.ceil(config.tune.exchange_every / every) * every


def _why_not(key: str, config: SearchJobConfig) -> str:
    """Reason why a running trial cannot change a setting, or gains nothing by it; "" if it can."""
    if key not in CHANGEABLE:
        return f"a running trial cannot change it; it can change {', '.join(CHANGEABLE)}"
    if key == "warmup.lr" and config.warmup.steps <= first_exchange(config):
        return (
            f"the warm-up of {config.warmup.steps} outer steps is over when trials first exchange, "
            f"at step {first_exchange(config)}"
        )
    return ""


def _cannot_change(parameters: Sequence[Parameter], config: SearchJobConfig) -> Iterator[str]:
    if not parameters:
        yield (
            f"tune.space is empty, and of the space that fits algorithm.name "
            f"{config.algorithm.name} tune.scheduler pbt can change nothing; write one"
        )
    for parameter in parameters:
        key = parameter.key
        if why := _why_not(key, config):
            yield (
                f"tune.space: {key}: {why} (tune.scheduler pbt); leave it out, or use another "
                "scheduler"
            )
        elif parameter.kind == "grid":
            yield f"tune.space: {key}: tune.scheduler pbt cannot try a grid in full; use choice"


def _cannot_exchange(config: SearchJobConfig) -> Iterator[str]:
    first = first_exchange(config)
    if first >= config.outer.steps:
        yield (
            f"tune.scheduler pbt first exchanges at outer step {first} (tune.exchange_every "
            f"{config.tune.exchange_every}, measured every {config.tune.report_every}), but "
            f"outer.steps is {config.outer.steps}; lower tune.exchange_every and tune.report_every"
        )
    if config.checkpoint.storage is not None:
        yield (
            "checkpoint.storage keeps copies of runs that only go forward, but with "
            "tune.scheduler pbt trials also go back to another one's weights; leave it out: --out "
            "has all"
        )


def population_scheduler(
    config: SearchJobConfig, parameters: Sequence[Parameter]
) -> TrialScheduler:
    """Tune's scheduler for `pbt`."""
    bounds = {p.key: p.bounds for p in parameters if p.bounds}
    return PopulationBasedTraining(
        time_attr="outer_step",
        perturbation_interval=config.tune.exchange_every,
        quantile_fraction=config.tune.exchange_fraction,
        custom_explore_fn=partial(_inside, bounds),
        hyperparam_mutations={
            # Of a list Tune takes a neighbour; of a range it takes 0.8 or 1.2 times the value.
            p.key: p.to_domain() if p.bounds else list(p.values)
            for p in parameters
        },
    )


def _inside(bounds: Mapping[str, tuple[float, float]], sample: dict[str, Any]) -> dict[str, Any]:
    """A sample with what has left its range put back to the end."""
    within = {key: min(max(sample[key], low), high) for key, (low, high) in bounds.items()}
    return sample | within


def snapshots_kept(config: SearchJobConfig) -> int:
    """Least number of snapshots that a trial keeps for others.

    Another trial may start from one only after it has waited for its turn; until then its owner
    comes no further than to the exchange after the next, unless it is faster than a start.
    """
    per_exchange = first_exchange(config) // config.tune.report_every
    return 2 * per_exchange + 2
