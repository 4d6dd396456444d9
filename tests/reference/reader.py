"""A slow, obvious reader of every file format and layout: Pillow, numpy, csv, pyarrow, loops.

It imports nothing of the product and guesses nothing: whoever wrote the files passes what the
product has to find out, such as what each level of folders is. The rules, and who published them:

- Pixels are those that Pillow decodes, but palettes, CMYK, transparency, orientation and depth are
  worked out here: CMYK is (255 - C)(255 - K) / 255; a tRNS key counts in the file's own bits (PNG
  specification, 11.3.2.1); orientations are those of Exif 2.32, 4.6.4 (TIFF 6.0, page 36).
- Transparent pixels become background, black, or white where dark and bright are swapped afterwards
  (docs/data.md, "What is done to a picture"); opacity is not associated with colour.
- Grey is the luma of ITU-R 601, 0.299 R + 0.587 G + 0.114 B, its weights in parts of 65536.
- A picture is squeezed to the square by Pillow's LANCZOS, as it lies on the background, in the
  channels of the result.
- Values of more than 8 bits are divided by white, see `white_of` (docs/data.md): those of files
  after resizing, as floats, which no step between clips; those of arrays before it.
- Accents in names of folders are composed, and what cannot be printed is spelled out (docs/data.md,
  "Names").
- A published split that divides a class's samples, or names one part only, is dropped
  (docs/data.md, "Splits").

Shapes: H x W pixels, N samples, C channels.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import struct
import tarfile
import unicodedata
import zipfile
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
"""What each orientation asks for: rows from the top, columns from the left."""

WORDS = {"val": "validation", "base": "train", "novel": "test"}
"""Words for the parts of a split that are not their names."""


@dataclass(frozen=True)
class Raw:
    """A picture as its file means it, upright, in its stored size.

    Attributes:
        values: (H, W) or (H, W, 3), from black at 0.
        white: The value that is white; None where the file does not say.
        opacity: (H, W) from 0 to 1; None for an opaque picture.
        from_white: The values count from white to black instead.
        largest: The largest value that the file says samples can have; None where it says none.
    """

    values: np.ndarray
    white: float | None = 255
    opacity: np.ndarray | None = None
    from_white: bool = False
    largest: float | None = None

    def turned(self, orientation):
        """The picture after its orientation was applied."""
        turn = TURNS.get(orientation, TURNS[1])
        opacity = None if self.opacity is None else turn(self.opacity)
        return replace(self, values=turn(self.values), opacity=opacity)


@dataclass(frozen=True)
class Record:
    """One sample of a data set: where it belongs, and its picture."""

    domain: str
    label: str
    split: str | None
    raw: Raw


def read_picture(encoded):
    """The picture in a file's bytes."""
    image = Image.open(io.BytesIO(encoded))
    # While it loads a TIFF, Pillow turns it; the bits of its samples are known only before.
    tags = dict(image.tag_v2) if image.format == "TIFF" else {}
    image.load()
    orientation = 1 if image.format == "TIFF" else image.getexif().get(0x0112, 1)
    return _raw(image, encoded, tags).turned(orientation)


def _raw(image, encoded, tags):
    key, mode = image.info.get("transparency"), image.mode
    is_png = image.format == "PNG"
    bits = encoded[24] if is_png else max(tags.get(258, (8,)))
    values = np.asarray(image)
    if mode == "1":
        opacity = None if key is None else values != (key > 0)
        return Raw(values * np.uint8(255), opacity=opacity)
    if mode == "P":
        palette = np.reshape(image.getpalette("RGB"), (-1, 3)).astype(np.uint8)
        alphas = np.full(256, 255)
        if isinstance(key, bytes):
            alphas[: len(key)] = list(key)
        elif key is not None:
            alphas[key] = 0
        return Raw(palette[values], opacity=None if key is None else alphas[values] / 255)
    if mode in ("LA", "RGBA"):
        colour = values[..., 0] if mode == "LA" else values[..., :3]
        return Raw(colour, opacity=values[..., -1] / 255)
    if mode == "CMYK":
        values = values.astype(int)
        light = np.rint((255 - values[..., :3]) * (255 - values[..., 3:]) / 255)
        return Raw(light.astype(np.uint8))
    if mode in ("L", "RGB"):
        if key is None:
            return Raw(values)
        full = 2**bits - 1 if is_png and bits < 8 else 255
        # Of colour in 16 bits Pillow gives the upper 8.
        keys = np.right_shift(key, 8) if bits == 16 else np.multiply(key, 255 // full)
        return Raw(values, opacity=(np.atleast_3d(values) != keys).any(axis=-1))
    white = largest = None
    if image.format == "PPM":
        white = 65535 if _largest_of_pgm(encoded) < 65535 else None  # Pillow scales up to it.
    elif is_png and b"sBIT" in encoded:
        largest = 2 ** encoded[encoded.index(b"sBIT") + 4] - 1
    elif 8 < bits < 16:
        white = 2**bits - 1
    elif tags:
        largest = max((*tags.get(281, ()), *tags.get(341, ())), default=None)
    opacity = None if key is None else values != key
    return Raw(values, white, opacity, tags.get(262) == 0, largest)


def _largest_of_pgm(encoded):
    return int(encoded.split()[3])


def white_of(records, given=None):
    """The value that is white in all deep pictures that do not say so themselves, by kind.

    The one that is given; else, for whole numbers, the largest that the files name where none
    exceeds it, or the smallest of 255, 1023, 4095, 16383 and 65535 that holds the largest value of
    the data set; for floats 1 where none is larger, else 255.
    """
    found = {}
    for kind, scales in (("ui", (255, 1023, 4095, 16383, 65535)), ("f", (1, 255))):
        raws = [record.raw for record in records if record.raw.white is None]
        raws = [raw for raw in raws if raw.values.dtype.kind in kind]
        if raws:
            top = max(raw.values.max() for raw in raws)
            named = max(raw.largest or 0 for raw in raws)
            fits = named if named >= top else min(scale for scale in scales if scale >= top)
            found[kind] = given or fits
    return lambda raw: raw.white or next(v for k, v in found.items() if raw.values.dtype.kind in k)


def sample(raw, white, *, image_size, channels, invert):
    """The sample that a picture becomes, (channels, image_size, image_size) uint8."""
    background = 255 if invert else 0
    levels = raw.values.astype(np.float64) * 255 / white
    if raw.from_white:
        levels = 255 - levels
    deep = raw.values.dtype != np.uint8
    step = (lambda a: a) if deep else np.rint  # Pictures of 8 bits stay whole numbers all the way.
    if raw.opacity is not None:
        opacity = raw.opacity[..., None] if levels.ndim == 3 else raw.opacity
        levels = step(levels * opacity + background * (1 - opacity))
    if levels.ndim == 3 and channels == 1:
        levels = np.floor(levels @ [19595, 38470, 7471] / 65536 + 0.5)  # Halves go up.
    planes = [levels] if levels.ndim == 2 else list(np.moveaxis(levels, -1, 0))
    planes = [_squeezed(plane, image_size, np.float32 if deep else np.uint8) for plane in planes]
    planes = [255 - plane if invert else plane for plane in planes]
    pixels = np.stack(planes * (channels // len(planes)))
    return np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)


def _squeezed(plane, image_size, dtype):
    image = Image.fromarray(plane.astype(dtype))
    if image.size == (image_size, image_size):
        return np.asarray(image)
    return np.asarray(image.resize((image_size, image_size), Image.Resampling.LANCZOS))


def dataset(
    records, *, image_size=16, channels=1, invert=False, white=None, one_part_is_enough=False
):
    """{(domain, label): (split, [samples])} of the records of a data set, in their order."""
    white_for = white_of(records, white)
    samples, splits = defaultdict(list), defaultdict(set)
    for record in records:
        key = record.domain, record.label
        options = {"image_size": image_size, "channels": channels, "invert": invert}
        samples[key].append(sample(record.raw, white_for(record.raw), **options))
        splits[key].add(record.split)
    parts = set().union(*splits.values())
    is_of_classes = all(len(found) == 1 for found in splits.values())
    kept = is_of_classes and (one_part_is_enough or len(parts) > 1)
    return {key: (min(splits[key]) if kept else None, found) for key, found in samples.items()}


def read_files(path):
    """{path below the root: bytes} of a folder, a zip or a tar."""
    path = Path(path)
    if path.is_dir():
        files = [file for file in path.rglob("*") if file.is_file()]
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            return {info.filename: archive.read(info) for info in infos}
    unpack = {".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress}
    content = unpack.get(path.suffix, bytes)(path.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = [member for member in archive if member.isfile()]
        return {member.name: archive.extractfile(member).read() for member in members}


def records_of_files(files, levels, domain="", splits=None):
    """The records of pictures in folders, in the order of their paths.

    Args:
        files: See `read_files`.
        levels: What each level of folders is: "split", "domain", "label" or "" for nothing; what
            lies deeper belongs to its class.
        domain: The name of the one domain where no level is one.
        splits: {name of a folder: split}.
    """
    records = []
    for name in sorted(files, key=lambda name: name.split("/")):
        folders = map(folder_name, name.split("/")[:-1])
        found = dict(zip(levels, folders, strict=False))
        split = (splits or {}).get(found.get("split"))
        raw = read_picture(files[name])
        records.append(Record(found.get("domain", domain), found["label"], split, raw))
    return records


def folder_name(name):
    """The name of a domain or class whose folder is called so."""
    composed = unicodedata.normalize("NFC", name)
    spelled = {char: char.encode("unicode_escape").decode() for char in composed}
    return "".join(char if char.isprintable() else spelled[char] for char in composed)


def records_of_csv(path, *, delimiter=",", encoding="utf-8"):
    """The records of a CSV with the columns file_name, domain, label and perhaps split."""
    with Path(path).open(encoding=encoding, newline="") as file:
        return _records_of_rows(path, csv.DictReader(file, delimiter=delimiter))


def records_of_jsonl(path):
    """The records of JSON Lines with the same keys."""
    with Path(path).open(encoding="utf-8") as file:
        return _records_of_rows(path, [json.loads(line) for line in file])


def _records_of_rows(path, rows):
    return [
        _record_of_row(row, read_picture((Path(path).parent / row["file_name"]).read_bytes()))
        for row in rows
    ]


def _record_of_row(row, raw):
    """A row's values as names: without white space at the ends, numbers as whole ones."""
    domain, label, split = (row.get(column) for column in ("domain", "label", "split"))
    names = [str(int(v) if isinstance(v, float) else v).strip() for v in (domain, label)]
    return Record(*names, WORDS.get(split, split) or None, raw)


def records_of_parquet(path, *, domain=None, split=None, names=None):
    """The records of a Parquet file.

    Args:
        path: The file.
        domain: Where it has no column of that name.
        split: Likewise.
        names: {column: names of its numbers}.
    """
    records = []
    for row in pq.ParquetFile(path).read().to_pylist():
        image = row.pop("image")
        encoded = image["bytes"] if isinstance(image, dict) else image
        row = {"domain": domain, "split": split} | row
        named = {column: found[int(row[column])] for column, found in (names or {}).items()}
        records.append(_record_of_row(row | named, read_picture(encoded)))
    return records


def records_of_arrays(images, labels, domain, split=None, *, white=255):
    """The records of arrays: (N, H, W) or (N, H, W, C) pictures, (N,) or (N, 1) labels.

    Arrays are brought to 8 bits by the white that is given, before anything else is done to them.
    """
    images = np.rint(images.astype(np.float64) * 255 / white).astype(np.uint8)
    return [
        Record(domain, str(label), split, _raw_of_array(pixels))
        for pixels, label in zip(images, np.ravel(labels), strict=True)
    ]


def _raw_of_array(pixels):
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return Raw(pixels)
    if pixels.shape[2] == 1:
        return Raw(pixels[..., 0])
    return Raw(pixels[..., :3], opacity=pixels[..., 3] / 255)


def read_idx(path):
    """The array of an idx file: two zero bytes, type, number of axes; sizes; values."""
    content = Path(path).read_bytes()
    content = gzip.decompress(content) if str(path).endswith(".gz") else content
    types = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
    shape = struct.unpack_from(f">{content[3]}I", content, 4)
    return np.frombuffer(content, types[content[2]], offset=4 + 4 * content[3]).reshape(shape)
