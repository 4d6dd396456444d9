"""What a trial of a search costs beyond its training and measuring.

    python -m benchmarks.trial_cost            # about three minutes

A trial that does next to nothing (`--steps` outer steps, one measurement by KID) is run many times

* by itself: one after another in this process, without Ray, which is the work that there is;
* in a search, one trial at a time, so that the time between the ends of two trials is what one of
  them takes with everything around it;
* as a bare trial of Ray Tune that only reports once: what Tune takes by itself.

The cost of a trial is what it takes in a search less what it takes by itself, both medians of one
run of this script. The first trial, which starts a process, is left out and told apart.
"""

import argparse
import contextlib
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ray import tune as ray_tune

from benchmarks.scaling import print_hardware
from cluster.connect import ray_session
from metagan.config import load_config
from metagan.devices import pinned_threads
from metagan.workflow.setup import prepare
from metagan.workflow.train import local_runner, train_run
from tune.config import SearchJobConfig
from tune.objective import make_judge
from tune.search import search
from tune.space import with_sample

SETTINGS = (
    "device=cpu",
    "data.source=glyphs",
    "data.image_size=20",
    "gan.width=8",
    "gan.discriminator_width=8",
    "task.unit=class",
    "outer.meta_batch_size=4",
    "data.max_classes_per_domain=6",
    "data.drawings_per_class=12",
    "inner.steps=2",
    "evaluate.max_classes=20",
    "evaluate.shots=[3]",
    "evaluate.source_steps=20",
    "evaluate.quality_samples=100",
    "evaluate.generated_per_real=[5]",
    "tune.objective=kid",
    "tune.grace_steps=1",
    "tune.repetitions=1",
    "tune.confirm_seeds=0",
    "tune.scheduler=none",
)


class Clock:
    """A reporter that notes when trials ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def progress(self, fields: Mapping[str, object], *, force: bool = False) -> None:  # noqa: ARG002
        """Note the time if there is one trial more."""
        while len(self.ends) < int(str(fields["step"])):
            self.ends.append(time.monotonic())

    def print(self, text: str) -> None:
        """Nothing."""


def by_itself(config: SearchJobConfig, folder: Path, times: int) -> list[float]:
    """Seconds of a trial's work in this process, without the first one."""
    with pinned_threads(1):
        setup = prepare(config)
        judge = make_judge(config, setup, folder, tell=lambda _: None)
        ends = []
        for index in range(times + 1):
            own = with_sample(config, {"inner.lr": 1e-3 * (index + 1)})
            train_run(
                own,
                folder / f"alone-{index}",
                open_runner=local_runner(own),
                reporter=Clock(),
                splits=judge.splits,
                on_checkpoint=lambda setup, init, _, own=own: judge.measure(own, setup, init),
            )
            ends.append(time.monotonic())
    return between(ends)


def in_a_search(config: SearchJobConfig, folder: Path) -> tuple[float, list[float]]:
    """(seconds to the end of the first trial, seconds of each one after it)."""
    clock = Clock()
    started = time.monotonic()
    search(config, folder, resume=False, reporter=clock)
    return clock.ends[0] - started, between(clock.ends)


def bare(times: int, folder: Path) -> list[float]:
    """Seconds of each trial of Ray Tune that only reports, without the first."""
    ends: list[float] = []

    class Ends(ray_tune.Callback):
        def on_trial_complete(self, *_: object, **__: object) -> None:
            ends.append(time.monotonic())

    def trial(sample: Mapping[str, object]) -> None:
        ray_tune.report({"value": sample["x"]})

    tuner = ray_tune.Tuner(
        ray_tune.with_resources(trial, ray_tune.PlacementGroupFactory([{"CPU": 1}])),
        param_space={"x": ray_tune.uniform(0, 1)},
        tune_config=ray_tune.TuneConfig(
            num_samples=times + 1, max_concurrent_trials=1, reuse_actors=True
        ),
        run_config=ray_tune.RunConfig(storage_path=str(folder), verbose=0, callbacks=[Ends()]),
    )
    tuner.fit()
    return between(ends)


def between(ends: Sequence[float]) -> list[float]:
    """From one to the next."""
    return [after - before for before, after in itertools.pairwise(ends)]


@contextlib.contextmanager
def own_folders() -> Iterator[Path]:
    """A folder, in which Ray and caches are, too."""
    with tempfile.TemporaryDirectory(prefix="mg-") as name:  # Socket paths have to be short.
        kept = {"HOME": name, "RAY_TMPDIR": name, "RAY_AIR_NEW_OUTPUT": "0"}
        os.environ |= kept
        yield Path(name)


def row(name: str, values: Sequence[float], alone: float) -> str:
    median = statistics.median(values)
    extent = f"{min(values):6.2f} - {max(values):5.2f}"
    return f"{name:28s} {median:9.2f} {extent} {median - alone:7.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trial_cost", description=__doc__)
    parser.add_argument("--trials", type=int, default=12, help="of each kind, the first apart")
    parser.add_argument("--steps", type=int, default=2, help="outer steps of a trial")
    parser.add_argument("--all", action="store_true", help="also without reuse, and with workers")
    options = parser.parse_args()
    print_hardware()
    with own_folders() as folder:
        common = [*SETTINGS, f"outer.steps={options.steps}", f"tune.report_every={options.steps}"]
        common += [f"tune.num_trials={options.trials + 1}", "tune.max_concurrent=1"]
        kinds = {
            "in a search": [],
            "  a process for each": ["tune.reuse_processes=false"],
            "  a worker for each": ["tune.workers_per_trial=1"],
        }
        chosen = dict(list(kinds.items())[: 3 if options.all else 1])
        base = load_config(SearchJobConfig, None, common).config
        alone = by_itself(base, folder / "alone", options.trials)
        work = statistics.median(alone)
        print(f"{'a trial':28s} {'median s':>9s} {'range':>14s} {'cost s':>7s}")
        print(row("by itself, without Ray", alone, work))
        for index, (name, more) in enumerate(chosen.items()):
            config = load_config(SearchJobConfig, None, [*common, *more]).config
            first, values = in_a_search(config, folder / f"search-{index}")
            print(row(name, values, work), f"  (the first: {first:.1f} s with Ray's start)")
        with ray_session(base.cluster):
            print(row("a bare trial of Ray Tune", bare(options.trials, folder / "bare"), 0.0))


if __name__ == "__main__":
    main()
