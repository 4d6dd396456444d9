"""Pictures of what a run generates for validation classes while it trains."""

from pathlib import Path

import numpy as np

from metagan.algorithms import inner_settings
from metagan.evaluate.target import adapt_to_target, generate_samples
from metagan.params import GanParams
from metagan.pictures import grid, write_png
from metagan.seeding import derive_seed
from metagan.settings import RunConfig
from metagan.tasks import to_float, to_uint8
from metagan.workflow.setup import TrainSetup

NUM_CLASSES = 8
NUM_GENERATED = 8


def write_preview(path: Path, setup: TrainSetup, config: RunConfig, init: GanParams) -> None:
    """Support pictures, generated before and after adaptation, for a few validation classes."""
    usable = [
        index
        for index in setup.splits.validation
        if setup.dataset.count(index) >= config.task.shots
    ]
    if not usable:
        return
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
        columns.append(to_uint8(generated[:, picks]))
    rows = [[column[row] for column in columns] for row in range(len(chosen))]
    write_png(path, grid(rows))
