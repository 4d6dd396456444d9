"""Peak memory of training with some settings, in one process of its own and without Ray.

    python -m benchmarks.algorithm_memory RUN algorithm.name=maml outer.steps=2 ...

The last line is {"idle_mb": ..., "peak_mb": ...}: with everything imported and built, and after it.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.memory import peak_mb
from cluster.config import JobConfig
from metagan.cli.console import Console
from metagan.config import load_config
from metagan.workflow.setup import prepare
from metagan.workflow.train import local_runner, train_run


def main(arguments: Sequence[str]) -> int:
    run, *overrides = arguments
    config = load_config(JobConfig, None, overrides).config
    prepare(config)
    idle = peak_mb()
    train_run(config, Path(run), open_runner=local_runner(config), reporter=Console())
    print(json.dumps({"idle_mb": idle, "peak_mb": peak_mb()}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
