"""Links inside the data and in the hub's cache are read, no others."""

import io
import os
import zipfile

import pytest

from metagan.data.dataset import DataError
from metagan.data.registry import load_dataset
from tests.kinds.image.pictures import encode, noise, png, seeds_of, settings, three_forms, write


@pytest.fixture
def hub(tmp_path):
    """A function that puts files into a repository of the hub's cache, as links to blobs."""
    repository = tmp_path / "datasets--me--letters"
    revision = repository / "snapshots" / ("0a" * 20)

    def add(files):
        for number, (name, content) in enumerate(files.items()):
            blob = write(repository / "blobs", {f"{number:064x}": content}) / f"{number:064x}"
            link = revision / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
        return repository, revision

    return add


def test_pictures_in_the_hubs_cache_are_read_through_their_links(hub):
    names = [f"{d}/{c}/0.png" for d in ("latin", "greek") for c in "ab"]
    for place in hub({name: encode(noise(i, 16)) for i, name in enumerate(names)}):
        data = load_dataset(settings(place))
        assert seeds_of(data) == {
            ("greek", "a", None): [2],
            ("greek", "b", None): [3],
            ("latin", "a", None): [0],
            ("latin", "b", None): [1],
        }
        assert data.notes == ()


def test_a_list_and_an_archive_in_the_hubs_cache_are_read_and_called_like_their_set(hub):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for i, label in enumerate("ab"):
            packed.writestr(f"{label}/0.png", encode(noise(i, 16)))
    repository, revision = hub({"train.zip": archive.getvalue()})
    expected = {("letters", "a", None): [0], ("letters", "b", None): [1]}
    assert seeds_of(load_dataset(settings(revision / "train.zip"))) == expected
    listing = b"file_name,domain,label\nimg/1.png,letters,a\n"
    hub({"metadata.csv": listing, "img/1.png": encode(noise(1, 16))})
    (revision / "train.zip").unlink()
    assert seeds_of(load_dataset(settings(repository))) == {("letters", "a", None): [1]}


def test_links_to_blobs_elsewhere_are_not_followed(hub, tmp_path):
    _, revision = hub({f"{c}/{i}.png": png(i) for i, c in enumerate("ab")})
    other = write(tmp_path / "other" / "blobs", {"ff": png(9), "zip": b"PK"})
    (revision / "a" / "9.png").symlink_to(other / "ff")
    data = load_dataset(settings(revision))
    assert data.notes == ("left out: a/9.png: a link out of the data folder; not followed",)
    assert len(data.samples) == 2


def test_archives_behind_links_out_of_the_data_are_not_opened(tmp_path):
    outside = write(tmp_path / "elsewhere", {"a/0.png": png(0), "b/0.png": png(1)})
    packed = three_forms(outside)[1]
    (tmp_path / "data").mkdir()
    for name in ("one.zip", "two.zip"):
        (tmp_path / "data" / name).symlink_to(packed)
    with pytest.raises(DataError, match=r"one\.zip: a link out of the data folder; not followed"):
        load_dataset(settings(tmp_path / "data"))
