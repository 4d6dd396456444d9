"""Fixtures of these tests."""

import pytest

from metagan.report.search_load import load_search
from tests.report.search_files import write_search


@pytest.fixture
def read(tmp_path):
    """A search from what its file holds."""
    return lambda data: load_search(write_search(tmp_path / "search", data))
