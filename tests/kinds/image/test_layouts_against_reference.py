"""Every layout of folders in every container, read by the product and by a slow reader."""

import io
import shutil
import tarfile
import zipfile

import pytest

from metagan.data.registry import load_dataset
from metagan.kinds.image.reading.record import Reading
from metagan.workflow.adapt import read_support
from tests.kinds.image.agreement import DEEP, assert_same, file, record
from tests.kinds.image.matrix import deep_variants, lossy_variants, other_variants
from tests.kinds.image.pictures import settings, write
from tests.reference import reader

DOMAINS = {"latin": "train", "Ελληνικά": "test", "кириллица": "validation"}
LABELS = ("a", "b c", "ж", "7")
ODD = (
    *("0", "00", "1.0", "nan", "None", "-x", "a.b", "a'b\"c", "#1", "50%", "x&y", "[z]", "{q}"),
    *("a=b", "~t", "x;y", "日本", "🙂", "שלום", "e\u0301t\u00e9", "A B  C", "con", "ÄÖ", "$HOME"),
    *(" first", "last ", "dot.", "tab\tin", "zero\u200bwidth", "nbsp\xa0in", "長" * 60, "y" * 150),
)
SPLITS = {
    "published": {"train": "train", "val": "validation", "test": "test"},
    "capitals": {"Training_Set": "train", "VALID": "validation", "test-images": "test"},
    "few-shot": {"base": "train", "val": "validation", "novel": "test"},
    "years": {"train2017": "train", "val2017": "validation", "test2017": "test"},
}


def held_out_domains():
    return [(split, domain, label) for domain, split in DOMAINS.items() for label in LABELS]


def held_out_classes():
    parts = ("train", "train", "validation", "test")
    return [(split, None, label) for split, label in zip(parts, LABELS, strict=True)]


def divided_classes():
    return [(split, None, label) for split in DOMAINS.values() for label in LABELS]


def classes_in_domains():
    """Each domain's classes, some in every part."""
    parts = ("train", "train", "validation", "test")
    return [
        (split, domain, label)
        for domain in DOMAINS
        for split, label in zip(parts, LABELS, strict=True)
    ]


def divided_in_domains():
    return [(s, domain, label) for s in DOMAINS.values() for domain in DOMAINS for label in LABELS]


def odd_domains():
    return [(None, domain, label) for domain in ODD for label in "xy"]


# Name: the path of a class's folder, its levels, the classes, and how the splits are called.
LAYOUTS = {
    "classes": ("{label}", held_out_classes(), None),
    "domains": ("{domain}/{label}", held_out_domains(), None),
    "odd classes": ("{label}", [(None, None, label) for label in ODD], None),
    "odd domains": ("{domain}/{label}", odd_domains(), None),
    "odd around": ("[my] set/{domain}/{label}", odd_domains(), None),
    "class and images": ("{label}/images", held_out_classes(), None),
    "domain, class and img": ("{domain}/{label}/IMG", held_out_domains(), None),
    "around domains": ("Release v1.2/{domain}/{label}", held_out_domains(), None),
    "two around": ("Release v1.2/data/{domain}/{label}", held_out_domains(), None),
    "images around classes": ("images/{label}", held_out_classes(), None),
    "split of domains": ("{split}/{domain}/{label}", held_out_domains(), "published"),
    "split of classes": ("{split}/{label}", held_out_classes(), "published"),
    "split of samples": ("{split}/{label}", divided_classes(), "published"),
    "split of classes in domains": ("{split}/{domain}/{label}", classes_in_domains(), "published"),
    "split of samples of domains": ("{split}/{domain}/{label}", divided_in_domains(), "published"),
    "split in domains": ("{domain}/{split}/{label}", classes_in_domains(), "published"),
    "split of samples in domains": ("{domain}/{split}/{label}", divided_in_domains(), "published"),
    "split in domains, images": ("{domain}/{split}/{label}/img", classes_in_domains(), "years"),
    "base and novel": ("{split}/{label}", held_out_classes(), "few-shot"),
    "base and novel domains": ("{split}/{domain}/{label}", held_out_domains(), "few-shot"),
    "capitals": ("{split}/{label}/images", held_out_classes(), "capitals"),
    "years": ("around/{split}/{domain}/{label}", held_out_domains(), "years"),
    "images, split, class": ("images/{split}/{label}", held_out_classes(), "published"),
}


def placed(layout, root="signs"):
    """{path: number of its picture}, what was written, and what the levels of folders are."""
    template, classes, spelling = LAYOUTS[layout]
    names = {split: name for name, split in SPLITS.get(spelling, {}).items()}
    files, written = {}, {}
    for split, domain, label in classes:
        folder = template.format(split=names.get(split), domain=domain, label=label)
        for _ in range(2):
            number = len(files)
            name = f"{folder}/{number:03}.png"
            known = split if "{split}" in template else None
            named = [reader.folder_name(name) for name in (domain or root, label)]
            files[name], written[name] = number, record(*named, known, number)
    ordered = [written[name] for name in sorted(written, key=lambda name: name.split("/"))]
    words = {"{split}": "split", "{domain}": "domain", "{label}": "label"}
    return files, ordered, [words.get(part, "") for part in template.split("/")]


def packed(path, entries):
    """(name, number of a picture) in the container that the path's ending names."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, number in entries:
                archive.writestr(name, file(number))
        return path
    with tarfile.open(path, f"w:{path.suffix[1:].replace('tar', '')}") as archive:
        for name, number in entries:
            member = tarfile.TarInfo(f"./{name}" if path.suffix == ".tar" else name)
            member.size = len(file(number))
            archive.addfile(member, io.BytesIO(file(number)))
    return path


@pytest.mark.parametrize("form", ["", ".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_what_was_written_in_every_container(tmp_path, layout, form):
    files, written, levels = placed(layout)
    path = tmp_path / f"signs{form}"
    if form:
        # In an order of its own.
        packed(path, sorted(files.items(), key=lambda entry: entry[0][::-1]))
    else:
        write(path, {name: file(number) for name, number in files.items()})
    found = {name.removeprefix("./"): content for name, content in reader.read_files(path).items()}
    splits = SPLITS.get(LAYOUTS[layout][2])
    expected = reader.dataset(reader.records_of_files(found, levels, "signs", splits))
    assert_same(expected, reader.dataset(written))
    assert_same(load_dataset(settings(path)), expected)


def test_folders_below_a_class_belong_to_it(tmp_path):
    classes = [(domain, label) for domain in DOMAINS for label in LABELS]
    files = {}
    for domain, label in classes:
        for inner in ("", "session 1/", "session 2/day 3/"):
            files[f"{domain}/{label}/{inner}x.png"] = len(files)
    path = write(tmp_path / "signs", {name: file(number) for name, number in files.items()})
    records = reader.records_of_files(reader.read_files(path), ["domain", "label"])
    ordered = sorted(files, key=lambda name: name.split("/"))
    written = [record(*name.split("/")[:2], None, files[name]) for name in ordered]
    assert_same(reader.dataset(records), reader.dataset(written))
    assert_same(load_dataset(settings(path)), reader.dataset(records))


@pytest.mark.parametrize("split", ["", "train"])
def test_a_folder_of_archives_is_read_as_if_each_were_unpacked(tmp_path, split):
    (tmp_path / "set" / split).mkdir(parents=True)
    written = []
    for domain, ending in zip(DOMAINS, (".zip", ".tar", ".tar.gz"), strict=True):
        files = {f"{label}/{i}.png": i for i, label in enumerate(LABELS, start=len(written))}
        packed(tmp_path / "set" / split / f"{domain}{ending}", files.items())
        written += [record(domain, label, None, len(written) + i) for i, label in enumerate(LABELS)]
    assert_same(load_dataset(settings(tmp_path / "set")), reader.dataset(written))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("form", [".zip", ".tar", ".tar.gz"])
def test_of_a_file_that_is_packed_twice_the_later_counts_as_unpacking_leaves_it(tmp_path, form):
    path = tmp_path / f"signs{form}"
    again = [("a/0.png", 0), ("b/0.png", 1), ("a/1.png", 2), ("a/0.png", 3), ("./b/0.png", 4)]
    packed(path, again)
    expected = reader.dataset(
        [record("signs", label, None, number) for label, number in (("a", 3), ("a", 2), ("b", 4))]
    )
    assert_same(load_dataset(settings(path)), expected)
    shutil.unpack_archive(path, tmp_path / "signs")
    assert_same(load_dataset(settings(tmp_path / "signs")), expected)
    support, _ = read_support(path, Reading(16, 1).form())
    assert_same({("signs", label): (None, found) for label, found in support.items()}, expected)


@pytest.mark.parametrize("options", [{}, {"channels": 3, "invert": True}])
def test_examples_are_read_as_the_data_are(tmp_path, options):
    families = (deep_variants, lossy_variants, other_variants)
    variants = [variant for family in families for variant in family(3)]
    path = write(tmp_path / "signs", {f"{v.name}/0{v.ending}": v.encoded for v in variants})
    reading = Reading(16, options.get("channels", 1), options.get("invert", False))
    support, _ = read_support(path, reading.form())
    found = {("signs", label): (None, list(samples)) for label, samples in support.items()}
    records = reader.records_of_files(reader.read_files(path), ["label"], "signs")
    assert_same(found, reader.dataset(records, **options), tolerance=DEEP)
