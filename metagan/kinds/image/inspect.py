"""Words and a sheet of `metagan data inspect` about pictures.

Shapes: C channels, H x W pixels.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from metagan.data.dataset import DataError, Dataset
from metagan.data.reader import Looks
from metagan.kinds.image.pictures import write_png
from metagan.kinds.image.reading.looks import DomainLooks, look_at
from metagan.words import printable


def describe(dataset: Dataset, repeats: Mapping[int, int]) -> Looks:
    """The levels of every domain, and what share of its pictures is out of the usual.

    Args:
        dataset: Pictures; every one is read.
        repeats: How many pictures of each class repeat an earlier one of it.
    """
    sizes = str(dataset.origin.get("sizes", ""))
    return Looks(
        {domain: _in_words(looks) for domain, looks in look_at(dataset, repeats).items()},
        (f"sizes as stored: {sizes}",) if sizes else (),
    )


def _in_words(looks: DomainLooks) -> str:
    """`levels 0..255, median 12; 30 % colour`."""
    shares = {
        "in colour": looks.colour,
        "blank": looks.blank,
        "transparent": looks.transparent,
        "above 8 bits": looks.deep,
        "duplicate": looks.duplicates,
    }
    told = [f"{_percent(n, looks.pictures)} {what}" for what, n in shares.items() if n]
    levels = f"levels {looks.darkest}..{looks.brightest}, median {looks.median}"
    return "; ".join([levels, *told])


def _percent(part: int, whole: int) -> str:
    """A share that never rounds to none or all."""
    share = 100 * part / whole
    if part and share < 1:
        return "under 1 %"
    return f"{share:.0f} %" if part == whole or share < 99.5 else "over 99 %"


def contact_sheet(
    dataset: Dataset,
    path: Path,
    *,
    classes_per_domain: int = 12,
    samples_per_class: int = 3,
    zoom: int = 2,
) -> Path:
    """Write a PNG with a band per domain: some of its classes side by side, samples below.

    Classes are spread evenly over the domain's list, so that the sheet is the same every time.

    Args:
        dataset: Images.
        path: The file; its folder is made if need be.
        classes_per_domain: Columns, at most.
        samples_per_class: Rows of a band, at most.
        zoom: Screen pixels per pixel.

    Returns:
        The file.

    Raises:
        DataError: If the samples are no images of one or three channels.
    """
    if dataset.kind != "image" or dataset.sample_shape[0] not in (1, 3):
        raise DataError(f"a contact sheet needs images, not {dataset.kind} {dataset.sample_shape}")
    bands = [
        _band(dataset, domain, classes_per_domain, samples_per_class).repeat(zoom, 0)
        for domain in dataset.domains
    ]
    bands = [band.repeat(zoom, 1) for band in bands]
    font = ImageFont.load_default(12)
    names = [printable(domain) for domain in dataset.domains]
    margin = round(max(font.getlength(name) for name in names)) + 12
    gap = 6
    size = (
        margin + max(band.shape[1] for band in bands) + gap,
        gap + sum(band.shape[0] + gap for band in bands),
    )
    sheet = Image.new("RGB", size, (48, 48, 48))
    pen = ImageDraw.Draw(sheet)
    top = gap
    for name, band in zip(names, bands, strict=True):
        pen.text((6, top + band.shape[0] // 2), name, font=font, fill=(230, 230, 230), anchor="lm")
        sheet.paste(Image.fromarray(band), (margin, top))
        top += band.shape[0] + gap
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, np.asarray(sheet))
    return path


def _band(dataset: Dataset, domain: str, num_classes: int, num_samples: int) -> NDArray[np.uint8]:
    """A domain's classes as columns, (rows H, columns W, 3); dark where a class has fewer."""
    indices = np.array(dataset.classes_of(domain))
    num_columns = min(num_classes, len(indices))
    chosen = indices[np.linspace(0, len(indices) - 1, num_columns).round().astype(int)]
    _, height, width = dataset.sample_shape
    num_rows = min(num_samples, max(dataset.count(int(index)) for index in chosen))
    band = np.zeros((num_rows, height, num_columns, width, 3), np.uint8)
    for column, index in enumerate(chosen):
        for row, sample in enumerate(dataset.class_samples(int(index))[:num_rows]):
            band[row, :, column] = np.moveaxis(sample, 0, -1)  # one channel spreads over three
    return band.reshape(num_rows * height, num_columns * width, 3)
