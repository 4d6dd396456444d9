"""A job is sent what the rules leave of the working folder, and what it would break on is told."""

import os
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.job_request import JobRequest
from cluster.jobs import RayJobs
from cluster.upload import UploadError, choose


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def sent(root: Path, **options: list[Path]) -> set[str]:
    upload = choose(root, **options)
    package = root.parent / "package.zip"
    upload.write(package)
    with zipfile.ZipFile(package) as archive:
        return set(archive.namelist())


def test_what_the_rules_leave_out_is_not_sent(tmp_path: Path) -> None:
    root = tmp_path / "work"
    put(root, "run.yaml", "secret.yaml", "runs/a/config.yaml", "data/a.png", "sub/b.bin", "sub/c")
    put(root, ".git/config", "x.egg-info/y", "note/keep.txt", "note/drop.txt")
    (root / ".gitignore").write_text("secret.yaml\ndata/\n")
    (root / ".rayignore").write_text("*.bin\n")
    (root / "note" / ".gitignore").write_text("drop.txt\n")
    (root / "empty").mkdir()
    assert sent(root) == {
        *("run.yaml", "sub/c", "note/keep.txt", "empty/"),
        *(".gitignore", ".rayignore", "note/.gitignore"),
    }


def test_the_rules_above_the_folder_count_inside_a_git_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.upload._IGNORE_GITIGNORE", "METAGAN_TEST_IGNORE_GITIGNORE")
    root = tmp_path / "repository" / "lab" / "work"
    put(root, "run.yaml", "notes.tmp", "keep.tmp", "big/a.bin", "sub/big/b", "local/c")
    (tmp_path / ".gitignore").write_text("run.yaml\n")  # Above the repository.
    (tmp_path / "repository" / ".gitignore").write_text("*.tmp\n!keep.tmp\n/lab/work/local\n")
    (tmp_path / "repository" / "lab" / ".gitignore").write_text("# none\n\nbig/\n")
    everything = sent(root)
    assert "notes.tmp" in everything  # Nothing tells that this is one folder of several.
    (tmp_path / "repository" / ".git").write_text("gitdir: elsewhere\n")
    assert sent(root) == {"run.yaml", "keep.tmp"}
    monkeypatch.setenv("METAGAN_TEST_IGNORE_GITIGNORE", "1")
    assert sent(root) == everything


def test_a_folder_that_git_leaves_out_is_sent_where_it_is_the_one_that_is_named(
    tmp_path: Path,
) -> None:
    root = tmp_path / "scratch" / "work"
    put(root, "run.yaml", "notes.tmp")
    put(tmp_path, ".git/config")
    (tmp_path / ".gitignore").write_text("scratch/\n*.tmp\n")
    assert sent(root) == {"run.yaml"}
    (tmp_path / ".gitignore").write_bytes(b"caf\xe9\n")
    with pytest.raises(UploadError, match=r"\.gitignore cannot be read .*utf-8.*; change that, or"):
        choose(root)


def test_a_settings_file_is_sent_whatever_the_rules_say(tmp_path: Path) -> None:
    root = tmp_path / "work"
    put(root, "local/run.yaml", "runs/old.yaml", "other.txt")
    (root / ".gitignore").write_text("local/\n")
    assert {"local/run.yaml", "runs/old.yaml"} <= sent(
        root, also=[Path("local/run.yaml"), Path("./runs/old.yaml")]
    )


def test_the_same_files_are_the_same_package(tmp_path: Path) -> None:
    root = tmp_path / "work"
    put(root, "b", "a/c", "a/b")
    first, second = tmp_path / "1.zip", tmp_path / "2.zip"
    choose(root).write(first)
    choose(root).write(second)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.timeout(20)
def test_pipes_sockets_and_links_in_circles_are_left_out_and_nothing_waits_for_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "work"
    put(root, "run.yaml", "real/inner.txt")
    os.mkfifo(root / "pipe")
    (root / "to_zero").symlink_to("/dev/zero")
    (root / "real" / "up").symlink_to(root)
    (root / "itself").symlink_to(root / "itself")
    (root / "nowhere").symlink_to(root / "missing")
    (root / "linked.yaml").symlink_to(root / "run.yaml")
    listener = socket.socket(socket.AF_UNIX)
    before = Path.cwd()
    os.chdir(root)  # Names of sockets have to be short.
    try:
        listener.bind("socket")
    finally:
        os.chdir(before)
    with listener:
        assert sent(root) == {"run.yaml", "real/inner.txt", "linked.yaml"}
    for name in ("pipe", "socket", "to_zero"):
        assert f"{root / name} is no regular file, and is not sent" in caplog.text
    assert f"{root / 'real' / 'up'} leads back to a folder" in caplog.text


def test_links_out_of_the_folder_are_not_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "work"
    put(root, "kept", "shared/a.png")
    put(tmp_path, "secret", "other/secret", "work-2/secret")
    for name, target in (
        ("file", tmp_path / "secret"),
        ("relative", Path("../secret")),
        ("folder", tmp_path / "other"),
        ("neighbour", tmp_path / "work-2"),
        ("shared/chain", root / "file"),
        ("inside", root / "shared"),
    ):
        (root / name).symlink_to(target)
    assert sent(root) == {"kept", "shared/a.png", "inside/a.png"}
    for name in ("file", "relative", "folder", "neighbour", "shared/chain"):
        assert f"{root / name} leads out of {root}, and is not sent" in caplog.text


@pytest.mark.parametrize("variable", [True, False])
def test_the_token_for_ray_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, variable: bool
) -> None:
    """As where the folder is somebody's home."""
    root = tmp_path / "home"
    put(root, ".ray/auth_token", "keys/token", "run.yaml")
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    if variable:
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(root / "keys" / "token"))
    assert sent(root) == ({"run.yaml"} if variable else {"run.yaml", "keys/token"})


def test_a_folder_that_cannot_be_read_is_refused_unless_the_rules_leave_it_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "run.yaml", "private/key")
    iterdir = Path.iterdir

    def refuse(path: Path) -> Iterator[Path]:
        if path.name == "private":
            raise PermissionError(13, "Permission denied")
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(UploadError, match="private cannot be sent: Permission denied"):
        choose(tmp_path)
    (tmp_path / ".gitignore").write_text("private/\n")
    assert set(map(str, choose(tmp_path).files)) == {"run.yaml", ".gitignore"}


@pytest.mark.parametrize(
    "name",
    [
        *("random.py", "numpy/__init__.py", "queue.py", "metagan.py", "metagan/__init__.py"),
        *("attr.py", "random.pyc", "torch.cpython-311-x86_64-linux-gnu.so"),
    ],
)
def test_what_would_hide_a_module_from_the_job_is_refused_by_its_file(
    tmp_path: Path, name: str
) -> None:
    put(tmp_path, name)
    with pytest.raises(UploadError) as caught:
        choose(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / name} would be imported in the job in place")
    assert "rename it" in str(caught.value)


def test_files_that_hide_nothing_are_sent(tmp_path: Path) -> None:
    root = tmp_path / "work"
    names = {"cluster.py", "tune/__init__.py", "metagan/data.csv", "sub/random.py", "random.txt"}
    names |= {"numpy/notes.py", "random.old.py", "torch/sub/__init__.py"}
    put(root, *names)
    assert sent(root) == names
    # A checkout of this program, whose code then runs on the cluster.
    checkout = tmp_path / "checkout"
    put(checkout, *(f"{name}/__init__.py" for name in ("metagan", "cluster", "tune")))
    assert len(sent(checkout)) == 3


def test_what_is_too_large_is_told_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.upload.GCS_STORAGE_MAX_SIZE", 3 << 20)
    put(tmp_path, "run.yaml", "data/a", "b.bin")
    for name, size in (("data/a", 5), ("b.bin", 2)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size << 20)
    with pytest.raises(UploadError) as caught:
        choose(tmp_path)
    told = str(caught.value)
    assert "has 3 files with 7 MiB to be sent, and Ray takes 3 MiB; the largest: data (5" in told
    (tmp_path / ".rayignore").write_text("data\n")
    assert choose(tmp_path).files
    monkeypatch.setattr("cluster.upload._MOST_FILES", 2)
    with pytest.raises(UploadError, match="has 3 files with 2 MiB"):
        choose(tmp_path)


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.txt", "wb"):
        pass
    with pytest.raises(UploadError, match="is not UTF-8 text; rename it"):
        choose(tmp_path)


@pytest.mark.parametrize(
    ("name", "path", "why"),
    [
        ("data.path", "data/letters", "keeps it out of the upload"),
        ("--run", "runs/mine", "keeps it out of the upload"),
        ("--support", "../outside", "does not hold it"),
        ("--support", "missing", "does not hold it"),
    ],
)
def test_an_input_that_is_not_sent_is_told_before_anything_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    path: str,
    why: str,
) -> None:
    root = tmp_path / "work"
    put(root, "data/letters/a.png", "runs/mine/config.yaml", "kept/a.png")
    put(tmp_path, "outside/a.png")
    (root / ".gitignore").write_text("data/\n")
    calls: list[dict[str, object]] = []

    class Client:
        def submit_job(self, **job: object) -> None:
            calls.append(job)

    monkeypatch.setattr("cluster.jobs.JobSubmissionClient", lambda _: Client())

    def submit(given: str) -> None:
        inputs = {name: Path(given)}
        request = JobRequest(["doctor"], "job", root, 0.0, {}, "python", inputs=inputs)
        RayJobs("http://h:1").submit(request)

    with pytest.raises(UploadError) as caught:
        submit(path)
    assert calls == []
    assert str(caught.value).startswith(f"{name} {path}: the job sees only its copy")
    assert why in str(caught.value)
    assert "give an absolute path on the cluster's nodes" in str(caught.value)
    submit("kept")
    submit("./kept/a.png")
    assert len(calls) == 2
    assert caplog.text == ""
    # A table whose pictures stay here.
    put(root, "part/labels.csv", "part/a.png", "part/b/c.png")
    (root / "part" / ".gitignore").write_text("*.png\n")
    submit("./part")
    assert f"{name} part: files in it that are not sent: 2; .gitignore" in caplog.text
