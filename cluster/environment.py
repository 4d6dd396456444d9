"""State that all parts of a process share, changed for a while."""

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping


@contextlib.contextmanager
def environment_variables(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables inside of the block (None unsets one), and restore them after it."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextlib.contextmanager
def quieter(loggers: Iterable[str], level: int = logging.ERROR) -> Iterator[None]:
    """Silence loggers below a level inside of the block."""
    levels = {logger: logger.level for logger in map(logging.getLogger, loggers)}
    for logger in levels:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
