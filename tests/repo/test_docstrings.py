"""The check of docstrings finds the words that it is about, and nothing else."""

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.repo.docstrings import main

BAD = '''"""What a file is."""


class Place:
    """Where a file is."""

    def exists(self):
        """
        Whether a file is there.
        """


async def owner():
    def inner():
        """Who wrote a file."""
'''
CLEAN = '''"""Whatever a file is."""


class Place:
    "The place of a file: what, where."

    def exists(self):
        """True if a file is there.

        Whether it can be read is another question.
        """
        """What follows is no docstring."""


def owner():
    # What has no docstring passes.
    return "Who"
'''


def test_one_of_each_word_is_found_in_modules_classes_and_functions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "deep" / "bad.py"
    file.parent.mkdir()
    file.write_text(BAD)
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f'{file}:{line}: docstring opens with "{word}"; begin with a verb or a noun'
        for line, word in ((1, "What"), (5, "Where"), (8, "Whether"), (15, "Who"))
    ]


def test_a_clean_file_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clean.py").write_text(CLEAN)
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""


def test_all_folders_are_read_though_the_first_is_bad(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bad.py").write_text('"""Where."""\n')
    assert main([str(tmp_path / "one"), str(tmp_path / "two")]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_make_and_the_hook_check_every_folder_of_code() -> None:
    command = r"python -m tests\.repo\.docstrings (.*)"
    checked = [
        set(folders.split())
        for file in ("Makefile", ".pre-commit-config.yaml")
        for folders in re.findall(command, (REPOSITORY / file).read_text(encoding="utf-8"))
    ]
    assert len(checked) == 2
    assert (
        checked[0]
        == checked[1]
        == {"metagan", "cluster", "tune", "tests", "benchmarks", "examples"}
    )
