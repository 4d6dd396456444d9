"""Looks at what a run generates for validation classes while it trains."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from metagan.config.settings import RunConfig
from metagan.core.algorithms import inner_settings, usual_steps
from metagan.core.params import GanParams
from metagan.data.tasks import EpisodeKey
from metagan.evaluate.drawing import answers, generate_samples
from metagan.evaluate.target import adapt_to_target
from metagan.kinds.registry import find_kind
from metagan.seeding import derive_seed
from metagan.workflow.setup import TrainSetup

NUM_CLASSES = 8
NUM_GENERATED = 8


@dataclass(frozen=True)
class Preview:
    """Samples that a run generates for a few validation classes.

    Attributes:
        sheet: Per class its support, then generated before and after adaptation, as PNG; of pairs
            per task its support, the answers to other inputs, these where they can be looked at,
            and what is drawn for them, before and after.
        spread: Standard deviation of a value over a class's samples generated after adaptation,
            over that of its support; roots of means over values and classes. About 1 for samples
            as varied as real ones, 0 for one and the same. None if the support does not vary.
    """

    sheet: bytes
    spread: float | None


def preview(setup: TrainSetup, config: RunConfig, init: GanParams) -> Preview | None:
    """A look at the averaged initialization; None if no validation class has enough samples."""
    if "input" in config.gan.conditioning:
        return _preview_of_pairs(setup, config, init)
    usable = [
        index
        for index in setup.splits.validation
        if setup.dataset.count(index) >= config.task.shots
    ]
    if not usable:
        return None
    chosen = [usable[i] for i in np.linspace(0, len(usable) - 1, NUM_CLASSES).astype(int)]
    form = setup.spec.form
    kind = find_kind(form.kind)
    support = kind.to_tensor(
        np.stack([setup.dataset.class_samples(index)[: config.task.shots] for index in chosen]),
        form,
    )
    columns = [kind.to_samples(support, form)]
    for steps in (0, config.inner.steps):
        target = adapt_to_target(
            setup.gan,
            init,
            support,
            inner=inner_settings(config),
            task=config.task,
            steps=steps,
            batch_size=config.inner.batch_size,
            seed=derive_seed(config.seed, "preview"),
        )
        per_support = -(-NUM_GENERATED // config.task.shots)
        generated = generate_samples(
            setup.gan, target, per_support=per_support, seed=derive_seed(config.seed, "preview")
        )
        # Spread over the support samples that were continued.
        picks = np.linspace(0, generated.shape[1] - 1, NUM_GENERATED).astype(int)
        shown = generated[:, picks]
        columns.append(kind.to_samples(shown, form))
    rows = [[column[row] for column in columns] for row in range(len(chosen))]
    return Preview(kind.look(rows, form), _spread(shown, support))


def _preview_of_pairs(setup: TrainSetup, config: RunConfig, init: GanParams) -> Preview | None:
    """Per validation task its support, the answers to other inputs, and what is drawn for them."""
    tasks = setup.source.tasks("validation")
    if not tasks:
        return None
    form, rows = setup.spec.form, []
    seed = derive_seed(config.seed, "preview")
    kind = find_kind(form.kind)
    for index in np.unique(np.linspace(0, len(tasks) - 1, NUM_CLASSES).astype(int)):
        episode = setup.source.episode(EpisodeKey(tasks[index], seed))
        support, query = episode.support, episode.query.cut(0, NUM_GENERATED)
        asked = query.inputs
        assert asked is not None, "of pairs"
        inputs = kind.pairs.shown(asked[0], form)
        shown = [support.samples[0], query.samples[0], *([] if inputs is None else [inputs])]
        for steps, solve in ((0, False), (usual_steps(config), None)):
            target = adapt_to_target(
                setup.gan,
                init,
                support.samples,
                inner=inner_settings(config),
                task=config.task,
                steps=steps,
                batch_size=config.inner.batch_size,
                seed=seed,
                inputs=support.inputs,
                solve=solve,
            )
            shown.append(answers(setup.gan, target, asked[0], seed=seed))
        rows.append([kind.to_samples(part, form) for part in shown])
    return Preview(kind.look(rows, form), None)


def _spread(made: Tensor, real: Tensor) -> float | None:
    if real.shape[1] < 2:
        return None
    within_made, within_real = (float(samples.var(1).mean().sqrt()) for samples in (made, real))
    return within_made / within_real if within_real else None
