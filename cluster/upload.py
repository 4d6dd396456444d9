"""Upload of the working folder with a job: a zip of what .gitignore and .rayignore leave.

The .gitignore files are those in the folder and, as git does it, those above it up to the root of
its repository.

Ray's own packer would follow links in circles, wait for ever at a pipe, and find out after packing
that it has packed too much. Both read the rules in the folder's files with the same module.
"""

import logging
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from ray._private.runtime_env.packaging import (  # type: ignore[attr-defined]
    GCS_STORAGE_MAX_SIZE,
    PathSpec,
)

from cluster.authentication import token_file
from metagan import own_packages

# Besides what .gitignore names: never wanted on a cluster, and large.
EXCLUDED = (
    *(".git", ".venv", "venv", "runs", "*.egg-info"),
    *("__pycache__", ".mypy_cache", ".pytest_cache"),
)
# Ray's own packer also follows it: 1 lets .gitignore count for nothing.
_IGNORE_GITIGNORE = "RAY_RUNTIME_ENV_IGNORE_GITIGNORE"
# What Python, Ray and this program import in a job, where the working folder comes first.
_IMPORTED = frozenset(sys.stdlib_module_names) | {
    *("ray", "torch", "numpy", "pyarrow", "pydantic", "yaml", "safetensors", "xxhash", "PIL"),
    *("matplotlib", "sklearn", "scipy", "packaging", "rich", "tensorboardX", "google", "grpc"),
    *("requests", "aiohttp", "msgpack", "psutil", "filelock", "jsonschema", "click", "colorama"),
    *("attr", "attrs", "certifi", "charset_normalizer", "colorful", "frozenlist", "idna"),
    *("multidict", "propcache", "pydantic_core", "referencing", "rpds", "tqdm", "urllib3", "yarl"),
    *("aiosignal", "annotated_types", "typing_extensions", "typing_inspection"),
}
_MIB = 1 << 20
# Bytes of a zip for each file in it, beyond its content and twice its name; rather too many.
_PER_FILE = 256
_MOST_NAMED = 3
# A walk ends at so many files, or so many times what Ray takes: somebody's whole home folder.
_MOST_FILES, _MOST_TIMES = 100_000, 20

_LOG = logging.getLogger(__name__)
_Rule = Callable[[Path], bool]


class UploadError(ValueError):
    """The working folder cannot be sent as it is; the message names the file and the fix."""


@dataclass(frozen=True)
class Upload:
    """The files that a job is sent.

    Attributes:
        root: The working folder.
        files: Below it, with their sizes in bytes.
        folders: Empty ones.
    """

    root: Path
    files: Mapping[Path, int]
    folders: Sequence[Path] = ()

    def holds(self, path: Path) -> bool:
        """True if a file, or something in a folder, is sent; paths are relative to the root."""
        wanted = Path(os.path.normpath(path))
        return any(
            wanted == each or wanted in each.parents for each in (*self.files, *self.folders)
        )

    def left_out(self, path: Path) -> int:
        """Number of files in a folder, relative to the root, that are not sent but could be."""
        never = _rule(self.root, EXCLUDED)
        found = (
            Path(folder, name)
            for folder, _, names in os.walk(os.path.normpath(self.root / path))
            for name in names
        )
        return sum(f.relative_to(self.root) not in self.files and not never(f) for f in found)

    def write(self, file: Path) -> None:
        """Write the zip that Ray unpacks for the job; the same files always give the same bytes."""
        with ZipFile(file, "w", strict_timestamps=False) as archive:
            for path in sorted((*self.files, *self.folders)):
                archive.write(self.root / path, path)


def choose(root: Path, *, also: Sequence[Path] = ()) -> Upload:
    """Choose the files of a folder that are sent.

    Args:
        root: The working folder.
        also: Files in it, relative to it, that are sent whatever the rules say.

    Raises:
        UploadError: If it is more than Ray takes, cannot be read, or would hide a module from the
            job.
    """
    root = root.resolve()
    files: dict[Path, int] = {}
    folders: list[Path] = []
    size = 0
    rules = [_rule(root, EXCLUDED), *_rules_above(root)]
    # The one that is used, and the one in the home folder.
    tokens = [_stat_of(token_file(os.environ)), _stat_of(token_file({}))]
    for path, entry in _walk(root, root, rules, [root.stat()]):
        relative = path.relative_to(root)
        if stat.S_ISDIR(entry.st_mode):
            folders.append(relative)
        elif any(token is not None and os.path.samestat(entry, token) for token in tokens):
            _LOG.warning("%s is your token for Ray, and is not sent", path)
        else:
            files[relative] = entry.st_size
            size += entry.st_size
            if len(files) > _MOST_FILES or size > _MOST_TIMES * GCS_STORAGE_MAX_SIZE:
                break
    files |= {path: (root / path).stat().st_size for path in map(_normal, also)}
    _check_size(root, files)
    _check_names(root, files)
    return Upload(root, files, folders)


def _walk(
    root: Path, folder: Path, rules: list[_Rule], above: list[os.stat_result]
) -> Iterator[tuple[Path, os.stat_result]]:
    """All files below a folder, and the folders that are empty."""
    try:
        entries = sorted(folder.iterdir())
        rules = [*rules, *_rules_in(folder)]
    except (OSError, UnicodeDecodeError) as error:
        if any(excludes(folder / "file") for excludes in rules):
            return  # `name/` leaves out what is in a folder, which Ray does not take for itself.
        reason = error.strerror if isinstance(error, OSError) else "its rules are not UTF-8 text"
        raise UploadError(
            f"{folder} cannot be sent: {reason}; change that, or keep it out with .rayignore"
        ) from None
    for path in entries:
        if any(excludes(path) for excludes in rules):
            continue
        entry = _stat_of(path)
        if entry is None:
            continue  # A link to nowhere, or in a circle.
        is_folder = stat.S_ISDIR(entry.st_mode)
        if not is_folder and not stat.S_ISREG(entry.st_mode):
            _LOG.warning("%s is no regular file, and is not sent", path)
        elif path.is_symlink() and not path.resolve().is_relative_to(root):
            _LOG.warning("%s leads out of %s, and is not sent", path, root)
        elif not is_folder:
            yield path, entry
        elif any(os.path.samestat(entry, parent) for parent in above):
            _LOG.warning("%s leads back to a folder that it is in, and is not followed", path)
        else:
            below = _walk(root, path, rules, [*above, entry])
            yield from below if _holds_something(path) else [(path, entry)]


def _holds_something(folder: Path) -> bool:
    """True if a folder is not empty, or cannot be read."""
    try:
        return any(folder.iterdir())
    except OSError:
        return True


def _stat_of(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _check_names(root: Path, files: Mapping[Path, int]) -> None:
    for path in files:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise UploadError(
                f"the name of {os.fsencode(root / path)!r} is not UTF-8 text; rename it, or keep "
                "it out with .rayignore"
            ) from None
        if not os.access(root / path, os.R_OK):
            raise UploadError(
                f"{root / path} cannot be read; change that, or keep it out with .rayignore"
            )
    ours = all(Path(name, "__init__.py") in files for name in own_packages.NAMES)
    hidden = _IMPORTED if ours else {*_IMPORTED, "metagan"}
    for path in files:
        name = _module(path)
        if name in hidden:
            raise UploadError(
                f"{root / path} would be imported in the job in place of the module {name!r}; "
                "rename it, or keep it out with .rayignore"
            )


def _module(path: Path) -> str | None:
    """Name that a file is imported by if its root comes first on the path; None for no module."""
    if path.parts[1:] == ("__init__.py",):
        return path.parts[0]
    if len(path.parts) > 1 or path.suffix not in (".py", ".pyc", ".so"):
        return None
    # As name.cpython-311-x86_64-linux-gnu.so
    return path.name.partition(".")[0] if path.suffix == ".so" else path.stem


def _check_size(root: Path, files: Mapping[Path, int]) -> None:
    size = sum(size + _PER_FILE + 2 * len(os.fsencode(path)) for path, size in files.items())
    if size < GCS_STORAGE_MAX_SIZE and len(files) <= _MOST_FILES:
        return
    tops: dict[str, int] = {}
    for path, each in files.items():
        tops[path.parts[0]] = tops.get(path.parts[0], 0) + each
    largest = sorted(tops, key=tops.__getitem__, reverse=True)[:_MOST_NAMED]
    named = ", ".join(f"{name} ({tops[name] / _MIB:,.0f} MiB)" for name in largest)
    raise UploadError(
        f"{root} has {len(files):,} files with {size / _MIB:,.0f} MiB to be sent, and Ray takes "
        f"{GCS_STORAGE_MAX_SIZE / _MIB:,.0f} MiB; the largest: {named}; keep them out with "
        ".gitignore or .rayignore, and lay data on the cluster's nodes"
    )


def _rules_in(folder: Path) -> Iterator[_Rule]:
    with_git = os.environ.get(_IGNORE_GITIGNORE, "0") != "1"
    for file in (*[folder / ".gitignore"] * with_git, folder / ".rayignore"):
        if file.is_file():
            yield _rule(folder, file.read_text("utf-8").splitlines())


def _rules_above(root: Path) -> Iterator[_Rule]:
    """The rules of .gitignore files above a folder, up to the root of its git repository.

    Git obeys them as those in the folder. A rule that leaves out the folder itself does not count:
    the user says that it is to be sent.
    """
    repository = next((f for f in (root, *root.parents) if (f / ".git").exists()), root)
    if os.environ.get(_IGNORE_GITIGNORE, "0") == "1":
        return
    for folder in root.parents:
        file = folder / ".gitignore"
        if folder.is_relative_to(repository) and file.is_file():
            try:
                lines = file.read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise UploadError(
                    f"{file} cannot be read ({error}); change that, or set {_IGNORE_GITIGNORE}=1"
                ) from None
            inside = root / "file"
            if _rule(folder, lines)(inside):
                lines = [line for line in lines if not _rule(folder, [line])(inside)]
            yield _rule(folder, lines)


def _rule(folder: Path, patterns: Sequence[str]) -> _Rule:
    spec = PathSpec.from_lines("gitwildmatch", patterns)  # type: ignore[no-untyped-call]
    return lambda path: bool(spec.match_file(str(path.relative_to(folder))))


def _normal(path: Path) -> Path:
    return Path(os.path.normpath(path))
