"""Write a page about a run or a search: one HTML file from its folder."""

from pathlib import Path

from metagan.config.load import Config
from metagan.config.settings import RunConfig
from metagan.files import write_bytes
from metagan.report.load import load_run_files
from metagan.report.page import render_run, render_search
from metagan.report.search_load import load_search
from metagan.runs.run_folder import RunError


def write_report(run: Path, out: Path, *, config_model: type[Config] = RunConfig) -> Path:
    """Write the report of a run, finished or not.

    The same run folder gives the same bytes.

    Args:
        run: The run folder; files that are missing from it are named in the report, together with
            the command that makes them.
        out: The HTML file; its folder is made.
        config_model: The settings' type, for defaults and meanings.

    Returns:
        `out`.

    Raises:
        RunError: If `run` holds no run, or `out` cannot be written.
    """
    return _write(render_run(load_run_files(run), config_model), out)


def write_search_report(folder: Path, out: Path, *, config_model: type[Config] = RunConfig) -> Path:
    """Write the page about a search.

    The same `search.json` gives the same bytes.

    Args:
        folder: Of the search.
        out: The HTML file; its folder is made.
        config_model: The settings' type, for defaults and meanings.

    Returns:
        `out`.

    Raises:
        RunError: If there is no search in `folder`, its `search.json` is damaged, or `out` cannot
            be written.
    """
    return _write(render_search(load_search(folder), config_model), out)


def _write(page: str, out: Path) -> Path:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(out, page.encode())
    except OSError as error:
        raise RunError(f"--out {out} cannot be written: {error.strerror}") from None
    return out
