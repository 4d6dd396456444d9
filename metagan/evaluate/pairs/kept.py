"""Names of an evaluation's items of pairs, by all that their results are computed from."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from metagan.evaluate.kept import init_hash, item_json
from metagan.evaluate.pairs.items import PLAIN, PairItem, PairSubject
from metagan.evaluate.pairs.reader import ReadItem

FORMAT = 1


def pair_names(subject: PairSubject) -> Callable[[PairItem | ReadItem], Mapping[str, Any]]:
    """Function that names all that the result of a subject's item is computed from."""
    evaluate = subject.config.evaluate
    common = {
        "format": FORMAT,
        "torch": torch.__version__,
        "seed": subject.config.seed,
        "most_shots": max(evaluate.shots),
        "form": subject.form.as_json(),
        "judge": None if subject.judge is None else subject.judge.features().sha256,
        "library": None if subject.library is None else sorted(subject.library.domains),
    }
    data = {split: dataset.fingerprint() for split, dataset in subject.data.items()}
    who: dict[str, Any] = {PLAIN: None}
    for whose, contestant in subject.contestants.items():
        who[whose] = {
            "weights": init_hash(contestant.init),
            "inner": contestant.inner.model_dump(mode="json"),
            "gan": contestant.config.gan.model_dump(mode="json"),
            "task": contestant.config.task.model_dump(mode="json"),
            "candidates": list(contestant.adaptations(evaluate)),
        }

    def name(item: PairItem | ReadItem) -> dict[str, Any]:
        more = {"finetune_steps": evaluate.finetune_steps} if isinstance(item, ReadItem) else {}
        return {
            "kind": type(item).__name__,
            "common": common | more,
            "item": item_json(item),
            "data": [data["validation"], data[item.split]],
            "classes": list(subject.domains[item.split][item.domain]),
            "who": who[item.who],
        }

    return name
