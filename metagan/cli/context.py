"""What the composition root gives to every command.

`metagan` knows nothing of Ray, so the parts of a command that need it arrive here as functions.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from metagan.cli.console import Console
from metagan.jobs import Jobs
from metagan.settings import RunConfig

if TYPE_CHECKING:  # Importing it costs seconds: torch.
    from metagan.evaluate.evaluation import WorkMap
    from metagan.train import EpisodeRunner, WorkerSpec

# Exit codes; argparse and Python itself use 2 and 1 in the same sense.
EXIT_DONE = 0
EXIT_USAGE = 2
EXIT_DIVERGED = 3
EXIT_RESOURCES = 4
EXIT_INTERRUPTED = 130
EXIT_CLOSED_PIPE = 141


@dataclass(frozen=True)
class Finding:
    """One line of `metagan doctor`.

    Attributes:
        level: "ok"; "warning": training works, though slower or less safely than it could;
            "problem": training would fail.
        topic: What was looked at.
        text: What was found.
        fix: What to do about it; empty when nothing needs doing.
    """

    level: Literal["ok", "warning", "problem"]
    topic: str
    text: str
    fix: str = ""


@dataclass(frozen=True)
class Context:
    """Everything a command is given besides its arguments.

    Attributes:
        config_model: The complete settings, cluster included.
        open_runner: Starts or joins Ray and yields a runner whose workers follow the spec; on
            leaving, everything it started is gone. The settings are of `config_model`.
        open_map: Starts or joins Ray and yields what computes independent items there, such as
            those of an evaluation.
        session: Keeps one Ray for several of the two before, so that it starts only once.
        threads_per_worker: Threads that a worker computes with under these settings.
        diagnose: Looks for what would stop a run with these settings (of `config_model`) and this
            run folder; where the settings name a Ray address, on every node there, too.
        jobs: The jobs of the cluster whose dashboard has this address, or, for None, the one that
            the environment names; see `cluster.jobs`.
        search_model: The complete settings of a search, with those that it starts from.
        search: (settings of `search_model`, folder, whether to resume, console) -> what a search
            found; see `tune.search`.
        console: Where output goes.
    """

    config_model: type[RunConfig]
    open_runner: "Callable[[Any, WorkerSpec], AbstractContextManager[EpisodeRunner]]"
    open_map: "Callable[[Any], AbstractContextManager[WorkMap]]"
    session: Callable[[Any], AbstractContextManager[object]]
    threads_per_worker: Callable[[Any], int]
    diagnose: Callable[[Any, Path], Sequence[Finding]]
    jobs: Callable[[str | None], Jobs]
    search_model: type[RunConfig]
    search: Callable[[Any, Path, bool, Console], Mapping[str, Any]]
    console: Console
