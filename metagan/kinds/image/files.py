"""Pictures as a row of the table of readers: what is read, and what is said of it."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from metagan.config.agreement import BUILT_IN
from metagan.config.image import ImageData
from metagan.data.dataset import DataError, Dataset, Samples
from metagan.data.reader import Reader, Source
from metagan.kinds.image.inspect import contact_sheet, describe
from metagan.kinds.image.notes import IDLE_WHITE, POLARITY, WORDS
from metagan.kinds.image.reading.decode import is_picture
from metagan.kinds.image.reading.looks import (
    blank_samples,
    check_looks,
    level_counts,
    level_range,
)
from metagan.kinds.image.samples import picture_classes
from metagan.kinds.image.sources.detect import detect_source
from metagan.kinds.image.sources.font_suffixes import FONT_SUFFIXES
from metagan.kinds.image.sources.manifest import listed_files

_BY_ITSELF: Final = frozenset(
    {".npz", ".parquet", ".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz"}
    | set(FONT_SUFFIXES)
)
_CONTAINERS: Final = frozenset(
    {".npz", ".parquet", ".csv", ".jsonl", ".zip", ".tar", ".gz", ".tgz", "-ubyte"}
    | set(FONT_SUFFIXES)
)


def _of_files(name: str, version: int, *libraries: str) -> Source:
    return Source(
        f"metagan.kinds.image.sources.{name}",
        version,
        idle=frozenset(chain(*BUILT_IN.values())),
        # Pillow decodes and resizes.
        libraries=("pillow", *libraries),
    )


SOURCES: Final[Mapping[str, Source]] = MappingProxyType(
    {
        "glyphs": Source(
            "metagan.kinds.image.sources.glyphs",
            1,
            built_in=True,
            idle=frozenset(BUILT_IN["styles"]),
            # Matplotlib brings the fonts, Pillow draws with them.
            libraries=("pillow", "matplotlib"),
        ),
        "omniglot": _of_files("omniglot", 2),
        "image_folder": _of_files("image_folder", 2),
        "manifest": _of_files("manifest", 2),
        "parquet": _of_files("parquet", 3),
        "idx": _of_files("idx", 2),
        "npz": _of_files("npz", 2),
        "styles": Source(
            "metagan.kinds.image.sources.styles",
            1,
            built_in=True,
            idle=frozenset(BUILT_IN["glyphs"]),
            libraries=("pillow", "matplotlib", "scipy"),
        ),
        # Matplotlib brings the reference, fontTools tells which characters a face has.
        "fonts": _of_files("fonts", 2, "matplotlib", "fonttools"),
    }
)


def _files_with(file: Path, source: str) -> list[Path]:
    if source == "manifest":
        return [file, *listed_files(file)]
    if file.suffix.lower() in _BY_ITSELF and source != "idx":
        return [file]
    # An idx file's labels lie beside it.
    return sorted(path for path in file.parent.iterdir() if path == file or "idx" in path.name)


def _is_data(name: str) -> bool:
    return is_picture(name) or name.lower().endswith(tuple(_CONTAINERS))


def _pack(classes: object, name: str) -> Mapping[Any, Samples]:
    return picture_classes(classes, name=name)


def _check(samples: Samples) -> None:
    if samples.dtype != np.uint8 or samples.ndim != 4:
        raise DataError(
            f"samples are {samples.dtype} of shape {samples.shape}; pictures are "
            "uint8 of (N, C, H, W), which Dataset.from_classes makes of other numbers"
        )


def _check_values(samples: Samples) -> None:
    """Nothing to refuse: every byte is a level."""


def _judge(dataset: Dataset, config: ImageData) -> tuple[list[str], Mapping[str, Any]]:
    """Notes on what came out blank, dark or without colour; the levels of every domain."""
    counts = level_counts(dataset)
    notes = check_looks(dataset, counts)
    if config.white is not None and not dataset.origin.get("white"):
        notes.append(
            f"{IDLE_WHITE}{config.white:g}, but changes nothing: all pictures have 8 bits, or say "
            "themselves which value is white"
        )
    return notes, {"levels": {domain: list(level_range(found)) for domain, found in counts.items()}}


def _check_prepared(dataset: Dataset, config: ImageData, folder: Path) -> None:
    # A run on the files themselves may continue on them in this form, with the same settings.
    if config.invert and not dataset.origin.get("invert"):
        raise DataError(
            "data.invert would copy prepared samples in every process; set data.invert when "
            f"preparing {folder}, and leave it false here"
        )
    known = (dataset.origin.get("white") or {}).values()
    if config.white is not None and config.white not in known:
        raise DataError(
            f"data.white is {config.white:g}, but the samples in {folder} are scaled already; set "
            "data.white when preparing them, and leave it out here"
        )
    wanted = (config.channels, config.image_size, config.image_size)
    if dataset.sample_shape != wanted:
        channels, height, width = dataset.sample_shape
        raise DataError(
            f"{folder}: samples have {channels} channels and {height} x {width} pixels, but "
            f"data.channels is {config.channels} and data.image_size {config.image_size}; set "
            "these to what the folder holds, or prepare it again"
        )


def _more_samples(origin: Mapping[str, Any]) -> str:
    drawn = origin.get("source") == "glyphs" and "prepared" not in origin
    return " or raise data.drawings_per_class" if drawn else ""


READER: Final = Reader(
    word="picture",
    sources=SOURCES,
    detect=detect_source,
    files_with=_files_with,
    is_data=_is_data,
    pack=_pack,
    check=_check,
    check_values=_check_values,
    judge=_judge,
    note_words=WORDS,
    warned=(POLARITY,),
    blank=blank_samples,
    check_prepared=_check_prepared,
    more_samples=_more_samples,
    describe=describe,
    sheet=contact_sheet,
)
