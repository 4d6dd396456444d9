"""Commands that run on a cluster as Ray jobs, through its dashboard's address.

Source of the interface: Ray Jobs (`ray.job_submission`), which keeps a job's state and log on the
cluster, so that the submitting machine may go away.
"""

import asyncio
import contextlib
import logging
import re
import secrets
import shlex
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from ray.exceptions import AuthenticationError, RayError
from ray.job_submission import JobStatus, JobSubmissionClient

from cluster.connect import joining_environment
from cluster.environment import quieter
from cluster.errors import ClusterError
from metagan.jobs import JobRequest, JobState
from metagan.words import agreeing

# Besides what .gitignore names: never wanted on a cluster, and large.
EXCLUDED = (".git", ".venv", "runs", "*.egg-info", "__pycache__", ".mypy_cache", ".pytest_cache")


# How long a job that is stopped may take to end, for its outer step and a checkpoint; Ray's three
# seconds are too few.
_STOP_WAIT, _STOP_WAIT_S = "RAY_JOB_STOP_WAIT_TIME_S", 120
# Ray's loggers of which nothing below a warning is of use to who submits.
_CHATTY = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
# What marks a job as one of metagan's.
_OURS = {"program": "metagan"}
# How long a job that is followed may take to start before that is said, and said again.
_PATIENCE_S = 30.0


class RayJobs:
    """The jobs of one cluster."""

    def __init__(self, address: str) -> None:
        """Connects.

        Args:
            address: Of the dashboard, http://host:port or host:port.

        Raises:
            ClusterError: If nothing answers there, or it asks for another token.
        """
        self.address = address if "://" in address else f"http://{address}"
        with self._explained():
            self._client = JobSubmissionClient(self.address)

    def submit(self, request: JobRequest) -> str:
        """Start a job; returns its id, which no other job has."""
        now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        job = f"{request.name}-{now}-{secrets.token_hex(2)}"
        options: dict[str, Any] = {}
        if request.driver_cpus:
            options["entrypoint_num_cpus"] = request.driver_cpus
        if request.driver_labels:
            options["entrypoint_label_selector"] = dict(request.driver_labels)
        runtime_env: dict[str, Any] = {
            "working_dir": str(request.working_dir),
            "excludes": list(EXCLUDED),
        }
        # Read by the process of Ray's that watches over the job, which has its environment.
        runtime_env["env_vars"] = {_STOP_WAIT: str(_STOP_WAIT_S), **request.environment}
        with self._explained():
            self._client.submit_job(
                entrypoint=shlex.join([request.python, "-m", "metagan", *request.words]),
                submission_id=job,
                runtime_env=runtime_env,
                metadata={**_OURS, "needs": _needs(request)},
                **options,
            )
        return job

    def states(self) -> list[JobState]:
        """Every job that metagan submitted, the newest first."""
        with self._explained():
            found = [d for d in self._client.list_jobs() if _is_ours(d)]
        return [_state(d) for d in sorted(found, key=lambda d: d.start_time or 0, reverse=True)]

    def state(self, job: str) -> JobState:
        """How a job is.

        Raises:
            ClusterError: If there is no such job.
        """
        with self._explained(job):
            return _state(self._client.get_job_info(job))

    def log(self, job: str) -> str:
        """All that a job has written so far."""
        with self._explained(job):
            return self._client.get_job_logs(job)

    def follow(
        self, job: str, write: Callable[[str], None], waiting: Callable[[str], None]
    ) -> JobState:
        """Pass on a job's output as it comes; returns its state when it has ended."""

        async def tell_while_pending() -> None:
            while True:
                await asyncio.sleep(_PATIENCE_S)
                try:
                    details = await asyncio.to_thread(self._client.get_job_info, job)
                except (RuntimeError, OSError):
                    continue  # Who reads the log will be told what is wrong, if it lasts.
                if details.status != JobStatus.PENDING:
                    return
                waiting(f"{job} {_message(details)}")

        async def tail() -> None:
            pending = asyncio.create_task(tell_while_pending())
            try:
                async for text in self._client.tail_job_logs(job):
                    write(text)
            finally:
                pending.cancel()

        with self._explained(job), warnings.catch_warnings():
            self._client.get_job_info(job)  # Says so if there is none; the next call would crash.
            # Ray calls aiohttp in a way that warns its authors.
            warnings.simplefilter("ignore", DeprecationWarning)
            asyncio.run(tail())
        return self.state(job)

    def stop(self, job: str) -> JobState:
        """Ask a job to end: a run in training writes a checkpoint first."""
        with self._explained(job):
            self._client.stop_job(job)
        return self.state(job)

    @contextlib.contextmanager
    def _explained(self, job: str | None = None) -> Iterator[None]:
        """Ray's environment inside, and its errors in words that name the fix."""
        try:
            with joining_environment(), quieter(_CHATTY, logging.WARNING):
                yield
        except (RayError, ConnectionError, RuntimeError, OSError, ValueError) as error:
            raise ClusterError(_explain(self.address, job, error)) from error


def _explain(address: str, job: str | None, error: BaseException) -> str:
    text = str(error)
    # A port or a job's id may look like a status code.
    code = re.search(r"status code (\d{3})\b", text)
    status = "" if code is None else code[1]
    if isinstance(error, AuthenticationError) or status in ("401", "403"):
        return (
            f"{address} asks for a token that was not given or is another one: export "
            "RAY_AUTH_MODE=token (and RAY_AUTH_TOKEN_PATH if it is not in ~/.ray/auth_token)"
        )
    if isinstance(error, ConnectionError):
        return (
            f"nothing answers at {address}; is it a Ray dashboard's address, and is the tunnel "
            "open (`ray dashboard ray_config.yaml`)?"
        )
    if job is not None and (status == "404" or "does not exist" in text):
        return f"{address} has no job {job!r}; `metagan job list` names those it has"
    first = next(iter(text.strip().splitlines()), type(error).__name__)
    return f"{address}: {first}"


def _is_ours(details: Any) -> bool:
    return _OURS.items() <= (details.metadata or {}).items()


def _needs(request: JobRequest) -> str:
    """The place that a job's own process needs, in words; empty where the head node's is enough."""
    if not request.driver_cpus:
        return ""
    labels = ", ".join(f"{key}={value}" for key, value in request.driver_labels.items())
    cores = f"{request.driver_cpus:g} free {agreeing(request.driver_cpus, 'core')}"
    return f"a node with {cores} and the label {labels}" if labels else f"a node with {cores}"


def _message(details: Any) -> str:
    """Why a job does not run, in a line; its log, whose end Ray puts here, is told elsewhere."""
    if details.status == JobStatus.PENDING:
        needs = (details.metadata or {}).get("needs") or "the head node"
        return (
            f"has not started: it waits for {needs}, or for its environment there; `ray status` "
            "shows what is free, and Ray gives it up after 15 minutes "
            "(RAY_JOB_START_TIMEOUT_SECONDS of the head node)"
        )
    lines = (details.message or "").partition(", last available logs")[0].strip().splitlines()
    return lines[0] if lines else ""


def _state(details: Any) -> JobState:
    status: JobStatus = details.status
    start = details.start_time
    return JobState(
        job=str(details.submission_id),
        status=status.value.lower(),
        ended=status.is_terminal(),
        exit_code=details.driver_exit_code,
        message=_message(details),
        command=details.entrypoint,
        started=None if start is None else datetime.fromtimestamp(start / 1000, UTC).isoformat(),
    )
