"""Meta-learn one GAN initialization over many domains; adapt it to a new one from a few examples.

The names below are the library's front door; each is imported at first use, so that `import
metagan` costs nothing. `docs/architecture.md` tells how the parts fit together.
"""

import importlib

_HOME = {
    "ClassRecord": "metagan.data.dataset",
    "Console": "metagan.cli.console",
    "Dataset": "metagan.data.dataset",
    "RunConfig": "metagan.config.settings",
    "adapt_run": "metagan.workflow.adapt",
    "adapt_to_target": "metagan.evaluate.target",
    "answers": "metagan.evaluate.drawing",
    "generate_samples": "metagan.evaluate.drawing",
    "grid": "metagan.kinds.image.pictures",
    "load_adapted": "metagan.workflow.adapt",
    "load_run": "metagan.workflow.setup",
    "local_runner": "metagan.workflow.train",
    "open_dataset": "metagan.data.cache",
    "read_support": "metagan.workflow.adapt",
    "save_adapted": "metagan.workflow.adapt",
    "to_float": "metagan.kinds.image.convert",
    "to_samples": "metagan.workflow.generate",
    "to_uint8": "metagan.kinds.image.convert",
    "train_run": "metagan.workflow.train",
    "write_png": "metagan.kinds.image.pictures",
}

__all__ = [*_HOME]

# As in `typing`, which a file in the working folder may still hide here.
TYPE_CHECKING = False
if TYPE_CHECKING:  # Checkers and editors cannot look into the mapping; `as` exports a name to them.
    from typing import Any

    from metagan.cli.console import Console as Console
    from metagan.config.settings import RunConfig as RunConfig
    from metagan.data.cache import open_dataset as open_dataset
    from metagan.data.dataset import ClassRecord as ClassRecord
    from metagan.data.dataset import Dataset as Dataset
    from metagan.evaluate.drawing import answers as answers
    from metagan.evaluate.drawing import generate_samples as generate_samples
    from metagan.evaluate.target import adapt_to_target as adapt_to_target
    from metagan.kinds.image.convert import to_float as to_float
    from metagan.kinds.image.convert import to_uint8 as to_uint8
    from metagan.kinds.image.pictures import grid as grid
    from metagan.kinds.image.pictures import write_png as write_png
    from metagan.workflow.adapt import adapt_run as adapt_run
    from metagan.workflow.adapt import load_adapted as load_adapted
    from metagan.workflow.adapt import read_support as read_support
    from metagan.workflow.adapt import save_adapted as save_adapted
    from metagan.workflow.generate import to_samples as to_samples
    from metagan.workflow.setup import load_run as load_run
    from metagan.workflow.train import local_runner as local_runner
    from metagan.workflow.train import train_run as train_run


def __getattr__(name: str) -> "Any":
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'metagan' has no attribute {name!r}")
