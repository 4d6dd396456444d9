"""Commands by themselves."""

import pytest

from tests.doors import shut_doors


@pytest.fixture(autouse=True)
def _no_cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that is not marked to start a Ray cannot start one by accident."""
    if request.node.get_closest_marker("ray") is None:
        shut_doors(monkeypatch)
