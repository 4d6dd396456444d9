"""The command `metagan`: the one place where the mathematics and the cluster meet.

Ray and torch are imported by what needs them, so that help and mistakes in settings come at once;
everything else by `main`, after it has taken our own packages.
"""

from __future__ import annotations

import sys

from metagan.own_packages import ForeignPackageError, take_ours

# As in `typing`, which is imported after `main` has seen to what is found under that name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import FrameType

    from cluster.config import JobConfig
    from metagan.cli.console import Console
    from metagan.cli.context import Context, Finding
    from metagan.evaluate.evaluation import WorkMap
    from metagan.jobs import Jobs
    from metagan.train import EpisodeRunner, WorkerSpec
    from tune.config import SearchJobConfig


def main() -> int:
    """Run the command line of this process; returns the exit code."""
    try:
        take_ours()
    except ForeignPackageError as error:
        print(f"metagan: error: {error}", file=sys.stderr)
        return error.exit_code
    import signal

    from metagan.cli.app import run_cli

    # Commands that can do better (train) have a handler of their own.
    signal.signal(signal.SIGTERM, _interrupt)
    return run_cli(sys.argv[1:], make_context)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


def make_context(console: Console) -> Context:
    """What every command is given: the complete settings, and what it needs of Ray."""
    from cluster.config import JobConfig
    from metagan.cli.context import Context
    from tune.config import SearchJobConfig

    return Context(
        config_model=JobConfig,
        open_runner=_open_runner,
        open_map=_open_map,
        session=_session,
        threads_per_worker=_threads_per_worker,
        diagnose=_diagnose,
        jobs=_jobs,
        search_model=SearchJobConfig,
        search=_search,
        console=console,
    )


def _open_runner(config: JobConfig, spec: WorkerSpec) -> AbstractContextManager[EpisodeRunner]:
    from cluster.opening import open_runner

    return open_runner(spec, config.cluster)


def _open_map(config: JobConfig) -> AbstractContextManager[WorkMap]:
    from cluster.work import open_map

    return open_map(config.cluster)


def _session(config: JobConfig) -> AbstractContextManager[object]:
    from cluster.connect import ray_session

    return ray_session(config.cluster)


def _threads_per_worker(config: JobConfig) -> int:
    return config.cluster.threads_per_worker


def _diagnose(config: JobConfig, run_dir: Path) -> Sequence[Finding]:
    from cluster.doctor import diagnose

    return diagnose(config, run_dir)


def _jobs(address: str | None) -> Jobs:
    from cluster.jobs import RayJobs

    return RayJobs(address)


def _search(
    config: SearchJobConfig, out: Path, resume: bool, console: Console
) -> Mapping[str, object]:
    from tune.search import search

    return search(config, out, resume=resume, reporter=console)


if __name__ == "__main__":
    sys.exit(main())
