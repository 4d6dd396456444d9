"""The space of a search: dotted settings and what they may be, checked before anything starts.

An entry is one distribution, with a condition if it is to apply to some trials only:

    inner.lr: {loguniform: [1e-4, 1e-2]}
    inner.steps: {randint: [2, 12]}                  # both ends included
    algorithm.name: {choice: [reptile, fomaml]}
    outer.momentum: {uniform: [0.5, 0.99], when: {outer.optimizer: [nesterov]}}
    seed: {grid: [0, 1, 2]}                          # each one with every sample of the others
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from ray import tune as ray_tune

from cluster.config import JobConfig
from metagan.config.affects import affected
from metagan.config.load import ConfigError, describe, validated
from metagan.config.tree import Kinds, kinds_in

J = TypeVar("J", bound=JobConfig)

# Each takes [low, high] or a list of values; Tune's own randint leaves the upper end out.
_RANGES: Mapping[str, Callable[[Any, Any], Any]] = {
    "uniform": ray_tune.uniform,
    "loguniform": ray_tune.loguniform,
    "randint": lambda low, high: ray_tune.randint(low, high + 1),
    "lograndint": lambda low, high: ray_tune.lograndint(low, high + 1),
}
_LISTS: Mapping[str, Callable[[Sequence[Any]], Any]] = {
    "choice": ray_tune.choice,
    "grid": ray_tune.grid_search,
}
_KINDS = (*_RANGES, *_LISTS)

_COMMON: dict[str, Any] = {
    "inner.lr": {"loguniform": [1e-4, 3e-3]},
    "inner.steps": {"randint": [2, 12]},
    "gan.mode_seeking": {"loguniform": [0.01, 0.3]},
}
_JOINT: dict[str, Any] = {
    "warmup.lr": {"loguniform": [1e-4, 1e-3]},
    "gan.mode_seeking": _COMMON["gan.mode_seeking"],
}
_ADAM_RATE: dict[str, Any] = {"loguniform": [3e-5, 1e-3]}
# Of SGD and Nesterov: Reptile's meta-gradient is the way to the adapted weights, of which they go
# a part; the others' is a derivative.
_PART_OF_THE_WAY: dict[str, Any] = {"loguniform": [0.1, 1.0]}
_RATE: dict[str, Any] = {"loguniform": [1e-3, 0.1]}


def default_space(config: JobConfig) -> dict[str, Any]:
    """Space where `tune.space` is empty; it fits the algorithm and the outer optimizer."""
    name = config.algorithm.name
    if name == "joint":
        return _JOINT
    if name == "average":
        return _COMMON
    if config.outer.optimizer == "adam":
        return {**_COMMON, "outer.lr": _ADAM_RATE}
    return {**_COMMON, "outer.lr": _PART_OF_THE_WAY if name == "reptile" else _RATE}


@dataclass(frozen=True)
class Parameter:
    """One entry of a space.

    Attributes:
        key: Dotted setting.
        kind: "uniform", "choice" ...
        values: [low, high], or what to choose from.
        when: Settings and the values of theirs for which this one applies.
    """

    key: str
    kind: str
    values: tuple[Any, ...]
    when: Mapping[str, tuple[Any, ...]]

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Ends of a range; None for values to choose from."""
        if self.kind not in _RANGES:
            return None
        low, high = self.values
        return low, high

    def to_domain(self) -> Any:
        """The parameter as Tune's own distribution."""
        if self.kind in _RANGES:
            return _RANGES[self.kind](*self.values)
        return _LISTS[self.kind](list(self.values))

    def applies(self, sample: Mapping[str, Any], base: Mapping[str, Any]) -> bool:
        """True if the parameter's conditions hold in a sample laid over the given settings."""
        return all(
            sample.get(key, value_at(base, key)) in allowed for key, allowed in self.when.items()
        )


def parse_space(space: Mapping[str, Any], config: JobConfig) -> tuple[Parameter, ...]:
    """The parameters of a space; an empty one stands for that of `algorithm.name`.

    Args:
        space: `tune.space`.
        config: The settings that samples are laid over.

    Raises:
        ConfigError: With every entry that is not a distribution, has an unknown key, or has values
            that the setting cannot take.
    """
    problems: list[str] = []
    parameters = []
    known = kinds_in(JobConfig, config.model_dump())
    for key, entry in (space or default_space(config)).items():
        try:
            parameter = _parse(key, entry, known)
        except ValueError as error:
            problems.append(f"tune.space: {key}: {error}")
            continue
        parameters.append(parameter)
        problems += _unusable_values(parameter, config)
    if problems:
        raise ConfigError(*problems)
    return tuple(parameters)


def _parse(key: str, entry: Any, known: Kinds) -> Parameter:
    try:
        describe(JobConfig, key, known)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    if affected(JobConfig)[key] & {"samples", "measuring", "where"}:
        raise ValueError("decides where a run computes or what it is judged on, not what it learns")
    if not isinstance(entry, Mapping):
        raise ValueError(f"is {entry!r}; expected a distribution, such as {{choice: [1, 2]}}")
    kinds = [name for name in entry if name != "when"]
    if len(kinds) != 1 or kinds[0] not in _KINDS:
        raise ValueError(f"has {kinds}; expected one of {', '.join(_KINDS)}, and when")
    (kind,) = kinds
    values = entry[kind]
    if not isinstance(values, list) or not values:
        raise ValueError(f"{kind} has {values!r}; expected a list")
    if kind in _RANGES:
        _check_range(kind, values)
    when = entry.get("when", {})
    if not isinstance(when, Mapping):
        raise ValueError(f"when is {when!r}; expected settings and lists of their values")
    for other, allowed in when.items():
        if not isinstance(allowed, list):
            raise ValueError(f"when has {other}: {allowed!r}; expected a list of values")
        try:
            describe(JobConfig, other, known)
        except ConfigError as error:
            raise ValueError(f"when: {error}") from None
    return Parameter(key, kind, tuple(values), {k: tuple(v) for k, v in when.items()})


def _check_range(kind: str, values: Sequence[Any]) -> None:
    numbers = int if kind.endswith("randint") else (int, float)
    if len(values) != 2 or not all(
        isinstance(value, numbers) and not isinstance(value, bool) for value in values
    ):
        what = "whole numbers" if numbers is int else "numbers"
        raise ValueError(f"{kind} has {list(values)}; expected two {what}, [low, high]")
    low, high = values
    if not low < high or (kind.startswith("log") and low <= 0):
        above = ", both above 0" if kind.startswith("log") else ""
        raise ValueError(f"{kind} has {list(values)}; expected low below high{above}")


def _unusable_values(parameter: Parameter, config: JobConfig) -> Iterator[str]:
    """Values at which the settings would not be valid; of ranges, the ends."""
    # A value that holds only together with a condition is tried with its first allowed values.
    given = {key: allowed[0] for key, allowed in parameter.when.items()}
    for value in parameter.values:
        try:
            with_sample(config, {**given, parameter.key: value})
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            text = detail.get("ctx", {}).get("error", detail["msg"])
            # What the other settings have to say about it may change with them.
            if detail["loc"]:
                yield f"tune.space: {parameter.key}: {value!r}: {text}"


def with_sample(config: J, sample: Mapping[str, Any]) -> J:
    """The settings with others laid over, validated again.

    Raises:
        ValidationError: If they cannot be used together.
    """
    values = config.model_dump(mode="json")
    for key, value in sample.items():
        section = values
        *path, last = key.split(".")
        for name in path:
            section = section[name]
        section[last] = value
    return validated(type(config), values)


def applied(
    parameters: Sequence[Parameter], sample: Mapping[str, Any], config: JobConfig
) -> dict[str, Any]:
    """The part of a sample that applies: parameters whose conditions do not hold are left out."""
    base = config.model_dump(mode="json")
    values = {parameter.key: sample[parameter.key] for parameter in parameters}
    return {
        parameter.key: values[parameter.key]
        for parameter in parameters
        if parameter.applies(values, base)
    }


def value_at(values: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key."""
    found: Any = values
    for name in key.split("."):
        found = found[name]
    return found
