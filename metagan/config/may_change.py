"""Settings of a run that may change when it is resumed, or when it is used after training.

A run's settings say how it was trained. Adapting or evaluating reads some of them again, and only
those can differ from the run's own. All others have become its weights, or were for training alone.
"""

from collections.abc import Iterator
from typing import Literal, get_args

from metagan.config.affects import affected, settings_of, settings_without
from metagan.config.load import ConfigError, flat_settings
from metagan.config.settings import RunConfig
from metagan.config.yaml import format_value

Use = Literal["adapt", "evaluate", "evaluate --data"]
USES: tuple[Use, ...] = get_args(Use)

OTHER_DATA = ("data.invert", "data.white", "data.label", "data.domain")
"""How samples that are not the run's own are read."""
# They change no number, but only training reads them.
_FOR_TRAINING = ("checkpoint.", "cuda_graphs", "data.allow_leaks")
# Those whose place another setting takes once a run is trained.
_INSTEAD = {
    "task.shots": "evaluate.shots is the number of samples that metagan evaluate adapts to",
    "task.num_query": "evaluate.test_per_class is the number of test samples",
    "task.ways": "evaluate.max_classes is the number of classes",
    "inner.steps": "set evaluate.adapt_steps",
    "inner.batch_size": "batches of adaptation have a fixed size",
}


def resumable(model: type[RunConfig]) -> tuple[str, ...]:
    """Settings that a resumed run may change: they do not alter what was computed before.

    Data may have moved: their hash says whether they are the same.
    """
    return settings_without(model, "samples", "networks", "training", "live", "searching")


def read_again(model: type[RunConfig], use: Use) -> frozenset[str]:
    """The settings that a use of a trained run reads, as keys."""
    adapting = settings_of(model, "adapting")
    if use == "adapt":
        return frozenset({*adapting, "inner.steps", *OTHER_DATA})
    measuring = set(resumable(model)) & set(settings_of(model, "measuring", "where"))
    measuring = {key for key in measuring if not key.startswith(_FOR_TRAINING)}
    other = OTHER_DATA if use == "evaluate --data" else ()
    return frozenset({*adapting, *measuring, *other})


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
    words, uses = affected(type(asked)), USES if use is None else (use,)
    read = frozenset().union(*(read_again(type(asked), each) for each in uses))
    if "input" in trained.gan.conditioning:
        read -= frozenset(settings_of(type(asked), "classifiers"))
    problems = []
    for key, value in now.items():
        before = own.get(key, value)
        if value == before:
            continue
        values = f"{run} was trained with {format_value(before)}"
        of_its_data = words[key] == {"samples"} and key not in read
        instead = f"; {_INSTEAD[key]}" if key in _INSTEAD else ""
        if of_its_data or "networks" in words[key] or key in _learned_with(trained):
            what = "data" if of_its_data else "weights"
            problems.append(
                f"{where}: {key}: {values}, which its {what} cannot leave; train another run for "
                f"{format_value(value)}{instead}"
            )
        elif key not in read:
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
    idle = set() if "label" in ours.gan.conditioning else {"gan.num_labels"}
    idle |= {"gan.max_displacement"} if ours.gan.family != "flow" else set()
    # How weights are learned may differ.
    idle |= {"algorithm.name", "inner.learn_rates"}
    here, there = flat_settings(ours), flat_settings(theirs)
    return [
        f"{key} is {format_value(here[key])}, there {format_value(there[key])}"
        for key in settings_of(RunConfig, "networks")
        # Where their kinds differ, each lacks what is the other kind's alone.
        if key in here and key in there and here[key] != there[key] and key not in idle
    ]


def _learned_with(trained: RunConfig) -> Iterator[str]:
    """Settings that learned rates fit, where the run has learned them."""
    if trained.inner.learn_rates != "none" or trained.algorithm.name == "meta_sgd":
        yield from ("inner.generator_moves", "inner.discriminator_moves")
    if trained.inner.learn_rates == "tensor_and_step":
        yield "inner.steps"
