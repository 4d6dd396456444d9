"""A copy of a run that outlives the machine: in object storage or any folder, by URI.

At every checkpoint settings, splits, logs and the checkpoint itself are copied, its manifest last.
An object store has no rename, so a folder counts as a checkpoint only with its manifest: one that a
dying driver left without it is skipped. Hashes in the manifest
are checked when the copy is read back: a damaged checkpoint gives way to the one before it.

A driver writes its name before it starts. One that finds another name there has been replaced, and
stops: two drivers on two machines cannot overwrite each other's checkpoints.
"""

import functools
import json
import os
import platform
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pyarrow import fs

from metagan.files import write_bytes
from metagan.runs.checkpoint import (
    MANIFEST,
    CheckpointError,
    DamagedCheckpointError,
    check_checkpoint,
    list_checkpoints,
    set_aside,
    step_of,
)
from metagan.runs.run_folder import RunError, RunFolder

T = TypeVar("T")

# Last the one whose presence says that there is a run.
_RUN_FILES = ("splits.json", "data.json", "environment.json", "command.txt", "config.yaml")
_LOGS = ("metrics.jsonl", "failures.jsonl")
_DRIVER = "driver.json"
_ATTEMPTS = 4
_FIRST_PAUSE_S = 0.5


class StorageError(OSError):
    """The storage could not be read or written, after several attempts."""


@dataclass(frozen=True)
class Pulled:
    """The result of fetching checkpoints from storage.

    Attributes:
        step: Outer step of the checkpoint that is in the run folder now; None: nothing was fetched.
        damaged: Of each newer one, newest first, what is wrong with it and where it is kept.
    """

    step: int | None = None
    damaged: Sequence[str] = ()


class RunStorage:
    """One run's copy under a URI that pyarrow knows: file://, s3://, gs://, abfs://, hdfs://."""

    def __init__(self, uri: str, *, pause_s: float = _FIRST_PAUSE_S) -> None:
        """Opens the place; nothing is read or written yet.

        Args:
            uri: Of the run's copy, a folder of its own.
            pause_s: Before a failed operation is tried again; doubles every time.

        Raises:
            RunError: If pyarrow does not know such URIs or cannot open this one.
        """
        self.uri, self._pause_s = uri, pause_s
        self._me = f"{platform.node()} process {os.getpid()} {uuid.uuid4().hex[:12]}"
        try:
            self._fs, root = fs.FileSystem.from_uri(uri)
        except (OSError, ValueError) as error:
            raise RunError(f"checkpoint.storage {uri}: {_line(error)}") from None
        self._root = root.rstrip("/")
        self._local = isinstance(self._fs, fs.LocalFileSystem)

    def claim(self) -> None:
        """Write this driver's name; a driver that was here before stops at its next checkpoint.

        Raises:
            RunError: If the place cannot be written.
        """
        try:
            self._write(_DRIVER, json.dumps({"driver": self._me}).encode())
        except StorageError as error:
            raise RunError(
                f"checkpoint.storage {error}; check its address, permissions and credentials, or "
                "leave it out"
            ) from None

    def push(self, folder: RunFolder, *, keep: int, spare: int | None = None) -> None:
        """Copy the run's newest checkpoint and what belongs to it.

        Args:
            folder: The run.
            keep: Newest checkpoints that stay in the copy.
            spare: Step of an older one that stays as well.

        Raises:
            RunError: If another driver has taken over.
            StorageError: If the copy cannot be written.
        """
        self._check_claim()
        (newest, *_) = list_checkpoints(folder.checkpoints)
        step = int(newest.name.removeprefix("step-"))
        files = [file for file in newest.iterdir() if file.name != MANIFEST]
        for file in [*sorted(files), newest / MANIFEST]:
            self._write(f"checkpoints/{newest.name}/{file.name}", file.read_bytes())
        for name in (*_LOGS, *_RUN_FILES):
            if (folder.path / name).is_file():
                self._write(name, (folder.path / name).read_bytes())
        # A newer one is what the run stepped back over; this run's next ones are to stay.
        own = [s for s in self.steps() if s <= step]
        for step in set(own[keep:]) - {spare}:
            self._delete(f"{self._root}/checkpoints/step-{step}")

    def steps(self) -> list[int]:
        """Outer steps of the complete checkpoints, newest first."""
        selector = fs.FileSelector(
            f"{self._root}/checkpoints", recursive=True, allow_not_found=True
        )
        infos = self._try(lambda: self._fs.get_file_info(selector))
        folders = [info.path.split("/")[-2] for info in infos if info.base_name == MANIFEST]
        # Others are no concern of ours, such as one that somebody has put aside.
        found = (step_of(name) for name in folders)
        return sorted((step for step in found if step is not None), reverse=True)

    def pull(
        self, folder: RunFolder, *, spare_of: Callable[[int], int | None] = lambda _: None
    ) -> Pulled:
        """Bring a run folder up to date with the copy, if the copy is ahead of it.

        What is fetched is verified. A damaged checkpoint is kept in the run folder under another
        name, and the one before it is fetched; the copy stays as it is. What is damaged in the run
        folder does not count, and makes room for a sound one of the same step.

        Args:
            folder: The run.
            spare_of: The step of an older checkpoint that is wanted along with one of a step, if
                the copy has it.

        Raises:
            StorageError: If the copy cannot be read.
            RunError: If all its checkpoints are damaged and the run folder has none.
            CheckpointError: If one that may be sound cannot be used here.
        """
        reached = _reached(folder) if folder.exists() else -1
        newer = [step for step in self.steps() if step > reached]
        if not newer:
            return Pulled()
        folder.make_folders()
        # A name that is cleared away with the next checkpoint, should this process be killed.
        staging = folder.checkpoints / f".step-{newer[0]}.{uuid.uuid4().hex[:8]}.tmp"
        staging.mkdir()
        try:
            step, complaints = self._fetch_intact(newer, staging)
            if step is None and reached < 0:
                raise RunError(
                    f"checkpoint.storage {self.uri}: all checkpoints are damaged, so there is "
                    "nothing to continue from; restore one, or start a new run in another place:"
                    "\n  " + "\n  ".join(complaints.values())
                )
            complaints = {path: f"{self.uri}: {said}" for path, said in complaints.items()}
            place = folder.checkpoints / f"step-{step}"
            if place.is_dir():
                complaints[place] = f"{place} is damaged"
            damaged = [
                f"{complaint}; kept as {set_aside(path, into=folder.checkpoints).name}"
                for path, complaint in complaints.items()
            ]
            if step is not None:
                self._take_spare(spare_of(step), staging, folder)
                self._take(staging / f"step-{step}", folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return Pulled(step, tuple(damaged))

    def _fetch_intact(
        self, steps: Sequence[int], staging: Path
    ) -> tuple[int | None, Mapping[Path, str]]:
        """Fetch checkpoints until one verifies: its step, and what is wrong with the others."""
        complaints: dict[Path, str] = {}
        for step in steps:
            fetched = staging / f"step-{step}"
            fetched.mkdir()
            selector = fs.FileSelector(f"{self._root}/checkpoints/{fetched.name}")
            for info in self._try(functools.partial(self._fs.get_file_info, selector)):
                name = f"checkpoints/{fetched.name}/{info.base_name}"
                write_bytes(fetched / info.base_name, self._read(name))
            try:
                check_checkpoint(fetched)
            except DamagedCheckpointError as error:
                complaints[fetched] = str(error).replace(f"{staging}/", "")
            except CheckpointError as error:
                said = str(error).replace(f"{staging}/", "")
                raise CheckpointError(f"checkpoint.storage {self.uri}: {said}") from None
            else:
                return step, complaints
        return None, complaints

    def _take_spare(self, step: int | None, staging: Path, folder: RunFolder) -> None:
        """Put an older checkpoint into a run folder, if it is not there and the copy has it."""
        place = folder.checkpoints / f"step-{step}"
        if step is None or place.exists() or step not in self.steps():
            return
        found, _ = self._fetch_intact([step], staging)
        if found is not None:
            (staging / place.name).rename(place)

    def _take(self, checkpoint: Path, folder: RunFolder) -> None:
        """Put a fetched checkpoint into a run folder, and the copy's other files.

        The checkpoint last: if this is broken off, the copy is still ahead.
        """
        for file in (*_LOGS, *_RUN_FILES):
            if self._exists(file):
                write_bytes(folder.path / file, self._read(file))
        for pointer in ("LATEST", "BEST"):
            write_bytes(folder.checkpoints / pointer, f"{checkpoint.name}\n".encode())
        checkpoint.rename(folder.checkpoints / checkpoint.name)

    def _delete(self, checkpoint: str) -> None:
        # Its manifest first: what is half deleted is no checkpoint.
        self._try(lambda: self._fs.delete_file(f"{checkpoint}/{MANIFEST}"))
        self._try(lambda: self._fs.delete_dir(checkpoint))

    def _check_claim(self) -> None:
        driver = json.loads(self._read(_DRIVER))["driver"]
        if driver != self._me:
            raise RunError(
                f"another driver ({driver}) has taken over checkpoint.storage {self.uri}; this one "
                "stops, with its checkpoints in its own run folder"
            )

    def _exists(self, name: str) -> bool:
        info = self._try(lambda: self._fs.get_file_info(f"{self._root}/{name}"))
        return bool(info.type == fs.FileType.File)

    def _read(self, name: str) -> bytes:
        def read() -> bytes:
            with self._fs.open_input_file(f"{self._root}/{name}") as stream:
                return bytes(stream.read())

        return self._try(read)

    def _write(self, name: str, data: bytes) -> None:
        path = f"{self._root}/{name}"

        def write() -> None:
            if not self._local:
                # What has no folders needs none made, and shows a file once it is whole.
                with self._fs.open_output_stream(path) as stream:
                    stream.write(data)
                return
            self._fs.create_dir(path.rpartition("/")[0], recursive=True)
            aside = f"{path}.{uuid.uuid4().hex[:8]}.tmp"
            with self._fs.open_output_stream(aside) as stream:
                stream.write(data)
            self._fs.move(aside, path)

        self._try(write)

    def _try(self, operation: Callable[[], T]) -> T:
        for attempt in range(_ATTEMPTS):
            try:
                return operation()
            except OSError as error:
                if attempt == _ATTEMPTS - 1:
                    raise StorageError(f"{self.uri}: {_line(error)}") from error
                time.sleep(self._pause_s * 2**attempt)
        raise AssertionError


def _reached(folder: RunFolder) -> int:
    """Outer step of a run folder's newest checkpoint that is not damaged; -1 if there is none."""
    for path in list_checkpoints(folder.checkpoints):
        try:
            check_checkpoint(path)
        except DamagedCheckpointError:
            continue
        except CheckpointError:
            pass  # It may be sound, and whoever loads it says what is the matter.
        return int(path.name.removeprefix("step-"))
    return -1


def _line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[0][:300]
