"""Which metagan this is."""

import importlib.metadata


def tool_version() -> str:
    """The installed version; "unknown" in a checkout that is not installed."""
    try:
        return importlib.metadata.version("metagan")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
