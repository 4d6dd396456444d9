"""Settings that data of every kind have: their place, their division, their cache.

Each kind adds its own in a module beside this one, which imports neither torch nor Ray either.
"""

from typing import Literal

from metagan.config.affects import field
from metagan.config.load import Config


class DataConfig(Config):
    """Which samples, how they are read, and which are held out; the base of every kind's own."""

    # Each kind has its own words, and its own defaults.
    kind: str
    source: str

    path: str | None = field(
        None,
        affects="where",
        min_length=1,
        description="File or folder; glyphs and styles are built in and have none.",
    )
    allow_leaks: bool = field(
        False,
        affects="where",
        description="Train although some samples are on both sides of the split.",
    )
    split_by: Literal["published", "domain", "class"] = field(
        "published",
        affects="training measuring",
        description="Held-out part: the publisher's own split if there is one (else whole "
        "domains), whole domains, or classes of every domain.",
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
    reference_domain: str | None = field(
        None,
        affects="training measuring",
        min_length=1,
        description="Domain whose samples are the inputs of pairs: the same class's sample there. "
        "It is neither learned from nor measured. Default: that of built-in styles and of fonts, "
        "which is DejaVu Sans or the file's own; none for other data.",
    )
    unseen_labels: tuple[str, ...] = field(
        (),
        affects="training measuring",
        description="Labels that no training domain shows; evaluation of pairs measures them "
        "apart. Default: those that a file of fonts names.",
    )
    cache_dir: str | None = field(
        None,
        affects="where",
        description="Folder for prepared shards; default: the user's cache folder.",
    )
