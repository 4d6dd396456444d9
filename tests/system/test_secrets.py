"""Tokens and credentials of a run's environment are in no file and no output of it."""

import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from metagan.config.load import to_yaml
from tests.cluster.ray_for_tests import bars_config, bars_run
from tests.conftest import REPOSITORY
from tests.helpers import environment_without_ray, files_with

pytestmark = pytest.mark.ray

CREDENTIALS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "WANDB_API_KEY", "HF_TOKEN")


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    ["train -c {run}.yaml --run {run} --workers 1", "tune --smoke --trials 2 --out {run}"],
    ids=["train", "tune"],
)
def test_neither_the_run_folder_nor_its_copy_nor_rays_logs_nor_the_output_have_any(
    line: str,
    tmp_path: Path,
) -> None:
    """With a token of the user's, and a copy of every checkpoint."""
    bars_run(tmp_path / "bars")
    (tmp_path / "run.yaml").write_text(to_yaml(bars_config(tmp_path / "bars")))
    (tmp_path / "home").mkdir()
    canaries = {name: f"canary{secrets.token_hex(12)}" for name in CREDENTIALS}
    canaries["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    with tempfile.TemporaryDirectory(prefix="mg-") as ray:
        environment = (
            environment_without_ray() | canaries | {"RAY_AUTH_MODE": "token", "RAY_TMPDIR": ray}
        )
        environment |= {"HOME": str(tmp_path / "home"), "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}

        command = ["-m", "metagan", *line.format(run=tmp_path / "run").split()]
        copied = f"checkpoint.storage={(tmp_path / 'copy').as_uri()}"
        done = subprocess.run(
            [sys.executable, *command, copied],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        words = list(canaries.values())
        logs = list(Path(ray).rglob("session_*/logs/*"))
        assert len(logs) > 5  # There is something to look through.
        assert files_with(words, Path(ray), tmp_path) == []
    said = b"".join([done.stdout, done.stderr]).decode()
    assert [word for word in words if word in said] == []


def test_a_secret_in_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("token: canary7")
    assert files_with(["canary7"], tmp_path) == [str(tmp_path / "log")]
