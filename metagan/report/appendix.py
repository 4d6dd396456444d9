"""Last parts of the page about a run: notes on the data, and every setting."""

from collections.abc import Mapping
from typing import Any

from metagan.config.load import Config, list_settings
from metagan.config.yaml import YamlError, format_value, parse_document
from metagan.report.headline import leak_sentence
from metagan.report.load import RunFiles
from metagan.report.values import pick, shorten

Cells = list[str | None]


def notes(run: RunFiles) -> list[str]:
    """Notes on the data of a run."""
    found = [leak_sentence(run.data).strip(), *map(str, _listed(run.data, "notes"))]
    return [shorten(note, 400) for note in found if note]


def left_out(run: RunFiles) -> list[str]:
    """Classes that no episode uses."""
    return [str(name) for name in _listed(run.data, "left_out")]


def origin(run: RunFiles) -> list[Cells]:
    """Rows on the origin of the data."""
    found = pick(run.data, "origin")
    return [
        [str(key), shorten(_plain(value), 400)]
        for key, value in sorted(found.items() if isinstance(found, Mapping) else ())
        if value not in ({}, [], "", None) and key != "pictures"
    ]


def settings(
    values: Mapping[str, Any], model: type[Config]
) -> tuple[list[Cells], list[Cells], bool]:
    """Settings that are not the defaults, all others, and whether `model` knows every one.

    Args:
        values: By dotted key.
        model: Has their defaults and meanings.
    """
    known = {setting.key: setting for setting in list_settings(model)}
    changed: list[Cells] = []
    others: list[Cells] = []
    for key, value in values.items():
        setting = known.get(key)
        default = None if setting is None else setting.default
        cells: Cells = [
            key,
            shorten(format_value(value), 300),
            None if default is None else shorten(default, 300),
            "" if setting is None else setting.description,
        ]
        (others if default is None or _equal(value, default) else changed).append(cells)
    return changed, others, all(key in known for key in values)


def meanings(model: type[Config]) -> dict[str, str]:
    """The meaning of every setting."""
    return {setting.key: setting.description for setting in list_settings(model)}


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
