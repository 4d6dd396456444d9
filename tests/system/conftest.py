"""The Ray that these tests share with those of the cluster package."""

from collections.abc import Iterator

import pytest

from cluster.connect import RaySession
from tests.cluster.ray_for_tests import ray_in_own_folders


@pytest.fixture(scope="session")
def local_ray() -> Iterator[RaySession]:
    """A private Ray; ask for it by name, so that other tests never start one."""
    with ray_in_own_folders() as session:
        yield session
