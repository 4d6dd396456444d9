"""`metagan doctor`: find what would stop a run here."""

import argparse
from pathlib import Path

from metagan.cli.console import Console
from metagan.cli.options import Parser, UsageError, add_command, add_settings, load
from metagan.exits import EXIT_DONE, EXIT_RESOURCES

DESCRIPTION = """\
Check this machine, and with --address every node of a Ray cluster: versions,
GPUs, memory, Ray's authentication, folders that must be writable, and whether
the settings' workers fit. Each problem comes with its fix.

Exits with 0 when a run can start and with 4 when something would stop it."""

_MARKS = {"ok": "ok", "warning": "warn", "problem": "FAIL"}


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Register the command."""
    parser = add_command(
        subparsers,
        "doctor",
        summary="check the machine and the cluster, with a fix per problem",
        description=DESCRIPTION,
        examples=(
            "metagan doctor",
            "metagan doctor --address auto cluster.num_workers=16 cluster.gpus_per_worker=1",
        ),
    )
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="a running Ray; auto: the one that runs here"
    )
    parser.add_argument(
        "--run", type=Path, default=Path("runs"), metavar="DIR", help="run folder to be written"
    )
    add_settings(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the findings, then how many there are."""
    given = [each for each in args.overrides if each.lstrip("-").startswith("cluster.address=")]
    if args.address is not None and given:
        raise UsageError(f"--address {args.address} and {given[-1]} name a Ray each; give one")
    first = [] if args.address is None else [f"cluster.address={args.address}"]
    config = load(args, *first).config
    from cluster.doctor import diagnose

    findings = diagnose(config, args.run)
    for finding in findings:
        fix = f"; fix: {finding.fix}" if finding.fix else ""
        console.print(f"{_MARKS[finding.level]:<4}  {finding.topic}: {finding.text}{fix}")
    problems = sum(finding.level == "problem" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    console.print(f"problems: {problems}, warnings: {warnings}")
    return EXIT_RESOURCES if problems else EXIT_DONE
