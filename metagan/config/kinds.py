"""The words that settings outside of `data` take with each kind of sample.

The networks, augmentations and baselines behind the words are in `metagan.kinds`, which needs
torch; settings are checked without it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True)
class KindWords:
    """Words of one kind of sample; the first of each is its default.

    Attributes:
        families: Of `gan.family`.
        augment: Of `gan.augment`, whose default is said apart.
        classical: Of `evaluate.classical`.
        default_augment: What the discriminator's augmentation is where nobody asks for one.
        solvable: Families whose head is linear at every position, so that it can be solved for.
    """

    families: tuple[str, ...]
    augment: tuple[str, ...]
    classical: tuple[str, ...]
    default_augment: tuple[str, ...] = ()
    solvable: tuple[str, ...] = ()

    def defaults(self) -> dict[str, dict[str, object]]:
        """{section: {setting: its default with this kind}}."""
        return {
            "gan": {"family": self.families[0], "augment": self.default_augment},
            "evaluate": {"classical": self.classical[0]},
        }

    def known(self) -> dict[str, tuple[str, ...]]:
        """{dotted setting: its words}."""
        return {
            "gan.family": self.families,
            "gan.augment": self.augment,
            "evaluate.classical": self.classical,
        }


KIND_WORDS: Final[Mapping[str, KindWords]] = MappingProxyType(
    {
        "image": KindWords(
            families=("flow", "dcgan", "residual", "unet"),
            augment=("translation", "cutout", "color"),
            classical=("affine+elastic", "affine"),
            default_augment=("translation",),
            solvable=("unet",),
        ),
        # What noise is too much depends on the data, so it is added only where it is asked for.
        "vector": KindWords(
            families=("mlp",), augment=("noise",), classical=("jitter",), solvable=("mlp",)
        ),
    }
)
"""By `data.kind`."""

DEFAULT_KIND: Final = next(iter(KIND_WORDS))
"""Of data whose kind nobody names; the defaults beside the settings themselves fit it."""
