"""Commands that run on a cluster as Ray jobs, through its dashboard's address.

Source of the interface: Ray Jobs (`ray.job_submission`), which keeps a job's state and log on the
cluster, so that the submitting machine may go away.
"""

import asyncio
import contextlib
import logging
import os
import re
import secrets
import shlex
import tempfile
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import ray
import requests
from ray import job_submission
from ray.exceptions import AuthenticationError, RayError
from ray.job_submission import JobStatus

from cluster.addresses import API_SERVER_ADDRESS, RAY_ADDRESS, jobs_address, without_password
from cluster.authentication import HOW_TO_GIVE_A_TOKEN
from cluster.connect import joining_environment
from cluster.environment import quieter
from cluster.errors import ClusterError, in_short
from cluster.job_request import JobRequest, JobState
from metagan.words import agreeing

# How long a job that is stopped may take to end, for its outer step and a checkpoint; Ray's three
# seconds are too few.
_STOP_WAIT, _STOP_WAIT_S = "RAY_JOB_STOP_WAIT_TIME_S", 120
# Ray's loggers of which nothing below a warning is of use to who submits.
_CHATTY = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
_KEPT_OUT = ".gitignore, .rayignore, a link out of the folder or metagan itself"
_LOG = logging.getLogger(__name__)
# What marks a job as one of metagan's.
_OURS = {"program": "metagan"}
# How often a job that is followed is looked at: one that does not start is reported each time.
_PATIENCE_S = 30.0
# After so many looks that failed, or found it ended, and no output between them, no more is waited
# for.
_MOST_DOUBTS = 3


# How long a dashboard may take to answer, seconds: to connect, and to a request; what is uploaded
# is stored before it answers.
_CONNECT_S, _ANSWER_S, _UPLOAD_S = 5.0, 60.0, 600.0
_RAYS_OWN_PORT = 6379
_ERRORS = (RayError, aiohttp.ClientError, RuntimeError, OSError, ValueError, KeyError, TypeError)


class JobSubmissionClient(job_submission.JobSubmissionClient):
    """Ray's client, which waits for ever for an answer by itself."""

    def _do_request(self, method: str, endpoint: str, **options: Any) -> requests.Response:
        answer_s = _UPLOAD_S if method == "PUT" else _ANSWER_S
        options.setdefault("timeout", (_CONNECT_S, answer_s))
        return super()._do_request(method, endpoint, **options)


class RayJobs:
    """The jobs of one cluster."""

    def __init__(self, address: str | None) -> None:
        """Connects.

        Args:
            address: Of the dashboard, http://host:port or host:port; None: what
                RAY_API_SERVER_ADDRESS or RAY_ADDRESS names, or else this machine's port 8265.

        Raises:
            ClusterError: If it is no such address, nothing answers there, or it asks for another
                token.
        """
        self._named = jobs_address(address, os.environ)
        self.address = without_password(self._named.address)
        with self._explained():
            self._client = JobSubmissionClient(self._named.address)

    def submit(self, request: JobRequest) -> str:
        """Start a job; returns its id, which no other job has.

        Raises:
            UploadError: If the working folder cannot be sent, or lacks an input of the command.
        """
        # Who looks at jobs needs nothing of Ray's packer.
        from cluster.upload import UploadError, choose

        upload = choose(request.working_dir, also=request.files)
        for name, path in request.inputs.items():
            if not upload.holds(path):
                raise UploadError(_explain_missing(name, path, upload.root))
            if left_out := upload.left_out(path):
                _LOG.warning(
                    "%s %s: files in it that are not sent: %d; %s keeps them out of the upload",
                    *(name, path, left_out, _KEPT_OUT),
                )
        now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        job = f"{request.name}-{now}-{secrets.token_hex(2)}"
        options: dict[str, Any] = {}
        if request.driver_cpus:
            options["entrypoint_num_cpus"] = request.driver_cpus
        if request.driver_labels:
            options["entrypoint_label_selector"] = dict(request.driver_labels)
        with tempfile.TemporaryDirectory(prefix="metagan-") as folder:
            package = Path(folder, "working_dir.zip")
            upload.write(package)
            runtime_env: dict[str, Any] = {
                "working_dir": str(package),
                # Read by Ray's process that watches over the job, which has its environment.
                "env_vars": {_STOP_WAIT: str(_STOP_WAIT_S), **request.environment},
            }
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
        """State of a job.

        Raises:
            ClusterError: If there is no such job.
        """
        with self._explained(job):
            return _state(self._client.get_job_info(job))

    def log(self, job: str) -> str:
        """Output of a job so far."""
        with self._explained(job):
            return self._client.get_job_logs(job)

    def follow(
        self, job: str, write: Callable[[str], None], waiting: Callable[[str], None]
    ) -> JobState:
        """Pass on a job's output as it comes; returns its state when it has ended."""
        doubts = 0

        async def tail() -> None:
            nonlocal doubts
            async for text in self._client.tail_job_logs(job):
                write(text)
                doubts = 0

        async def watch() -> None:
            """Ends where the log's end may never come, as on a connection that was lost."""
            nonlocal doubts
            while doubts < _MOST_DOUBTS:
                await asyncio.sleep(_PATIENCE_S)
                try:
                    details = await asyncio.to_thread(self._client.get_job_info, job)
                except (RuntimeError, OSError) as error:
                    doubts += 1
                    if doubts >= _MOST_DOUBTS:
                        raise error
                    continue
                doubts = doubts + 1 if details.status.is_terminal() else 0
                if details.status == JobStatus.PENDING:
                    waiting(f"{job} {_message(details)}")

        async def tail_or_give_up() -> None:
            tasks = [asyncio.create_task(tail()), asyncio.create_task(watch())]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()

        with self._explained(job), warnings.catch_warnings():
            self._client.get_job_info(job)  # Says so if there is none; the next call would crash.
            # Ray calls aiohttp in a way that warns its authors.
            warnings.simplefilter("ignore", DeprecationWarning)
            asyncio.run(tail_or_give_up())
        state = self.state(job)
        if not state.ended:
            raise ClusterError(f"{self._named} {_closed(job)}")
        return state

    def stop(self, job: str) -> JobState:
        """Ask a job to end: a run in training writes a checkpoint first."""
        with self._explained(job):
            self._client.stop_job(job)
        return self.state(job)

    @contextlib.contextmanager
    def _explained(self, job: str | None = None) -> Iterator[None]:
        """Give Ray its environment inside of the block, and its errors words that name the fix."""
        try:
            # Ray would take these for the address, whatever it is given.
            without = (API_SERVER_ADDRESS, RAY_ADDRESS)
            with joining_environment(*without), quieter(_CHATTY, logging.WARNING):
                yield
        # It may be anybody who answers, and anything.
        except ClusterError:
            raise
        except _ERRORS as error:
            there = getattr(getattr(self, "_client", None), "_server_ray_version", None)
            raise ClusterError(_explain(str(self._named), job, error, there)) from error


def _explain(address: str, job: str | None, error: BaseException, there: str | None = None) -> str:
    """Message that names the problem and its fix.

    Args:
        address: As it was named, and by what variable.
        job: That was asked about.
        error: Of Ray's client.
        there: The cluster's version of Ray, if it is known.
    """
    text = str(error)
    # A port or a job's id may look like a status code.
    code = re.search(r"status code (\d{3})\b", text)
    status = "" if code is None else code[1]
    if isinstance(error, AuthenticationError) or status in ("401", "403"):
        return (
            f"{address} asks for a token that was not given or is another one: "
            f"{HOW_TO_GIVE_A_TOKEN}{_through(address)}"
        )
    if isinstance(error, requests.exceptions.ReadTimeout):
        return (
            f"what listens at {address} does not answer; is it a Ray dashboard's address, and the "
            f"cluster up (`ray status` there)?{_through(address)}"
        )
    if isinstance(error.__context__, requests.exceptions.SSLError):
        return f"{address}: the TLS connection failed: {in_short(error.__context__)}"
    if "Connection aborted" in str(error.__context__):
        return (
            f"what answers at {address} is no Ray dashboard; is it Ray's own port? The dashboard's "
            f"is 8265 by default{_through(address)}"
        )
    if isinstance(error, ConnectionError | requests.exceptions.ConnectionError):
        own = urlsplit(address.split()[0]).port == _RAYS_OWN_PORT
        hint = f" ({_RAYS_OWN_PORT} is Ray's own port; the dashboard's is 8265)" if own else ""
        return (
            f"nothing answers at {address}; is it a Ray dashboard's address{hint}, and is the "
            f"tunnel open (`ray dashboard ray_config.yaml`)?{_through(address)}"
        )
    if job is not None and (status == "404" or "does not exist" in text):
        return f"{address} has no job {job!r}; `metagan job list` names those it has"
    if job is not None and "WebSocket" in text:
        return f"{address} {_closed(job)}"
    if isinstance(error, ValueError | KeyError | TypeError) and there is None:
        return (
            f"what answers at {address} is no Ray dashboard ({in_short(error)}); its port is 8265 "
            f"by default{_through(address)}"
        )
    running = re.search(r"Ray version (\S+) is running", text)
    there = there or (running and running[1])
    differs = there is not None and there != ray.__version__
    versions = f" (its Ray is {there}, this machine's is {ray.__version__})" if differs else ""
    return f"{address}: {in_short(error)}{versions}"


def _closed(job: str) -> str:
    return (
        f"closed the connection before {job} ended; `metagan job logs {job} --follow` follows it "
        "again"
    )


def _through(address: str) -> str:
    """The proxy that requests to an address are sent through, by the environment."""
    url = urlsplit(address.split()[0])
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or not url.hostname or proxy_bypass(url.hostname):
        return ""
    name = f"{url.scheme}_proxy" if url.scheme in proxies else "all_proxy"
    return (
        f"; it was asked through the proxy that {name} or {name.upper()} names: put "
        f"{url.hostname} into no_proxy if it is reached without"
    )


def _explain_missing(name: str, path: Path, root: Path) -> str:
    """Reason why an input of a command is not in its job's copy of the folder, and the fix."""
    if (root / path).exists() and not path.is_absolute() and ".." not in path.parts:
        why = f"{_KEPT_OUT} keeps it out of the upload"
    else:
        why = f"{root} does not hold it"
    return (
        f"{name} {path}: the job sees only its copy of the working folder, and {why}; give an "
        "absolute path on the cluster's nodes, or a path that is uploaded"
    )


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
    """Reason why a job does not run, in a line, without the end of its log that Ray appends."""
    if details.status == JobStatus.PENDING:
        needs = (details.metadata or {}).get("needs") or "the head node"
        return (
            f"has not started: it waits for {needs}, or for its environment there; `ray status` "
            "shows what is free, and Ray gives it up after 15 minutes "
            "(RAY_JOB_START_TIMEOUT_SECONDS of the head node)"
        )
    said = (details.message or "").partition(", last available logs")[0]
    return in_short(said) if said.strip() else ""


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
