"""Settings as processes get them that Ray starts in folders of their own."""

from pathlib import Path

import pytest

from cluster.opening import with_absolute_paths
from metagan.config.settings import RunConfig


def test_paths_are_those_of_the_process_that_starts_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    config = RunConfig(
        data={"path": "letters", "cache_dir": "~/cache"}, outer={"init_from": "runs/first"}
    )
    moved = with_absolute_paths(config)
    assert moved.data.path == str(tmp_path / "letters")
    assert moved.data.cache_dir == "/home/somebody/cache"
    assert moved.outer.init_from == str(tmp_path / "runs" / "first")
    assert with_absolute_paths(moved) == moved
    assert with_absolute_paths(RunConfig()) == RunConfig()
