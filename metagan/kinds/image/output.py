"""Pictures for people and for other programs: sheets, picture files and a Parquet table."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

from metagan.data.form import Form
from metagan.kinds.image.fill import missing_methods
from metagan.kinds.image.pictures import Pictures, grid, png_bytes
from metagan.kinds.image.reading.record import Reading
from metagan.kinds.image.taken import hides

_IN_GRID = 40
_SWAPPED = {
    "adapt": "dark and bright are swapped here, and swapped back in what is generated",
    "generate": "dark and bright as in your pictures",
    "export": "the network reads and draws pictures with dark and bright swapped: give it -x, and "
    "swap what it draws back",
}


def look(rows: Sequence[Sequence[Pictures]], form: Form) -> bytes:  # noqa: ARG001 - as drawn
    """Rows of groups of pictures as one PNG; see `grid`."""
    return png_bytes(grid(rows))


def write(
    folder: Path,
    labels: Sequence[str],
    pictures: Pictures,
    support: Pictures,
    seed: int,
    form: Form,  # noqa: ARG001 - pictures come as their owner's are
) -> str:
    """Write one sub-folder of PNG per class, `grid.png` and `samples.parquet`.

    Every picture's file says that it was generated, so that a copy is not taken for real data.
    The table has the Hugging Face image layout: image struct<bytes, path>, label, label name.

    Args:
        folder: Where; it is new.
        labels: Names of the classes.
        pictures: (W, n, C, H, W), as their owner's look.
        support: (W, K, C, H, W), what was adapted to, the same.
        seed: By which they were drawn.
        form: Of the pictures.

    Returns:
        What was written, for people.
    """
    rows: list[dict[str, object]] = []
    for index, label in enumerate(labels):
        own = folder / label.replace("/", "_")
        own.mkdir(parents=True)
        for number, picture in enumerate(pictures[index]):
            encoded = png_bytes(picture, is_generated=True)
            path = own / f"{number:05d}.png"
            path.write_bytes(encoded)
            relative = str(path.relative_to(folder))
            rows.append({"image": {"bytes": encoded, "path": relative}, "label": index})
    (folder / "samples.parquet").write_bytes(_table(rows, labels, seed))
    shown = [
        [given[:5], drawn[:12]]
        for given, drawn in zip(support[:_IN_GRID], pictures[:_IN_GRID], strict=True)
    ]
    (folder / "grid.png").write_bytes(png_bytes(grid(shown), is_generated=True))
    return "a folder per class, grid.png, samples.parquet"


def remark(form: Form, use: str) -> str:
    """How pictures outside of the program differ from what networks take and draw, if they do.

    Args:
        form: Of the pictures.
        use: The command: adapt, generate, evaluate or export.
    """
    remarks = []
    if Reading.of_form(form).inverted and use in _SWAPPED:
        remarks.append(_SWAPPED[use])
    if hides(form):
        if use == "export":
            remarks.append(
                "its input is a picture that is -1 where it is hidden, and behind it a channel "
                "that is 1 there, else -1"
            )
        elif use == "evaluate" and (missing := missing_methods()):
            remarks.append(
                f"{' and '.join(missing)} not measured: pip install 'metagan[inpainting]'"
            )
    return "; ".join(remarks)


def _table(rows: list[dict[str, object]], labels: Sequence[str], seed: int) -> bytes:
    features = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": list(labels)},
    }
    schema = pa.schema(
        [
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("label", pa.int64()),
        ],
        metadata={
            "huggingface": json.dumps({"info": {"features": features}}),
            "metagan": json.dumps({"generated": True, "seed": seed}),
        },
    )
    stream = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows, schema=schema), stream)
    return stream.getvalue()
