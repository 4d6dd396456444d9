"""The tree of models that settings are: sections in sections, down to single settings.

A place is a path of names (and list indices) through the sections, such as ("inner", "lr").

A section is one model, or one of several, each for one kind of what it is about, which its setting
`kind` names. Where its kind is not known, the section has the settings of all kinds.
"""

import copy
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from metagan.config.yaml import Location

KIND: Final = "kind"
"""The setting that says which of its models a section is."""

Models = tuple[type[BaseModel], ...]
"""What a section may be: a model for each kind, in the order of the kinds; mostly one."""

Kinds = Mapping[Location, str]
"""The kind of each section that has kinds, where it is known."""

UNKNOWN: Kinds = MappingProxyType({})
"""Nothing is known about the kinds of sections."""


def leaves(
    model: type[BaseModel] | Models, prefix: Location = (), kinds: Kinds = UNKNOWN
) -> Iterator[tuple[Location, FieldInfo]]:
    """Every setting of a model, section by section, each once and with its place."""
    models = model if isinstance(model, tuple) else (model,)
    for name, info in fields_of(models).items():
        place = (*prefix, name)
        sections = sections_of(info.annotation, kinds.get(place))
        if sections:
            yield from leaves(sections, place, kinds)
        else:
            yield place, info


def lookup(model: type[BaseModel], place: Location, kinds: Kinds = UNKNOWN) -> FieldInfo | None:
    """The field at a place; for an item of a list, a field of the item's type."""
    info: FieldInfo | None = None
    models: Models = (model,)
    for i, part in enumerate(place, start=1):
        if isinstance(part, int) and info is not None:
            items = [get_args(kind) for kind in alternatives(info.annotation) if get_args(kind)]
            info = FieldInfo(annotation=items[0][0]) if items else None
        elif isinstance(part, str):
            info = fields_of(models).get(part)
        else:
            info = None
        if info is None:
            return None
        # A wrong kind is answered with all that there are.
        known = None if place[i : i + 1] == (KIND,) else kinds.get(place[:i])
        models = sections_of(info.annotation, known)
    return info


def fields_of(models: Models) -> dict[str, FieldInfo]:
    """The fields of a section, each once: of several kinds the words of all, else the first's."""
    found: dict[str, list[FieldInfo]] = {}
    for model in models:
        for name, info in model.model_fields.items():
            found.setdefault(name, []).append(info)
    return {name: _of_all_kinds(infos) for name, infos in found.items()}


def names_in(info: FieldInfo, place: Location, kinds: Kinds) -> list[str]:
    """The settings of the section that a field holds; none where it is a single setting."""
    return list(fields_of(sections_of(info.annotation, kinds.get(place))))


def _of_all_kinds(infos: Sequence[FieldInfo]) -> FieldInfo:
    if _are_alike(infos):
        return infos[0]
    words = [word for info in infos for word in get_args(info.annotation)]
    merged = copy.copy(infos[0])
    merged.annotation = Literal[tuple(dict.fromkeys(words))]  # type: ignore[assignment]
    return merged


def _are_alike(infos: Sequence[FieldInfo]) -> bool:
    return all(info.annotation == infos[0].annotation for info in infos)


def placed(model: type[BaseModel], details: Iterable[Any]) -> Iterator[tuple[Any, Location, Kinds]]:
    """Pydantic's error details, each with its place and the kinds that are known there.

    Where a section's kind is wrong, what its settings should be is not known, so that only errors
    about those that all kinds have alike are left.
    """
    found = [(detail, *_without_tags(model, tuple(detail["loc"]))) for detail in details]
    wrong = [at[:-1] for _, at, kinds in found if at[:-1] in kinds and at[-1] == KIND]
    for detail, place, kinds in found:
        in_doubt = [section for section in wrong if section in kinds]
        if place[-1:] == (KIND,) or not any(_varies(model, place, at) for at in in_doubt):
            yield detail, place, {at: kind for at, kind in kinds.items() if at not in in_doubt}


def _without_tags(model: type[BaseModel], loc: Location) -> tuple[Location, dict[Location, str]]:
    """The place of a setting, and the kinds of the sections around it.

    Pydantic's own place of an error has each section's kind behind the section's name.
    """
    place: Location = ()
    kinds: dict[Location, str] = {}
    parts = iter(loc)
    for part in parts:
        place = (*place, part)
        info = lookup(model, place, kinds)
        if info is not None and len(sections_of(info.annotation)) > 1:
            tag = next(parts, None)
            if isinstance(tag, str):
                kinds[place] = tag
    return place, kinds


def _varies(model: type[BaseModel], place: Location, section: Location) -> bool:
    """True if kinds of a section have different forms of a setting, or some lack it."""
    info, name = lookup(model, section), place[len(section)]
    models = () if info is None else sections_of(info.annotation)
    found = [each.model_fields[name] for each in models if name in each.model_fields]
    return 0 < len(found) < len(models) or not _are_alike(found)


def kind_of(model: type[BaseModel]) -> str:
    """The kind that a model of a section is for."""
    return str(model.model_fields[KIND].default)


def kinds_in(model: type[BaseModel], values: Mapping[str, Any]) -> dict[Location, str]:
    """The kinds of a model's own sections, as values say; none where there is no such kind."""
    found: dict[Location, str] = {}
    for name, info in model.model_fields.items():
        if len(models := sections_of(info.annotation)) > 1:
            section = values.get(name)
            given = section.get(KIND) if isinstance(section, Mapping) else None
            chosen = models[:1] if given is None else sections_of(info.annotation, given)
            found.update(((name,), kind_of(each)) for each in chosen)
    return found


def other_kinds(model: type[BaseModel], place: Location, section: Location, kind: str) -> str:
    """The kinds of a section that have a setting which this one lacks; empty where that is not so.

    Args:
        model: The whole.
        place: Of the setting.
        section: Of a section that has kinds.
        kind: Which of them it is.
    """
    info = lookup(model, section)
    if info is None or place[:-1] != section or lookup(model, place, {section: kind}) is not None:
        return ""
    models = sections_of(info.annotation)
    return " or ".join(kind_of(each) for each in models if place[-1] in each.model_fields)


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
    if sections := sections_of(annotation):
        given = value.get(KIND) if isinstance(value, Mapping) else None
        return plain((sections_of(annotation, given) or sections)[0], value)
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    kinds = alternatives(annotation)
    if isinstance(value, os.PathLike) and str in kinds:
        return os.fsdecode(value)
    items = [get_args(kind)[0] for kind in kinds if get_origin(kind) is tuple]
    if items and isinstance(value, (list, tuple)):
        return tuple(_plain_value(items[0], item) for item in value)
    return value


def sections_of(annotation: Any, kind: Any = None) -> Models:
    """The models that a section of this type may be; () for a single setting.

    Args:
        annotation: The field's.
        kind: Of which kind the section is; None: of any.
    """
    models = tuple(
        model
        for each in alternatives(annotation)
        for model in (get_args(each)[0] if get_origin(each) is Annotated else each,)
        if isinstance(model, type) and issubclass(model, BaseModel)
    )
    several = len(models) > 1 and kind is not None
    return tuple(model for model in models if not several or kind_of(model) == kind)


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The members of a union; another type alone."""
    if get_origin(annotation) in (Union, UnionType):
        return get_args(annotation)
    return (annotation,)


def dotted(place: Location) -> str:
    """A place as users write it: `inner.lr`, `evaluate.shots[0]`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
