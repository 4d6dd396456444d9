"""Pictures inside of the page: as they are on disk, and smaller where they must be."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from metagan.report.load import RunFiles
from metagan.report.values import listing, plural, shorten

# A report stays below 3 MB: base64 makes 4 bytes of 3, and the rest of a page is small.
_ADAPTATION_BYTES = 1_300_000
_PREVIEW_BYTES = 400_000
_MAX_DOMAINS = 12
_MAX_PREVIEWS = 3
_MAX_LABEL = 60
_COLOURS = 64
# What the run writes stays far below; more is not one of its pictures.
_MAX_PIXELS = 40_000_000


class Embedded(NamedTuple):
    """A picture that is part of the page: words above it, and for those who cannot see it."""

    name: str
    alt: str
    png: bytes
    width: int
    height: int

    @property
    def src(self) -> str:
        """The file as an address."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


class Figure(NamedTuple):
    """Pictures beside each other, and labels of their rows, from the top."""

    title: str
    images: Sequence[Embedded]
    rows: Sequence[str] = ()


def adaptation(run: RunFiles) -> list[Figure]:
    """Each unseen domain: given samples, then those generated before and after adaptation."""
    shown = run.adaptation[:_MAX_DOMAINS]
    figures = []
    for picture in shown:
        after = "After adaptation"
        if picture.adapt_steps is not None:
            after += f", {plural(picture.adapt_steps, 'inner step')}"
        words = {
            "Given": "real samples given",
            "Before adaptation": "samples generated before adaptation",
            after: f"samples generated {after.replace('After', 'after')}",
        }
        if len(picture.files) == 1:
            words = {"": listing(picture.rows) or "true answers, drawn before and after adapting"}
        per_row = "one per row" if len(picture.files) == 1 else "one class per row"
        share = _ADAPTATION_BYTES // (len(shown) * len(words))
        images = [
            embed(path, share, name=name, alt=f"{picture.domain}: {alt}, {per_row}")
            for (name, alt), path in zip(words.items(), picture.files, strict=True)
        ]
        found = [image for image in images if image is not None]
        if len(found) == len(images):
            rows = [shorten(label, _MAX_LABEL) for label in picture.rows]
            figures.append(Figure(picture.domain, found, rows))
    return figures


def previews(run: RunFiles) -> list[Figure]:
    """The first, a middle and the last preview of training."""
    found, number = run.previews, _MAX_PREVIEWS
    if len(found) > number:
        found = tuple(found[round(i * (len(found) - 1) / (number - 1))] for i in range(number))
    alt = "real samples, samples generated before and after adaptation, one class per row"
    return [
        Figure(title, [image])
        for step, path in found
        for title in [f"Outer step {step:,}"]
        if (image := embed(path, _PREVIEW_BYTES // number, name="", alt=f"{title}: {alt}"))
    ]


def embed(path: Path, max_bytes: int, *, name: str, alt: str) -> Embedded | None:
    """The picture in a file, of at most `max_bytes`; None if it cannot be read.

    A file that is too large gets fewer pixels - the run draws each several times - and colours.
    """
    try:
        png = path.read_bytes()
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            if image.width * image.height > _MAX_PIXELS:
                return None
            image.load()
            width, height = image.size
            small = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    while len(png) > max_bytes and min(small.size) > 16:
        small = small.reduce(2)
        png = _encode(small)
        if len(png) > max_bytes:
            png = _encode(small.quantize(_COLOURS, Image.Quantize.FASTOCTREE))
    return Embedded(name, alt, png, width, height)


def _encode(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return stream.getvalue()
