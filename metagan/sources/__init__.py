"""Where samples come from: one module per layout of files, each with `load(config) -> Dataset`."""

from metagan.sources.registry import load_dataset

__all__ = ["load_dataset"]
