"""Generated vectors as the files that their users have: npz, Parquet and a picture.

Shapes: n samples of a class, D columns.
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from metagan.data.form import Form
from metagan.kinds.vector.look import look
from metagan.kinds.vector.reading.arrays import GENERATED
from metagan.kinds.vector.scales import drawn_columns

NPZ: Final = "samples.npz"
TABLE: Final = "samples.parquet"
PREVIEW: Final = "preview.png"
_LABEL: Final = "label"
_MAX_CLASSES_SHOWN: Final = 40


def write_samples(
    folder: Path,
    labels: Sequence[str],
    samples: NDArray[Any],
    support: NDArray[Any],
    seed: int,
    form: Form,
) -> str:
    """Write samples as `samples.npz` and `samples.parquet`, and `preview.png` to look at.

    Both files say that their samples were generated, so that a copy is not taken for real data. The
    table has a column for each of the vector's and one of labels.

    Args:
        folder: Where to; made if need be.
        labels: The W classes.
        samples: (W, n, D), as `to_samples` gives them.
        support: (W, K, D), what was adapted to, the same.
        seed: What they were drawn with.
        form: Theirs.

    Returns:
        What was written, for people.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.asarray(samples, np.float32).reshape(-1, form.shape[0])
    named = [label for label, own in zip(labels, samples, strict=True) for _ in range(len(own))]
    columns = drawn_columns(form)
    arrays: dict[str, Any] = {
        "x": rows,
        "y": np.array(named, np.str_),
        "domain": np.array([GENERATED] * len(named), np.str_),
        "columns": np.array(columns, np.str_),
        GENERATED: np.array(True),
    }
    np.savez(folder / NPZ, **arrays)
    (folder / TABLE).write_bytes(_table(rows, named, columns, seed))
    shown = [
        [np.asarray(support[i][:5]), np.asarray(samples[i][:12])]
        for i in range(min(len(labels), _MAX_CLASSES_SHOWN))
    ]
    (folder / PREVIEW).write_bytes(look(shown, form, labels))
    return f"{NPZ}, {TABLE}, {PREVIEW}"


def _table(
    rows: NDArray[np.float32], labels: Sequence[str], columns: Sequence[str], seed: int
) -> bytes:
    """A Parquet file with one column for each of the vector's, and the labels."""
    # A vector's own column may be called like that of labels.
    label = _LABEL if _LABEL not in columns else f"{_LABEL} (class)"
    arrays = [pa.array(rows[:, index]) for index in range(len(columns))]
    schema = pa.schema(
        [*((name, pa.float32()) for name in columns), (label, pa.string())],
        metadata={"metagan": json.dumps({"generated": True, "seed": seed})},
    )
    table = pa.Table.from_arrays([*arrays, pa.array(labels, pa.string())], schema=schema)
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()
