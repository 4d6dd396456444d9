"""Small pictures and files that the tests of sources share."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from metagan.config.image import ImageData


def noise(seed=0, size=20, channels=1):
    """(size, size) or (size, size, channels) random uint8."""
    shape = (size, size) if channels == 1 else (size, size, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encode(image, file_format="PNG", **options):
    """Bytes of an array or Pillow image."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def png(seed=0, size=20, channels=1):
    """A PNG that differs for every seed."""
    return encode(noise(seed, size, channels))


def write(root: Path, files: dict[str, bytes]) -> Path:
    """Write files below a folder, which is returned."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def three_forms(root: Path) -> list[Path]:
    """A folder, and the same as a zip and a tar beside it that are called alike."""
    forms = [root, root.with_name(f"{root.name}.zip"), root.with_name(f"{root.name}.tar.gz")]
    with zipfile.ZipFile(forms[1], "w") as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, path.relative_to(root))
    with tarfile.open(forms[2], "w:gz") as archive:
        for path in sorted(root.rglob("*"), reverse=True):
            archive.add(path, path.relative_to(root), recursive=False)
    return forms


def settings(path, source="auto", **changes):
    """Settings of the data section for tests, 16 pixels."""
    return ImageData(source=source, path=str(path), **{"image_size": 16, **changes})


def seeds_of(dataset, most=100):
    """{(domain, label, split): seeds}, of pictures made by `noise(seed, 16)`; others are None."""
    known = {noise(seed, 16).tobytes(): seed for seed in range(most)}
    return {
        (record.domain, record.label, record.split): [
            known.get(sample[0].tobytes()) for sample in dataset.class_samples(index)
        ]
        for index, record in enumerate(dataset.classes)
    }
