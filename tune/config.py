"""Settings of a search."""

from typing import Any, Literal, Self

from pydantic import model_validator

from cluster.config import JobConfig, Labels
from metagan.config.affects import field
from metagan.config.load import Config

Objective = Literal["gain", "accuracy", "kid", "coverage"]
Tracker = Literal["tensorboard", "mlflow", "wandb"]
#: Which of them are better when they are larger.
LARGER_IS_BETTER = {"gain": True, "accuracy": True, "kid": False, "coverage": True}


class SearchConfig(Config):
    """Settings of a search: its space, how trials are judged, and when they are given up."""

    space: dict[str, Any] = field(
        {},
        affects="searching",
        description="Dotted settings to distributions, such as inner.lr: {loguniform: [1e-4, "
        "1e-2]}; empty: a space that fits algorithm.name.",
    )
    num_trials: int = field(
        24, affects="searching", ge=1, description="Settings that are tried (grids: times each)."
    )
    objective: Objective = field(
        "gain",
        affects="searching",
        description="gain: accuracy that generated samples add to classical augmentation; accuracy "
        "with both; kid; coverage. On validation classes.",
    )
    repetitions: int = field(
        2,
        affects="searching",
        ge=1,
        description="Validation targets that an objective is the mean of.",
    )
    report_every: int = field(
        25,
        affects="searching",
        ge=1,
        description="Outer steps between measurements of a trial; the last is always measured.",
    )
    searcher: Literal["random", "optuna"] = field(
        "random",
        affects="searching",
        description="How settings are chosen; grid entries are tried in full with random.",
    )
    scheduler: Literal["none", "asha", "hyperband", "median", "pbt"] = field(
        "asha",
        affects="searching",
        description="Rule that stops trials early; pbt stops none: the worst continue from the "
        "weights of the best, with changed settings.",
    )
    grace_steps: int = field(
        25,
        affects="searching",
        ge=1,
        description="asha, median: outer steps before a trial may be stopped early.",
    )
    exchange_every: int = field(
        50,
        affects="searching",
        ge=1,
        description="pbt: outer steps between a trial's comparisons with the others.",
    )
    exchange_fraction: float = field(
        0.25,
        affects="searching",
        gt=0,
        le=0.5,
        description="pbt: share of trials that continue from one of as many best.",
    )
    reduction: int = field(
        3,
        affects="searching",
        ge=2,
        description="asha, hyperband: of this many trials at a step, one continues.",
    )
    workers_per_trial: int = field(
        0,
        affects="searching",
        ge=0,
        description="Ray workers that a trial has; 0: it computes in its own process, which spares "
        "the start of a worker.",
    )
    driver_labels: Labels = field(
        (),
        affects="searching",
        description="Ray labels (KEY=SELECTOR) that the node of a trial's driver must have, such "
        "as an on-demand one's, where its workers go by cluster.worker_labels.",
    )
    max_concurrent: int | None = field(
        None,
        affects="where",
        ge=1,
        description="Trials at once; null, and with scheduler hyperband: as many as the cluster "
        "has room for at the start. Where an autoscaler adds nodes: as many as it is to make room "
        "for.",
    )
    max_failures: int = field(
        3,
        affects="where",
        ge=0,
        description="How often a trial continues from its checkpoint after its process or node was "
        "lost or ran out of memory; one that diverges or cannot use its settings is not repeated.",
    )
    reuse_processes: bool = field(
        True,
        affects="where",
        description="Trials follow each other in one process, which spares its start and imports; "
        "their results do not depend on it.",
    )
    trackers: tuple[Tracker, ...] = field(
        (),
        affects="searching",
        description="Further logs of trials: tensorboard, mlflow and wandb (offline) write under "
        "--out, unless MLFLOW_TRACKING_URI or WANDB_MODE say otherwise.",
    )
    confirm_seeds: int = field(
        3,
        affects="extent",
        ge=0,
        description="Fresh seeds that the best settings and the given ones are then trained with; "
        "0: none.",
    )

    @model_validator(mode="after")
    def _grids_are_not_sampled(self) -> Self:
        if self.searcher == "optuna" and any(
            isinstance(entry, dict) and "grid" in entry for entry in self.space.values()
        ):
            raise ValueError(
                "tune.space has a grid, which tune.searcher optuna cannot try in full; use choice, "
                "or tune.searcher random"
            )
        return self

    @model_validator(mode="after")
    def _drivers_are_apart_from_workers(self) -> Self:
        if self.driver_labels and not self.workers_per_trial:
            raise ValueError(
                "tune.driver_labels is for the drivers of trials that have workers, but "
                "tune.workers_per_trial is 0, so that trials compute themselves and run on nodes "
                "with cluster.worker_labels; set tune.workers_per_trial, or those"
            )
        return self

    @model_validator(mode="after")
    def _a_population_draws_its_own_settings(self) -> Self:
        if self.scheduler != "pbt":
            return self
        if self.searcher != "random":
            raise ValueError(
                "tune.scheduler pbt chooses settings itself, so tune.searcher "
                f"{self.searcher} has nothing to choose; set tune.searcher random"
            )
        if self.num_trials < 2:
            raise ValueError(
                f"tune.num_trials is {self.num_trials}, but tune.scheduler pbt needs at least 2 to "
                "exchange between"
            )
        return self


class SearchJobConfig(JobConfig):
    """A run, where it runs, and what is searched."""

    tune: SearchConfig = SearchConfig()

    def without_search(self) -> JobConfig:
        """A run's settings, as `metagan train -c` and a run folder have them."""
        return JobConfig.model_validate(self.model_dump(exclude={"tune"}))
