"""Fields of a model of settings in words, for messages and for help.

A place is a path of names (and list indices) through the sections, such as ("inner", "lr").
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from metagan.config.removed import ADVICE, REMOVED
from metagan.config.tree import (
    KIND,
    UNKNOWN,
    Kinds,
    alternatives,
    dotted,
    kind_of,
    leaves,
    lookup,
    names_in,
    other_kinds,
    sections_of,
)
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
        only: The kind of its section that has it, such as `data.kind image`; empty: every one.
    """

    key: str
    type: str
    bounds: str
    default: str
    description: str
    affects: tuple[str, ...]
    only: str


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


def setting(model: type[BaseModel], place: Location, info: FieldInfo) -> Setting:
    """The description of one field of a model."""
    default = info.get_default(call_default_factory=True)
    return Setting(
        key=dotted(place),
        type=_type_text(info.annotation),
        bounds=_bounds_text(info),
        default="(required)" if info.is_required() else format_value(default),
        description=info.description or "",
        affects=words_of(info),
        only=_only_with(model, place),
    )


def _only_with(model: type[BaseModel], place: Location) -> str:
    """The kinds of its section that have a setting, as settings; empty: all."""
    section = lookup(model, place[:-1])
    models = () if section is None else sections_of(section.annotation)
    having = [each for each in models if place[-1] in each.model_fields]
    if len(having) == len(models):
        return ""
    return f"{dotted((*place[:-1], KIND))} {' or '.join(map(kind_of, having))}"


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
        several = value.split(",") if isinstance(value, str) else [value]
        items = [parse_scalar(item.strip()) if isinstance(item, str) else item for item in several]
        return f"; write [{', '.join(map(shown, items))}]" if _fits(info, items) else ""
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


def not_a_section(info: FieldInfo, place: Location, value: Any, kinds: Kinds) -> str:
    """A message about a section that was given something else than settings."""
    key = dotted(place)
    if value is None:
        return f"{key}: the section is empty; give it settings or remove it"
    names = names_in(info, place, kinds)
    return (
        f"{key}: is a section, not a single setting; got {shown(value)}; "
        f"set one of its keys, such as {key}.{names[0]} (known: {', '.join(names)})"
    )


# Sections that a settings file may have for one command only.
_READ_BY = {"tune": "metagan tune"}


def unknown_key(model: type[BaseModel], place: Location, kinds: Kinds = UNKNOWN) -> str:
    """A line about a key that no setting has: the nearest ones, and those of its section."""
    key = dotted(place)
    if key in REMOVED:
        return f"{key}: {ADVICE}"
    if place[0] in _READ_BY and place[0] not in model.model_fields:
        return f"{key}: only {_READ_BY[str(place[0])]} reads this section; leave it out here"
    for section, kind in kinds.items():
        if others := other_kinds(model, place, section, kind):
            name = dotted((*section, KIND))
            return f"{key} is a setting of {name} {others}, and {name} is {kind}; leave it out"
    itself = lookup(model, place, kinds)
    names = [] if itself is None else names_in(itself, place, kinds)
    if names:
        return f"{key}: is a section; name one of its settings (known: {', '.join(names)})"
    parent = place
    while not names:
        parent = parent[:-1]
        info = lookup(model, parent, kinds)
        if not parent:
            names = list(model.model_fields)
        elif info is not None and not (names := names_in(info, parent, kinds)):
            return f"{key}: unknown key; {dotted(parent)} is a setting, not a section"
    prefix = f"{dotted(parent)}." if parent else ""
    wrong, *rest = (str(part) for part in place[len(parent) :])
    keys = [dotted(leaf) for leaf, _ in leaves(model, kinds=kinds)]
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
