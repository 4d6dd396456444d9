"""What may be set anew about a trained run when it is used: the one table of it.

A run's settings say how it was trained. Adapting or evaluating reads some of them again, and only
those can differ from the run's own. All others have become its weights, or were for training alone.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

from metagan.config.load import ConfigError, flat_settings
from metagan.config.settings import RunConfig
from metagan.config.yaml import format_value

Use = Literal["adapt", "evaluate", "evaluate --data"]

# Read again by the inner loop that adapts to a target, and by generating from what it gives.
_INNER_LOOP = (
    "seed",
    "task.unit",
    "gan.loss",
    "gan.r1",
    "gan.r2",
    "gan.gradient_penalty",
    "gan.penalty_every",
    "gan.mode_seeking",
    "gan.reconstruction",
    "gan.augment",
    "inner.lr",
    "inner.discriminator_lr_scale",
    "inner.optimizer",
    "inner.discriminator_steps",
    "inner.generator_steps",
    "inner.proximal",
    "inner.generator_moves",
    "inner.discriminator_moves",
    "evaluate.best_of",
)

_EVALUATE = (
    *_INNER_LOOP,
    # The same data at another place; their hash decides.
    "data.path",
    "data.source",
    "data.cache_dir",
    "device",
    "evaluate.",
    "cluster.",
)
# How pictures that are not the run's own are read.
_OTHER_PICTURES = ("data.invert", "data.white")

READ_AGAIN: Mapping[Use, tuple[str, ...]] = {
    "adapt": (*_INNER_LOOP, "inner.steps", *_OTHER_PICTURES),
    "evaluate": _EVALUATE,
    "evaluate --data": (*_EVALUATE, *_OTHER_PICTURES),
}
"""By use, the settings that it reads; one that ends in a dot is a whole section."""

# What the networks are built on, and what there is to learn besides their weights.
_BUILT_ON = (
    "data.image_size",
    "data.channels",
    "gan.conditioning",
    "gan.num_labels",
    "gan.family",
    "gan.width",
    "gan.discriminator_width",
    "gan.latent_dim",
    "gan.max_displacement",
    "gan.spectral_norm",
    "algorithm.name",
    "inner.learn_rates",
)
# What shapes the samples that it was trained on.
_OF_ITS_DATA = (*_OTHER_PICTURES, "data.drawings_per_class", "data.max_classes_per_domain")
# What two runs must share for one to use the other's weights; how they are learned may differ.
_NETWORKS = tuple(key for key in _BUILT_ON if key.startswith(("data.", "gan.")))
# Those whose place another setting takes once a run is trained.
_INSTEAD = {
    "task.shots": "evaluate.shots is the number of samples that metagan evaluate adapts to",
    "task.num_query": "evaluate.test_per_class is the number of test samples",
    "task.ways": "evaluate.max_classes is the number of classes",
    "inner.steps": "set evaluate.adapt_steps",
    "inner.batch_size": "batches of adaptation have a fixed size",
}


def check_changes(
    trained: RunConfig, asked: RunConfig, *, run: object, where: str, use: Use | None = None
) -> None:
    """Refuse settings that a trained run cannot follow, or would not look at.

    Args:
        trained: What the run was trained with.
        asked: The same, as it is to be used now.
        run: The run folder, for messages.
        where: Where `asked` was written, for messages.
        use: What the run is used for; None: any use may read a setting.

    Raises:
        ConfigError: With every setting, both values and the fix.
    """
    own, now = flat_settings(trained), flat_settings(asked)
    uses = READ_AGAIN if use is None else {use: READ_AGAIN[use]}
    read = {key for keys in uses.values() for key in keys}
    problems = []
    for key, value in now.items():
        before = own.get(key, value)
        if value == before:
            continue
        values = f"{run} was trained with {format_value(before)}"
        of_its_data = key in _OF_ITS_DATA and key not in read
        instead = f"; {_INSTEAD[key]}" if key in _INSTEAD else ""
        if of_its_data or key in (*_BUILT_ON, *_learned_with(trained)):
            what = "data" if of_its_data else "weights"
            problems.append(
                f"{where}: {key}: {values}, which its {what} cannot leave; train another run for "
                f"{format_value(value)}{instead}"
            )
        elif key not in read and f"{key.partition('.')[0]}." not in read:
            what = "using a trained run" if use is None else f"metagan {use}"
            problems.append(
                f"{where}: {key}: {values}, and {what} does not read it, so {format_value(value)} "
                f"would change nothing; leave it out{instead}"
            )
    if problems:
        raise ConfigError(*problems)


def other_networks(ours: RunConfig, theirs: RunConfig) -> list[str]:
    """Settings by which two runs' networks differ, with both values.

    Equal shapes do not make equal networks: weights under another `gan.max_displacement` or
    `gan.spectral_norm` are another generator or discriminator.
    """
    # What a network has no use for cannot tell it apart.
    idle = {"gan.num_labels"} if ours.gan.conditioning != "label" else set()
    idle |= {"gan.max_displacement"} if ours.gan.family != "flow" else set()
    here, there = flat_settings(ours), flat_settings(theirs)
    return [
        f"{key} is {format_value(here[key])}, there {format_value(there[key])}"
        for key in _NETWORKS
        if here[key] != there[key] and key not in idle
    ]


def _learned_with(trained: RunConfig) -> Iterator[str]:
    """Settings that learned rates fit, where the run has learned them."""
    if trained.inner.learn_rates != "none" or trained.algorithm.name == "meta_sgd":
        yield from ("inner.generator_moves", "inner.discriminator_moves")
    if trained.inner.learn_rates == "tensor_and_step":
        yield "inner.steps"
