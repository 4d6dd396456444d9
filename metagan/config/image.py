"""Settings of data whose samples are pictures."""

from typing import Literal, Self

from pydantic import model_validator

from metagan.config.affects import field
from metagan.config.data import DataConfig

SourceName = Literal[
    "auto",
    "glyphs",
    "styles",
    "omniglot",
    "fonts",
    "image_folder",
    "manifest",
    "parquet",
    "idx",
    "npz",
    "arrow",
]


class ImageData(DataConfig):
    """Pictures: built-in glyphs and styles, or files."""

    kind: Literal["image"] = field(
        "image",
        affects="samples networks",
        description="Kind of sample; decides which other settings of data exist.",
    )
    source: SourceName = field(
        "glyphs",
        affects="where",
        description="Layout of the data; auto looks at the path, and is the default with one.",
    )
    image_size: int = field(
        28,
        affects="samples networks",
        ge=16,
        le=64,
        description="Pictures are resized to this, pixels.",
    )
    channels: Literal[1, 3] = field(1, affects="samples networks", description="1 grey, 3 colour.")
    invert: bool = field(
        False, affects="samples", description="Swap dark and bright; ink should be bright."
    )
    white: float | None = field(
        None,
        affects="samples",
        gt=0,
        description="Value that is white in pictures of more than 8 bits; default: what their "
        "files say, else by the largest value of the whole data set.",
    )
    input: Literal["mask", "box", "grey", "small"] | None = field(
        None,
        affects="networks training measuring",
        description="Inputs are made from the pictures themselves: a part is hidden (inpainting), "
        "by strokes of a broad brush over 15 to 40 % (mask) or by a box of half the side; the "
        "colour is taken (channels 3); or the detail (a quarter of the side).",
    )
    drawings_per_class: int = field(
        20, affects="samples", ge=2, le=200, description="Glyphs only: drawings a class."
    )
    max_classes_per_domain: int | None = field(
        None,
        affects="samples",
        ge=1,
        description="Glyphs only: a seeded choice of this many characters a script.",
    )
    styles: int = field(
        120, affects="samples", ge=4, le=1000, description="Styles only: how many there are."
    )

    @model_validator(mode="after")
    def _a_path_is_looked_at(self) -> Self:
        """Built-in data have no path, so with one and no source its layout is found out."""
        if self.path is not None and "source" not in self.model_fields_set:
            # Settings are frozen; here they are still being made.
            object.__setattr__(self, "source", "auto")
        return self
