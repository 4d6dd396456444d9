"""Last sections of the page: notes on the data, every setting, and how to repeat it all."""

from collections.abc import Mapping, Sequence
from typing import Any

from metagan.config.load import Config, list_settings
from metagan.config.yaml import YamlError, format_value, parse_document
from metagan.report.commands import evaluate_command, repeat_command, report_command_text
from metagan.report.headline import leak_sentence
from metagan.report.html import Child, Html, el, shorten
from metagan.report.load import RunFiles
from metagan.report.tables import Column, Row, table
from metagan.report.values import pick, plural

_MAX_NOTES = 12
_MAX_FOLDED = 300
_COLUMNS = (
    Column("Setting", False),
    Column("Value", False),
    Column("Default", False),
    Column("Meaning", False, prose=True),
)


def data_section(run: RunFiles) -> list[Child]:
    """What the source left out and why, and where the data came from."""
    notes = [leak_sentence(run.data).strip(), *(str(n) for n in _listed(run.data, "notes"))]
    notes = [note for note in notes if note]
    left_out = [str(name) for name in _listed(run.data, "left_out")]
    parts: list[Child] = []
    if notes:
        parts.append(el("ul", [el("li", shorten(text, 400)) for text in notes[:_MAX_NOTES]]))
        parts.append(_folded(notes[_MAX_NOTES:], "more note"))
    if left_out:
        classes = plural(len(left_out), "class", "classes")
        parts.append(
            el(
                "p",
                f"Left out of episodes: {classes} with fewer samples than an episode takes "
                "(task.shots + task.num_query).",
            )
        )
        parts.append(_folded(left_out, "such class", "such classes"))
    if not parts:
        parts.append(el("p", "Nothing was left out."))
    origin = pick(run.data, "origin")
    if isinstance(origin, Mapping) and origin:
        rows = [
            Row([str(key), shorten(_plain(value), 400)])
            for key, value in sorted(origin.items())
            if value not in ({}, [], "", None) and key != "pictures"
        ]
        parts.append(
            el(
                "details",
                el("summary", "Where the data came from"),
                table("Origin", [Column("What", False), Column("Value", False)], rows),
            )
        )
    return parts


def _folded(texts: Sequence[str], noun: str, nouns: str | None = None) -> Html | None:
    if not texts:
        return None
    more = len(texts) - _MAX_FOLDED
    items = [el("li", shorten(text, 200)) for text in texts[:_MAX_FOLDED]]
    if more > 0:
        items.append(el("li", f"and {more:,} more, in data.json"))
    return el("details", el("summary", plural(len(texts), noun, nouns)), el("ul", items))


def settings_section(settings: Mapping[str, Any], model: type[Config]) -> list[Child]:
    """The settings that are not the defaults, and all others folded away.

    Args:
        settings: By dotted key.
        model: Has their defaults and meanings.
    """
    if not settings:
        return [el("p", "The settings could not be read.", class_="muted")]
    known = {setting.key: setting for setting in list_settings(model)}
    changed, others = [], []
    is_complete = all(key in known for key in settings)
    at_default = ", at their default" if is_complete else ""
    for key, value in settings.items():
        setting = known.get(key)
        default = None if setting is None else setting.default
        is_changed = default is not None and not _equal(value, default)
        cells = [
            el("code", key),
            el("code", shorten(format_value(value), 300)),
            None if default is None else el("code", shorten(default, 300)),
            "" if setting is None else setting.description,
        ]
        if is_changed:
            changed.append(Row(cells, class_="changed"))
        else:
            others.append(Row(cells))
    return [
        table("Settings that differ from their default", _COLUMNS, changed)
        if changed
        else el("p", "Every setting has its default."),
        el(
            "details",
            el("summary", f"The other {plural(len(others), 'setting')}{at_default}"),
            table(f"Other settings{at_default}", _COLUMNS, others),
        )
        if others
        else None,
    ]


def commands_section(run: RunFiles) -> list[Child]:
    """The command as it was given, and commands that repeat the run and its numbers."""
    evaluations = [run.evaluation, *run.others] if run.evaluation else [None, *run.others]
    steps = [
        ("Train the same run again, from its stored settings", repeat_command(run)),
        *(
            (
                "Evaluate it"
                if number == 0
                else f"Evaluate it on another target ({_target(evaluation)})",
                evaluate_command(run, evaluation),
            )
            for number, evaluation in enumerate(evaluations)
        ),
        ("Write this report", report_command_text(run)),
    ]
    return [
        [el("h3", "As it was started"), el("pre", el("code", run.command))]
        if run.command
        else None,
        el("h3", "To repeat it"),
        el(
            "p",
            "On the same kind of device the trained weights are the same to the bit, for any "
            "number of workers."
            + " DIR stands for the run that this one was compared with."
            * any("=DIR" in command for _, command in steps),
        ),
        [[el("h4", title), el("pre", el("code", command))] for title, command in steps],
    ]


def _target(evaluation: Any) -> str:
    return shorten(str(evaluation.data.get("target", evaluation.file)), 80)


def _listed(data: Mapping[str, Any], key: str) -> list[Any]:
    value = data.get(key)
    return value if isinstance(value, list) else []


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    return value if isinstance(value, str) else format_value(value)


def _equal(value: Any, default: str) -> bool:
    try:
        return bool(parse_document(default).data == value)
    except YamlError:
        return False
