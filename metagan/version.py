"""The version of this metagan."""

import importlib.metadata

UNKNOWN = "unknown"


def tool_version() -> str:
    """The installed version; `UNKNOWN` in a checkout that is not installed."""
    try:
        return importlib.metadata.version("metagan")
    except importlib.metadata.PackageNotFoundError:
        return UNKNOWN


def versions() -> str:
    """This package's and torch's, for messages."""
    return f"metagan {tool_version()} with torch {importlib.metadata.version('torch')}"
