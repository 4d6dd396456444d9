"""Write a run's report: one HTML file from the run folder."""

import argparse
from pathlib import Path

from metagan.cli.context import Context
from metagan.config import Config
from metagan.files import write_bytes
from metagan.report.load import load_run_files
from metagan.report.page import render
from metagan.run_folder import RunError
from metagan.settings import RunConfig


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
    page = render(load_run_files(run), config_model)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(out, page.encode())
    except OSError as error:
        raise RunError(f"--out {out} cannot be written: {error.strerror}") from None
    return out


def report_command(args: argparse.Namespace, context: Context) -> int:
    """`metagan report`."""
    path = write_report(args.run, args.out, config_model=context.config_model)
    context.console.print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB); it opens offline")
    return 0
