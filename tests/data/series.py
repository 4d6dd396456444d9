"""A third kind of sample: series of steps, (T, F) float32, in one `domain/label.npy` a class.

The fixture `series` puts it into the table of readers, as a kind of the program is.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from metagan.config.affects import field
from metagan.config.data import DataConfig
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.data.reader import Looks, Reader, Source


class SeriesData(DataConfig):
    """Settings of series."""

    kind: Literal["series"] = field("series", affects="samples", description="Series.")
    source: Literal["auto", "made", "npy", "arrow"] = field(
        "auto", affects="where", description="Layout."
    )
    gain: float = field(1.0, affects="samples", description="What all values are multiplied by.")
    length: int = field(4, affects="samples", description="Steps of built-in series.")


def load(config: SeriesData) -> Dataset:
    files = sorted(Path(config.path).glob("*/*.npy"))
    return Dataset.from_classes(
        {ClassRecord(file.parent.name, file.stem): np.load(file) * config.gain for file in files},
        kind="series",
        notes=["left out: nothing"],
        origin={"source": "npy", "path": config.path},
    )


def detect(path: Path) -> str:
    if (path / "manifest.json").is_file():
        return "arrow"
    if not any(path.glob("*/*.npy")):
        raise DataError(f"data.path {path}: holds no series")
    return "npy"


def pack(classes: dict, name: str) -> dict:
    if any(np.ndim(values) != 3 for values in classes.values()):
        raise DataError(f"{name}: a series is (steps, features)")
    return {record: np.asarray(values, np.float32) for record, values in classes.items()}


def check(samples: np.ndarray) -> None:
    if samples.dtype != np.float32 or samples.ndim != 3:
        raise DataError("series are float32 of (N, T, F)")


def judge(dataset: Dataset, config: SeriesData) -> tuple[list[str], dict]:
    return [f"blank: gain is {config.gain:g}"], {"largest": float(dataset.samples.max())}


def check_prepared(_dataset: Dataset, config: SeriesData, folder: Path) -> None:
    if config.gain != 1.0:
        raise DataError(f"{folder}: data.gain is {config.gain:g}; set it when preparing")


def describe(dataset: Dataset, repeats: dict[int, int]) -> Looks:
    clauses = {
        domain: f"{sum(repeats.get(index, 0) for index in dataset.classes_of(domain))} repeated"
        for domain in dataset.domains
    }
    return Looks(clauses, ("series have no sizes",))


def sheet(dataset: Dataset, path: Path) -> Path:
    path.write_text(f"{len(dataset.samples)} series")
    return path


READER = Reader(
    word="track",
    sources={
        "made": Source(__name__, 1, built_in=True, libraries=("numpy",)),
        "npy": Source(__name__, 1, idle=frozenset({"length"})),
    },
    detect=detect,
    files_with=lambda file, _source: [file],
    is_data=lambda name: name.endswith(".npy"),
    pack=pack,
    check=check,
    check_values=lambda _samples: None,
    judge=judge,
    note_words={},
    warned=(),
    blank=lambda dataset: np.ptp(dataset.samples, axis=(1, 2)) == 0,
    check_prepared=check_prepared,
    more_samples=lambda _origin: " or record more series",
    describe=describe,
    sheet=sheet,
)
