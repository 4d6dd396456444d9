"""The form of one data set's samples: how they become what networks see, and back.

A form is plain data. The run folder keeps it and workers get it, so that every process reads
and gives back samples by the same numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Form:
    """The form in which networks see samples.

    Attributes:
        kind: A name of the table of kinds.
        shape: Of one sample, as networks see it.
        given: Of a sample's input, where samples come in pairs with inputs; else ().
        facts: JSON values that the kind's conversions go by, such as the scale of each column.
            They are fitted on training classes alone, so that nothing of what is held out reaches
            the weights.
    """

    kind: str
    shape: tuple[int, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    given: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As run folders keep it."""
        return {
            "kind": self.kind,
            "shape": list(self.shape),
            "given": list(self.given),
            "facts": dict(self.facts),
        }

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> "Form":
        """The form that `as_json` described."""
        return cls(
            str(kept["kind"]),
            tuple(map(int, kept["shape"])),
            dict(kept["facts"]),
            # Earlier versions knew no pairs.
            tuple(map(int, kept.get("given", ()))),
        )
