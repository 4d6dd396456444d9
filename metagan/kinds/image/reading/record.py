"""How the pictures of a run were read: what everything that takes or gives pictures goes by."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metagan.config.image import ImageData
from metagan.data.form import Form
from metagan.kinds.image.reading.looks import count_levels, is_drawn, middle_level

_HALF = 127
_FACTS = ("inverted", "whites", "median")


@dataclass(frozen=True)
class Reading:
    """How pictures become samples, and how the run's own came out.

    Attributes:
        image_size: Height and width of a sample, pixels.
        channels: 1 for grey, 3 for colour.
        inverted: Dark and bright are swapped on the way in, and back on the way out.
        whites: The value that is white in pictures of more than 8 bits, by "integers" and
            "floats"; empty where there were none.
        median: The level in the middle of the run's training samples, 0 to 255; None if unknown.
    """

    image_size: int
    channels: int
    inverted: bool = False
    whites: Mapping[str, float] = field(default_factory=dict)
    median: int | None = None

    @classmethod
    def of_form(cls, form: Form) -> "Reading":
        """The record that is in a form's facts."""
        channels, size, _ = form.shape
        known = {key: form.facts[key] for key in _FACTS if key in form.facts}
        return cls(size, channels, **known)

    def form(self) -> Form:
        """The form of pictures that were read so."""
        facts = {key: getattr(self, key) for key in _FACTS} | {"whites": dict(self.whites)}
        return Form("image", (self.channels, self.image_size, self.image_size), facts)

    @classmethod
    def of_run(cls, config: ImageData, data: Mapping[str, Any]) -> "Reading":
        """The record of a run.

        Args:
            config: The run's data settings.
            data: Its data.json.
        """
        origin = data.get("origin", {})
        # Earlier versions kept the setting alone, and Omniglot's ink is swapped without it.
        asked = bool(origin.get("invert", False))
        return cls(
            config.image_size,
            config.channels,
            bool(origin.get("inverted", asked != (origin.get("source") == "omniglot"))),
            dict(origin.get("white") or {}),
            data.get("median"),
        )

    def given_back(self, samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Samples as their owner's own pictures look: dark and bright swapped back."""
        return 255 - samples if self.inverted else samples

    def other_polarity(
        self, samples: Iterable[NDArray[np.uint8]], fix: str | None = None
    ) -> str | None:
        """A warning where drawings are bright and the run's samples dark, or the other way round.

        Args:
            samples: As they were read.
            fix: What swaps them; None: `data.invert`, other than they were read by this record.
        """
        counts = count_levels(samples)
        median = middle_level(counts)
        if self.median is None or abs(median - self.median) <= _HALF or not is_drawn(counts):
            return None
        fix = fix or f"add data.invert={str(not self.inverted).lower()}"
        theirs, own = ("bright", "dark") if median > self.median else ("dark", "bright")
        return (
            f"these pictures are mostly {theirs} (median level {median} of 255), those that the "
            f"run learnt from mostly {own} (median {self.median}); if they are drawn the other way "
            f"round, {fix}"
        )


def median_level(arrays: Iterable[NDArray[np.uint8]]) -> int:
    """The level in the middle of all pixels of some arrays, 0 to 255."""
    return middle_level(count_levels(arrays))
