"""A copy of a run where its machine cannot take it along: object storage, or any folder, by URI.

What training goes on from is copied at every checkpoint: settings, splits, logs, and the checkpoint
itself, its manifest last. An object store has no rename, so the manifest is what makes a checkpoint
one: a folder without it is what a driver left that died, and is passed over. Hashes in the manifest
are checked when the copy is read back.

A driver writes its name before it starts. One that finds another name there has been replaced, and
stops: two drivers on two machines cannot overwrite each other's checkpoints.
"""

import json
import os
import platform
import time
import uuid
from collections.abc import Callable
from typing import TypeVar

from pyarrow import fs

from metagan.checkpoint import MANIFEST, list_checkpoints
from metagan.files import write_bytes
from metagan.run_folder import RunError, RunFolder

T = TypeVar("T")

# Last the one whose presence says that there is a run.
_RUN_FILES = ("splits.json", "data.json", "environment.json", "command.txt", "config.yaml")
_LOGS = ("metrics.jsonl", "failures.jsonl")
_DRIVER = "driver.json"
_ATTEMPTS = 4
_FIRST_PAUSE_S = 0.5


class StorageError(OSError):
    """The storage could not be read or written, after several attempts."""


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

    def push(self, folder: RunFolder, *, keep: int) -> None:
        """Copy the run's newest checkpoint and what belongs to it.

        Args:
            folder: The run.
            keep: Newest checkpoints that stay in the copy.

        Raises:
            RunError: If another driver has taken over.
            StorageError: If the copy cannot be written.
        """
        self._check_claim()
        (newest, *_) = list_checkpoints(folder.checkpoints)
        files = [file for file in newest.iterdir() if file.name != MANIFEST]
        for file in [*sorted(files), newest / MANIFEST]:
            self._write(f"checkpoints/{newest.name}/{file.name}", file.read_bytes())
        for name in (*_LOGS, *_RUN_FILES):
            if (folder.path / name).is_file():
                self._write(name, (folder.path / name).read_bytes())
        for step in self.steps()[keep:]:
            self._delete(f"{self._root}/checkpoints/step-{step}")

    def steps(self) -> list[int]:
        """Outer steps of the complete checkpoints, newest first."""
        selector = fs.FileSelector(
            f"{self._root}/checkpoints", recursive=True, allow_not_found=True
        )
        infos = self._try(lambda: self._fs.get_file_info(selector))
        folders = [info.path.split("/")[-2] for info in infos if info.base_name == MANIFEST]
        return sorted((int(name.removeprefix("step-")) for name in folders), reverse=True)

    def pull(self, folder: RunFolder) -> int | None:
        """Bring a run folder up to date with the copy, if the copy is ahead of it.

        Returns:
            The outer step of the checkpoint that was fetched; None if there was nothing newer.

        Raises:
            StorageError: If the copy cannot be read.
        """
        steps = self.steps()
        here = [int(p.name.removeprefix("step-")) for p in list_checkpoints(folder.checkpoints)]
        if not steps or (folder.exists() and here and max(here) >= steps[0]):
            return None
        name = f"step-{steps[0]}"
        folder.samples.mkdir(parents=True, exist_ok=True)
        staging = folder.checkpoints / f".{name}.{uuid.uuid4().hex[:8]}.tmp"
        staging.mkdir(parents=True)
        selector = fs.FileSelector(f"{self._root}/checkpoints/{name}")
        for info in self._try(lambda: self._fs.get_file_info(selector)):
            write_bytes(
                staging / info.base_name, self._read(f"checkpoints/{name}/{info.base_name}")
            )
        staging.rename(folder.checkpoints / name)
        write_bytes(folder.checkpoints / "LATEST", f"{name}\n".encode())
        write_bytes(folder.checkpoints / "BEST", f"{name}\n".encode())
        for file in (*_LOGS, *_RUN_FILES):
            if self._exists(file):
                write_bytes(folder.path / file, self._read(file))
        return steps[0]

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


def _line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[0][:300]
