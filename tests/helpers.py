"""Small data sets, settings and looks at processes that tests share."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from metagan.config.learning import GanConfig, InnerConfig, OuterConfig, WarmupConfig
from metagan.config.settings import RunConfig, TaskConfig
from metagan.data.dataset import ClassRecord, Dataset

#: A run of seconds on the command line; `data.path` is a prepared folder.
TINY_SETTINGS = (
    "data.source=arrow",
    "data.image_size=16",
    "gan.width=4",
    "gan.discriminator_width=4",
    "gan.latent_dim=4",
    "task.shots=3",
    "task.num_query=3",
    "inner.batch_size=4",
)


def environment_without_ray() -> dict[str, str]:
    """Variables of this process but Ray's, for a process that has, or starts, a Ray of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    # Workers are 15 nicer than all else unless told, and beside a busy process hardly run: one that
    # imports torch then takes minutes to start.
    return kept | {"RAY_worker_niceness": "0"}


def bars(num_domains: int = 4, classes: int = 4, drawings: int = 10, size: int = 16) -> Dataset:
    """Domains of bright bars: a class is an angle, a drawing is a shift of it."""
    rng = np.random.default_rng(0)
    ys, xs = np.mgrid[:size, :size] - (size - 1) / 2
    samples: dict[ClassRecord, list[np.ndarray]] = {}
    for domain in range(num_domains):
        for label in range(classes):
            angle = np.pi * (label + domain / num_domains) / classes
            record = ClassRecord(f"domain{domain}", f"angle{label}")
            samples[record] = []
            for _ in range(drawings):
                shift, width = rng.uniform(-2, 2), rng.uniform(1.0, 2.0)
                distance = np.abs(xs * np.sin(angle) - ys * np.cos(angle) + shift)
                image = np.clip(255 * (width + 0.5 - distance), 0, 255).astype(np.uint8)
                samples[record].append(image[None])
    return Dataset.from_classes(samples)


def clouds(num_domains: int = 4, classes: int = 4, rows: int = 10, columns: int = 5) -> Dataset:
    """Domains of vectors: a class is a place, a domain has units of its own."""
    rng = np.random.default_rng(0)
    samples: dict[ClassRecord, np.ndarray] = {}
    for domain in range(num_domains):
        units = rng.uniform(0.5, 2.0, columns) * 10.0 ** np.arange(columns)
        for label in range(classes):
            place = rng.normal(0, 3, columns)
            drawn = place + rng.normal(0, 1, (rows, columns))
            samples[ClassRecord(f"domain{domain}", f"place{label}")] = drawn * units
    return Dataset.from_classes(samples, kind="vector")


def write_table(path: Path, data: Dataset) -> Path:
    """Vectors as a CSV file: domain, label, and a column c0, c1, ... for each value."""
    names = [f"c{number}" for number in range(data.sample_shape[0])]
    lines = [",".join(["domain", "label", *names])]
    for index, record in enumerate(data.classes):
        for row in data.class_samples(index):
            lines.append(",".join([record.domain, record.label, *(f"{x:.7g}" for x in row)]))
    path.write_text("\n".join(lines) + "\n")
    return path


def small_data(kind: str) -> Dataset:
    """A data set of four domains, of any kind of sample."""
    return {"image": bars, "vector": clouds}[kind]()


def tiny_config(kind: str = "image", **sections: object) -> RunConfig:
    """A run of seconds: small samples, narrow networks, two inner steps."""
    data: dict[str, object] = {
        "image": {"image_size": 16},
        "vector": {"kind": "vector", "path": "clouds.npz"},
    }[kind]
    sections["data"] = {**data, **cast(Mapping[str, object], sections.get("data", {}))}
    values: dict[str, object] = {
        "task": TaskConfig(shots=3, num_query=3),
        "gan": GanConfig(width=4, discriminator_width=4, latent_dim=4),
        "inner": InnerConfig(steps=2, batch_size=4, lr=1e-2, optimizer="sgd"),
        "outer": OuterConfig(steps=3, meta_batch_size=4, episodes_per_chunk=2),
        "warmup": WarmupConfig(),
    }
    return RunConfig.model_validate(values | sections, strict=False)


def write_pictures(folder: Path, data: Dataset, *, turned: bool = False) -> Path:
    """A data set as folders domain/class/NN.png, dark on white if `turned`."""
    for index, record in enumerate(data.classes):
        place = folder / record.domain / record.label
        place.mkdir(parents=True, exist_ok=True)
        for number, sample in enumerate(data.class_samples(index)):
            Image.fromarray(255 - sample[0] if turned else sample[0]).save(
                place / f"{number:02d}.png"
            )
    return folder


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder: contents of files, None for folders."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }


def descendants(pid: int) -> Iterator[int]:
    """Processes started by a process, or by those."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # It ended meanwhile.
            fields = status.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            yield child
            waiting.append(child)


def files_with(words: list[str], *folders: Path) -> list[str]:
    """Files that hold one of these words; sockets and pipes are passed over."""
    return [
        str(path)
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
        if any(word.encode() in path.read_bytes() for word in words)
    ]


def used_memory() -> float:
    """Share of this machine's memory that is in use."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    kilobytes = {words[0]: int(words[1]) for words in lines}
    return 1 - kilobytes["MemAvailable:"] / kilobytes["MemTotal:"]


def take_memory() -> None:
    """Take more and more memory and keep it, but never the last tenth."""
    taken = []
    while used_memory() < 0.9:
        taken.append(b"x" * 2**27)
        time.sleep(0.01)
