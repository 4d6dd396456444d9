"""Dispatch of a command line, from arguments to an exit code, with one form for all errors."""

import argparse
import contextlib
import difflib
import importlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from metagan.cli.console import Console
from metagan.cli.options import Parser, UsageError, sort_extras
from metagan.config.load import ConfigError
from metagan.exits import EXIT_CLOSED_PIPE, EXIT_INTERRUPTED, EXIT_USAGE
from metagan.version import tool_version

COMMANDS = (
    "demo",
    "train",
    "adapt",
    "generate",
    "evaluate",
    "tune",
    "report",
    "export",
    "data",
    "config",
    "doctor",
    "submit",
    "job",
)

# The same in fewer words.
SHORT = {"status": ("job", "status"), "stop": ("job", "stop")}

DESCRIPTION = """\
Meta-learn one GAN initialization over many domains, adapt it to a new domain
from a handful of examples, and measure what the generated samples are worth.

Settings are given as key.path=value on any command that trains or measures, or
in a YAML file with -c; `metagan config explain` lists them."""

EPILOG = """\
examples:
  metagan demo
  metagan train --run runs/mine -c run.yaml inner.lr=3e-3
  metagan adapt --run runs/mine --support my_letters/ --out adapted/
  metagan generate --adapted adapted/ --num 64 --out samples/

exit codes: 0 done, 2 bad settings or input, 3 diverged, 4 cluster or
resources, 130 interrupted (a checkpoint is written)
METAGAN_DEBUG=1 adds a traceback to errors"""


def run_cli(argv: Sequence[str]) -> int:
    """Run one command line.

    Args:
        argv: Arguments after the program's name.

    Returns:
        The exit code. Errors of the user are printed to standard error, one line per problem;
        an exception may bring its own code in an attribute `exit_code`. Anything else, a fault of
        ours, keeps its traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        # A domain named in Greek must not end a run whose log is an ASCII file.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _dispatch(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("metagan: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return EXIT_CLOSED_PIPE
    except Exception as error:
        exit_code = _exit_code(error)
        if exit_code is None or os.environ.get("METAGAN_DEBUG"):
            if exit_code is None:
                raise
            import traceback

            traceback.print_exception(error)
        _print_error(error)
        return exit_code
    return code


def build_parser() -> Parser:
    """The parser of all commands; builds in milliseconds, importing nothing heavy."""
    parser = Parser(
        prog="metagan",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in COMMANDS:
        _module(name).add_parser(subparsers)
    return parser


def _joined_resume(argv: Sequence[str]) -> list[str]:
    """`--resume auto` and `--resume` in the form that argparse cannot misread.

    It would take whatever word follows an option with an optional value for that value.
    """
    words = list(argv)
    for index in reversed([i for i, word in enumerate(words) if word == "--resume"]):
        auto = words[index + 1 : index + 2] == ["auto"]
        words[index : index + 1 + auto] = [f"--resume={'auto' if auto else 'always'}"]
    return words


def _dispatch(argv: Sequence[str]) -> int:
    parser = build_parser()
    argv = _joined_resume(argv)
    argv = [*(word for first in argv[:1] for word in SHORT.get(first, (first,))), *argv[1:]]
    command = next((argument for argument in argv if not argument.startswith("-")), None)
    if command is not None and command not in COMMANDS:
        near = difflib.get_close_matches(command, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(COMMANDS)}"
        raise UsageError(f"unknown command {command!r}; {hint}\n(see metagan --help)")
    words: list[str] = []
    if command == "submit" and "--" in argv:
        split = argv.index("--")
        argv, words = argv[:split], argv[split + 1 :]
    args, extras = parser.parse_known_args(argv)
    args.words = words
    if args.version:
        print(f"metagan {tool_version()}")
        return 0
    if args.command is None:
        if extras:
            raise UsageError(f"unrecognized argument {extras[0]!r}\n(see metagan --help)")
        parser.print_help(sys.stderr)
        return EXIT_USAGE
    sort_extras(parser, args, extras)
    with Console(log_format=getattr(args, "log_format", "auto")) as console, _logged_to(console):
        code: int = _module(args.command).run(args, console)
    return code


class _ToConsole(logging.Handler):
    """Lines of our own log as ordinary lines and warnings, each once."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text in self._said:  # A driver and a worker in one process open the same data.
            return
        self._said.add(text)
        if record.levelno > logging.INFO:
            self._console.warn(text)
        else:
            self._console.print(text)


@contextlib.contextmanager
def _logged_to(console: Console) -> Iterator[None]:
    """Show the user what sources log, such as which prepared data is used, inside the block."""
    handler, before = _ToConsole(console), {}
    for log in map(logging.getLogger, ("metagan.data", "metagan.kinds")):
        before[log] = log.level
        log.setLevel(logging.INFO)
        log.addHandler(handler)
    try:
        yield
    finally:
        for log, level in before.items():
            log.removeHandler(handler)
            log.setLevel(level)


def _module(command: str) -> Any:
    return importlib.import_module(f"metagan.cli.{command}")


def _exit_code(error: Exception) -> int | None:
    """The code for an error that a user can act on; None for a fault of ours."""
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        return code
    return EXIT_USAGE if isinstance(error, (ValueError, OSError)) else None


def _print_error(error: Exception) -> None:
    problems = error.problems if isinstance(error, ConfigError) else (_text_of(error),)
    for problem in problems:
        print(f"metagan: error: {problem}", file=sys.stderr)


def _text_of(error: Exception) -> str:
    """The message; of the system's errors the file and the reason, without number and quotes."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return str(error)


def _silence_stdout() -> None:
    """Silence standard output, whose reader left, so that flushing it at exit does not fail."""
    try:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
    except (OSError, ValueError):
        pass  # Standard output is no file here, so nothing flushes it at exit.
