import io
import tarfile
import zipfile

import pytest

from metagan.data.dataset import DataError
from metagan.data.paths.archives import top_names, zip_name_notes
from metagan.data.paths.tree import read_tree


def zip_of(path, names):
    """A zip with members of these raw names, and no mark that says how they are encoded."""
    stand_ins = [f"{number:04}".ljust(len(name), "x") for number, name in enumerate(names)]
    with zipfile.ZipFile(path, "w") as archive:
        for stand_in in stand_ins:
            archive.writestr(stand_in, b"one")
    content = path.read_bytes()
    for stand_in, name in zip(stand_ins, names, strict=True):
        content = content.replace(stand_in.encode(), name)
    path.write_bytes(content)
    return path


def tar_of(path, members, **options):
    """A tar of {name: content, or (type, target) of a link}."""
    with tarfile.open(path, "w", **options) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            else:
                member.type, member.linkname = content
                archive.addfile(member)
    return path


def names(path):
    return [file.name for file in read_tree(path, lambda name: name.endswith(".png"))]


def contents(path):
    files = read_tree(path, lambda name: name.endswith(".png"))
    return {file.name: file.content or file.problem for file in files}


@pytest.mark.parametrize("folder", ["café", "буква", "表", "グラフ", "größe"])
def test_utf_8_without_the_mark_is_read_as_utf_8(tmp_path, folder):
    path = zip_of(tmp_path / "a.zip", [f"{folder}/1.png".encode(), b"b/1.png"])
    assert names(path) == sorted([f"{folder}/1.png", "b/1.png"])
    assert zip_name_notes(path) == []


def test_names_of_western_windows_are_read_in_the_old_code_page_and_noted(tmp_path):
    path = zip_of(tmp_path / "a.zip", ["größe/1.png".encode("cp437"), b"b/1.png"])
    assert names(path) == ["b/1.png", "größe/1.png"]
    [note] = zip_name_notes(path)
    assert note.startswith("labels: names of 1 members")
    assert "größe" in note


@pytest.mark.parametrize(
    ("folder", "encoding"),
    [("表", "cp932"), ("буква", "cp866"), ("буква", "cp1251"), ("中文", "gbk"), ("한글", "cp949")],
)
def test_names_in_an_encoding_that_nobody_knows_are_refused(tmp_path, folder, encoding):
    path = zip_of(tmp_path / "a.zip", [f"{folder}/1.png".encode(encoding), b"b/1.png"])
    with pytest.raises(DataError, match="neither UTF-8 nor cp437"):
        names(path)


def test_the_unicode_name_beside_the_old_one_is_used(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("#U8868/1.png")
        unicode_name = b"\x01\0\0\0\0" + "表/1.png".encode()
        info.extra = b"\x75\x70" + len(unicode_name).to_bytes(2, "little") + unicode_name
        archive.writestr(info, b"one")
    content = (tmp_path / "a.zip").read_bytes().replace(b"#U8868/1.png", b"\x95\\8868/1.png")
    (tmp_path / "a.zip").write_bytes(content)
    assert names(tmp_path / "a.zip") == ["表/1.png"]


def test_a_backslash_separates_only_where_no_slash_does(tmp_path):
    windows = zip_of(tmp_path / "a.zip", [b"t\\a\\1.png", b"t\\b\\1.png", b"t\\c\\"])
    assert names(windows) == ["t/a/1.png", "t/b/1.png", "t/c"]
    letters = zip_of(tmp_path / "b.zip", [b"t/a\\x/1.png", b"t/b/1.png"])
    assert names(letters) == ["t/a\\x/1.png", "t/b/1.png"]
    assert names(tar_of(tmp_path / "a.tar", {"t\\a\\1.png": b"one"})) == ["t/a/1.png"]
    assert names(tar_of(tmp_path / "b.tar", {"t/a\\x/1.png": b"one"})) == ["t/a\\x/1.png"]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_names_in_tars_are_utf_8_and_others_are_spelt_out(tmp_path, form):
    members = {"café/1.png": b"one"}
    assert names(tar_of(tmp_path / "a.tar", members, format=form)) == ["café/1.png"]
    latin = tar_of(tmp_path / "b.tar", members, format=tarfile.GNU_FORMAT, encoding="latin-1")
    assert names(latin) == ["caf\\xe9/1.png"]


def test_links_inside_a_tar_are_followed_wherever_they_stand(tmp_path):
    path = tar_of(
        tmp_path / "a.tar",
        {
            "b/early.png": (tarfile.SYMTYPE, "../a/1.png"),
            "a/1.png": b"one",
            "b/hard.png": (tarfile.LNKTYPE, "a/1.png"),
            "c": (tarfile.SYMTYPE, "./a"),
            "d": (tarfile.SYMTYPE, "c"),
            "a/loop": (tarfile.SYMTYPE, "../a"),
        },
    )
    assert contents(path) == dict.fromkeys(
        ("a/1.png", "b/early.png", "b/hard.png", "c/1.png", "d/1.png"), b"one"
    )


def test_links_inside_a_zip_are_followed(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a/1.png", b"one")
        for name, target in {"b/2.png": "../a/1.png", "c": "a", "d/x.png": "../../x"}.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, target)
    assert contents(tmp_path / "a.zip") == {
        "a/1.png": b"one",
        "b/2.png": b"one",
        "c/1.png": b"one",
        "d/x.png": "a link or device, not a file",
    }


def test_a_link_that_may_be_a_folder_of_elsewhere_is_lost(tmp_path):
    path = tar_of(tmp_path / "a.tar", {"a/1.png": b"one", "b": (tarfile.SYMTYPE, "/mnt/b")})
    files = {file.name: file for file in read_tree(path, lambda name: name.endswith(".png"))}
    assert files["b"].is_lost_folder
    assert not files["a/1.png"].is_lost_folder


def test_the_first_bytes_of_other_files_are_given(tmp_path):
    content = b"\xff\xd8\xff" + bytes(500)
    path = tar_of(tmp_path / "a.tar", {"a/photo": content})
    [file] = read_tree(path, lambda name: name.endswith(".png"))
    assert file.content is None
    assert file.head == content[:132]


def test_the_top_of_an_archive_is_known_without_reading_it(tmp_path):
    assert top_names(tar_of(tmp_path / "a.tar", {"./x/1.png": b"", "y/1.png": b""})) == {"x"}
    assert top_names(zip_of(tmp_path / "a.zip", [b"x/1.png", b"y/1.png"])) == {"x", "y"}


def test_links_lead_to_the_later_of_two_members_of_one_name(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for content in (b"old", b"new"):
            member = tarfile.TarInfo("a/1.png")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("b/1.png")
        link.type, link.linkname = tarfile.SYMTYPE, "../a/1.png"
        archive.addfile(link)
    assert contents(tmp_path / "a.tar") == {"a/1.png": b"new", "b/1.png": b"new"}
