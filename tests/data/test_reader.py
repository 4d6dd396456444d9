"""A kind of sample is a row of functions, by which all of `data` and `runs` go."""

import dataclasses
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from metagan.config.image import ImageData
from metagan.config.settings import TaskConfig
from metagan.data import arrow, cache
from metagan.data.cache import open_dataset
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.data.inspect import format_summary, inspect_dataset
from metagan.data.reader import READERS, Reader, find_reader
from metagan.data.registry import check_data, load_dataset, sources_of
from metagan.data.repeats import Leak, find_leak, find_leak_into, find_repeats
from metagan.data.splits import Splits
from metagan.data.tasks import DatasetTasks
from metagan.runs.places import what_it_is
from tests.data.series import SeriesData


@pytest.mark.parametrize("kind", READERS)
def test_every_row_is_complete(kind: str) -> None:
    reader = find_reader(kind)
    assert reader.word
    assert reader.sources
    assert "arrow" not in reader.sources
    for module in sources_of(reader).values():
        assert find_spec(module) is not None
    for row in reader.sources.values():
        assert row.version >= 1
    functions = {field.name for field in dataclasses.fields(Reader)} - {
        "word",
        "sources",
        "note_words",
        "warned",
    }
    assert all(callable(getattr(reader, name)) for name in functions)


@pytest.mark.parametrize("kind", READERS)
def test_a_row_and_its_sources_import_no_torch(kind: str) -> None:
    code = (
        "import importlib, sys; from metagan.data.reader import find_reader; "
        "from metagan.data.registry import sources_of; "
        f"modules = sources_of(find_reader({kind!r})).values(); "
        "list(map(importlib.import_module, modules)); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_table_imports_no_kind() -> None:
    code = (
        "import sys, metagan.data.cache, metagan.data.inspect, metagan.runs.places; "
        "print([name for name in sys.modules if name.startswith('metagan.kinds')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(DataError, match="'picture'; kinds are image"):
        find_reader("picture")
    with pytest.raises(DataError, match="'series'; kinds are image"):
        Dataset.from_classes({ClassRecord("d", "c"): np.zeros((1, 2, 3))}, kind="series")


@pytest.fixture
def folder(tmp_path: Path, series: str) -> Path:
    """Two domains of two classes of three series; one is twice in its class, one in two domains."""
    values = np.random.default_rng(0).standard_normal((2, 2, 3, 4, 2)).astype(np.float32)
    values[0, 1, 2] = values[0, 1, 0]
    values[1, 0, 1] = values[0, 1, 1]
    folder = tmp_path / series
    for domain, classes in zip(("north", "south"), values, strict=True):
        (folder / domain).mkdir(parents=True)
        for label, samples in zip("ab", classes, strict=True):
            np.save(folder / domain / f"{label}.npy", samples)
    return folder


def settings(folder: Path, **others: object) -> SeriesData:
    values = {"path": str(folder), "cache_dir": str(folder.parent / "cache")}
    return SeriesData.model_validate({**values, **others})


def test_a_kind_of_ones_own_is_read_and_judged_by_its_row(folder: Path) -> None:
    check_data(settings(folder))
    data = load_dataset(settings(folder, gain=2))
    assert (data.kind, data.sample_shape, data.num_classes) == ("series", (4, 2), 4)
    assert data.origin["largest"] == data.samples.max()
    assert data.notes == (
        "blank: gain is 2",
        "duplicates: 1 sample is byte-identical to another one of their class, such as in north/b; "
        "support and query can share them",
        "left out: nothing",
    )
    with pytest.raises(DataError, match="holds no series"):
        check_data(settings(folder.parent))
    with pytest.raises(DataError, match="a series is"):
        Dataset.from_classes({ClassRecord("d", "c"): np.zeros((1, 2))}, kind="series")


def test_its_equal_samples_are_found_in_its_own_words(folder: Path) -> None:
    data = load_dataset(settings(folder))
    repeats = find_repeats(data)
    assert [data.classes[index].name for index in repeats.across_classes[0]] == [
        "north/b",
        "south/a",
    ]
    leak = find_leak(data, repeats, {"train": [0, 1], "test": [2, 3]})
    assert str(leak) == (
        "1 track is on both sides of the split, such as in north/b (train) and south/a (test)"
    )
    assert Leak.of_json(leak.as_json()) == leak
    assert find_leak_into(data, {"train": [1]}, data).kind == "series"


def test_it_is_inspected_in_its_own_words(folder: Path, tmp_path: Path) -> None:
    data = load_dataset(settings(folder))
    text = format_summary(inspect_dataset(data), 100)
    assert "12 samples of 4 x 2 (series)" in text
    assert "- north: 2 classes (a, b), 6 samples, 1 repeated\n" in text
    assert "- labels: 1 track is in several classes: north/b = south/a\n" in text
    assert text.endswith("- series have no sizes\n")
    assert find_reader("series").sheet(data, tmp_path / "sheet").read_text() == "12 series"


def test_it_is_cached_by_what_shapes_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    load = cache.load_dataset
    monkeypatch.setattr(cache, "load_dataset", lambda config: calls.append(config) or load(config))
    first = open_dataset(settings(folder))
    again = open_dataset(settings(folder, length=9, split_by="class"))
    assert len(calls) == 1
    assert first.fingerprint() == again.fingerprint()
    assert not again.samples.flags.owndata
    open_dataset(settings(folder, gain=3))
    np.save(folder / "north" / "c.npy", np.zeros((1, 4, 2), np.float32))
    assert open_dataset(settings(folder)).num_classes == 5
    assert len(calls) == 3


def test_entries_of_two_kinds_never_have_one_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(SeriesData):
        kind: str = "other"

    other = Other.model_validate(settings(folder).model_dump(exclude={"kind"}))
    monkeypatch.setitem(READERS, "other", READERS["series"])
    assert cache._entry_name(other, "npy") != cache._entry_name(settings(folder), "npy")


def test_prepared_data_are_checked_by_their_kind(folder: Path, tmp_path: Path) -> None:
    prepared = arrow.prepare(load_dataset(settings(folder)), tmp_path / "prepared")
    assert open_dataset(settings(prepared)).kind == "series"
    with pytest.raises(DataError, match=r"data\.gain is 2; set it when preparing"):
        open_dataset(settings(prepared, gain=2))
    with pytest.raises(
        DataError, match=r"of kind series, but data\.kind is image; set data\.kind=series"
    ):
        open_dataset(ImageData(path=str(prepared)))


def test_prepared_data_of_a_kind_that_is_not_known_here_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = arrow.prepare(load_dataset(settings(folder)), tmp_path / "prepared")
    monkeypatch.delitem(READERS, "series")
    with pytest.raises(DataError, match=r"manifest\.json: of kind 'series', but this version"):
        arrow.open_prepared(prepared)


def test_too_few_samples_are_answered_by_its_kind(folder: Path) -> None:
    data = load_dataset(settings(folder))
    splits = Splits((0, 1), (2,), (3,))
    with pytest.raises(DataError, match=r"lower them or record more series$"):
        DatasetTasks(data, splits, TaskConfig(shots=5, num_query=5), lambda samples: samples)


def test_its_files_are_known_as_data(folder: Path) -> None:
    assert what_it_is(folder) == "it looks like a folder of data"
    assert what_it_is(folder / "north") == "it looks like a folder of data"
