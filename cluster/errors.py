"""What goes wrong with the cluster rather than with the data or the mathematics."""

from typing import Final


class ClusterError(RuntimeError):
    """Ray cannot be reached, has no room for the workers, or lost them too often.

    The message says what is missing and the fix, in a form that can be shown without a traceback.

    Attributes:
        exit_code: What the command line exits with.
    """

    exit_code: Final = 4
