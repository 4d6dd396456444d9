"""Settings of where episodes run. They decide how fast a run is, never what it computes."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, field_validator, model_validator

from metagan.config.affects import field
from metagan.config.load import Config
from metagan.config.settings import RunConfig

_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_LABEL = re.compile(rf"(?:{_WORD}/)?{_WORD}=!?(?:{_WORD}|in\({_WORD}(?:,\s*{_WORD})*\))")
#: host:port
ADDRESS = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_LARGEST_PORT = 65535


def _known_labels(value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        if not _LABEL.fullmatch(text):
            raise ValueError(
                f"holds {text!r}; expected KEY=SELECTOR, such as metagan.io/market=spot or "
                "ray.io/accelerator-type=in(L4,A10G)"
            )
    return value


#: Ray labels of nodes, each KEY=SELECTOR.
Labels = Annotated[tuple[str, ...], AfterValidator(_known_labels)]


class ClusterConfig(Config):
    """Ray workers, what each reserves, and how long to wait for them."""

    num_workers: int = field(
        2, affects="where", ge=1, le=10_000, description="Ray actors that run episodes."
    )
    min_workers: int = field(
        1,
        affects="where",
        ge=1,
        le=10_000,
        description="A run continues with as many workers as found room; it ends, and can be "
        "resumed, with fewer than this for placement_timeout_s at its start or "
        "quorum_timeout_s later.",
    )
    threads_per_worker: int = field(
        1,
        affects="where",
        ge=1,
        le=1024,
        description="Threads torch uses in a worker; results on a CPU depend on it in their last "
        "bits, so it is pinned.",
    )
    cpus_per_worker: float = field(
        1.0, affects="where", gt=0, le=1024, description="Cores that Ray reserves for a worker."
    )
    gpus_per_worker: float = field(
        0.0,
        affects="where",
        ge=0,
        le=64,
        description="GPUs that Ray reserves for a worker; a fraction shares one GPU; 0: the worker "
        "computes on the CPU.",
    )
    worker_labels: Labels = field(
        (),
        affects="where",
        description="Ray labels that a worker's node must have, each KEY=SELECTOR; a selector is a "
        "value, !value, in(a,b) or !in(a,b).",
    )
    fallback_labels: Labels = field(
        (),
        affects="where",
        description="The same, tried where no node with worker_labels has room, such as on-demand "
        "nodes when there are no spot ones.",
    )
    mixed_devices: bool = field(
        True,
        affects="where",
        description="Continue, with a warning, if workers compute different last bits, as CPUs or "
        "GPUs of different kinds do; the weights then depend on which of them computes what.",
    )
    address: str | None = field(
        None,
        affects="where",
        description="host:port joins the Ray there; auto joins the one that runs on this machine; "
        "null starts one here for this run, or joins what RAY_ADDRESS names, as in a Ray job.",
    )
    chunk_timeout_s: float = field(
        600.0,
        affects="where",
        gt=0,
        description="Seconds a worker may take for a chunk before it is replaced, and the chunk "
        "given to another.",
    )
    heartbeat_timeout_s: float = field(
        60.0,
        affects="where",
        gt=0,
        description="Seconds without an answer to a sign of life before a busy worker is taken for "
        "frozen and replaced.",
    )
    backup_factor: float | None = field(
        3.0,
        affects="where",
        gt=1,
        description="At the end of a step, a chunk that takes this many times the step's median is "
        "also given to an idle worker; the same holds for items of an evaluation; null: never.",
    )
    reduce_above_mb: float | None = field(
        1024.0,
        affects="where",
        ge=0,
        description="If the meta-gradients of an outer step are larger in total (MiB), tasks on "
        "the workers' nodes add up neighbouring ones, and the driver receives sums; null: never.",
    )
    # Ray has taken more than a minute to start one worker on a machine that others keep busy.
    placement_timeout_s: float = field(
        180.0,
        affects="where",
        gt=0,
        description="Seconds to wait for min_workers, or for an evaluation's first task, before "
        "saying what is missing.",
    )
    quorum_timeout_s: float | None = field(
        None,
        affects="where",
        gt=0,
        description="Seconds to wait for min_workers again once a run had them, such as for new "
        "nodes after the loss of all; null: placement_timeout_s.",
    )
    max_worker_restarts: int = field(
        20,
        affects="where",
        ge=0,
        description="Worker restarts in a run, over all workers, before the run fails; "
        "those that are lost with their node count once.",
    )
    max_chunk_attempts: int = field(
        5, affects="where", ge=1, description="Attempts at one chunk before the run fails."
    )

    @model_validator(mode="after")
    def _at_most_all(self) -> Self:
        if self.min_workers > self.num_workers:
            raise ValueError(
                f"cluster.min_workers is {self.min_workers}, but there are only "
                f"cluster.num_workers {self.num_workers}"
            )
        return self

    @model_validator(mode="after")
    def _fallback_has_a_first(self) -> Self:
        if self.fallback_labels and not self.worker_labels:
            raise ValueError(
                "cluster.fallback_labels is for when nodes with cluster.worker_labels are full; "
                "set both"
            )
        return self

    @field_validator("gpus_per_worker")
    @classmethod
    def _whole_above_one(cls, value: float) -> float:
        if value > 1 and not value.is_integer():
            raise ValueError(f"is {value:g}; above 1 Ray reserves whole GPUs only")
        return value

    @field_validator("address")
    @classmethod
    def _known_form(cls, value: str | None) -> str | None:
        problem = None if value is None else ray_address_problem(value)
        if problem is not None:
            raise ValueError(f"is {value!r}: {problem}; expected null, auto or host:port")
        return value


def ray_address_problem(address: str) -> str | None:
    """Reason why no Ray can be joined by an address; None if one can."""
    if address == "auto":
        return None
    found = ADDRESS.fullmatch(address)
    if found is not None:
        known = 0 < int(found[2]) <= _LARGEST_PORT
        return None if known else f"a port is at most {_LARGEST_PORT}, and at least 1"
    if address.startswith("ray://"):
        return (
            "Ray Client (ray://) sends every parameter through one connection, so run on the "
            "cluster instead (metagan submit)"
        )
    if address.startswith(("http://", "https://")):
        return (
            "that is a dashboard's address, where jobs are submitted (metagan submit --address), "
            "and not Ray's own"
        )
    blank = " (it begins or ends with a blank)" if address != address.strip() else ""
    return f"that is no address of a Ray{blank}"


def selectors(labels: tuple[str, ...]) -> dict[str, str]:
    """{key: selector} of labels as the settings have them."""
    return dict(text.split("=", 1) for text in labels)


class JobConfig(RunConfig):
    """A complete run and where it runs: what the command line reads."""

    cluster: ClusterConfig = ClusterConfig()

    @model_validator(mode="after")
    def _device_is_reserved(self) -> Self:
        if self.device == "cpu" and self.cluster.gpus_per_worker > 0:
            raise ValueError(
                f"cluster.gpus_per_worker is {self.cluster.gpus_per_worker:g}, but device cpu "
                "would leave those GPUs idle; set device auto or cluster.gpus_per_worker 0"
            )
        return self
