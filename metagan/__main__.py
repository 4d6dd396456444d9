"""The command `metagan`.

Ray and torch are imported by what needs them, so that help and mistakes in settings come at once;
everything else by `main`, after it has taken our own packages.
"""

from __future__ import annotations

import sys

from metagan.own_packages import ForeignPackageError, take_ours

# As in `typing`, which is imported after `main` has seen to what is found under that name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


def main() -> int:
    """Run the command line of this process; returns the exit code."""
    try:
        take_ours()
    except ForeignPackageError as error:
        print(f"metagan: error: {error}", file=sys.stderr)
        return error.exit_code
    import signal

    from metagan.cli.app import run_cli

    # Commands that can do better (train) have a handler of their own.
    signal.signal(signal.SIGTERM, _interrupt)
    return run_cli(sys.argv[1:])


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
