"""The folder of a run: its files, and the lock of the one process that may write there.

config.yaml  command.txt  environment.json  splits.json  data.json
metrics.jsonl  failures.jsonl  samples/  checkpoints/step-N/
source_classifier/  evaluation.json  report.html
"""

import contextlib
import json
import logging
import os
import platform
import shlex
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import lock_descriptor

from metagan.clock import utc_now
from metagan.files import finite_or_null, holder_of, json_bytes, write_bytes

PACKAGES = ("metagan", "torch", "ray", "numpy", "pyarrow", "pydantic", "safetensors")

# In the order in which a start makes them, config.yaml after them.
_FOLDERS = ("samples", "checkpoints")
_LOCK_POLL_S = 0.2
_FILES = ("splits.json", "data.json", "environment.json", "command.txt")


_LOG = logging.getLogger(__name__)


class RunError(ValueError):
    """A run folder cannot be used as asked; the message says why and what to do."""


class BusyError(RunError):
    """Another process holds the run folder."""


class WriteError(RunError):
    """A write to the run folder failed; with free disk space the run can be resumed."""


class RunFolder:
    """Paths and small files of one run; never deletes what it did not write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # What this object made that was not there, oldest first; see `discard`.
        self._made: list[Path] = []

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        """Folder of sample pictures."""
        return self.path / "samples"

    @property
    def config_file(self) -> Path:
        """The resolved settings."""
        return self.path / "config.yaml"

    def exists(self) -> bool:
        """True if a run was started here."""
        return os.path.isfile(self.config_file)

    def has_steps(self) -> bool:
        """True if an outer step was logged here, so that a run can continue."""
        return (self.path / "metrics.jsonl").is_file()

    def create(
        self,
        *,
        config_yaml: str,
        splits: Mapping[str, Any],
        data: Mapping[str, Any],
        alone: bool = True,
    ) -> None:
        """Start a run here; see `check_new` for what is refused."""
        self.check_new(alone=alone)
        self.make_folders()
        contents = {
            "splits.json": json_bytes(dict(splits)),
            "data.json": json_bytes(dict(data)),
            "environment.json": json_bytes(environment()),
            # A path that is not UTF-8 text is written as the bytes that it is.
            "command.txt": os.fsencode(shlex.join(sys.argv) + "\n"),
        }
        for name in _FILES:
            self._write(self.path / name, contents[name])
        # Last: its presence says that the folder is a run.
        self._write(self.config_file, config_yaml.encode())

    def make_folders(self) -> None:
        """Make the run's folders."""
        for name in _FOLDERS:
            self._make(self.path / name)

    def update_config(self, config_yaml: str) -> None:
        """Write the settings that the run continues with, such as a larger `outer.steps`."""
        write_bytes(self.config_file, config_yaml.encode())

    def check_new(self, *, alone: bool = True) -> None:
        """Make the folder for a new run.

        Args:
            alone: Refuse a folder that holds other things; hidden ones may always be there.

        Raises:
            RunError: If it is a file, cannot be made, or holds a run or other things already.
        """
        if self.exists():
            raise RunError(
                f"{self.path} holds a run already; continue it with --resume, or choose another "
                "--run folder"
            )
        self._make(self.path)
        if not os.access(self.path, os.W_OK):
            raise RunError(f"the run folder {self.path} is not writable; choose another --run")
        others = sorted(e.name for e in self.path.iterdir() if not e.name.startswith("."))
        if alone and others and not self._is_killed_start(others):
            raise RunError(
                f"{self.path} is not empty and not a run (it holds {others[0]!r}); choose "
                "another --run folder"
            )

    def _is_killed_start(self, names: Collection[str]) -> bool:
        """True if the folder holds just what a start makes before config.yaml, up to some point."""
        made = (*_FOLDERS, *_FILES)[: len(names)]
        folders = [self.path / name for name in made[: len(_FOLDERS)]]
        return set(names) == set(made) and all(f.is_dir() and not any(f.iterdir()) for f in folders)

    def discard(self) -> None:
        """Undo a start: delete what this object made, the newest first, and nothing else.

        Once a step is logged the run can be continued, and everything stays.
        """
        if self.has_steps():
            return
        for path in reversed(self._made):
            # A folder in which somebody else has put something stays.
            with contextlib.suppress(OSError):
                if path.is_dir():
                    path.rmdir()
                else:
                    path.unlink()
        self._made.clear()

    def _make(self, folder: Path) -> None:
        """Make a folder and those above it."""
        missing = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot make the run folder {folder}: {error.strerror}") from None
        self._made += reversed(missing)

    def _write(self, file: Path, data: bytes) -> None:
        write_bytes(file, data)
        self._made.append(file)

    def read_json(self, name: str) -> Any:
        """A JSON file of the run.

        Raises:
            RunError: If it is missing or damaged.
        """
        file = self.path / name
        try:
            return json.loads(file.read_text())
        except OSError as error:
            raise RunError(f"{file}: {error.strerror}; is {self.path} a run folder?") from None
        except ValueError:
            raise RunError(f"{file} is not valid JSON") from None

    @contextlib.contextmanager
    def lock(self, *, wait_s: float = 0.0) -> Iterator[None]:
        """Lock the folder, so that a second driver is refused.

        Args:
            wait_s: How long to wait for another process that holds it; at least a moment, in which
                one that has just taken it writes its name.

        Raises:
            BusyError: If it still does.
        """
        deadline = time.monotonic() + max(wait_s, _LOCK_POLL_S)
        with contextlib.ExitStack() as held:
            while True:
                try:
                    held.enter_context(self._locked())
                    break
                except BusyError:
                    if time.monotonic() >= deadline:
                        raise
                time.sleep(_LOCK_POLL_S)
            yield

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._make(self.path)
        file = self.path / ".lock"
        new = not file.exists()
        with file.open("a+") as stream:
            held = False
            try:
                # A failed start that ends just now may have taken the file away: that lock is void.
                held = lock_descriptor(stream.fileno(), blocking=False) and os.path.samestat(
                    os.fstat(stream.fileno()), file.stat()
                )
            except (PermissionError, FileNotFoundError):
                pass
            except OSError as error:
                held = True
                # Some network file systems have no locks unless they are mounted so.
                _LOG.warning(
                    "the file system of %s has no locks (%s): nothing keeps a second driver away",
                    self.path,
                    error.strerror,
                )
            if not held:
                raise BusyError(
                    f"{self.path} is in use by {holder_of(file)}; wait for it or stop it"
                )
            if new:
                self._made.append(file)
            stream.truncate(0)
            stream.write(f"process {os.getpid()} on {platform.node()}")
            stream.flush()
            yield

    def append(self, name: str, records: list[dict[str, Any]]) -> None:
        """Add lines to a JSON-lines file; what is not finite becomes null."""
        if records:
            with (self.path / name).open("a") as stream:
                stream.writelines(json.dumps(finite_or_null(record)) + "\n" for record in records)

    def append_events(self, step: int, events: Iterable[Mapping[str, Any]]) -> None:
        """Add to the failure log; an event that does not say its time happens now.

        Args:
            step: The outer step it belongs to, counted from 1.
            events: One mapping each, with its `kind`.
        """
        self.append("failures.jsonl", [{"step": step, "time": utc_now(), **e} for e in events])

    def read_lines(self, name: str) -> list[dict[str, Any]]:
        """The records of a JSON-lines file; a half-written last line is left out."""
        file = self.path / name
        records = []
        if file.is_file():
            for line in file.read_text().splitlines():
                try:
                    records.append(json.loads(line))
                except ValueError:
                    continue
        return records

    def truncate_after(self, step: int) -> None:
        """Drop log lines of steps after `step`, which will be repeated; how a run ended stays."""
        for name in ("metrics.jsonl", "failures.jsonl"):
            if (self.path / name).is_file():
                kept = [
                    record
                    for record in self.read_lines(name)
                    if record.get("step", 0) <= step or record.get("kind") == "end"
                ]
                text = "".join(json.dumps(record) + "\n" for record in kept)
                write_bytes(self.path / name, text.encode())


def environment() -> dict[str, Any]:
    """Versions and the machine, for reports."""
    import torch  # Only a run that starts needs it; reading one does not.

    from metagan.devices import device_name

    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": device_name(torch.device("cpu")),
        "cpu_count": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "packages": versions,
    }
