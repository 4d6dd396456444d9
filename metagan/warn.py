"""Warnings to whoever calls this package from Python."""

import sys
import warnings


def warn(text: str) -> None:
    """A warning that names the line of the caller's, outside of this package."""
    warnings.warn(text, stacklevel=_frames_of_ours())


def _frames_of_ours() -> int:
    frame, depth = sys._getframe(1), 1
    ours = ("metagan.", "contextlib")
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(ours):
        frame, depth = frame.f_back, depth + 1
    return depth
