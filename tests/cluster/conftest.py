"""The run and the workers that these tests share."""

from collections.abc import Iterator, Mapping

import pytest

from cluster.connect import RaySession
from cluster.opening import open_ray_runner
from cluster.runner import RayRunner
from metagan.core.params import Vector
from metagan.devices import choose_device
from metagan.workflow.setup import TrainSetup
from metagan.workflow.worker import ChunkWorker, LocalRunner
from tests.cluster.faults import Script, faulty_worker
from tests.cluster.ray_for_tests import bars_run
from tests.cluster.runs import settings, trained, update_of


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainSetup:
    """A tiny run whose data any process can open."""
    return bars_run(tmp_path_factory.mktemp("data") / "bars")


@pytest.fixture(scope="session")
def local_runner(run: TrainSetup) -> LocalRunner:
    """The reference: every chunk in this process, one thread."""
    return LocalRunner(ChunkWorker(run.spec, device=choose_device("cpu")))


@pytest.fixture(scope="module")
def local_gradient(run: TrainSetup, local_runner: LocalRunner) -> Vector:
    return update_of(run, local_runner)[0]


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Script:
    return Script(tmp_path_factory.mktemp("script"))


@pytest.fixture
def no_faults(script: Script) -> None:
    script.write()


@pytest.fixture(scope="module")
def two_workers(run: TrainSetup, script: Script, local_ray: RaySession) -> Iterator[RayRunner]:
    """A runner that tests share: starting workers is what takes the time here."""
    assert local_ray.address
    with open_ray_runner(run.spec, settings(2), worker_class=faulty_worker(script)) as runner:
        yield runner


@pytest.fixture(scope="module")
def locally_trained(run: TrainSetup, local_runner: LocalRunner) -> Mapping[str, Vector]:
    return {name: trained(run, local_runner, name)[0] for name in ("reptile", "fomaml", "joint")}
