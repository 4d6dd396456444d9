"""Fixtures shared by every test."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from metagan.sources.arrow import prepare
from tests.helpers import bars

if TYPE_CHECKING:
    from cluster.connect import RaySession

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Bit-equality claims need a fixed number of threads; small tensors are faster with one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
