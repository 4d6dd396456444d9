"""Messages say what a folder is where a command was given one that it cannot use."""

import json
from pathlib import Path

import pytest

from metagan.runs.places import check_adapted, check_exists, check_run, what_it_is
from metagan.runs.run_folder import RunError


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """One of everything that a user may have lying about."""

    def put(name: str, content: str = "x") -> None:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    put("letters/latin/a/0.png")
    put("loose/0.JPG")
    put("tables/part.parquet")
    put("runs/one/config.yaml")
    put("runs/one/checkpoints/step-3/manifest.json", "{}")
    put("adapted/manifest.json", json.dumps({"what": "adapted GAN"}))
    put("prepared/manifest.json", json.dumps({"format": "metagan prepared data"}))
    put("search/search.yaml")
    put("samples/samples.parquet")
    put("samples/grid.png")
    put("notes/a.txt")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("letters", "it looks like a folder of data"),
        ("letters/latin", "it looks like a folder of data"),
        ("letters/latin/a", "it looks like a folder of data"),
        ("loose", "it looks like a folder of data"),
        ("tables", "it looks like a folder of data"),
        ("runs", "it holds runs, such as runs/one"),
        ("runs/one/checkpoints/step-3", "it looks like a part of the run "),
        ("adapted", "it looks like an adapted GAN (metagan adapt)"),
        ("prepared", "it looks like prepared data (metagan data prepare)"),
        ("search", "it looks like a search (metagan tune)"),
        ("samples", "it looks like generated samples (metagan generate)"),
        ("notes", "it holds 'a.txt'"),
        ("notes/a.txt", "it is a file"),
        ("empty", "it is empty"),
        ("leters", "nothing is there (did you mean letters?)"),
        ("runs/ones/three", "nothing is there (did you mean runs/one?)"),
        ("nothing/like/it", "nothing is there"),
    ],
)
def test_what_is_no_run_is_said_to_be_what_it_is(
    places: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.chdir(places)
    with pytest.raises(RunError) as caught:
        check_run(Path(name), "--run")
    text = str(caught.value)
    assert text.startswith(f"--run {name}: no run here (no config.yaml); {said}")
    # Never the advice to train into somebody's data.
    assert f"train --run {name}" not in text


def test_a_run_is_a_run_and_an_adapted_gan_is_one(places: Path) -> None:
    check_run(str(places / "runs" / "one"))
    check_adapted(str(places / "adapted"))
    with pytest.raises(RunError, match=r"not the result of metagan adapt; it looks like a run"):
        check_adapted(places / "runs" / "one")
    assert "it looks like a run (metagan train)" in what_it_is(places / "runs" / "one")


def test_a_path_that_cannot_be_looked_at_is_no_crash(places: Path) -> None:
    check_exists(places / "letters", "--support")
    with pytest.raises(RunError, match="--support ~nobody-has-this-name/a: no such file or folder"):
        check_exists("~nobody-has-this-name/a", "--support")
    for name, said in (
        ("leters", "no such file or folder; did you mean"),
        ("x" * 300, "File name too long"),
        ("notes/a.txt/b", "Not a directory"),
        ("a\0b", "null byte"),
    ):
        with pytest.raises(RunError, match=said):
            check_exists(places / name, "--support")
        assert what_it_is(places / name)
        with pytest.raises(RunError, match="no run here"):
            check_run(places / name)
