"""Cost of an outer step with some settings, in one process of its own and without Ray.

    python -m benchmarks.algorithm_costs RUN algorithm.name=maml outer.steps=4 ...

The last line is a JSON object: `step_s`, seconds per outer step without the first, which pays for
what torch loads then; `idle_mb` and `peak_mb`, memory with everything imported and built, and the
most after that. On the CPU, seconds are those that the process computed, so that other work on the
machine hardly changes them; on a GPU they are wall seconds.
"""

import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.memory import peak_mb
from cluster.config import JobConfig
from metagan.cli.console import Console
from metagan.config.load import load_config
from metagan.core.outer_loop import EpisodeRunner, WorkerSpec
from metagan.devices import choose_device
from metagan.workflow.setup import prepare
from metagan.workflow.train import local_runner, train_run


class StepTimes(Console):
    """A console that notes when outer steps end."""

    def __init__(self, *, gpu: bool) -> None:
        super().__init__()
        self._clock = time.perf_counter if gpu else time.process_time
        self._ended: list[float] = []

    def note(self) -> None:
        """Note that a step ends now, or that the first one begins."""
        self._ended.append(self._clock())

    def progress(self, fields: Mapping[str, object], *, force: bool = False) -> None:
        """Called after every outer step."""
        self.note()
        super().progress(fields, force=force)

    def per_step(self) -> float:
        """Seconds, the mean over all steps but the first, or of the only one."""
        spans = [end - start for start, end in zip(self._ended, self._ended[1:], strict=False)]
        return statistics.mean(spans[1:] or spans)


def main(arguments: Sequence[str]) -> int:
    run, *overrides = arguments
    config = load_config(JobConfig, None, overrides).config
    prepare(config)
    idle = peak_mb()
    times = StepTimes(gpu=choose_device(config.device).type == "cuda")

    @contextmanager
    def timed_runner(spec: WorkerSpec) -> Iterator[EpisodeRunner]:
        with local_runner(config)(spec) as runner:
            times.note()
            yield runner

    train_run(config, Path(run), open_runner=timed_runner, reporter=times)
    print(json.dumps({"step_s": times.per_step(), "idle_mb": idle, "peak_mb": peak_mb()}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
