"""Prepared data: what is mapped equals what was written, or an error says what is wrong."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from metagan.config.image import ImageData
from metagan.data import arrow
from metagan.data.dataset import ClassRecord, DataError, Dataset
from tests.helpers import bars


@pytest.fixture
def dataset() -> Dataset:
    plain = bars(num_domains=3, classes=5, drawings=4)
    samples = {
        ClassRecord(
            record.domain,
            record.label,
            "test" if index % 2 else None,
            "some" if record.domain == "domain1" else None,
        ): (plain.class_samples(index)[: 2 + index % 3])
        for index, record in enumerate(plain.classes)
    }
    return Dataset.from_classes(
        samples, notes=["2 files unreadable"], origin={"source": "bars", "sizes": [16]}
    )


@pytest.fixture
def prepared(dataset: Dataset, tmp_path: Path) -> Path:
    return arrow.prepare(dataset, tmp_path / "prepared")


def _config(folder: Path, **settings: object) -> ImageData:
    values = {"source": "arrow", "path": str(folder), "image_size": 16} | settings
    return ImageData.model_validate(values)


def _edit_manifest(folder: Path, *, rehash: bool, **changes: object) -> None:
    path = folder / arrow.MANIFEST_NAME
    manifest = json.loads(path.read_text()) | changes
    if rehash:
        manifest["manifest_sha256"] = arrow._manifest_hash(manifest)
    path.write_text(json.dumps(manifest))


def test_what_is_loaded_equals_what_was_prepared(dataset, prepared):
    loaded = arrow.load(_config(prepared))
    np.testing.assert_array_equal(loaded.samples, dataset.samples)
    np.testing.assert_array_equal(loaded.offsets, dataset.offsets)
    assert loaded.classes == dataset.classes
    assert loaded.notes == dataset.notes
    assert loaded.origin == {"source": "bars", "sizes": [16], "prepared": str(prepared)}
    assert loaded.fingerprint() == dataset.fingerprint()


@pytest.mark.usefixtures("series")
def test_float_sequences_survive_as_well(tmp_path):
    samples = np.random.default_rng(0).standard_normal((6, 7, 2)).astype(np.float32)
    dataset = Dataset.from_classes({ClassRecord("d", "c"): samples}, kind="series")
    loaded = arrow.open_prepared(arrow.prepare(dataset, tmp_path / "out"))
    assert loaded.kind == "series"
    assert loaded.samples.dtype == np.float32
    np.testing.assert_array_equal(loaded.samples, samples)


def test_samples_are_mapped_not_copied(prepared):
    samples = arrow.open_prepared(prepared).samples
    base = samples
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert not samples.flags.owndata
    assert not samples.flags.writeable
    address = samples.__array_interface__["data"][0]
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    owners = [
        fields[-1]
        for fields in maps
        if int(fields[0].split("-")[0], 16) <= address < int(fields[0].split("-")[1], 16)
    ]
    assert owners == [str(prepared / arrow.SHARD_NAME)]


def test_a_class_is_a_view_of_the_map(prepared):
    loaded = arrow.open_prepared(prepared)
    assert np.shares_memory(loaded.class_samples(3), loaded.samples)


def test_labels_in_the_file_are_the_class_indices(dataset, prepared):
    with pa.memory_map(str(prepared / arrow.SHARD_NAME)) as source:
        table = pa.ipc.open_file(source).read_all()
    expected = np.repeat(np.arange(dataset.num_classes), np.diff(dataset.offsets))
    np.testing.assert_array_equal(table["label"].to_numpy(), expected)
    assert table.schema.field("image").type.shape == [1, 16, 16]


def test_progress_reaches_all_bytes(dataset, tmp_path):
    seen: list[tuple[int, int]] = []
    out = arrow.prepare(dataset, tmp_path / "out", progress=lambda *done: seen.append(done))
    size = (out / arrow.SHARD_NAME).stat().st_size
    assert seen[-1] == (size, size)


def test_a_truncated_file_is_named_with_expected_and_found_size(prepared):
    shard = prepared / arrow.SHARD_NAME
    content = shard.read_bytes()
    shard.write_bytes(content[:-100])
    expected = f"{shard}: truncated.*expected {len(content)} bytes, found {len(content) - 100}"
    with pytest.raises(DataError, match=expected):
        arrow.load(_config(prepared))


def test_one_flipped_bit_in_a_sample_is_found(prepared):
    shard = prepared / arrow.SHARD_NAME
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=f"{shard}: damaged, expected SHA-256 .*, found "):
        arrow.load(_config(prepared))


def test_a_missing_file_is_named(prepared):
    (prepared / arrow.SHARD_NAME).unlink()
    with pytest.raises(DataError, match=r"samples\.arrow: missing, expected"):
        arrow.load(_config(prepared))
    (prepared / arrow.MANIFEST_NAME).unlink()
    with pytest.raises(DataError, match=r"manifest\.json: missing"):
        arrow.load(_config(prepared))


def test_a_newer_schema_says_which_version_is_read(prepared):
    _edit_manifest(prepared, rehash=True, schema_version=3)
    with pytest.raises(DataError, match="expected schema version 2, found 3"):
        arrow.load(_config(prepared))


def test_an_edited_manifest_is_refused(prepared):
    _edit_manifest(prepared, rehash=False, notes=["nothing left out"])
    with pytest.raises(DataError, match="damaged or edited, expected SHA-256"):
        arrow.load(_config(prepared))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b'{"format": "other"}', b"[" * 100_000]
)
def test_a_manifest_that_is_no_manifest_is_refused(prepared, content):
    (prepared / arrow.MANIFEST_NAME).write_bytes(content)
    with pytest.raises(DataError, match=r"manifest\.json: (damaged|expected format)"):
        arrow.load(_config(prepared))


@pytest.mark.parametrize(
    "changes",
    [{"classes": [{"domain": "d"}]}, {"shard": None}, {"sample_shape": "big"}, {"dtype": "x9"}],
)
def test_a_malformed_manifest_with_a_right_hash_is_refused(prepared, changes):
    _edit_manifest(prepared, rehash=True, **changes)
    with pytest.raises(DataError, match=r"manifest\.json: malformed"):
        arrow.load(_config(prepared))


def test_a_manifest_of_other_samples_is_refused(prepared):
    _edit_manifest(prepared, rehash=True, sample_shape=[1, 8, 32])
    with pytest.raises(DataError, match=r"expects .*\(45, 1, 8, 32\), found .*\(45, 1, 16, 16\)"):
        arrow.load(_config(prepared))


def test_settings_that_do_not_fit_the_samples_are_named(prepared):
    with pytest.raises(DataError, match=r"1 channels and 16 x 16.*data\.image_size 28"):
        arrow.load(_config(prepared, image_size=28))
    with pytest.raises(DataError, match=r"data\.channels is 3"):
        arrow.load(_config(prepared, channels=3))
    with pytest.raises(DataError, match=r"data\.invert"):
        arrow.load(_config(prepared, invert=True))
    with pytest.raises(DataError, match=r"data\.white is 4095.*scaled already"):
        arrow.load(_config(prepared, white=4095.0))


def test_settings_that_samples_were_prepared_with_may_be_named_again(dataset, tmp_path):
    read = {"invert": True, "white": {"integers": 4095.0}}
    prepared = arrow.prepare(replace(dataset, origin=read), tmp_path / "prepared")
    again = arrow.load(_config(prepared, invert=True, white=4095.0))
    assert again.fingerprint() == dataset.fingerprint()
    with pytest.raises(DataError, match=r"data\.white is 1023"):
        arrow.load(_config(prepared, invert=True, white=1023.0))


def test_preparing_again_replaces_the_folder_and_leaves_nothing_else(dataset, prepared):
    other = bars(num_domains=1, classes=2, drawings=3)
    mapped = arrow.open_prepared(prepared)
    arrow.prepare(other, prepared)
    assert arrow.open_prepared(prepared).fingerprint() == other.fingerprint()
    assert [path.name for path in prepared.parent.iterdir()] == ["prepared"]
    # Whoever mapped the old data keeps it.
    assert mapped.fingerprint() == dataset.fingerprint()


def test_an_empty_folder_is_filled(dataset, tmp_path):
    (tmp_path / "empty").mkdir()
    arrow.prepare(dataset, tmp_path / "empty")
    assert arrow.is_prepared(tmp_path / "empty")


def test_a_folder_of_somebody_elses_files_is_never_touched(dataset, tmp_path):
    (tmp_path / "thesis.txt").write_text("all my work")
    with pytest.raises(DataError, match=r"not prepared data \(it holds thesis\.txt\)"):
        arrow.prepare(dataset, tmp_path)
    (tmp_path / "thesis.txt").rename(tmp_path / arrow.MANIFEST_NAME)
    with pytest.raises(DataError, match="not prepared data"):
        arrow.prepare(dataset, tmp_path)
    with pytest.raises(DataError, match="is a file"):
        arrow.prepare(dataset, tmp_path / arrow.MANIFEST_NAME)
    assert (tmp_path / arrow.MANIFEST_NAME).read_text() == "all my work"


@pytest.mark.parametrize("failing", ["_describe", "_sync_folder"])
def test_a_failure_leaves_the_old_folder_and_nothing_half_written(
    dataset, prepared, monkeypatch, failing
):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = arrow.open_prepared(prepared).fingerprint()
    monkeypatch.setattr(arrow, failing, fail)
    with pytest.raises(OSError, match="No space left"):
        arrow.prepare(bars(num_domains=1), prepared)
    assert [path.name for path in prepared.parent.iterdir()] == ["prepared"]
    assert arrow.open_prepared(prepared).fingerprint() == before
    with pytest.raises(OSError, match="No space left"):
        arrow.prepare(dataset, prepared.parent / "second")
    assert [path.name for path in prepared.parent.iterdir()] == ["prepared"]


def test_a_failed_rename_puts_the_old_folder_back(dataset, prepared, monkeypatch):
    rename = Path.rename

    def fail_for_the_new_one(self: Path, target: Path) -> Path:
        if target == prepared and not self.name.endswith(".old.tmp"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
    with pytest.raises(OSError, match="Input/output"):
        arrow.prepare(bars(num_domains=1), prepared)
    assert [path.name for path in prepared.parent.iterdir()] == ["prepared"]
    assert arrow.open_prepared(prepared).fingerprint() == dataset.fingerprint()


def test_leftovers_of_a_killed_process_are_removed(prepared):
    leftover = prepared.parent / ".prepared.0123.tmp"
    shutil.copytree(prepared, leftover)
    arrow.remove_leftovers(prepared)
    assert [path.name for path in prepared.parent.iterdir()] == ["prepared"]
