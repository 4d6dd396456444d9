"""Settings that metagan no longer has, and the values at which a file may still hold them.

A run's `config.yaml` has every setting of the version that wrote it. At the values given here a
removed setting asks for what metagan does without it, so that the run can be resumed and used.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from metagan.config.yaml import Location

LAST_VERSION = "metagan 0.1.0"
"""The last version that read the removed settings."""

ADVICE = (
    f"{LAST_VERSION} was the last to read this setting; leave it out, or use that version for what "
    "was made with it"
)

REMOVED: Mapping[str, tuple[object, ...]] = {
    "algorithm.cg_batches": (1,),
    "checkpoint.max_storage_failures": (3,),
    "evaluate.adapt_batch_size": (10,),
    "evaluate.classifier_batch": (64,),
    "inner.rates_gain": (100,),
    "cpu_traces": (True, False),
    "inner.state": ("reset",),
    "inner.state_count": (1,),
    "inner.state_gain": (100,),
    "outer.min_fraction": (0.5,),
    "tune.second_objective": ("none",),
}
"""By dotted key, the values that ask for nothing."""


def as_written_now(gan: dict[str, Any]) -> None:
    """Rewrite the section `gan` of an earlier version, in place.

    `reconstruction` was the weight of the one distance that there was.
    """
    weight = gan.get("reconstruction")
    if type(weight) in (int, float):
        gan["reconstruction"] = "l1" if weight else "none"
        if weight:
            gan["reconstruction_weight"] = weight


def take_removed(data: dict[str, Any]) -> Iterator[tuple[Location, Any]]:
    """Take the removed settings out of a file's content, and rewrite those that are written anew.

    Args:
        data: Sections by name; changed in place.

    Yields:
        Place and value of each that asks for what is no longer there.
    """
    if isinstance(data.get("gan"), dict):
        as_written_now(data["gan"])
    for key, harmless in REMOVED.items():
        *sections, name = place = tuple(key.split("."))
        section: Any = data
        for part in sections:
            section = section.get(part) if isinstance(section, dict) else None
        if isinstance(section, dict) and name in section:
            value = section.pop(name)
            if value not in harmless:
                yield place, value
