"""Results of evaluation items that are kept, so that a long evaluation can be broken off.

An item's result is a pure function of what it is computed from, so it is kept under a hash of all
of that. A second evaluation that shares items with the first, such as one on another target, whose
choices are made on the same validation classes, takes them from there.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from metagan.config.affects import settings_of
from metagan.config.settings import EvaluateConfig
from metagan.core.params import GanParams, Layout, vector_hash
from metagan.evaluate.downstream import Mix
from metagan.evaluate.evaluation import (
    ComparisonItem,
    ComparisonResult,
    Subject,
    WorkMap,
    run_comparison_item,
    run_validation_item,
    with_room,
)
from metagan.evaluate.gate import Candidate, Choice
from metagan.evaluate.on_test import TestResult, run_test_item
from metagan.files import sha256_of, write_bytes

Item = TypeVar("Item")
Result = TypeVar("Result")
Shared = TypeVar("Shared")

# Of the settings of `evaluate`, items name those that say how much is measured; the other two are
# named with what is measured on.
_NOT_COMMON = {*settings_of(EvaluateConfig, "extent"), "test_per_class", "own_folds"}
FORMAT = 2


class KeptResults:
    """A `WorkMap` that computes only what is not in its folder yet."""

    def __init__(
        self,
        work: WorkMap,
        name: Callable[[Any], Mapping[str, Any]],
        folder: Path,
        *,
        tell: Callable[[str], None],
    ) -> None:
        """Keeps the results of `work`.

        Args:
            work: Computes what is missing.
            name: Names all that an item's result is computed from.
            folder: Made at need; a file in it that cannot be read is computed again.
            tell: Gets a line when results were found.
        """
        self._work, self._name, self._folder, self._tell = work, name, folder, tell

    def __call__(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Sequence[Item],
    ) -> Iterator[Result]:
        """See `metagan.evaluate.evaluation.WorkMap`."""
        # The results of others are JSON by themselves.
        encode, decode = _CODECS.get(function, (lambda result: result, lambda _, value: value))
        files = [self._folder / f"{_digest(self._name(item))[:32]}.json" for item in items]
        kept = [_read(file) for file in files]
        missing = [item for item, value in zip(items, kept, strict=True) if value is None]
        if len(missing) < len(items):
            found = len(items) - len(missing)
            self._tell(f"{found} of {len(items)} results are kept from before in {self._folder}")
        computed = iter(self._work(function, shared, missing))
        for item, file, value in zip(items, files, kept, strict=True):
            if value is not None:
                yield decode(item, value)
                continue
            result = next(computed)
            self._folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"item": item_json(item), "result": encode(result)}, indent=1)
            write_bytes(file, text.encode())
            yield result


def item_names(subject: Subject) -> Callable[[Any], Mapping[str, Any]]:
    """Function that names all that the result of a subject's item is computed from."""
    evaluate = subject.config.evaluate
    chosen_on = with_room(evaluate, subject.validation, subject.validation_classes)
    common = _common_key(subject)
    validation = {"test_per_class": chosen_on.test_per_class}
    test: dict[str, Any] = {
        "test_per_class": evaluate.test_per_class,
        "data": subject.test.fingerprint(),
        "classes": [subject.test.classes[index].name for index in subject.test_classes],
    }
    if subject.is_foreign:
        test["own_folds"] = evaluate.own_folds
    inits = {
        name: {
            "weights": init_hash(init),
            "inner": subject.inner_of(name).model_dump(mode="json"),
        }
        for name, init in subject.inits.items()
    }

    def name(item: Any) -> dict[str, Any]:
        kind = type(item).__name__
        return {
            "common": common,
            "item": item_json(item),
            "kind": kind,
            "measured on": validation if kind == "ValidationItem" else test,
            # Of other initializations than its own an item knows nothing.
            "init": inits[item.init if isinstance(item, ComparisonItem) else "run"],
        }

    return name


def _common_key(subject: Subject) -> dict[str, Any]:
    config = subject.config
    return {
        "format": FORMAT,
        "torch": torch.__version__,
        "seed": config.seed,
        "gan": config.gan.model_dump(mode="json"),
        "task": config.task.model_dump(mode="json"),
        "evaluate": config.evaluate.model_dump(mode="json", exclude=_NOT_COMMON),
        "validation": [subject.validation.classes[i].name for i in subject.validation_classes],
        "data": subject.validation.fingerprint(),
        "source": subject.source.features().sha256,
    }


def init_hash(init: GanParams) -> str:
    """SHA-256 of all weights of an initialization."""
    return vector_hash(Layout.of(init).flatten(init).cpu().numpy())


def item_json(item: Any) -> dict[str, Any]:
    """An item as JSON: choices by name, and of a rejected one nothing that could differ."""
    values = {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
    if "choices" in values:
        values["choices"] = {
            " ".join(key): None if choice.rejected else _candidate_json(choice.candidate)
            for key, choice in sorted(values["choices"].items())
        }
    return values


def _digest(value: Any) -> str:
    return sha256_of(json.dumps(value, sort_keys=True).encode())


def _read(file: Path) -> Any | None:
    """The stored result, or None if there is none or it cannot be read."""
    try:
        return json.loads(file.read_bytes())["result"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _candidate_json(candidate: Candidate) -> list[float]:
    return [candidate.adapt_steps, candidate.mix.share, candidate.mix.per_real]


def _candidate(values: list[Any]) -> Candidate:
    steps, share, per_real = values
    return Candidate(int(steps), Mix(float(share), int(per_real)))


def _choice_json(choice: Choice) -> list[Any]:
    return [_candidate_json(choice.candidate), choice.gain, choice.stderr, choice.rejected]


def _choice(values: list[Any]) -> Choice:
    candidate, gain, stderr, rejected = values
    return Choice(_candidate(candidate), gain, stderr, rejected)


_CODECS: dict[Any, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    run_validation_item: (
        lambda scores: [
            [*key, None if tried is None else _candidate_json(tried), value]
            for (*key, tried), value in scores.items()
        ],
        lambda _, rows: {
            (classifier, arm, None if tried is None else _candidate(tried)): value
            for classifier, arm, tried, value in rows
        },
    ),
    run_test_item: (
        lambda result: {
            "scores": [[*key, value] for key, value in result.scores.items()],
            "own": [[*key, _choice_json(own)] for key, own in result.own.items()],
        },
        lambda _, value: TestResult(
            {(classifier, arm): score for classifier, arm, score in value["scores"]},
            {(classifier, arm): _choice(own) for classifier, arm, own in value["own"]},
        ),
    ),
    run_comparison_item: (
        lambda result: {"quality": result.quality, "accuracy": result.accuracy},
        lambda item, value: ComparisonResult(item, value["quality"], value["accuracy"]),
    ),
}
