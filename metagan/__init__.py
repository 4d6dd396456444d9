"""Meta-learn one GAN initialization over many domains; adapt it to a new one from a few examples.

The names below are the library's front door; each is imported at first use, so that `import
metagan` costs nothing. `docs/architecture.md` tells how the parts fit together.
"""

import importlib

# As in `typing`, which a file in the working folder may still hide here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from metagan.cli.console import Console
    from metagan.dataset import ClassRecord, Dataset
    from metagan.evaluate.target import adapt_to_target, generate_samples
    from metagan.pictures import grid, write_png
    from metagan.settings import RunConfig
    from metagan.sources.cache import open_dataset
    from metagan.tasks import to_float, to_uint8
    from metagan.workflow.adapt import adapt_run, load_adapted, read_support, save_adapted
    from metagan.workflow.setup import load_run
    from metagan.workflow.train import local_runner, train_run

_HOME = {
    "ClassRecord": "metagan.dataset",
    "Console": "metagan.cli.console",
    "Dataset": "metagan.dataset",
    "RunConfig": "metagan.settings",
    "adapt_run": "metagan.workflow.adapt",
    "adapt_to_target": "metagan.evaluate.target",
    "generate_samples": "metagan.evaluate.target",
    "grid": "metagan.pictures",
    "load_adapted": "metagan.workflow.adapt",
    "load_run": "metagan.workflow.setup",
    "local_runner": "metagan.workflow.train",
    "open_dataset": "metagan.sources.cache",
    "read_support": "metagan.workflow.adapt",
    "save_adapted": "metagan.workflow.adapt",
    "to_float": "metagan.tasks",
    "to_uint8": "metagan.tasks",
    "train_run": "metagan.workflow.train",
    "write_png": "metagan.pictures",
}

__all__ = [
    "ClassRecord",
    "Console",
    "Dataset",
    "RunConfig",
    "adapt_run",
    "adapt_to_target",
    "generate_samples",
    "grid",
    "load_adapted",
    "load_run",
    "local_runner",
    "open_dataset",
    "read_support",
    "save_adapted",
    "to_float",
    "to_uint8",
    "train_run",
    "write_png",
]


def __getattr__(name: str) -> "Any":
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'metagan' has no attribute {name!r}")
