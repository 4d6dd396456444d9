"""Inputs of a user's pictures: made from the examples, or read from files that hold inputs alone.

Shapes: N pictures, C channels, S x S pixels.
"""

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor

from metagan.data.dataset import DataError, Samples
from metagan.data.form import Form
from metagan.kinds.image.convert import to_float
from metagan.kinds.image.reading.collect import scale_deep
from metagan.kinds.image.reading.record import Reading
from metagan.kinds.image.support import decode_files
from metagan.kinds.image.taken import REDUCED, hides, take, taken_of
from metagan.kinds.kind import Support

_OPAQUE: Final = 255


def form_of_inputs(form: Form) -> Form:
    """The form of inputs that lie alone: as files show them, small ones not enlarged."""
    return Form(form.kind, form.given)


def inputs_of(pictures: Samples, form: Form, seed: int) -> Tensor:
    """The inputs (..., *form.given) that are made from stored pictures (..., C, S, S).

    Args:
        pictures: uint8.
        form: Theirs.
        seed: Names the masks.
    """
    places = pictures.shape[:-3]
    flat = to_float(pictures).reshape(-1, *pictures.shape[-3:])
    return take(flat, form, ((seed, i) for i in range(len(flat)))).reshape(*places, *form.given)


def read_inputs(path: Path, form: Form) -> tuple[Support, list[str]]:
    """Pictures from which something is taken away already.

    Where a part is hidden, it is transparent. Of pictures in colour the brightness is read where
    colour is to be drawn, and pictures of any size are made small where detail is.

    Args:
        path: Picture, folder or archive.
        form: Of the run's pictures.

    Returns:
        {file: (1, C', S', S') uint8}, and notes on files that could not be read.

    Raises:
        DataError: If nothing could be read, or nothing or all of a picture is hidden.
    """
    reading, taken, where = Reading.of_form(form), taken_of(form), f"--inputs {path}"
    if taken == "grey":
        reading = replace(reading, channels=1)
    elif taken == "small":
        reading = replace(reading, image_size=reading.image_size // REDUCED)
    files, notes = decode_files(path, reading, where)
    readable = [(file, picture.pixels) for file, picture in files if picture.pixels is not None]
    pictures, _, more = scale_deep([pixels for _, pixels in readable], reading.whites, where)
    if hides(form):
        pictures = [
            _with_hidden(picture, file.content or b"", f"{where}: {file.name}")
            for (file, _), picture in zip(readable, pictures, strict=True)
        ]
    stems = [str(Path(file.name).with_suffix("")) for file, _ in readable]
    twice = {stem for stem, times in Counter(stems).items() if times > 1}
    labels = [
        file.name if stem in twice else stem
        for (file, _), stem in zip(readable, stems, strict=True)
    ]
    found = {label: picture[None] for label, picture in zip(labels, pictures, strict=True)}
    return Support(found, form_of_inputs(form)), [*more, *notes]


def _with_hidden(picture: Samples, encoded: bytes, name: str) -> NDArray[np.uint8]:
    """A picture (C, S, S) that is black where its file is transparent, and where that is.

    Raises:
        DataError: If that is nowhere or everywhere.
    """
    hidden = _transparent(encoded, picture.shape[-1])
    if hidden.all():
        raise DataError(
            f"{name}: all of it is transparent, so that nothing shows what belongs there"
        )
    if not hidden.any():
        raise DataError(
            f"{name}: no part of it is hidden; make transparent what is to be filled in, and save "
            "it as PNG or WebP"
        )
    return np.concatenate([np.where(hidden, 0, picture), hidden[None] * _OPAQUE]).astype(np.uint8)


def _transparent(encoded: bytes, size: int) -> NDArray[np.bool_]:
    """(S, S), where a file's picture is transparent, were it only in part."""
    with Image.open(io.BytesIO(encoded)) as image:
        if not image.has_transparency_data:
            return np.zeros((size, size), np.bool_)
        opacity = ImageOps.exif_transpose(image).convert("RGBA").getchannel("A")
    clear = opacity.point([_OPAQUE] * _OPAQUE + [0])
    if clear.size != (size, size):
        # What lies beside it has taken some of the background when the picture was resized.
        clear = clear.resize((size, size), Image.Resampling.BOX).point([0] + [_OPAQUE] * _OPAQUE)
        clear = clear.filter(ImageFilter.MaxFilter(3))
    return np.asarray(clear) > 0
