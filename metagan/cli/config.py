"""`metagan config`: list the settings, and show their values."""

import argparse
import json

from metagan.cli.console import Console
from metagan.cli.options import Parser, add_command, add_settings, load
from metagan.config.affects import AFFECTS
from metagan.config.fields import Setting
from metagan.config.load import ConfigError, describe, json_schema, list_settings, to_yaml
from metagan.exits import EXIT_DONE
from tune.config import SearchJobConfig

DESCRIPTION = """\
Look at settings. They come from their defaults, then from the YAML file given
with -c, then from key.path=value arguments; later ones win, and a misspelt key
is always an error."""

SHOW = """\
Print all settings as a YAML file that gives the same run, with the place each
value comes from: default, FILE:LINE or command line."""

SCHEMA = """\
Print the settings' JSON Schema. Editors complete and check YAML files with it;
for many of them this first line in the YAML file is enough:
  # yaml-language-server: $schema=metagan.schema.json"""

EXPLAIN = """\
Say what a setting holds, its bounds, its default and what it means. With the
name of a section, list its settings; with nothing, list them all. A setting of
one kind of data alone says so, such as data.kind vector."""


def add_parser(subparsers: "argparse._SubParsersAction[Parser]") -> None:
    """Register the command and its three parts."""
    parser = add_command(
        subparsers,
        "config",
        summary="show, explain and check settings",
        description=DESCRIPTION,
        examples=("metagan config show -c run.yaml inner.lr=3e-3", "metagan config explain inner"),
    )
    parts = parser.add_subparsers(dest="part", required=True, metavar="show|schema|explain")
    show = add_command(
        parts,
        "show",
        summary="print the resolved settings",
        description=SHOW,
        examples=("metagan config show -c run.yaml outer.steps=50 > resolved.yaml",),
    )
    add_settings(show)
    add_command(
        parts,
        "schema",
        summary="print the JSON Schema",
        description=SCHEMA,
        examples=("metagan config schema > metagan.schema.json",),
    )
    explain = add_command(
        parts,
        "explain",
        summary="describe settings",
        description=EXPLAIN,
        examples=("metagan config explain inner.lr", "metagan config explain"),
    )
    explain.add_argument("key", nargs="?", metavar="KEY", help="such as inner.lr, or inner")


def run(args: argparse.Namespace, console: Console) -> int:
    """Print what was asked for."""
    if args.part == "show":
        loaded = load(args)
        console.print(to_yaml(loaded.config, comments=loaded.provenance).rstrip())
    elif args.part == "schema":
        console.print(json.dumps(json_schema(SearchJobConfig), indent=2))
    else:
        _explain(args.key, console)
    return EXIT_DONE


def _explain(key: str | None, console: Console) -> None:
    # Of all commands together: those of a search too.
    model = SearchJobConfig
    prefix = f"{key}." if key else ""
    section = [known for known in list_settings(model) if known.key.startswith(prefix)]
    if section:
        rows = [(known.key, known.default, _meaning(known)) for known in section]
        console.table(rows, header=("setting", "default", "meaning"))
        return
    try:
        setting = describe(model, key or "")
    except ConfigError as error:
        raise ConfigError(*(f"config explain: {problem}" for problem in error.problems)) from None
    bounds = f", {setting.bounds}" if setting.bounds else ""
    console.print(f"{setting.key}: {setting.description}")
    console.print(f"  holds:    {setting.type}{bounds}")
    console.print(f"  default:  {setting.default}")
    if setting.only:
        console.print(f"  with:     {setting.only}")
    console.print(
        f"  affects:  {'; '.join(f'{word} ({AFFECTS[word]})' for word in setting.affects)}"
    )


def _meaning(setting: Setting) -> str:
    """The meaning of a setting, and the one kind of data that has it where not all do."""
    only = f" Only with {setting.only}." if setting.only else ""
    return f"{setting.description}{only}"
