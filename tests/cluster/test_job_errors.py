"""Errors name the cause and the fix when a cluster's jobs cannot be reached."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
import ray
from ray.job_submission import JobStatus

from cluster.errors import ClusterError, in_short
from cluster.jobs import RayJobs, _explain, _message


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


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "Job entrypoint command failed with exit code 2, last available logs (20,000):\nx",
            "Job entrypoint command failed with exit code 2",
        ),
        (
            "runtime_env setup failed: Failed to set it up.\nCould not create the actor.\n"
            "Traceback (most recent call last):\n  File ...\nOSError: [Errno 28] No space left\n",
            "runtime_env setup failed: Failed to set it up: OSError: [Errno 28] No space left",
        ),
        ("", ""),
        (None, ""),
    ],
)
def test_why_a_job_failed_is_its_heading_and_the_fact(message: str | None, told: str) -> None:
    assert _message(SimpleNamespace(status=JobStatus.FAILED, message=message)) == told


def _details(status: JobStatus) -> SimpleNamespace:
    return SimpleNamespace(
        submission_id="j",
        status=status,
        driver_exit_code=None,
        message="",
        metadata={},
        entrypoint="python -m metagan train",
        start_time=None,
    )


@pytest.mark.timeout(20)
@pytest.mark.parametrize("there", [True, False])
def test_a_log_that_never_ends_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    """As where a network drops a connection and tells neither side."""
    looks: list[str] = []

    class Client:
        def get_job_info(self, job: str) -> SimpleNamespace:
            looks.append(job)
            if len(looks) > 2 and not there:
                raise ConnectionError("no route")
            return _details(JobStatus.RUNNING if len(looks) < 3 else JobStatus.SUCCEEDED)

        async def tail_job_logs(self, _: str) -> AsyncIterator[str]:
            yield "step 1"
            await asyncio.Event().wait()

    monkeypatch.setattr("cluster.jobs.JobSubmissionClient", lambda _: Client())
    monkeypatch.setattr("cluster.jobs._PATIENCE_S", 0.001)
    written: list[str] = []
    jobs = RayJobs("http://h:1")
    if there:
        assert jobs.follow("j", written.append, written.append).status == "succeeded"
    else:
        with pytest.raises(ClusterError, match="nothing answers at http://h:1"):
            jobs.follow("j", written.append, written.append)
    assert written == ["step 1"]


@pytest.mark.parametrize("closes", ["as if the job had ended", "abnormally"])
def test_a_connection_that_ends_before_its_job_is_no_end_of_the_job(
    closes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As through a proxy that gives up on a connection without traffic."""

    class Client:
        def get_job_info(self, _: str) -> SimpleNamespace:
            return _details(JobStatus.RUNNING)

        async def tail_job_logs(self, _: str) -> AsyncIterator[str]:
            yield "step 1"
            if closes == "abnormally":
                raise RuntimeError("WebSocket connection closed unexpectedly with close code 1006")

    monkeypatch.setattr("cluster.jobs.JobSubmissionClient", lambda _: Client())
    written: list[str] = []
    with pytest.raises(ClusterError) as caught:
        RayJobs("http://h:1").follow("j", written.append, written.append)
    assert written == ["step 1"]
    assert str(caught.value) == (
        "http://h:1 closed the connection before j ended; `metagan job logs j --follow` follows it "
        "again"
    )


def test_the_servers_error_is_told_with_both_versions_where_they_differ() -> None:
    error = RuntimeError("Request failed with status code 500: Traceback\n  File\nKeyError: 'x'.")
    assert _explain("http://h:1", None, error, "2.9.0") == (
        f"http://h:1: Request failed with status code 500: Traceback: KeyError: 'x'. "
        f"(its Ray is 2.9.0, this machine's is {ray.__version__})"
    )
    assert "its Ray" not in _explain("http://h:1", None, error, ray.__version__)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("one line", "one line"),
        ("A heading:\n\n  some advice\n  the fact.\n", "A heading: the fact."),
        ("the fact is here\nfact", "the fact is here"),
        ("Traceback (most recent call last):\n  File x\nKeyError: 3", "KeyError: 3"),
        ("\x1b[36mray::f()\x1b[39m failed\n", "ray::f() failed"),
        ("", "no reason given"),
    ],
)
def test_several_lines_are_told_in_one(text: str, short: str) -> None:
    assert in_short(text) == short
    assert in_short(RuntimeError(text)) == (short if text else "RuntimeError")
