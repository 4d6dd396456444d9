"""Fields of a model of settings in words, for messages and for help.

A place is a path of names (and list indices) through the sections, such as ("inner", "lr").
"""

import difflib
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from metagan.config.removed import ADVICE, REMOVED
from metagan.config.yaml import MAX_DIGITS, Location, format_value, parse_scalar

_MAX_SHOWN = 60
_BOUNDS = {
    "gt": "greater than",
    "ge": "at least",
    "lt": "less than",
    "le": "at most",
    "multiple_of": "a multiple of",
}
_WORDS_FOR_BOOLEANS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


@dataclass(frozen=True)
class Setting:
    """The description of one setting.

    Attributes:
        key: Dotted, such as `inner.lr`.
        type: What it holds, in words.
        bounds: Its allowed range in words; empty where there is none.
        default: As it would be written in a file.
        description: What it means.
        affects: Words of `metagan.config.affects.AFFECTS`.
    """

    key: str
    type: str
    bounds: str
    default: str
    description: str
    affects: tuple[str, ...]


def leaves(model: type[BaseModel], prefix: Location = ()) -> Iterator[tuple[Location, FieldInfo]]:
    """Every setting of a model, section by section, each with its place."""
    for name, info in model.model_fields.items():
        section = section_of(info.annotation)
        if section is not None:
            yield from leaves(section, (*prefix, name))
        else:
            yield (*prefix, name), info


def lookup(model: type[BaseModel], place: Location) -> FieldInfo | None:
    """The field at a place; for an item of a list, a field of the item's type."""
    info: FieldInfo | None = None
    section: type[BaseModel] | None = model
    for part in place:
        if isinstance(part, int) and info is not None:
            items = [get_args(kind) for kind in alternatives(info.annotation) if get_args(kind)]
            info = FieldInfo(annotation=items[0][0]) if items else None
        elif section is not None and isinstance(part, str):
            info = section.model_fields.get(part)
        else:
            info = None
        if info is None:
            return None
        section = section_of(info.annotation)
    return info


def plain(model: type[BaseModel], settings: Any) -> Any:
    """Settings as Python code has them, in the types that a file has; all else is left as it is."""
    if not isinstance(settings, Mapping):
        return settings
    return {
        name: _plain_value(model.model_fields[name].annotation, value)
        if name in model.model_fields
        else value
        for name, value in settings.items()
    }


def _plain_value(annotation: Any, value: Any) -> Any:
    """Lists as tuples, paths as text, numpy's numbers as Python's."""
    section = section_of(annotation)
    if section is not None:
        return plain(section, value)
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    kinds = alternatives(annotation)
    if isinstance(value, os.PathLike) and str in kinds:
        return os.fsdecode(value)
    items = [get_args(kind)[0] for kind in kinds if get_origin(kind) is tuple]
    if items and isinstance(value, (list, tuple)):
        return tuple(_plain_value(items[0], item) for item in value)
    return value


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a field of this type holds, or None for a single setting."""
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_model else None


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The members of a union; another type alone."""
    if get_origin(annotation) in (Union, UnionType):
        return get_args(annotation)
    return (annotation,)


def _type_text(annotation: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    texts = []
    for kind in alternatives(annotation):
        if kind is NoneType:
            continue
        if get_origin(kind) is Literal:
            texts.append("one of " + ", ".join(format_value(choice) for choice in get_args(kind)))
        elif get_origin(kind) in (tuple, list):
            texts.append(f"a list, each item {_type_text(get_args(kind)[0])}")
        elif get_origin(kind) is Annotated:
            item = FieldInfo.from_annotation(kind)
            bounds = _bounds_text(item)
            texts.append(_type_text(item.annotation) + (f" {bounds}" if bounds else ""))
        else:
            texts.append(names.get(kind, getattr(kind, "__name__", str(kind))))
    if NoneType in alternatives(annotation):
        texts.append("null")
    return " or ".join(texts)


def _bounds_text(info: FieldInfo) -> str:
    texts = [
        f"{words} {getattr(item, name):g}"
        for item in info.metadata
        for name, words in _BOUNDS.items()
        if getattr(item, name, None) is not None
    ]
    texts += [
        "not empty" if getattr(item, name) == 1 else f"{words} {getattr(item, name)} items"
        for item in info.metadata
        for name, words in {"min_length": "at least", "max_length": "at most"}.items()
        if getattr(item, name, None) is not None
    ]
    return " and ".join(texts)


def setting(place: Location, info: FieldInfo) -> Setting:
    """The description of one field."""
    default = info.get_default(call_default_factory=True)
    return Setting(
        key=dotted(place),
        type=_type_text(info.annotation),
        bounds=_bounds_text(info),
        default="(required)" if info.is_required() else format_value(default),
        description=info.description or "",
        affects=words_of(info),
    )


def words_of(info: FieldInfo) -> tuple[str, ...]:
    """Words of what a field affects, as `metagan.config.affects.field` has marked it."""
    extra = info.json_schema_extra
    words = extra.get("affects", ()) if isinstance(extra, Mapping) else ()
    return tuple(map(str, words)) if isinstance(words, list) else ()


def wrong_value(info: FieldInfo, value: Any) -> str:
    """Message that says what a field expects, what it got, and what was most likely meant."""
    bounds = _bounds_text(info)
    expected = _type_text(info.annotation) + (f", {bounds}" if bounds else "")
    return f"expected {expected}; got {shown(value)}{_hint(info, value)}"


def _hint(info: FieldInfo, value: Any) -> str:
    """Hint at what the user most likely meant; empty without one."""
    kinds = alternatives(info.annotation)
    choices = [str(c) for kind in kinds if get_origin(kind) is Literal for c in get_args(kind)]
    if choices:
        near = difflib.get_close_matches(str(value).lower(), choices, n=1)
        return f"; did you mean {near[0]}?" if near else ""
    if any(get_origin(kind) in (tuple, list) for kind in kinds) and not isinstance(value, list):
        return f"; write [{shown(value)}]" if _fits(info, [value]) else ""
    if str in kinds and not isinstance(value, (list, dict, NoneType)):
        return "; put it between quotes"
    if isinstance(value, float) and not math.isfinite(value):
        return "; it must be finite"
    if not isinstance(value, str):
        whole = isinstance(value, float) and value.is_integer() and int in kinds
        return f"; write {int(value)}" if whole else ""
    if bool in kinds:
        meant = _WORDS_FOR_BOOLEANS.get(value.lower(), value.lower())
        return f"; write {meant}" if meant in ("true", "false") else ""
    if value.lower() in ("none", "null") and NoneType in kinds:
        return "; write null"
    digits = value.lstrip("+-")
    if digits.isdecimal() and len(digits) > MAX_DIGITS:
        return f"; a whole number has at most {MAX_DIGITS} digits, not {len(digits)}"
    if isinstance(parse_scalar(value), (int, float)):
        return "; remove the quotes"
    plain = value.replace("_", "").lstrip("0")
    if isinstance(parse_scalar(plain), (int, float)):
        return "; write plain decimal digits, without leading zeros or underscores"
    return ""


def _fits(info: FieldInfo, value: Any) -> bool:
    kind: Any = info.annotation
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def shown(value: Any) -> str:
    """A wrong value, on one line that is not too long."""
    text = " ".join(format_value(value).split())
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


def not_a_section(info: FieldInfo, place: Location, value: Any) -> str:
    """A message about a section that was given something else than settings."""
    section = section_of(info.annotation)
    assert section is not None
    key = dotted(place)
    if value is None:
        return f"{key}: the section is empty; give it settings or remove it"
    names = list(section.model_fields)
    return (
        f"{key}: is a section, not a single setting; got {shown(value)}; "
        f"set one of its keys, such as {key}.{names[0]} (known: {', '.join(names)})"
    )


# Sections that a settings file may have for one command only.
_READ_BY = {"tune": "metagan tune"}


def unknown_key(model: type[BaseModel], place: Location) -> str:
    """A line about a key that no setting has: the nearest ones, and those of its section."""
    key = dotted(place)
    if key in REMOVED:
        return f"{key}: {ADVICE}"
    if place[0] in _READ_BY and place[0] not in model.model_fields:
        return f"{key}: only {_READ_BY[str(place[0])]} reads this section; leave it out here"
    itself = lookup(model, place)
    section = None if itself is None else section_of(itself.annotation)
    if section is not None:
        known = ", ".join(section.model_fields)
        return f"{key}: is a section; name one of its settings (known: {known})"
    parent = place
    while section is None:
        parent = parent[:-1]
        info = lookup(model, parent)
        if not parent:
            section = model
        elif info is not None and (section := section_of(info.annotation)) is None:
            return f"{key}: unknown key; {dotted(parent)} is a setting, not a section"
    names = list(section.model_fields)
    prefix = f"{dotted(parent)}." if parent else ""
    wrong, *rest = (str(part) for part in place[len(parent) :])
    keys = [dotted(leaf) for leaf, _ in leaves(model)]
    if not rest and prefix + wrong in keys:
        outer, _, inner = wrong.rpartition(".")
        return f"{key}: unknown key; in a file, write {inner} below {outer}:"
    near = difflib.get_close_matches(wrong, names, n=1)
    near = [prefix + ".".join([*near, *rest])] if near else []
    if near and rest:
        # Itself, where it is a setting.
        near = difflib.get_close_matches(near[0], keys, n=1)
    elif near and near[0] not in keys:
        # A section, unless it is a setting without its dot: inner_steps.
        near = difflib.get_close_matches(key, keys, n=1, cutoff=0.85) or near
    if not near:
        last = key.rpartition(".")[2]
        lasts = {name.rpartition(".")[2] for name in keys}
        same = [last] if last in lasts else difflib.get_close_matches(last, lasts, n=1)
        near = [name for name in keys if name.rpartition(".")[2] in same][:3]
    suggestion = f"; did you mean {' or '.join(near)}?" if near else ""
    known = f" (known: {', '.join(sorted(names))})"
    return f"{key}: unknown key{suggestion}{known}"


def dotted(place: Location) -> str:
    """A place as users write it: `inner.lr`, `evaluate.shots[0]`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
