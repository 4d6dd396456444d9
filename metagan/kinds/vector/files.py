"""Vectors as a row of the table of readers: what is read, and what is said of it."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metagan.config.vector import VectorData
from metagan.data.dataset import DataError, Dataset, Samples
from metagan.data.notes import Weight
from metagan.data.paths.names import a_few, table_name
from metagan.data.reader import Reader, Source
from metagan.kinds.vector.look import sheet
from metagan.kinds.vector.reading.looks import check_looks, describe
from metagan.kinds.vector.reading.spelling import respelled
from metagan.kinds.vector.samples import vector_classes
from metagan.kinds.vector.scales import column_names
from metagan.kinds.vector.sources.detect import BY_ENDING, detect_source

SOURCES: Final[Mapping[str, Source]] = MappingProxyType(
    {
        "npz": Source("metagan.kinds.vector.sources.npz", 1, idle=frozenset({"label", "domain"})),
        # It turns texts into numbers.
        "table": Source("metagan.kinds.vector.sources.table", 1, libraries=("pyarrow",)),
    }
)


def _files_with(file: Path, source: str) -> list[Path]:  # noqa: ARG001
    return [file]


def _is_data(name: str) -> bool:
    return name.lower().endswith(tuple(BY_ENDING))


def _pack(classes: object, name: str) -> Mapping[Any, Samples]:
    return vector_classes(classes, name=name)


def _check(samples: Samples) -> None:
    if samples.dtype != np.float32 or samples.ndim != 2:
        raise DataError(
            f"samples are {samples.dtype} of shape {samples.shape}; vectors are float32 of (N, D), "
            "which Dataset.from_classes makes of other numbers"
        )


def _check_values(samples: Samples) -> None:
    # A sum takes no memory, and is finite only where all values are.
    if not np.isfinite(samples.sum(dtype=np.float64)):
        raise DataError("samples hold NaN or infinity; leave those rows out, or replace the values")


def _judge(dataset: Dataset, config: VectorData) -> tuple[list[str], Mapping[str, Any]]:  # noqa: ARG001
    return check_looks(dataset), {}


def _blank(dataset: Dataset) -> NDArray[np.bool_]:
    """No vector is blank: zeros may also be measured."""
    return np.zeros(len(dataset.samples), np.bool_)


def _check_prepared(dataset: Dataset, config: VectorData, folder: Path) -> None:
    there = column_names(dataset)
    wanted = list(map(table_name, config.columns))
    if wanted and list(respelled(there, wanted, str(folder))[0]) != wanted:
        raise DataError(
            f"{folder}: its samples have the columns {a_few(there)}, but data.columns is "
            f"{a_few(config.columns)}; leave data.columns out, or prepare the data again with it"
        )
    for name in ("label", "domain"):
        said = getattr(config, name)
        if name in config.model_fields_set and said != dataset.origin.get(name, said):
            raise DataError(
                f"{folder}: was prepared with data.{name}={dataset.origin[name]}, not {said}; "
                f"leave data.{name} out, or prepare the data again with it"
            )


def _more_samples(origin: Mapping[str, Any]) -> str:  # noqa: ARG001
    return ""


READER: Final = Reader(
    word="vector",
    sources=SOURCES,
    detect=detect_source,
    files_with=_files_with,
    is_data=_is_data,
    pack=_pack,
    check=_check,
    check_values=_check_values,
    judge=_judge,
    note_words=MappingProxyType(
        {
            "columns left out": Weight.INCOMPLETE,
            "rows left out": Weight.INCOMPLETE,
            "units": Weight.LOOKS,
            "columns": Weight.LOOKS,
        }
    ),
    warned=("units:",),
    blank=_blank,
    check_prepared=_check_prepared,
    more_samples=_more_samples,
    describe=describe,
    sheet=sheet,
)
