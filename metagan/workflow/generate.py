"""Draw samples from an adapted GAN into picture files and a Parquet table."""

import io
import json
import shutil
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

from metagan.evaluate.target import generate_samples
from metagan.files import is_there
from metagan.kinds.image.convert import to_uint8
from metagan.kinds.image.pictures import Pictures, grid, png_bytes
from metagan.runs.run_folder import RunError
from metagan.workflow.adapt import AdaptedGan


def generate_pictures(adapted: AdaptedGan, *, num: int, seed: int, best_of: int = 1) -> Pictures:
    """`num` pictures of every class, (W, num, C, H, W'), spread evenly over the support.

    They look like the pictures that were adapted to: where dark and bright were swapped on the way
    in, they are swapped back. Each is the best of `best_of` by the discriminator's score.
    """
    shots = adapted.target.support.shape[1]
    per_support = -(-num // shots)
    samples = generate_samples(
        adapted.gan, adapted.target, per_support=per_support, seed=seed, best_of=best_of
    )
    # Every support sample in turn, so that a small `num` does not continue only the first.
    by_support = samples.reshape(len(samples), shots, per_support, *samples.shape[2:])
    spread = by_support.transpose(1, 2).flatten(1, 2)
    return adapted.reading.given_back(to_uint8(spread[:, :num]))


def write_samples(out: Path, adapted: AdaptedGan, pictures: Pictures, *, seed: int) -> None:
    """Write one sub-folder of PNG per class, `grid.png` and `samples.parquet`, all or nothing.

    Every picture's file says that it was generated, so that a copy is not taken for real data.
    The table has the Hugging Face image layout: image struct<bytes, path>, label, label name.

    Raises:
        RunError: If `out` exists.
    """
    if is_there(out, f"--out {out}", RunError):
        raise RunError(f"--out {out} exists already; choose another folder or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = out.parent / f".{out.name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        rows = []
        for index, label in enumerate(adapted.labels):
            folder = staging / label.replace("/", "_")
            folder.mkdir(parents=True)
            for number, picture in enumerate(pictures[index]):
                encoded = png_bytes(picture, is_generated=True)
                path = folder / f"{number:05d}.png"
                path.write_bytes(encoded)
                relative = str(path.relative_to(staging))
                rows.append({"image": {"bytes": encoded, "path": relative}, "label": index})
        (staging / "samples.parquet").write_bytes(_table(rows, adapted.labels, seed))
        shown = [
            [adapted.reading.given_back(to_uint8(adapted.target.support[i][:5])), pictures[i][:12]]
            for i in range(min(len(adapted.labels), 40))
        ]
        (staging / "grid.png").write_bytes(png_bytes(grid(shown), is_generated=True))
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _table(rows: list[dict[str, object]], labels: tuple[str, ...], seed: int) -> bytes:
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
