"""`metagan train` as a command on a simulated cluster, and the weights that it must reach."""

import subprocess
import sys
import time
from pathlib import Path

from metagan.config.load import to_yaml
from metagan.workflow.setup import TrainSetup
from metagan.workflow.train import local_runner, train_run
from tests.cluster.ray_for_tests import bars_config
from tests.cluster.simulated import inputs
from tests.equal_runs import assert_equal_runs
from tests.workflow.conftest import Quiet


class Training:
    """The run of a scenario's inputs, by commands of which each continues the one before.

    Attributes:
        run: Its folder.
    """

    def __init__(self, address: str) -> None:
        """Commands join the cluster at this address; inside a scenario."""
        folder = Path(sys.argv[1]).parent
        self._config, self.run = folder / "run.yaml", folder / "run"
        self._config.write_text(to_yaml(inputs().spec.config))
        self._address = address

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command with two workers."""
        command = f"-m metagan train -c {self._config} --run {self.run} --workers 2".split()
        return subprocess.Popen(
            [sys.executable, *command, f"cluster.address={self._address}", *arguments],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )

    def steps(self) -> int:
        """Outer steps in the run's log."""
        file = self.run / "metrics.jsonl"
        return len(file.read_text().splitlines()) if file.is_file() else 0

    def wait_for_steps(self, count: int, command: "subprocess.Popen[str]") -> None:
        """Return when the log has so many steps."""
        deadline = time.monotonic() + 240
        while self.steps() < count:
            assert command.poll() is None, "the command ended early"
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.05)


def assert_bits_of_one_process(setup: TrainSetup, folder: Path, steps: int) -> None:
    """A run's last checkpoint is that of the same run in one process.

    Args:
        setup: Of the run, whose data is in `bars`.
        folder: Has the run in `run`; `local` is made.
        steps: All of its outer steps.
    """
    outer = {**setup.spec.config.outer.model_dump(), "steps": steps}
    whole = bars_config(folder / "bars", outer=outer)
    train_run(whole, folder / "local", open_runner=local_runner(whole), reporter=Quiet())
    assert_equal_runs(folder / "run", folder / "local")
