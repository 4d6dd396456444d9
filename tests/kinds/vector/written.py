"""Files of vectors for tests, and what is read from them."""

from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from metagan.config.vector import VectorData
from metagan.data.dataset import Dataset
from metagan.kinds.vector.sources.detect import detect_source


def settings(path: Path, **data: object) -> VectorData:
    return VectorData(path=str(path), **data)


def load(path: Path, **data: object) -> Dataset:
    """Read by the product, in the layout that it finds."""
    config = settings(path, **data)
    return import_module(f"metagan.kinds.vector.sources.{detect_source(path)}").load(config)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def parquet(path: Path, **columns: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def rows_of(dataset: Dataset) -> dict[str, list[list[float]]]:
    """{domain/label: rows}."""
    return {
        record.name: dataset.class_samples(index).tolist()
        for index, record in enumerate(dataset.classes)
    }
