"""Pictures of what a run generates for validation classes while it trains."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from metagan.config.settings import RunConfig
from metagan.core.algorithms import inner_settings
from metagan.core.params import GanParams
from metagan.evaluate.target import adapt_to_target, generate_samples
from metagan.kinds.image.convert import to_float, to_uint8
from metagan.kinds.image.pictures import Pictures, grid
from metagan.kinds.image.reading.record import Reading
from metagan.seeding import derive_seed
from metagan.workflow.setup import TrainSetup

NUM_CLASSES = 8
NUM_GENERATED = 8


@dataclass(frozen=True)
class Preview:
    """What a run generates for a few validation classes.

    Attributes:
        sheet: Per class its support, then generated before and after adaptation, (H, W, 3).
        spread: Standard deviation of a pixel over a class's samples generated after adaptation,
            over that of its support; roots of means over pixels and classes. About 1 for samples
            as varied as real ones, 0 for one and the same. None if the support does not vary.
    """

    sheet: Pictures
    spread: float | None


def preview(setup: TrainSetup, config: RunConfig, init: GanParams) -> Preview | None:
    """A look at the averaged initialization; None if no validation class has enough samples."""
    usable = [
        index
        for index in setup.splits.validation
        if setup.dataset.count(index) >= config.task.shots
    ]
    if not usable:
        return None
    chosen = [usable[i] for i in np.linspace(0, len(usable) - 1, NUM_CLASSES).astype(int)]
    support = to_float(
        np.stack([setup.dataset.class_samples(index)[: config.task.shots] for index in chosen])
    )
    columns = [to_uint8(support)]
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
        columns.append(to_uint8(shown))
    reading = Reading.of_run(config.data, {"origin": setup.dataset.origin})
    columns = [reading.given_back(column) for column in columns]
    rows = [[column[row] for column in columns] for row in range(len(chosen))]
    return Preview(grid(rows), _spread(shown, support))


def _spread(made: Tensor, real: Tensor) -> float | None:
    if real.shape[1] < 2:
        return None
    within_made, within_real = (float(samples.var(1).mean().sqrt()) for samples in (made, real))
    return within_made / within_real if within_real else None
