"""Files beside those that are read: in another form, or copies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from metagan.data.paths.named_files import named_files
from metagan.data.paths.names import clean_name

_UNPACK: Final = "unpack it first"
_AS_CSV: Final = "if it is a table with the columns' names in its first line, call it .csv"
_BY_PANDAS: Final = "save it as .parquet, as pandas does after reading it"
_FIXES: Final = {
    **dict.fromkeys((".gz", ".zip", ".bz2", ".xz", ".zst", ".tar", ".tgz", ".7z"), _UNPACK),
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods", ".numbers"), "save each sheet as .csv"),
    **dict.fromkeys((".txt", ".data", ".dat", ".tab", ".test", ".tra", ".tes"), _AS_CSV),
    **dict.fromkeys((".json", ".jsonl", ".feather", ".orc", ".dta", ".xpt"), _BY_PANDAS),
    **dict.fromkeys((".h5", ".hdf5", ".pkl", ".pickle", ".rds", ".arff", ".sas7bdat"), _BY_PANDAS),
    ".npy": "save it with its classes by np.savez(file, x=x, y=y)",
    ".mat": "save its arrays by np.savez(file, x=x, y=y)",
}
"""What to do with files of other endings."""
_ABOUT_DATA: Final = ("readme", "license", "licence", "citation", "changelog", "requirements")


def fix_of(file: Path) -> str:
    """How to bring a file of another ending into one that is read."""
    return _FIXES.get(file.suffix.lower(), "save it as one of these")


def unread_files(path: Path) -> list[str]:
    """The files below a folder that may be tables or arrays, but are not read, sorted."""
    if not path.is_dir():
        return []
    return sorted(
        clean_name(str(file.relative_to(path)))
        for file in named_files(path, "")[0]
        if file.suffix.lower() in _FIXES and not file.stem.lower().startswith(_ABOUT_DATA)
    )


def unread_notes(path: Path) -> list[str]:
    """A line for every file below a folder that may be a table or arrays, but is not read."""
    return [f"{file}: not read; {fix_of(path / file)}" for file in unread_files(path)]


def copied_notes(sha256: Mapping[str, str]) -> list[str]:
    """A note for every file that has the content of an earlier one; takes digests by file."""
    first: dict[str, str] = {}
    notes = []
    for file, digest in sha256.items():
        if digest in first:
            notes.append(f"leak: {file} is a copy of {first[digest]}; take one of them away")
        first.setdefault(digest, file)
    return notes
