"""What is said when a cluster's jobs cannot be reached."""

import pytest

from cluster.jobs import _explain


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        # The port must not be taken for a status code.
        (ConnectionError("Failed to connect to Ray at http://h:40133"), "nothing answers at"),
        (RuntimeError("Request failed with status code 403: x"), "asks for a token"),
        (RuntimeError("Request failed with status code 404: no such job"), "has no job 'j-401'"),
        (RuntimeError("Job j-401 does not exist"), "has no job 'j-401'"),
        (RuntimeError("Request failed with status code 500: agent\nmore"), "http://h:40133: Req"),
    ],
)
def test_an_error_is_told_by_its_kind(error: Exception, expected: str) -> None:
    assert expected in _explain("http://h:40133", "j-401", error)
