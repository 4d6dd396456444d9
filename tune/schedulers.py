"""Ray Tune's schedulers and searchers, as the settings of a search ask for them."""

from collections.abc import Sequence
from typing import Any

from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    TrialScheduler,
)
from ray.tune.search.basic_variant import BasicVariantGenerator

from cluster.errors import ClusterError
from tune.config import LARGER_IS_BETTER, SearchJobConfig
from tune.population import is_population, population_scheduler
from tune.space import Parameter

# Schedulers that look at trials one by one. Others pause trials until more have come as far, so
# they have to know all of them; only as many as there is room for are running.
_ASYNCHRONOUS = ("none", "asha", "median")


def objective_mode(config: SearchJobConfig) -> str:
    """Direction of the objective in Tune's words: "max" or "min"."""
    return "max" if LARGER_IS_BETTER[config.tune.objective] else "min"


def make_scheduler(config: SearchJobConfig, parameters: Sequence[Parameter]) -> TrialScheduler:
    """Tune's scheduler, which stops or changes trials while they train, by `tune.scheduler`."""
    settings = config.tune
    if is_population(settings):
        return population_scheduler(config, parameters)
    grace = max(settings.grace_steps, settings.report_every)
    if settings.scheduler == "asha":
        return ASHAScheduler(
            time_attr="outer_step",
            max_t=config.outer.steps,
            grace_period=min(grace, config.outer.steps),
            reduction_factor=settings.reduction,
        )
    if settings.scheduler == "hyperband":
        return HyperBandScheduler(
            time_attr="outer_step", max_t=config.outer.steps, reduction_factor=settings.reduction
        )
    if settings.scheduler == "median":
        return MedianStoppingRule(time_attr="outer_step", grace_period=grace)
    return FIFOScheduler()  # type: ignore[no-untyped-call]


def make_searcher(config: SearchJobConfig, at_once: int) -> Any:
    """Tune's searcher, which chooses settings, by `tune.searcher`.

    Args:
        config: The settings of the search.
        at_once: Trials that run at the same time, at most.

    Raises:
        ClusterError: If a package is missing.
    """
    if config.tune.searcher == "random":
        # Tune would ignore `max_concurrent_trials` here, and reserve room for trials far ahead.
        limit = at_once if config.tune.scheduler in _ASYNCHRONOUS else 0
        return BasicVariantGenerator(random_state=config.seed, max_concurrent=limit)
    try:
        from ray.tune.search.optuna import OptunaSearch

        return OptunaSearch(seed=config.seed)
    except (ImportError, AssertionError):
        raise ClusterError(
            "tune.searcher is optuna, which is not installed: pip install 'metagan[optuna]', or "
            "set tune.searcher random"
        ) from None
