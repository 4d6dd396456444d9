"""One module per layout of files, each with `load(config) -> Dataset`."""
