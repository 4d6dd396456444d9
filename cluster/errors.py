"""Errors of the cluster, as opposed to those of the data or the mathematics."""

import re
from typing import Final

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class ClusterError(RuntimeError):
    """Ray cannot be reached, has no room for the workers, or lost them too often.

    The message says what is missing and the fix, in a form that can be shown without a traceback.

    Attributes:
        exit_code: What the command line exits with.
    """

    exit_code: Final = 4


def in_short(error: BaseException | str) -> str:
    """An error of several lines in one: Ray puts a heading first, and what has happened below.

    The first line and the last; of a traceback its last line alone.
    """
    plain = _COLOURS.sub("", str(error))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    if not lines:
        return "no reason given" if isinstance(error, str) else type(error).__name__
    first, last = lines[0], lines[-1]
    if len(lines) == 1 or last in first:
        return first
    if first.startswith("Traceback"):
        return last
    return f"{first.rstrip(':.')}: {last}"
