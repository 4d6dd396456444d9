"""The checks that run before a commit are complete, and their tools pinned like everything else."""

import re
import tomllib

import yaml

from tests.conftest import REPOSITORY

# The package that each program of a hook comes from.
PACKAGES = {
    "ruff": "ruff",
    "lint-imports": "import-linter",
    "codespell": "codespell",
    "end-of-file-fixer": "pre-commit-hooks",
    "check-added-large-files": "pre-commit-hooks",
    "check-merge-conflict": "pre-commit-hooks",
    "detect-private-key": "pre-commit-hooks",
}


def programs() -> set[str]:
    """Programs that the hooks run, all from the project's own environment."""
    text = (REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    [repository] = yaml.safe_load(text)["repos"]
    entries = [hook["entry"].split()[0] for hook in repository["hooks"]]
    assert all(entry.startswith(".venv/bin/") for entry in entries)
    return {entry.removeprefix(".venv/bin/") for entry in entries}


def test_the_hooks_check_code_contracts_spelling_and_files() -> None:
    # Python itself runs the project's own check, of docstrings.
    assert programs() == {*PACKAGES, "python"}


def test_every_tool_of_a_hook_has_one_version() -> None:
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    versions = dict(
        text.split("==")
        for text in declared["project"]["optional-dependencies"]["dev"]
        if "==" in text
    )
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {
        name.lower().replace("_", "-"): version
        for name, _, version in (line.partition("==") for line in lines)
    }
    for package in set(PACKAGES.values()):
        assert versions[package] == pinned[package]


def test_make_runs_every_check_of_the_code() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    [lint] = re.findall(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert {f"$(BIN)/{name}" for name in ("ruff", "lint-imports", "codespell")} <= set(lint.split())
