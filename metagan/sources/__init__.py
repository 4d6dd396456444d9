"""Where samples come from: one module per layout of files, each with `load(config) -> Dataset`."""

from metagan.sources.registry import detect_source, load_dataset

__all__ = ["detect_source", "load_dataset"]
