"""Agreement of several settings of a run: combinations that cannot be, each with its fix.

The bound of a single setting is in `metagan.config.settings`.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from metagan.config.algorithms import ALGORITHMS
from metagan.config.data import DataConfig
from metagan.config.image import ImageData
from metagan.config.kinds import KIND_WORDS

if TYPE_CHECKING:  # The settings themselves import this module.
    from metagan.config.learning import GanConfig, InnerConfig
    from metagan.config.settings import RunConfig, TaskConfig

BUILT_IN: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"glyphs": ("drawings_per_class", "max_classes_per_domain"), "styles": ("styles",)}
)
"""The sources that read no files, and the settings that each has alone."""


def disagreements(run: "RunConfig") -> Iterator[str]:
    """A line per contradiction between the settings: the settings, their values and the fix."""
    yield from _conditioning(run.gan, run.task, run.data.kind)
    yield from _terms(run.gan, run.inner)
    yield from _words_of_another_kind(run)
    yield from _algorithm(run)
    yield from _data(run.data)
    if isinstance(run.data, ImageData):
        yield from _taken(run.data, run.gan)
    if run.warmup.steps > run.outer.steps:
        yield f"warmup.steps is {run.warmup.steps}, more than outer.steps {run.outer.steps}"


def _conditioning(gan: "GanConfig", task: "TaskConfig", kind: str) -> Iterator[str]:
    """Conditioning of the generator, against the tasks and its own network."""
    if not gan.conditioning and task.unit == "domain":
        yield (
            "gan.conditioning none needs task.unit class: an unconditional generator cannot "
            "tell the classes of a domain apart; set gan.conditioning sample or task.unit class"
        )
    if "label" in gan.conditioning and task.unit == "class":
        yield (
            "gan.conditioning label numbers the classes of a domain, so it needs task.unit "
            "domain; set that, or gan.conditioning none for single classes"
        )
    elif "label" in gan.conditioning and task.ways > gan.num_labels:
        yield (
            f"task.ways is {task.ways}, more than gan.num_labels {gan.num_labels}; lower the one "
            "or raise the other"
        )
    yield from _family(gan, kind)
    if len(set(gan.conditioning)) < len(gan.conditioning):
        yield f"gan.conditioning is {gan.conditioning_text}; name each word once"
    if gan.reader != "mean" and "support" not in gan.conditioning:
        yield (
            f"gan.reader is {gan.reader}, but gan.conditioning is {gan.conditioning_text}, so that "
            "no support is read; add support, or leave gan.reader out"
        )
    for word in ("label", "sample"):
        if {word, "input"} <= set(gan.conditioning):
            yield (
                f"gan.conditioning is {gan.conditioning_text}, but pairs of inputs and samples are "
                f"drawn from a domain as a whole, without its classes; leave {word} out"
            )


def _terms(gan: "GanConfig", inner: "InnerConfig") -> Iterator[str]:
    """The terms of the generator's loss, against each other and against what it is told."""
    if gan.reconstruction != "none" and not {"sample", "input"} & set(gan.conditioning):
        yield (
            f"gan.reconstruction is {gan.reconstruction}, but with gan.conditioning "
            f"{gan.conditioning_text} no answer is known; set it to none, or gan.conditioning "
            "sample or input"
        )
    if not gan.has_adversary and inner.discriminator_steps > 1:
        yield (
            f"inner.discriminator_steps is {inner.discriminator_steps}, but with "
            "gan.adversarial_weight 0 there is no discriminator; leave it out"
        )
    if not gan.has_adversary and (gan.reconstruction == "none" or not gan.reconstruction_weight):
        yield (
            "gan.adversarial_weight is 0, so that the generator learns from known answers alone; "
            "set gan.reconstruction (with gan.conditioning input), or a weight above 0"
        )


def _family(gan: "GanConfig", kind: str) -> Iterator[str]:
    """Networks that cannot do without being told a picture, or can be told no more."""
    if gan.family not in KIND_WORDS[kind].families:
        return  # Said of the kind.
    told = gan.conditioning
    if gan.family == "flow" and told not in (("sample",), ("input",)):
        yield (
            "gan.family flow bends a given sample, so it needs gan.conditioning sample; "
            "set gan.family dcgan or residual"
            if "sample" not in told and "input" not in told
            else f"gan.family flow bends the one picture that it is told, but gan.conditioning is "
            f"{gan.conditioning_text}; set gan.family unet, which is told all of them"
        )
    if gan.family == "unet" and not {"sample", "input"} & set(told):
        yield (
            "gan.family unet draws one picture after another, so it needs gan.conditioning sample "
            f"or input, and gan.conditioning is {gan.conditioning_text}; set gan.family dcgan or "
            "residual"
        )


def _words_of_another_kind(run: "RunConfig") -> Iterator[str]:
    """Networks, augmentations and baselines that the kind of data does not have."""
    kind = run.data.kind
    for key, words in KIND_WORDS[kind].known().items():
        section, _, name = key.partition(".")
        value = getattr(getattr(run, section), name)
        several = isinstance(value, tuple)
        for word in value if several else (value,):
            if word not in words:
                yield (
                    f"{key} {'holds' if several else 'is'} {word}, but data.kind is {kind}, which "
                    f"has {', '.join(words)}; "
                    + (f"leave {word} out" if several else f"set {key} {words[0]}")
                )


def _algorithm(run: "RunConfig") -> Iterator[str]:
    """Settings that ask of an algorithm what it cannot do."""
    name = run.algorithm.name
    row = ALGORITHMS[name]
    if run.inner.learn_rates != "none" and not row.through_inner_loop:
        yield (
            f"inner.learn_rates is {run.inner.learn_rates}, but algorithm.name {name} cannot learn "
            f"rates; use {_those('through_inner_loop')}, or inner.learn_rates none"
        )
    yield from _what_moves(run)
    yield from _told_library(run)
    yield from _tried_rates(run)
    yield from _readers(run)
    yield from _solving(run)
    for setting, value, able, why in (
        (
            "algorithm.multi_step",
            run.algorithm.multi_step,
            "query_at_every_step",
            "has no query loss after each inner step",
        ),
        (
            "algorithm.second_order_from",
            run.algorithm.second_order_from,
            "second_order",
            "has no second order to switch to",
        ),
    ):
        if value and not getattr(row, able):
            yield (
                f"{setting} is {value}, but algorithm.name {name} {why}; set it to 0, or use "
                f"{_those(able)}"
            )
    if name == "average":
        yield from _average(run)
    if name == "imaml" and run.inner.proximal == 0:
        yield (
            "inner.proximal is 0, but algorithm.name imaml solves an inner loop that the proximal "
            "term holds near the initialization; set it above 0, or null for 2"
        )
    if name == "imaml" and run.inner.discriminator_lr_scale == 0:
        yield (
            "inner.discriminator_lr_scale is 0, but algorithm.name imaml solves for all that the "
            "inner loop moves; to freeze the discriminator set inner.discriminator_moves none"
        )


def _told_library(run: "RunConfig") -> Iterator[str]:
    """Answers of training domains to the same input: whose, and fitted on what."""
    told = run.gan.conditioning
    if "library" not in told:
        return
    if "input" not in told:
        yield (
            f"gan.conditioning is {run.gan.conditioning_text}, but library is what training "
            "domains answer to the same input; add input"
        )
    if run.task.unit != "domain":
        yield (
            "gan.conditioning has library, which is combined on a domain's support, but task.unit "
            f"is {run.task.unit}; set task.unit domain"
        )


def _tried_rates(run: "RunConfig") -> Iterator[str]:
    """Rates of adaptation, which are chosen where answers are measured."""
    if run.evaluate.adapt_lr and "input" not in run.gan.conditioning:
        yield (
            f"evaluate.adapt_lr is {list(run.evaluate.adapt_lr)}, but gan.conditioning is "
            f"{run.gan.conditioning_text}, and only for answers to inputs a rate is chosen; set "
            "inner.lr, or leave it out"
        )


def _readers(run: "RunConfig") -> Iterator[str]:
    """Readers of labels, which learn from answers."""
    if run.evaluate.classify and "input" not in run.gan.conditioning:
        yield (
            f"evaluate.classify is true, but gan.conditioning is {run.gan.conditioning_text}: "
            "what generated samples are worth to classifiers is measured without it; leave it out"
        )


def _solving(run: "RunConfig") -> Iterator[str]:
    """A head that is solved for in closed form: on which pairs, of which network."""
    name, gan = run.algorithm.name, run.gan
    row = ALGORITHMS[name]
    if run.inner.solve and not (row.solves or row.through_inner_loop):
        yield (
            f"inner.solve is true, but algorithm.name {name} cannot learn through a solved head; "
            f"use {_those('solves')} or {_those('through_inner_loop')}"
        )
    if not (run.inner.solve or row.solves):
        return
    asked = "inner.solve true" if run.inner.solve else f"algorithm.name {name}"
    if "input" not in gan.conditioning:
        yield (
            f"{asked} solves for the generator's head on pairs of inputs and samples, so it needs "
            f"gan.conditioning input, which is {gan.conditioning_text}"
        )
    solvable = KIND_WORDS[run.data.kind].solvable
    if gan.family in KIND_WORDS[run.data.kind].families and gan.family not in solvable:
        yield (
            f"{asked} solves for a head that is linear at every position, which gan.family "
            f"{gan.family} does not have; set gan.family {' or '.join(solvable)}"
        )


def can_solve(run: "RunConfig") -> bool:
    """True if a run's generator has a head that can be solved for, and pairs to solve on."""
    return "input" in run.gan.conditioning and run.gan.family in KIND_WORDS[run.data.kind].solvable


def _those(column: str) -> str:
    """The algorithms that have something, for messages."""
    return ", ".join(name for name, row in ALGORITHMS.items() if getattr(row, column))


def _average(run: "RunConfig") -> Iterator[str]:
    """One outer step that has to end at the mean of all adapted weights."""
    if run.outer.steps != run.warmup.steps + 1:
        yield (
            f"outer.steps is {run.outer.steps}, but algorithm.name average fine-tunes on every "
            f"source task in one outer step after the warm-up; set it to {run.warmup.steps + 1}"
        )
    if run.outer.rollbacks:
        yield (
            f"outer.rollbacks is {run.outer.rollbacks}, but algorithm.name average takes one step "
            "of a fixed size; set it to 0"
        )
    if run.outer.staleness:
        yield (
            f"outer.staleness is {run.outer.staleness}, but algorithm.name average fine-tunes from "
            "where the warm-up has ended, not from before; set it to 0"
        )
    if run.outer.max_episode_norm is not None:
        yield (
            f"outer.max_episode_norm is {run.outer.max_episode_norm:g}, but algorithm.name average "
            "is the mean over all source tasks; set it to null"
        )


def _what_moves(run: "RunConfig") -> Iterator[str]:
    """Weights that neither adapt nor are learned."""
    name = run.algorithm.name
    if name == "joint":
        return
    if run.inner.generator_moves == run.inner.discriminator_moves == "none":
        yield (
            f"inner.generator_moves and inner.discriminator_moves are none, so that nothing adapts "
            f"and algorithm.name {name} has nothing to learn from; set one of them to all, or use "
            "algorithm.name joint"
        )
    elif ALGORITHMS[name].by_displacement and not run.warmup.steps and run.outer.init_from is None:
        for player in ("generator", "discriminator"):
            if getattr(run.inner, f"{player}_moves") == "none":
                yield (
                    f"inner.{player}_moves is none, and algorithm.name {name} learns only what its "
                    "inner loop moves: that player would stay untrained; set warmup.steps above 0, "
                    f"outer.init_from, or inner.{player}_moves all"
                )
        if run.inner.discriminator_lr_scale == 0 and run.inner.discriminator_moves != "none":
            yield (
                f"inner.discriminator_lr_scale is 0, and algorithm.name {name} learns only what "
                "its inner loop moves: the discriminator would stay untrained; set warmup.steps "
                "above 0, outer.init_from, or a scale above 0"
            )


def _data(data: DataConfig) -> Iterator[str]:
    """The data that are read, and how they are divided."""
    if isinstance(data, ImageData) and data.image_size % 4:
        yield (
            f"data.image_size is {data.image_size}; it must be a multiple of 4 "
            "(the networks halve it twice)"
        )
    if data.validation_fraction + data.test_fraction >= 1:
        yield (
            f"data.validation_fraction {data.validation_fraction:g} and data.test_fraction "
            f"{data.test_fraction:g} leave nothing to train on; make their sum less than 1"
        )
    if data.source not in BUILT_IN and data.path is None:
        yield f"data.source {data.source} needs data.path"
    if data.source in BUILT_IN and data.path is not None:
        yield (
            f"data.path is {data.path}, but data.source {data.source} is built in and reads no "
            f"files; set data.source auto to read that path, or data.path null to draw "
            f"{data.source}"
        )
    if isinstance(data, ImageData):
        yield from _built_in_only(data)
    if data.reference_domain is not None:
        for name in ("validation_domains", "test_domains"):
            if data.reference_domain in getattr(data, name):
                yield (
                    f"data.{name} names {data.reference_domain}, which is data.reference_domain "
                    "and is not measured; take it out of one of them"
                )


def _taken(data: ImageData, gan: "GanConfig") -> Iterator[str]:
    """Inputs that are made from the pictures themselves."""
    if data.input is None:
        return
    told = f"data.input is {data.input}, but "
    if "input" not in gan.conditioning:
        yield (
            f"{told}gan.conditioning is {gan.conditioning_text}, so that no input is told; set "
            "gan.conditioning input"
        )
    if data.reference_domain is not None:
        yield (
            f"{told}data.reference_domain is {data.reference_domain}: inputs are made from the "
            "pictures themselves, or are pictures of that domain; leave one out"
        )
    if "library" in gan.conditioning:
        yield (
            f"{told}gan.conditioning has library, which answers to pictures of a reference domain; "
            "leave library out"
        )
    if data.input == "grey" and data.channels == 1:
        yield f"{told}data.channels is 1, so that there is no colour to take; set data.channels 3"
    if data.input != "small" and gan.family == "flow" and "input" in gan.conditioning:
        yield f"{told}gan.family flow bends a whole picture; set gan.family unet"


def _built_in_only(data: ImageData) -> Iterator[str]:
    """Settings of built-in data, given for other data."""
    for source, names in BUILT_IN.items():
        for name in names if data.source != source else ():
            value, usual = getattr(data, name), type(data).model_fields[name].default
            # A run's file holds every setting: only another value says that it was asked for.
            if value != usual:
                yield (
                    f"data.{name} is {value}, but it is for data.source {source} alone, and "
                    f"data.source is {data.source}; leave it out, or set it to "
                    f"{'null' if usual is None else usual}"
                )
