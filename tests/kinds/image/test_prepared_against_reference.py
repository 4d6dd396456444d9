"""Prepared and cached data of every source are what a slow reader finds in the files."""

import csv
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metagan.data.arrow import prepare
from metagan.data.cache import open_dataset
from metagan.data.registry import load_dataset
from tests.kinds.image.agreement import DEEP, assert_same, drawings, file, pixels
from tests.kinds.image.matrix import deep_variants, lossy_variants, other_variants
from tests.kinds.image.picture_writers import idx
from tests.kinds.image.pictures import settings, write
from tests.reference import reader


def folders(root):
    kinds = {"train/forms": other_variants, "train/photos": lossy_variants}
    kinds["test/deep"] = deep_variants
    files = {
        f"{folder}/{variant.name}/{seed}{variant.ending}": variant.encoded
        for folder, variants in kinds.items()
        for seed in range(2)
        for variant in variants(seed)
    }
    splits, levels = {"train": "train", "test": "test"}, ["split", "domain", "label"]
    found = reader.read_files(write(root, files))
    return root, reader.records_of_files(found, levels, "", splits)


def archive(root):
    root.mkdir()
    with zipfile.ZipFile(root / "signs.zip", "w") as out:
        for number in range(8):
            out.writestr(f"{'ab'[number % 2]}/ж{'cd'[number // 4]}/{number}.png", file(number))
    found = reader.read_files(root / "signs.zip")
    return root / "signs.zip", reader.records_of_files(found, ["domain", "label"])


def manifest(root):
    rows = [(f"{n}.png", f"d{n % 2}", f"é{n // 4}", ("train", "test")[n % 2]) for n in range(8)]
    write(root, {name: file(n) for n, (name, *_) in enumerate(rows)})
    with (root / "metadata.csv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([("file_name", "domain", "label", "split"), *rows])
    return root, reader.records_of_csv(root / "metadata.csv")


def parquet(root):
    root.mkdir()
    labels = ["a", "b"] * 4
    table = pa.table(
        {"image": list(map(file, range(8))), "label": labels, "domain": list("xxxxyyyy")}
    )
    pq.write_table(table, root / "set.parquet")
    return root, reader.records_of_parquet(root / "set.parquet")


def npz(root):
    root.mkdir()
    images = np.stack([np.resize(pixels(n), (13, 9)) for n in range(8)]).astype(">u2") * 257
    saved, records = {}, []
    for part, labels, split in (
        (images[:4], [0, 1] * 2, "train"),
        (images[4:], [2, 3] * 2, "test"),
    ):
        saved |= {f"{split}_images": part, f"{split}_labels": labels}
        records += reader.records_of_arrays(part, labels, "signs", split, white=65535)
    np.savez(root / "signs.npz", **saved)
    return root / "signs.npz", records


def mnist(root):
    images = np.stack([np.resize(pixels(n), (13, 9)) for n in range(8)])
    labels = np.array([0, 1, 2, 3] * 2, np.uint8)
    write(root, {"t10k-images-idx3-ubyte": idx(images), "t10k-labels-idx1-ubyte": idx(labels)})
    return root, reader.records_of_arrays(images, labels, root.name)


def omniglot(root):
    records = []
    for seed, (part, split) in enumerate([("background", "train"), ("evaluation", "test")]):
        files, shown = drawings(f"images_{part}", [f"Alphabet {part}"], seed)
        write(root, files)
        places = {name: name.split("/")[1:3] for name in shown}
        records += [reader.Record(*places[name], split, raw) for name, raw in shown.items()]
    return root, records


SOURCES = (folders, archive, manifest, parquet, npz, mnist, omniglot)


@pytest.mark.parametrize("options", [{}, {"channels": 3, "invert": True}])
@pytest.mark.parametrize("make", SOURCES)
def test_prepared_and_cached_data_are_the_files_read_directly(tmp_path, make, options):
    path, records = make(tmp_path / "set")
    config = settings(path, cache_dir=str(tmp_path / "cache"), **options)
    inverted = {"invert": not options.get("invert")} if make is omniglot else {}
    expected = reader.dataset(records, **{**options, **inverted})

    direct = load_dataset(config)
    first, second = open_dataset(config), open_dataset(config)
    folder = prepare(direct, tmp_path / "prepared")
    plain = {name: value for name, value in options.items() if name != "invert"}
    prepared = load_dataset(settings(folder, "arrow", **plain))
    for data in (direct, first, second, prepared):
        assert_same(data, expected, tolerance=DEEP if make is folders else 0)
        assert data.notes == direct.notes
        assert data.fingerprint() == direct.fingerprint()
    assert dict(first.origin) == dict(second.origin) == dict(direct.origin)
    assert dict(prepared.origin) == {**direct.origin, "prepared": str(folder)}
    assert second.samples.flags.owndata is False
