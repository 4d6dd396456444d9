"""Commands that run somewhere else: the interface that the cluster implements."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class JobRequest:
    """What is to run.

    Attributes:
        words: A metagan command line, without the program's name.
        name: Start of the job's id.
        working_dir: Folder that is uploaded; the command runs in a copy of it.
        files: Files in it, relative to it, that are uploaded whatever .gitignore says.
        inputs: Paths relative to it that the command reads, by what names them; they have to be
            among what is uploaded.
        driver_cpus: Cores reserved for the command itself; 0: it runs on the head node.
        driver_labels: Labels that its node must have, {key: selector}.
        python: Interpreter on the cluster.
        environment: Variables of the command and its workers; left out where this is printed,
            since they may be secrets.
    """

    words: Sequence[str]
    name: str
    working_dir: Path
    driver_cpus: float
    driver_labels: Mapping[str, str]
    python: str
    files: Sequence[Path] = ()
    inputs: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class JobState:
    """A job on a cluster.

    Attributes:
        job: Its id.
        status: "pending", "running", "succeeded", "failed" or "stopped".
        ended: Whether that is its last state.
        exit_code: Of its process, once that ended by itself.
        message: Why it is not running, if it waits or failed.
        command: What runs.
        started: Time in ISO form, if it started.
    """

    job: str
    status: str
    ended: bool
    exit_code: int | None
    message: str
    command: str
    started: str | None


class Jobs(Protocol):
    """The jobs of one cluster.

    Attributes:
        address: Of its dashboard, for messages: without a password.
    """

    address: str

    def submit(self, request: JobRequest) -> str:
        """Start a job; returns its id, which no other job has.

        Raises:
            ValueError: If the folder cannot be uploaded, or lacks an input.
        """

    def states(self) -> list[JobState]:
        """Every job that metagan submitted, the newest first."""

    def state(self, job: str) -> JobState:
        """How a job is."""

    def log(self, job: str) -> str:
        """All that a job has written so far."""

    def follow(
        self, job: str, write: Callable[[str], None], waiting: Callable[[str], None]
    ) -> JobState:
        """Pass on a job's output as it comes; returns its state when it has ended.

        Args:
            job: Its id.
            write: Takes the output, in pieces.
            waiting: Told from time to time that it has not started, and what it waits for.
        """

    def stop(self, job: str) -> JobState:
        """Ask a job to end."""
