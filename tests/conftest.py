"""Fixtures shared by every test."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import torch

from metagan.data.arrow import prepare
from metagan.data.reader import READERS
from tests.helpers import bars
from tests.process_state import numerical_state

if TYPE_CHECKING:
    from cluster.connect import RaySession

REPOSITORY = Path(__file__).resolve().parent.parent

# By itself Hypothesis fails an example that takes 200 ms, which on a busy machine any may.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

# What a shell starts in the background hears no Ctrl-C, and neither do its children: then tests
# that send one would wait for ever.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _shares_a_ray(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "local_ray" in item.fixturenames


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put all tests that share a Ray into one of several processes, so that there is one Ray."""
    if config.pluginmanager.has_plugin("xdist"):
        for item in filter(_shares_a_ray, items):
            item.add_marker(pytest.mark.xdist_group("ray"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse versions of pytest and pytest-xdist that lose groups and say nothing."""
    if getattr(session.config.option, "loadgroup", False):
        for item in filter(_shares_a_ray, session.items):
            assert item.nodeid.endswith("@ray"), (
                f"pytest {pytest.__version__} and this pytest-xdist give {item.nodeid} to any "
                "process; install the versions of constraints.txt"
            )


@pytest.fixture(autouse=True)
def _a_process_like_a_new_one() -> Iterator[None]:
    """Start each test as in a new process, and refuse numerical settings that it leaves behind.

    Claims of equal bits need that. Small tensors are faster with one thread.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.default_generator.manual_seed(0)
    expected = numerical_state()
    yield
    found = numerical_state()
    torch.set_num_threads(before)
    assert found == expected, "this test leaves other numerical settings to the next ones"


@pytest.fixture
def smooth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Activations without kinks, for differences: where a slope jumps, an inner gradient does."""
    functional = torch.nn.functional
    monkeypatch.setattr(functional, "relu", lambda x: functional.softplus(4 * x) / 4)
    monkeypatch.setattr(
        functional,
        "leaky_relu",
        lambda x, slope: slope * x + (1 - slope) * functional.softplus(4 * x) / 4,
    )


@pytest.fixture
def series(monkeypatch: pytest.MonkeyPatch) -> str:
    """A kind of sample beside those of the program is known while a test runs; its name."""
    monkeypatch.setitem(READERS, "series", "tests.data.series")
    return "series"


@pytest.fixture(scope="session")
def bars_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bars of `tests.helpers`, prepared as a folder that workers open."""
    return prepare(bars(), tmp_path_factory.mktemp("data") / "bars")


@pytest.fixture(scope="session")
def published_data() -> Path:
    """The folder with published data sets, or a skip that says where it is looked for."""
    path = Path(os.environ.get("METAGAN_DATA", REPOSITORY.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no published data sets at {path} (set METAGAN_DATA)")
    return path


@pytest.fixture(scope="session")
def local_ray() -> Iterator["RaySession"]:
    """A private Ray; ask for it by name, so that other tests never import or start one."""
    from tests.cluster.ray_for_tests import ray_in_own_folders

    with ray_in_own_folders() as session:
        yield session
