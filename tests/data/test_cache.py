"""One copy of the data per machine, made by one process, whatever else happens."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import lock_descriptor
from PIL import Image

from metagan.config.image import ImageData
from metagan.data import arrow, cache
from metagan.data.cache import cache_roots, open_dataset
from metagan.data.dataset import DataError, Dataset

_OPEN_TWICE = """
import sys
from metagan.config.image import ImageData
from metagan.data import cache

load = cache.load_dataset
def load_and_tell(config):
    print("loaded", flush=True)
    return load(config)
cache.load_dataset = load_and_tell
print("ready", flush=True)
sys.stdin.readline()
data = cache.open_dataset(ImageData(source="image_folder", path=sys.argv[1],
                                     cache_dir=sys.argv[2], image_size=16))
print(data.fingerprint(), data.samples.flags.owndata, flush=True)
"""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for domain in ("north", "south"):
        for label in ("a", "b", "c"):
            folder = tmp_path / "pictures" / domain / label
            folder.mkdir(parents=True)
            for number in range(3):
                pixels = rng.integers(0, 255, (16, 16), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "pictures"


@pytest.fixture
def config(pictures: Path, tmp_path: Path) -> ImageData:
    return ImageData(
        source="image_folder", path=str(pictures), cache_dir=str(tmp_path / "cache"), image_size=16
    )


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[ImageData]:
    """Every call of the real source is recorded here."""
    calls: list[ImageData] = []
    load = cache.load_dataset

    def record(config: ImageData) -> Dataset:
        calls.append(config)
        return load(config)

    monkeypatch.setattr(cache, "load_dataset", record)
    return calls


def _entries(config: ImageData) -> list[Path]:
    return sorted(path for path in Path(config.cache_dir or "").iterdir() if path.is_dir())


def test_the_second_opening_maps_what_the_first_one_made(config, loads):
    first = open_dataset(config)
    shard = _entries(config)[0] / arrow.SHARD_NAME
    before = shard.stat()
    second = open_dataset(config)
    assert len(loads) == 1
    assert shard.stat() == before
    assert first.fingerprint() == second.fingerprint()
    assert not first.samples.flags.owndata
    assert not second.samples.flags.owndata


def test_cached_data_equals_the_source_and_keeps_its_origin(config):
    plain = cache.load_dataset(config)
    cached = open_dataset(config)
    assert cached.fingerprint() == plain.fingerprint()
    assert cached.notes == plain.notes
    assert cached.origin["source"] == plain.origin["source"]


def test_auto_finds_the_same_entry_as_the_named_source(config, loads):
    open_dataset(config)
    open_dataset(config.model_copy(update={"source": "auto"}))
    assert len(loads) == 1


def test_settings_of_the_split_do_not_make_a_new_entry_but_sizes_do(config, loads):
    open_dataset(config)
    open_dataset(config.model_copy(update={"split_by": "class", "test_fraction": 0.5}))
    assert len(loads) == 1
    open_dataset(config.model_copy(update={"image_size": 20}))
    assert len(loads) == 2
    assert len(_entries(config)) == 2


@pytest.mark.parametrize("change", ["touch", "add", "remove"])
def test_a_change_of_the_input_is_seen(config, pictures, loads, change):
    open_dataset(config)
    file = pictures / "north" / "a" / "0.png"
    if change == "touch":
        os.utime(file, ns=(1, 1))
    elif change == "add":
        (file.parent / "9.png").write_bytes(file.read_bytes())
    else:
        file.unlink()
    changed = open_dataset(config)
    assert len(loads) == 2
    assert changed.count(0) == {"touch": 3, "add": 4, "remove": 2}[change]


@pytest.mark.parametrize("how", ["written over", "another file moved there", "swapped"])
def test_other_content_of_the_same_size_and_time_is_seen(config, pictures, loads, how):
    def state(file):
        return file.stat().st_size, file.stat().st_mtime_ns

    first, second = (pictures / "north" / "a" / f"{i}.pgm" for i in "12")
    for value, file in ((40, first), (90, second)):
        file.write_bytes(b"P5 16 16 255\n" + bytes(range(value, value + 128)) * 2)
        os.utime(file, ns=(10**15, 10**15))
    before, was = open_dataset(config).fingerprint(), state(first)
    content = first.read_bytes()
    if how == "written over":
        first.write_bytes(content[:13] + bytes(range(256)))
    elif how == "another file moved there":
        other = pictures.parent / "other.pgm"
        other.write_bytes(content[:13] + bytes(range(256)))
        os.utime(other, ns=(10**15, 10**15))
        other.replace(first)
    else:
        aside = pictures / "aside"
        first.rename(aside)
        second.rename(first)
        aside.rename(second)
    os.utime(first, ns=(10**15, 10**15))
    assert state(first) == was
    assert open_dataset(config).fingerprint() != before
    assert len(loads) == 2


def test_the_log_names_the_entry_that_is_used_and_since_when(config, caplog):
    caplog.set_level(logging.INFO)
    open_dataset(config)
    assert "using data prepared on" not in caplog.text
    open_dataset(config)
    assert "using data prepared on 20" in caplog.text
    assert str(_entries(config)[0]) in caplog.text


def test_a_run_inside_its_own_data_makes_no_new_entry(config, pictures, loads):
    open_dataset(config)
    (pictures / "run" / "checkpoints").mkdir(parents=True)
    (pictures / "run" / "config.yaml").write_text("seed: 0\n")
    open_dataset(config)
    (pictures / "run" / "checkpoints" / "step-1").mkdir()
    open_dataset(config)
    assert len(loads) == 1


def test_a_changed_picture_in_a_listed_file_is_seen(pictures, config, loads):
    listing = pictures / "list.csv"
    rows = [f"{domain}/a/0.png,{domain},a" for domain in ("north", "south")]
    listing.write_text("\n".join(["file_name,domain,label", *rows]))
    listed = config.model_copy(update={"source": "manifest", "path": str(listing)})
    open_dataset(listed)
    os.utime(pictures / "south" / "a" / "1.png", ns=(1, 1))  # not on the list
    open_dataset(listed)
    assert len(loads) == 1
    os.utime(pictures / "south" / "a" / "0.png", ns=(1, 1))
    open_dataset(listed)
    assert len(loads) == 2


def test_a_damaged_entry_is_made_again_with_a_warning(config, loads, caplog):
    good = open_dataset(config).fingerprint()
    shard = _entries(config)[0] / arrow.SHARD_NAME
    content = bytearray(shard.read_bytes())
    content[-400] ^= 1
    shard.unlink()  # the mapped file stays as it is
    shard.write_bytes(content)
    assert open_dataset(config).fingerprint() == good
    assert len(loads) == 2
    assert "damaged" in caplog.text
    assert open_dataset(config).fingerprint() == good
    assert len(loads) == 2


def test_two_processes_at_once_read_the_source_once(config, pictures):
    command = [sys.executable, "-c", _OPEN_TWICE, str(pictures), str(config.cache_dir)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=240)[0].split() for process in processes]
    fingerprint = cache.load_dataset(config).fingerprint()
    assert sorted(map(len, outputs)) == [2, 3]
    assert [output[-2:] for output in outputs] == [[fingerprint, "False"]] * 2
    assert len(_entries(config)) == 1
    assert not list(Path(config.cache_dir or "").glob(".*"))


def test_a_lock_that_stays_taken_means_memory_and_a_warning(config, loads, caplog):
    open_dataset(config)
    entry = _entries(config)[0]
    arrow_file = entry / arrow.SHARD_NAME
    arrow_file.unlink()
    caplog.set_level(logging.INFO)
    with (entry.parent / f"{entry.name}.lock").open("r+") as lock:
        assert lock_descriptor(lock.fileno())
        data = open_dataset(config, lock_timeout_s=0.3)
    assert len(loads) == 2
    assert data.samples.flags.owndata
    assert f"waiting for process {os.getpid()}" in caplog.text
    assert "has been preparing the same data for" in caplog.text
    assert not arrow_file.exists()


def test_a_cache_that_cannot_be_written_means_memory_and_a_warning(config, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    blocked = config.model_copy(update={"cache_dir": str(tmp_path / "file")})
    data = open_dataset(blocked)
    assert data.num_classes == 6
    assert "set data.cache_dir" in caplog.text


def test_a_full_disk_means_memory_and_a_warning(config, monkeypatch, caplog):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arrow, "_write_shard", fail)
    assert open_dataset(config).num_classes == 6
    assert "No space left" in caplog.text
    assert _entries(config) == []


def test_data_that_changes_while_it_is_read_is_not_kept(config, pictures, monkeypatch, caplog):
    load = cache.load_dataset

    def load_and_change(config: ImageData) -> Dataset:
        dataset = load(config)
        os.utime(pictures / "north" / "a" / "0.png", ns=(1, 1))
        return dataset

    monkeypatch.setattr(cache, "load_dataset", load_and_change)
    assert open_dataset(config).num_classes == 6
    assert "changed while it was read" in caplog.text
    assert _entries(config) == []


def test_prepared_data_is_mapped_where_it_is(config, tmp_path, loads):
    arrow.prepare(open_dataset(config), tmp_path / "prepared")
    loads.clear()
    for source in ("arrow", "auto"):
        data = open_dataset(
            ImageData(source=source, path=str(tmp_path / "prepared"), image_size=16)
        )
        assert data.origin["prepared"] == str(tmp_path / "prepared")
    assert loads == []


def test_a_cache_inside_the_data_is_no_change_of_it(config, pictures, loads):
    inside = config.model_copy(update={"cache_dir": str(pictures / "cache")})
    open_dataset(inside)
    open_dataset(inside)
    assert len(loads) == 1


def test_wrong_paths_are_the_sources_error(config, tmp_path):
    with pytest.raises(DataError, match=r"data\.path .*nowhere does not exist"):
        open_dataset(config.model_copy(update={"path": str(tmp_path / "nowhere")}))
    assert not Path(config.cache_dir or "").exists()


def test_the_users_cache_folder_comes_first_and_a_private_one_last(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    first, last = cache_roots(ImageData())
    assert first == tmp_path / "xdg" / "metagan"
    assert last.name == f"metagan-{os.getuid()}"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_roots(ImageData())[0] == tmp_path / "home" / ".cache" / "metagan"
    assert cache_roots(ImageData(cache_dir="/data/cache")) == (Path("/data/cache"),)


def test_without_a_home_the_private_folder_is_used(config, monkeypatch, tmp_path, loads):
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "blocked").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "blocked"))
    anywhere = config.model_copy(update={"cache_dir": None})
    open_dataset(anywhere)
    private = tmp_path / "temporary" / f"metagan-{os.getuid()}"
    assert private.stat().st_mode & 0o777 == 0o700
    open_dataset(anywhere)
    assert len(loads) == 1


def test_somebody_elses_private_folder_is_never_read(config, monkeypatch, tmp_path, loads, caplog):
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path))
    open_dataset(config)  # an entry in tmp_path / "cache", which now looks shared
    monkeypatch.setattr(cache.os, "getuid", lambda: os.geteuid() + 1)
    assert open_dataset(config).samples.flags.owndata
    assert len(loads) == 2
    assert "belongs to another user" in caplog.text
