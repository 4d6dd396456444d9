"""Settings that earlier versions had, with the one value of each that this version computes with.

Runs and searches keep all their settings, so those of an earlier version hold such keys.
"""

from collections.abc import Mapping
from typing import Any

from metagan.strict_yaml import format_value

REMOVED: Mapping[str, Any] = {
    "algorithm.cg_batches": 1,
    "checkpoint.max_storage_failures": 3,
    "evaluate.adapt_batch_size": 10,
    "evaluate.classifier_batch": 64,
    "inner.rates_gain": 100.0,
    "outer.min_fraction": 0.5,
}
"""By dotted key, the value that was its default."""


def drop_removed(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Settings that a run or a search has kept, without those that were removed since.

    Args:
        values: As the file holds them, section by section.
        source: The file, for messages.

    Raises:
        ValueError: With a line for every one whose value this version does not compute with.
    """
    left = {name: dict(v) if isinstance(v, Mapping) else v for name, v in values.items()}
    problems = []
    for key, accepted in REMOVED.items():
        section, _, name = key.rpartition(".")
        settings = left.get(section) if section else left
        if not isinstance(settings, dict) or name not in settings:
            continue
        value = settings.pop(name)
        if value != accepted:
            problems.append(
                f"{source}: {key} is {format_value(value)}, but this version no longer has that "
                f"setting and computes with {format_value(accepted)}; use the version of metagan "
                "that wrote the file, or train again"
            )
    if problems:
        raise ValueError("\n".join(problems))
    return left
