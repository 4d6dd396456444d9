"""A run folder that an earlier version wrote, with settings that were removed since."""

import shutil
from pathlib import Path

import pytest

from metagan.cli.app import run_cli
from metagan.removed_settings import REMOVED, drop_removed
from metagan.strict_yaml import parse_document
from metagan.workflow.setup import load_run
from tests.helpers import bars, write_pictures
from tests.test_removed_settings import with_removed
from tests.workflow.conftest import local_context

OF_A_RUN = {key: value for key, value in REMOVED.items() if not key.startswith("tune.")}


@pytest.fixture
def earlier(trained: Path, tmp_path: Path) -> Path:
    run = tmp_path / "earlier"
    shutil.copytree(trained, run)
    config = run / "config.yaml"
    config.write_text(with_removed(config.read_text(), OF_A_RUN))
    return run


def test_every_command_goes_on_with_it(earlier: Path, tmp_path: Path) -> None:
    pictures, again = write_pictures(tmp_path / "mine", bars(num_domains=1)), tmp_path / "again"
    config = str(earlier / "config.yaml")
    for line in (
        ["adapt", "--run", str(earlier), "--support", str(pictures / "domain0"), "--steps", "1"],
        ["report", "--run", str(earlier)],
        ["train", "-c", config, "--run", str(again), "--local", "outer.steps=1"],
        ["train", "--run", str(earlier), "--local", "--resume", "outer.steps=4"],
    ):
        out = ["--out", str(tmp_path / "adapted")] if line[0] == "adapt" else []
        assert run_cli([*line, *out], local_context) == 0
    assert load_run(earlier).step == 4
    # The resumed run has written its settings anew.
    kept = parse_document(Path(config).read_text()).data
    assert drop_removed(kept, config) == kept


def test_another_value_names_the_file_the_setting_and_the_value(
    earlier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = earlier / "config.yaml"
    config.write_text(config.read_text().replace("cg_batches: 1", "cg_batches: 3"))
    assert run_cli(["train", "--run", str(earlier), "--local", "--resume"], local_context) == 2
    said = capsys.readouterr().err
    assert f"{config}: algorithm.cg_batches is 3, but this version no longer has that" in said
