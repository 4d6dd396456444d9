"""The table of kinds of samples; each is imported when it is used."""

import importlib
from collections.abc import Mapping
from typing import Final

from metagan.kinds.kind import Kind

KINDS: Final[Mapping[str, str]] = {
    "image": "metagan.kinds.image.kind",
    "vector": "metagan.kinds.vector.kind",
}


def find_kind(name: str) -> Kind:
    """The functions of a kind of sample.

    Raises:
        ValueError: If there is no such kind.
    """
    if name not in KINDS:
        raise ValueError(f"no kind of sample is called {name!r}; kinds are {', '.join(KINDS)}")
    kind: Kind = importlib.import_module(KINDS[name]).KIND
    return kind
