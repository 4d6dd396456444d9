"""A place that cannot be written to is refused before anything is read or computed."""

import os
from pathlib import Path

import pytest

from metagan.cli.app import run_cli
from metagan.cli.options import UsageError
from metagan.cli.outputs import check_out_file, check_out_folder, check_writable

# How each command names its output, and whether that is a file. There is no run and no data where
# these look for them: a command that did not check first would complain about those.
FILES = (
    ("evaluate --run RUN --out", "--out"),
    ("export --run none --format onnx --out", "--out"),
    ("report --run none --out", "--out"),
    ("data inspect none --sheet", "--sheet"),
)
FOLDERS = (
    ("adapt --run RUN --support none --out", "--out"),
    ("generate --adapted none --out", "--out"),
    ("data prepare none", "OUT"),
)


@pytest.fixture
def error_of(tmp_path, monkeypatch, capsys):
    """The message of a command with this output."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("seed: 1\n")
    (tmp_path / "file").write_text("mine\n")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)

    def error_of(line, out):
        before = sorted(tmp_path.rglob("*"))
        words = [*line.replace("RUN", "run").split(), out]
        assert run_cli(words) == 2
        assert sorted(tmp_path.rglob("*")) == before
        return capsys.readouterr().err

    return error_of


@pytest.mark.parametrize(("line", "option"), [*FILES, *FOLDERS])
def test_an_output_below_a_file_is_refused(error_of, line, option):
    message = f"{option} file/new/E.json: file is not a folder; choose another place\n"
    assert error_of(line, "file/new/E.json") == f"metagan: error: {message}"


@pytest.mark.parametrize(("line", "option"), [*FILES, *FOLDERS])
def test_an_output_where_nobody_can_write_is_refused(error_of, line, option):
    text = error_of(line, "/proc/new/E.json")
    assert f"{option} /proc/new/E.json: the folder /proc cannot be written to" in text


@pytest.mark.parametrize(("line", "option"), FILES)
def test_a_folder_in_the_place_of_a_file_is_refused(error_of, line, option):
    assert f"{option} folder is a folder; name a file" in error_of(line, "folder")


@pytest.mark.parametrize(("line", "option"), FOLDERS)
def test_a_file_in_the_place_of_a_folder_is_refused(error_of, line, option):
    assert f"{option} file " in error_of(line, "file")


def test_other_things_than_prepared_data_are_kept_before_any_picture_is_read(error_of):
    assert "run: exists and is not prepared data" in error_of("data prepare none", "run")


def test_a_search_cannot_live_in_a_file(error_of):
    assert "--out file is a file; name a folder" in error_of("tune --smoke --out", "file")


def test_places_that_can_be_written_pass_and_nothing_is_made(tmp_path):
    (tmp_path / "old.json").write_text("{}")
    check_out_file(tmp_path / "old.json")
    check_out_file(tmp_path / "a" / "b" / "new.json")
    check_out_folder(tmp_path / "a" / "b")
    check_out_folder(tmp_path, new=False)
    check_writable(tmp_path, "--run")
    assert [entry.name for entry in tmp_path.iterdir()] == ["old.json"]


def test_a_device_a_broken_link_and_an_endless_name_are_no_places(tmp_path):
    with pytest.raises(UsageError, match="--out /dev/null is no ordinary file"):
        check_out_file(Path(os.devnull))
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(UsageError, match="link exists already"):
        check_out_folder(tmp_path / "link")
    with pytest.raises(UsageError, match="File name too long; choose another place"):
        check_out_file(tmp_path / ("x" * 300))


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match=r"cannot be written to .*Permission denied"):
        check_out_file(tmp_path / "E.json")
    with pytest.raises(UsageError, match=r"--run x: .*Permission denied"):
        check_writable(tmp_path, "--run x")
