"""What `metagan submit` and `metagan job` refuse before they ask a cluster anything."""

import pytest

from metagan.cli.app import run_cli
from tests.cli.test_app import make_test_context


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("submit", "put a command behind --"),
        ("submit -- tran", "cannot run 'tran' on a cluster; one of: train, evaluate"),
        ("submit -- submit -- train", "cannot run 'submit' on a cluster"),
        ("submit -- train inner.lr=-1", "inner.lr"),
        ("submit -- train -c missing.yaml", "name a file in it"),
        ("submit -- train -c {folder}/run.yaml", "name a file in it, relative to it"),
        ("submit --working-dir {folder}/none -- train", "none is not a folder"),
        ("submit --driver-label role -- train", "'role' is not KEY=VALUE"),
        ("submit -- train --wrokers 3", "did you mean --workers?"),
        ("job status", "metagan job status needs an id"),
        ("job list x", "metagan job list takes no id"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(line, expected, tmp_path, capsys):
    (tmp_path / "run.yaml").write_text("seed: 1\n")
    words = line.format(folder=tmp_path).split()
    if words[0] == "submit" and "--working-dir" not in words:
        words[1:1] = ["--working-dir", str(tmp_path)]
    assert run_cli(words, make_test_context) == 2
    assert expected in capsys.readouterr().err
