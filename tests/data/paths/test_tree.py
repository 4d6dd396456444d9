import io
import os
import socket
import tarfile
import zipfile

import pytest

from metagan.data.dataset import DataError
from metagan.data.paths.names import clean_name
from metagan.data.paths.tree import ReadLimits, leaves_root, read_tree, tree_name
from metagan.data.registry import load_dataset
from tests.kinds.image.pictures import png, settings, write


def make_zip(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def read(root, **limits):
    wanted = lambda name: name.endswith(".png")  # noqa: E731
    files = read_tree(root, wanted, limits=ReadLimits(**limits))
    return {file.name: file.content if file.content is not None else file.problem for file in files}


FILES = {"a/1.png": b"one", "a/2.png": b"two", "b/notes.txt": b"text"}


def archives(tmp_path, files):
    yield write(tmp_path / "folder", files)
    yield make_zip(tmp_path / "a.zip", files)
    yield make_tar(tmp_path / "a.tar", files)
    yield make_tar(tmp_path / "a.tar.gz", files, "w:gz")
    yield make_tar(tmp_path / "a.tar.bz2", files, "w:bz2")
    yield make_tar(tmp_path / "a.tar.xz", files, "w:xz")


def test_folders_zips_and_tars_read_alike(tmp_path):
    for root in archives(tmp_path, FILES):
        assert read(root) == {"a/1.png": b"one", "a/2.png": b"two", "b/notes.txt": ""}, root


def test_hidden_files_and_clutter_are_not_there(tmp_path):
    clutter = {
        ".DS_Store": b"",
        "__MACOSX/a/._1.png": b"x",
        "a/._1.png": b"x",
        ".git/c.png": b"x",
        "a/Thumbs.db": b"x",
    }
    for root in archives(tmp_path, FILES | clutter):
        assert set(read(root)) == set(FILES), root


def test_folders_with_nothing_in_them_are_told_of_once(tmp_path):
    root = write(tmp_path / "folder", FILES | {"c/d/.hidden.png": b"x"})
    (root / "a" / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, path.relative_to(root))
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for path in sorted(root.rglob("*")):
            archive.add(path, path.relative_to(root), recursive=False)
    for given in (root, tmp_path / "a.zip", tmp_path / "a.tar"):
        files = list(read_tree(given, lambda _: True))
        assert sorted(f.name for f in files if f.is_empty_folder) == ["a/empty", "c/d"], given
        assert {f.name for f in files if not f.is_empty_folder} == set(FILES), given


def test_reading_leaves_nothing_on_the_disk(tmp_path):
    make_zip(tmp_path / "a.zip", FILES)
    before = set(tmp_path.rglob("*"))
    read(tmp_path / "a.zip")
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("member", ["../evil.png", "/etc/evil.png", "a/../../b.png", "C:\\e.png"])
def test_archives_with_paths_out_of_them_are_refused(tmp_path, member):
    for root in (
        make_zip(tmp_path / "a.zip", {member: b"x"}),
        make_tar(tmp_path / "a.tar", {member: b"x"}),
    ):
        with pytest.raises(DataError, match="path out of the archive"):
            read(root)


def test_links_and_devices_in_a_tar_are_reported_and_not_read(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in [
            ("soft.png", tarfile.SYMTYPE),
            ("hard.png", tarfile.LNKTYPE),
            ("pipe.png", tarfile.FIFOTYPE),
            ("device.png", tarfile.CHRTYPE),
        ]:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    assert set(read(path).values()) == {"a link or device, not a file"}


def test_a_link_in_a_zip_is_reported_and_not_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("a/link.png")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert read(tmp_path / "a.zip") == {"a/link.png": "a link or device, not a file"}


def test_zip_bombs_are_refused_before_they_are_unpacked(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.png": bytes(8 * 2**20)})
    assert path.stat().st_size < 20_000
    with pytest.raises(DataError, match="a ratio above 200 is refused"):
        read(path)


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_tar_bombs_are_refused_while_they_unpack(tmp_path, mode):
    path = make_tar(tmp_path / "a.tar.gz", {"a.txt": bytes(8 * 2**20)}, mode)
    with pytest.raises(DataError, match="unpacks to more than 4194304 bytes"):
        read(path)


def test_a_tar_header_that_is_a_bomb_itself_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a.png")
        member.pax_headers = {"comment": "x" * (6 * 2**20)}
        archive.addfile(member)
    with pytest.raises(DataError, match="unpacks to more than"):
        read(tmp_path / "a.tar.gz")


def test_members_and_bytes_are_capped(tmp_path):
    files = {f"{number}.png": bytes(100) for number in range(5)}
    for root in (make_zip(tmp_path / "a.zip", files), make_tar(tmp_path / "a.tar", files)):
        assert len(read(root, members=5)) == 5
        with pytest.raises(DataError, match="members"):
            read(root, members=4)
        with pytest.raises(DataError, match="bytes"):
            read(root, total_bytes=499)
    for root in archives(tmp_path, {"a.png": bytes(100), "b.png": bytes(101)}):
        found = read(root, member_bytes=100)
        assert found == {"a.png": bytes(100), "b.png": "101 bytes, more than 100"}


def test_damaged_archives_are_named(tmp_path):
    files = {f"{number}.png": os.urandom(3000) for number in range(5)}
    for root in (
        make_zip(tmp_path / "a.zip", files),
        make_tar(tmp_path / "a.tar", files),
        make_tar(tmp_path / "b.tar.gz", files, "w:gz"),
        make_tar(tmp_path / "c.tar.xz", files, "w:xz"),
    ):
        root.write_bytes(root.read_bytes()[:7000])
        with pytest.raises(DataError, match=rf"{root.name}: not a (zip|tar), or damaged"):
            read(root)
        root.write_bytes(b"")
        with pytest.raises(DataError, match=root.name):
            read(root)


def test_a_flipped_byte_in_a_zip_costs_only_its_member(tmp_path):
    path = make_zip(
        tmp_path / "a.zip", {"a.png": b"A" * 50, "b.png": b"B" * 50}, zipfile.ZIP_STORED
    )
    path.write_bytes(path.read_bytes().replace(b"AAAA", b"AAAX", 1))
    found = read(path)
    assert found["b.png"] == b"B" * 50
    assert found["a.png"].startswith("damaged in the archive")


def test_an_encrypted_zip_member_is_reported(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.png": b"secret"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert read(path) == {"a.png": "encrypted"}


def test_symlinks_are_followed_to_files_below_the_root_only(tmp_path):
    outside = write(tmp_path / "outside", {"secret.png": b"secret"})
    root = write(tmp_path / "root", {"a/1.png": b"one"})
    (root / "inside.png").symlink_to(root / "a" / "1.png")
    (root / "outside.png").symlink_to(outside / "secret.png")
    (root / "broken.png").symlink_to(root / "missing.png")
    (root / "linked").symlink_to(outside)
    found = read(root)
    assert found["inside.png"] == b"one"
    assert found["outside.png"] == "a link out of the data folder; not followed"
    assert found["broken.png"] == "cannot be read (No such file or directory)"
    assert found["linked"].startswith("a link to a folder out of the data folder")


def test_loops_of_symlinks_end(tmp_path):
    root = write(tmp_path, {"a/1.png": b"one"})
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "me.png").symlink_to(root / "a" / "me.png")
    found = read(root)
    assert found["a/1.png"] == b"one"
    assert found["a/up"] == "a link to a folder; not followed"
    assert found["a/me.png"].startswith("cannot be read")
    assert len(found) == 3


def test_pipes_and_sockets_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    before = os.getcwd()
    try:
        os.chdir(tmp_path)  # a socket's path has a short limit
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("socket.png")
            found = read(tmp_path)
    finally:
        os.chdir(before)
    assert found == {"pipe.png": "not a regular file", "socket.png": "not a regular file"}


def test_a_folder_given_as_an_archive_and_other_files_are_refused(tmp_path):
    write(tmp_path, {"a.rar": b"Rar!"})
    with pytest.raises(DataError, match="neither a folder nor an archive"):
        read(tmp_path / "a.rar")
    write(tmp_path, {"b.zip": b"no zip"})
    with pytest.raises(DataError, match="not a zip"):
        read(tmp_path / "b.zip")


def test_names_are_made_printable_and_composed():
    assert clean_name("caf\u0065\u0301") == "caf\u00e9"
    assert clean_name(os.fsdecode(b"caf\xe9")) == "caf\\xe9"
    assert clean_name("a\nb\x1b[31m") == "a\\nb\\x1b[31m"


def test_file_names_that_are_not_utf_8_are_read(tmp_path):
    folder = os.fsencode(tmp_path)
    os.mkdir(folder + b"/caf\xe9")
    with open(folder + b"/caf\xe9/\xff.png", "wb") as file:
        file.write(b"one")
    assert read(tmp_path) == {"caf\\xe9/\\xff.png": b"one"}


def test_paths_that_leave_the_root_are_recognised():
    assert all(map(leaves_root, ["../a", "a/../b", "/a", "\\a", "C:\\a", "a\\..\\b", "a\0b"]))
    assert not any(map(leaves_root, ["a", "a/b.png", "./a", "a..b/c", "a b"]))


def test_a_tree_is_called_like_its_folder_or_archive(tmp_path):
    assert tree_name(make_tar(tmp_path / "Signs.tar.gz", {}, "w:gz")) == "Signs"
    assert tree_name(make_zip(tmp_path / "Signs.ZIP", {})) == "Signs"
    assert tree_name(write(tmp_path / "v1.zip.d", {"a": b""})) == "v1.zip.d"


def test_a_zip_member_without_a_name_is_passed_over(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"x": b"", "a.png": b"one"}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"x", b"\0"))
    assert read(path) == {"a.png": b"one"}


@pytest.mark.parametrize("ending", ["png", "zip", "npz", "parquet"])
def test_links_in_a_circle_are_reported_not_followed(tmp_path, ending):
    root = write(tmp_path / "d", {f"a/{i}.png": png(i) for i in range(2)} | {"b/0.png": png(3)})
    (root / f"x.{ending}").symlink_to(root / f"y.{ending}")
    (root / f"y.{ending}").symlink_to(root / f"x.{ending}")
    (root / "a" / "9.png").symlink_to(root / "a" / "9.png")
    data = load_dataset(settings(root, "image_folder"))
    assert len(data.samples) == 3
    assert any(note.startswith("left out: a/9.png: cannot be read") for note in data.notes)
    if ending in ("npz", "parquet"):
        with pytest.raises(DataError, match=f"holds only links .x.{ending}: a link to "):
            load_dataset(settings(root, ending))
