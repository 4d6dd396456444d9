"""Options that several commands share, and the settings they lead to."""

import argparse
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cluster.config import JobConfig
from metagan.config.load import COMMAND_LINE, ConfigError, Loaded, load_config
from metagan.config.may_change import OTHER_DATA, USES, Use, check_changes
from metagan.config.yaml import format_value
from metagan.runs.places import check_run
from metagan.runs.run_folder import RunError

_SETTING = re.compile(r"(--)?[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*=.*", re.DOTALL)
_DOTTED_SETTING = re.compile(r"(--)?[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)+=.*", re.DOTALL)


class UsageError(ValueError):
    """The command line itself is wrong."""


class Parser(argparse.ArgumentParser):
    """argparse that raises instead of exiting, so that all errors look and end the same."""

    def error(self, message: str) -> NoReturn:
        """Raise the message together with how to get help."""
        raise UsageError(f"{message}\n(see {self.prog} --help)")


def add_command(
    subparsers: "argparse._SubParsersAction[Parser]",
    name: str,
    *,
    summary: str,
    description: str,
    examples: Sequence[str],
) -> Parser:
    """A command's parser, with examples at the end of its help."""
    return subparsers.add_parser(
        name,
        help=summary,
        description=description,
        epilog="examples:\n" + "\n".join(f"  {example}" for example in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_settings(parser: Parser) -> None:
    """`-c FILE` and `key.path=value`."""
    parser.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help="YAML file of settings (config schema)"
    )
    add_overrides(parser)


def add_overrides(parser: Parser) -> None:
    """`key.path=value` alone, for commands whose settings come from a run folder."""
    parser.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar="key.path=value",
        help="settings, over those of the file; `metagan config explain` lists them",
    )


def add_output(parser: Parser) -> None:
    """`--log-format`, for commands that run for a while."""
    parser.add_argument(
        "--log-format",
        choices=("auto", "logfmt", "json"),
        default="auto",
        help="auto: a live display in a terminal, key=value lines elsewhere",
    )


def add_resume(parser: Parser, help_text: str) -> None:
    """`--resume` and `--resume auto`; see `metagan.cli.app` for how the two are told apart."""
    parser.add_argument(
        "--resume",
        nargs="?",
        default=False,
        choices=("always", "auto"),
        metavar="auto",
        help=help_text,
    )


def counts(text: str) -> tuple[int, ...]:
    """An argparse type: different whole numbers above zero, with commas between: 5,10,15."""
    try:
        values = tuple(int(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or min(values) < 1:
        raise argparse.ArgumentTypeError(f"expected numbers such as 5,10,15; got {text!r}")
    if len(set(values)) < len(values):
        raise argparse.ArgumentTypeError(f"expected every number once; got {text!r}")
    return values


def count(text: str) -> int:
    """An argparse type: one whole number above zero."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number, at least 1; got {text!r}")
    return int(text)


def named_run(text: str) -> tuple[str, Path]:
    """An argparse type: NAME=DIR, a run folder and what to call it."""
    name, _, folder = text.partition("=")
    if not name or not folder:
        raise argparse.ArgumentTypeError(f"expected NAME=DIR; got {text!r}")
    return name, Path(folder)


def whole(text: str) -> int:
    """An argparse type: one whole number, zero or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, at least 0; got {text!r}")
    return int(text)


def sort_extras(parser: Parser, args: argparse.Namespace, extras: Sequence[str]) -> None:
    """Take settings among the arguments that argparse did not know; refuse the rest.

    Settings may stand anywhere and may begin with `--`, neither of which argparse can express.

    Raises:
        UsageError: For the first argument that is neither an option nor a setting.
    """
    overrides: list[str] | None = getattr(args, "overrides", None)
    for extra in extras:
        if overrides is not None and _SETTING.fullmatch(extra):
            overrides.append(extra)
        else:
            raise UsageError(_unrecognized(parser, args, extra))


def is_setting(text: str | None) -> bool:
    """True if an argument in the place of a path is a `section.key=value` setting."""
    return text is not None and _DOTTED_SETTING.fullmatch(text) is not None


def load(args: argparse.Namespace, *first: str) -> Loaded[JobConfig]:
    """The settings of `-c` and `key.path=value`.

    Args:
        args: Has `config` (where the command takes a file) and `overrides`.
        first: Overrides that the command's own options stand for; the user's settings win.

    Raises:
        ConfigError: With every problem found.
    """
    path: Path | None = getattr(args, "config", None)
    return load_config(JobConfig, path, [*first, *args.overrides])


def _use_of(args: argparse.Namespace) -> Use | None:
    """The use of a trained run by a command; None for commands that use none."""
    command = getattr(args, "command", None)
    if command == "evaluate" and args.data is not None:
        return "evaluate --data"
    return command if command in USES else None


def load_run(args: argparse.Namespace, *first: str) -> Loaded[JobConfig]:
    """The settings that the run in `args.run` was trained with, `args.overrides` over them.

    Raises:
        ConfigError: If it is no run folder, with every problem found, or for an override that a
            trained run cannot follow.
    """
    try:
        check_run(args.run, "--run")
    except RunError as error:
        raise ConfigError(str(error)) from None
    path = Path(args.run) / "config.yaml"
    loaded = load_config(JobConfig, path, [*first, *args.overrides])
    check_changes(
        load_config(JobConfig, path).config,
        loaded.config,
        run=args.run,
        where=COMMAND_LINE,
        use=_use_of(args),
    )
    return loaded


def said_of_other_data(loaded: Loaded[JobConfig]) -> dict[str, object]:
    """Fields of `data` that the command line sets for samples that are not the run's own."""
    fields = {key: key.removeprefix("data.") for key in OTHER_DATA}
    return {
        field: getattr(loaded.config.data, field)
        for key, field in fields.items()
        if loaded.provenance.get(key) == COMMAND_LINE
    }


def override(key: str, value: object) -> str:
    """`key=value` that reads back as exactly this value, whatever it looks like."""
    text = format_value(value if not isinstance(value, Path) else str(value))
    if isinstance(value, (str, Path)) and text[0] != '"':
        text = f'"{text}"'
    return f"{key}={text}"


def load_data(args: argparse.Namespace, path: str | None, overrides: Sequence[str]) -> JobConfig:
    """Settings for a command that reads data: a path beats the file's.

    Args:
        args: Has `config`.
        path: What the user named, or None for the settings' own.
        overrides: The user's settings.
    """
    named = [] if path is None else [override("data.path", path)]
    return load_config(JobConfig, args.config, [*named, *overrides]).config


def _unrecognized(parser: Parser, args: argparse.Namespace, extra: str) -> str:
    name = extra.partition("=")[0]
    if "." in name and name.startswith("--") and "=" not in extra:
        return f"{extra}: settings need an equals sign: {name}=VALUE"
    options = [text for text in vars(args) if text not in ("overrides", "command", "run_command")]
    dashed = ["--" + text.replace("_", "-") for text in options]
    near = difflib.get_close_matches(name, dashed, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    if args.command == "submit" and not near:
        hint = "; put the command to run after --: metagan submit -- train ..."
    return f"unrecognized argument {extra!r}{hint}\n(see {parser.prog} {args.command} --help)"
