"""Effects of each setting: words on its field, the one place from which lists are derived.

Which settings a resumed run may change, a search may try, a population may move, a cache or an item
of an evaluation is named by, and a trained run locks: all follow from these words.
"""

import functools
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, Field, JsonValue

from metagan.config.fields import words_of
from metagan.config.tree import dotted, leaves

AFFECTS: Final[Mapping[str, str]] = {
    "samples": "what samples the data settings lead to",
    "networks": "which weights there are and what they mean",
    "training": "how weights are learned",
    "live": "how weights are learned; can be changed between two outer steps",
    "adapting": "how a trained run adapts to a target",
    "measuring": "what an evaluation measures",
    "classifiers": "what generated samples are worth; nothing where samples answer inputs",
    "extent": "how much of the same is done",
    "searching": "what a search tries and how it judges",
    "where": "where and how fast things are done, and no number",
}
"""The words, and what they mean."""


def field(default: Any, *, affects: str, description: str, **bounds: Any) -> Any:
    """A setting.

    Args:
        default: Its value where nobody says otherwise.
        affects: Words of `AFFECTS`, with spaces between.
        description: What it means, for help and messages.
        **bounds: As pydantic's `Field` takes them, such as `ge=0`.

    Raises:
        ValueError: For a word that is not in the table, or none.
    """
    words = affects.split()
    if unknown := sorted(set(words) - AFFECTS.keys()) or (not words and ["nothing"]):
        raise ValueError(f"affects {unknown[0]!r}; the words are {', '.join(AFFECTS)}")
    return Field(
        default,
        description=description,
        json_schema_extra={"affects": list[JsonValue](words)},
        **bounds,
    )


@functools.cache
def affected(model: type[BaseModel]) -> Mapping[str, frozenset[str]]:
    """Words of `AFFECTS` for every setting of a model, by its dotted key."""
    return {dotted(place): frozenset(words_of(info)) for place, info in leaves(model)}


def settings_of(model: type[BaseModel], *words: str) -> tuple[str, ...]:
    """Keys of the settings that affect any of these."""
    return tuple(key for key, found in affected(model).items() if found & set(words))


def settings_without(model: type[BaseModel], *words: str) -> tuple[str, ...]:
    """Keys of the settings that affect none of these."""
    return tuple(key for key, found in affected(model).items() if not found & set(words))
