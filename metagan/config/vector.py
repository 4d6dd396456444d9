"""Settings of vectors: where the rows lie and which columns make a sample."""

from typing import Literal

from metagan.config.affects import field
from metagan.config.load import Config

VectorSource = Literal["auto", "npz", "table", "arrow"]


class VectorData(Config):
    """Which rows, how they are read, and which are held out."""

    kind: Literal["vector"] = field(
        "vector", affects="samples networks", description="Samples are rows of numbers."
    )
    source: VectorSource = field(
        "auto", affects="where", description="Layout of the data; auto looks at the path."
    )
    path: str | None = field(None, affects="where", min_length=1, description="File or folder.")
    label: str = field(
        "label", affects="samples", min_length=1, description="Column that names a row's class."
    )
    domain: str = field(
        "domain",
        affects="samples",
        min_length=1,
        description="Column that names a row's domain; without it the file's name does.",
    )
    columns: tuple[str, ...] = field(
        (),
        affects="samples networks",
        description="Columns that make the vector; default: every numeric one.",
    )
    allow_leaks: bool = field(
        False,
        affects="where",
        description="Train although some samples are on both sides of the split.",
    )
    split_by: Literal["published", "domain", "class"] = field(
        "published", affects="training measuring", description="What is held out."
    )
    validation_fraction: float = field(
        0.15, affects="training measuring", gt=0, lt=1, description="Share of domains or classes."
    )
    test_fraction: float = field(
        0.2, affects="training measuring", gt=0, lt=1, description="Share of domains or classes."
    )
    validation_domains: tuple[str, ...] = field(
        (), affects="training measuring", description="Domains held out by name."
    )
    test_domains: tuple[str, ...] = field(
        (), affects="training measuring", description="Domains held out by name."
    )
    cache_dir: str | None = field(
        None, affects="where", description="Where prepared shards are kept."
    )
