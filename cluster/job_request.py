"""A command that is to run on a cluster as a job, and the state of such a job; needs no Ray."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class JobRequest:
    """A command to run as a job on a cluster.

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
