"""Base of every settings section, and the one way settings are read.

A value comes from the section's default, else from a YAML file, else from a `key.path=value`
override; all of them pass the same validator, and every problem is reported at once with the
place it comes from.
"""

import contextlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from metagan.config.fields import Setting, not_a_section, setting, shown, unknown_key, wrong_value
from metagan.config.removed import ADVICE, take_removed
from metagan.config.tree import (
    UNKNOWN,
    Kinds,
    alternatives,
    dotted,
    kinds_in,
    leaves,
    lookup,
    placed,
    plain,
    sections_of,
)
from metagan.config.yaml import (
    Location,
    YamlError,
    format_value,
    parse_document,
    parse_scalar,
    read_document,
    text_problem,
)

COMMAND_LINE = "command line"
DEFAULT = "default"


class Config(BaseModel):
    """Frozen and strict: an unknown key, a wrong type, NaN or infinity is an error.

    From Python, a list does for a tuple, a path for text, and a number of numpy's for a number.
    Settings that hold sections say what is wrong as the command line does, by `ConfigError`.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def __init__(self, /, **settings: Any) -> None:
        with _in_our_words(type(self)):
            super().__init__(**plain(type(self), settings))

    # Otherwise pydantic calls it for every section of a whole, which knows the section's place.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Settings from a mapping; see pydantic for the options.

        Raises:
            ConfigError: With every problem found.
        """
        with _in_our_words(cls):
            return super().model_validate(plain(cls, obj), **options)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """The same from JSON text."""
        with _in_our_words(cls):
            return super().model_validate_json(json_data, **options)


class ConfigError(ValueError):
    """Settings that cannot be used.

    Attributes:
        problems: One line each: where it was written, which setting, what is wrong, the fix.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@contextlib.contextmanager
def _in_our_words(model: type[Config]) -> Iterator[None]:
    """Raise `ConfigError` in place of pydantic's error about settings that hold sections."""
    try:
        yield
    except ValidationError as error:
        if not any(sections_of(info.annotation) for info in model.model_fields.values()):
            raise
        merge = _Merge(model, model.__name__)
        raise ConfigError(*merge.explain_all(error)) from None


C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Loaded(Generic[C]):
    """Validated settings and where each came from.

    Attributes:
        config: The settings.
        provenance: For every setting's dotted key "default", "FILE:LINE" or "command line".
    """

    config: C
    provenance: Mapping[str, str]


def load_config(
    model: type[C], path: Path | None, overrides: Sequence[str] = (), *, only_known: bool = False
) -> Loaded[C]:
    """Read settings from a file and the command line.

    Args:
        model: The settings to fill.
        path: YAML file, or None for defaults alone.
        overrides: `key.path=value` each, also with `--` before it; a value is YAML, so
            `evaluate.shots=[5, 10]` gives a list. A later one wins over an earlier one.
        only_known: Leave out the file's sections that the model does not have.

    Returns:
        The settings with the origin of each.

    Raises:
        ConfigError: With every problem of the file and of the overrides.
    """
    merge = _Merge(model, COMMAND_LINE if path is None else str(path))
    if path is not None:
        merge.read_file(path)
    if only_known:
        merge.data = {name: merge.data[name] for name in model.model_fields if name in merge.data}
    for override in overrides:
        merge.apply(override)
    merge.explain_unknown()
    try:
        config = validated(model, merge.data)
    except ValidationError as error:
        raise ConfigError(*merge.problems, *merge.explain_all(error)) from None
    if merge.problems:
        raise ConfigError(*merge.problems)
    return Loaded(config, merge.provenance())


def validated(model: type[C], data: Mapping[str, Any]) -> C:
    """Settings from what a file or the command line holds.

    Raises:
        ValidationError: Of pydantic, with the place of every problem.
    """
    # Through JSON, strict mode takes a list for a tuple but still no text for a number.
    config: C = model.__pydantic_validator__.validate_json(json.dumps(data))
    return config


def to_yaml(config: Config, *, comments: Mapping[str, str] | None = None) -> str:
    """The settings as a YAML file that loads as the same settings.

    Args:
        config: The settings.
        comments: By dotted key, written after the value; `Loaded.provenance` fits.
    """
    lines: list[tuple[str, str]] = []

    def write(section: BaseModel, prefix: Location) -> None:
        for name in type(section).model_fields:
            value = getattr(section, name)
            place = (*prefix, name)
            indent = "  " * len(prefix)
            if isinstance(value, BaseModel):
                lines.append((f"{indent}{name}:", ""))
                write(value, place)
            else:
                comment = (comments or {}).get(dotted(place), "")
                lines.append((f"{indent}{name}: {format_value(value)}", comment))

    write(config, ())
    width = min(40, max(len(text) for text, comment in lines if comment or not comments))
    return "".join(
        f"{text:<{width}}  # {comment}\n" if comment else f"{text}\n" for text, comment in lines
    )


def changed_settings(before: Config, now: Config, may_change: Collection[str]) -> list[str]:
    """A line for every setting that differs, except those with one of these keys."""
    old, new = flat_settings(before), flat_settings(now)
    return [
        f"{key}: {old.get(key)!r} before, {new.get(key)!r} now"
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key) and key not in may_change
    ]


def flat_settings(config: Config) -> dict[str, Any]:
    """Every setting's value by its dotted key."""
    return dict(flat(config.model_dump()))


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings in sections by their dotted keys."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def list_settings(model: type[Config]) -> tuple[Setting, ...]:
    """Every setting of a model, in the order of its sections."""
    return tuple(setting(model, place, info) for place, info in leaves(model))


def describe(model: type[Config], key: str, kinds: Kinds = UNKNOWN) -> Setting:
    """Type, bounds, default and meaning of the setting with this dotted key.

    Args:
        model: The whole.
        key: Of the setting.
        kinds: What is known about the kinds of sections, see `metagan.config.tree`.

    Raises:
        ConfigError: If no setting has this key; the message names the nearest.
    """
    for place, info in leaves(model, kinds=kinds):
        if dotted(place) == key:
            return setting(model, place, info)
    raise ConfigError(unknown_key(model, tuple(key.split(".")), kinds))


def json_schema(model: type[Config]) -> dict[str, Any]:
    """The model's JSON Schema (draft 2020-12), for editors that complete YAML files."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(),
    }


class _Merge:
    """Values and their origins while sources are laid over each other."""

    def __init__(self, model: type[Config], source: str) -> None:
        self._model = model
        self._source = source
        self._origins: dict[Location, str] = {}
        self._unknown: list[Location] = []
        self.data: dict[str, Any] = {}
        self.problems: list[str] = []

    def read_file(self, path: Path) -> None:
        try:
            document = read_document(path)
        except YamlError as error:
            # Nothing else is worth saying about a file that cannot be read.
            raise ConfigError(
                *(
                    f"{path}:{problem.line}: {problem.message}"
                    if problem.line
                    else f"{path}: {problem.message}"
                    for problem in error.problems
                )
            ) from None
        self.data = document.data
        self.problems += [f"{path}:{p.line}: {p.message}" for p in document.problems]
        self._origins = {place: f"{path}:{line}" for place, line in document.lines.items()}
        self.problems += [
            f"{self.origin(place)}: {dotted(place)}: is {shown(value)}, but {ADVICE}"
            for place, value in take_removed(self.data)
        ]

    def apply(self, override: str) -> None:
        key, equals, text = override.removeprefix("--").partition("=")
        place = tuple(key.strip().split("."))
        if not equals or not all(place):
            self._complain(
                f"{format_value(override)}: expected key.path=value, such as {self._example(place)}"
            )
            return
        kind = lookup(self._model, place)
        text = text.strip()
        if not text:
            self._complain(f"{key}: nothing after the '='; write {key}=null to clear a setting")
            return
        try:
            value = _parse_override(text, kind)
        except YamlError as error:
            self._complain(f"{key}: {error}")
            return
        if kind is None:
            self._unknown.append(place)
        elif sections_of(kind.annotation) and not isinstance(value, dict):
            self._complain(not_a_section(kind, place, value, kinds_in(self._model, self.data)))
        else:
            self._put(place, value)

    def explain_unknown(self) -> None:
        """Complain about overrides of no setting, once a later one cannot change the kinds."""
        kinds = kinds_in(self._model, self.data)
        for place in self._unknown:
            self._complain(unknown_key(self._model, place, kinds))

    def provenance(self) -> dict[str, str]:
        """For every setting's dotted key, where its value was written."""
        places = (place for place, _ in leaves(self._model))
        return {dotted(place): self._origins.get(place, DEFAULT) for place in places}

    def origin(self, place: Location) -> str | None:
        """Origin of the value at a place, or else of the nearest place around it."""
        for length in range(len(place), 0, -1):
            if place[:length] in self._origins:
                return self._origins[place[:length]]
        return None

    def explain_all(self, error: ValidationError) -> list[str]:
        """Lines about all that pydantic found."""
        found = placed(self._model, error.errors(include_url=False))
        return [problem for one in found for problem in self._explain(*one)]

    def _explain(self, detail: Any, place: Location, kinds: Kinds) -> list[str]:
        """Lines about one of pydantic's error details."""
        field = lookup(self._model, place, kinds)
        if detail["type"] != "value_error":
            return [self._explain_value(detail, place, field, kinds)]
        error = detail["ctx"]["error"]
        if place and field is not None and not sections_of(field.annotation):
            return [f"{self.origin(place) or self._source}: {dotted(place)}: {error}"]
        if self.problems:
            return []  # What settings say together may follow from one that was refused already.
        several = error.problems if isinstance(error, ConfigError) else (str(error),)
        return [self._explain_disagreement(text) for text in several]

    def _explain_value(
        self, detail: Any, place: Location, field: FieldInfo | None, kinds: Kinds
    ) -> str:
        where = self.origin(place) or self._source
        if detail["type"] == "extra_forbidden":
            return f"{where}: {unknown_key(self._model, place, kinds)}"
        if not place:
            return f"{where}: expected settings by name; got {shown(detail['input'])}"
        if field is None or detail["type"] == "missing":
            return f"{where}: {dotted(place)}: {detail['msg']}"
        if sections_of(field.annotation):
            return f"{where}: {not_a_section(field, place, detail['input'], kinds)}"
        return f"{where}: {dotted(place)}: {wrong_value(field, detail['input'])}"

    def _explain_disagreement(self, text: str) -> str:
        """A check over several settings: say where each setting it names was written."""
        origins = {
            key: origin
            for key, origin in self.provenance().items()
            if self._origins and re.search(rf"\b{re.escape(key)}\b", text)
        }
        where = next((origin for origin in origins.values() if origin != DEFAULT), self._source)
        listed = ", ".join(f"{key}: {origin}" for key, origin in origins.items())
        return f"{where}: {text}" + (f" ({listed})" if listed else "")

    def _put(self, place: tuple[str, ...], value: Any) -> None:
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                self._put((*place, name), inner)
            return
        section = self.data
        for name in place[:-1]:
            section = section.setdefault(name, {})
            if not isinstance(section, dict):
                return  # The file's value is wrong at this level and is reported by itself.
        section[place[-1]] = value
        self._origins = {
            old: origin for old, origin in self._origins.items() if old[: len(place)] != place
        }
        self._origins[place] = COMMAND_LINE

    def _complain(self, message: str) -> None:
        self.problems.append(f"{COMMAND_LINE}: {message}")

    def _example(self, place: Location) -> str:
        known = list_settings(self._model)
        example = next(
            (known_one for known_one in known if known_one.key == dotted(place)), known[0]
        )
        return f"{example.key}={example.default}"


def _parse_override(text: str, kind: FieldInfo | None) -> Any:
    if problem := text_problem(text):
        raise YamlError(problem)
    # A path may look like anything (123, a: b, #c): only quotes and null mean something in it.
    if kind is not None and str in alternatives(kind.annotation) and text[0] not in "'\"":
        return None if text in ("null", "~") else text
    if text[0] not in "[{'\"":
        return parse_scalar(text)
    document = parse_document(text)
    if document.problems:
        raise YamlError(*document.problems)
    return document.data
