"""The run that these tests share."""

import pytest

from metagan.devices import choose_device
from metagan.train import ChunkWorker, LocalRunner
from metagan.workflow.setup import TrainSetup
from tests.cluster.ray_for_tests import bars_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainSetup:
    """A tiny run whose data any process can open."""
    return bars_run(tmp_path_factory.mktemp("data") / "bars")


@pytest.fixture(scope="session")
def local_runner(run: TrainSetup) -> LocalRunner:
    """The reference: every chunk in this process, one thread."""
    return LocalRunner(ChunkWorker(run.spec, device=choose_device("cpu")))
