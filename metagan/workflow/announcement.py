"""The first lines of a training: what is learned from, and by what."""

import math

from metagan.config.algorithms import ALGORITHMS
from metagan.config.settings import RunConfig
from metagan.core.meta_learner import MetaLearner
from metagan.core.params import PLAYERS
from metagan.data.inspect import domain_lines, inspect_dataset
from metagan.data.notes import first_notes
from metagan.data.pairs import unseen_labels
from metagan.data.paths.names import a_few
from metagan.data.reader import find_reader
from metagan.data.repeats import Leak, Repeats
from metagan.words import counted
from metagan.workflow.setup import TrainSetup
from metagan.workflow.step_log import Reporter

_DOMAINS_SHOWN = 8


def announce(
    config: RunConfig,
    setup: TrainSetup,
    learner: MetaLearner,
    repeats: Repeats,
    leak: Leak | None,
    reporter: Reporter,
) -> None:
    """Say what is trained on what: the data as they look, the heaviest notes, the networks."""
    splits = setup.splits
    reporter.print(
        f"data: {counted(len(setup.dataset.domains), 'domain')}, {setup.dataset.num_classes} "
        f"classes ({len(splits.train)} train, {len(splits.validation)} validation, "
        f"{len(splits.test)} test), {len(setup.dataset.samples)} samples"
    )
    for line in domain_lines(inspect_dataset(setup.dataset, repeats), most=_DOMAINS_SHOWN):
        reporter.print(f"  {line}")
    if leak is not None:
        reporter.print(f"  LEAK: {leak}; what is measured on held-out classes is too good")
    words = find_reader(setup.dataset.kind).note_words
    for note in first_notes(setup.dataset.notes, words):
        reporter.print(f"  note: {note}")
    if setup.source.left_out:
        reporter.print(
            f"  {len(setup.source.left_out)} classes have fewer samples than task.shots + "
            "task.num_query and are left out of episodes"
        )
    learned = {setup.dataset.classes[i].label for i in splits.train}
    if unseen := sorted(unseen_labels(setup.dataset, config.data) - learned):
        reporter.print(f"  {counted(len(unseen), 'label')} in no training domain: {a_few(unseen)}")
    sizes = {part: where.stop - where.start for part, where in setup.layout.parts().items()}
    weights = " + ".join(str(sizes[player]) for player in PLAYERS if player in sizes)
    alone = "" if config.gan.has_adversary else ", no discriminator"
    rates = f", {sizes['rates']} rates" if "rates" in sizes else ""
    reporter.print(
        f"gan: {config.gan.family}, conditioning {config.gan.conditioning_text}, "
        f"{weights} weights{rates}{alone}; "
        f"algorithm: {config.algorithm.name}, {config.outer.steps - learner.step} outer steps to go"
    )


def tell_of_idle_workers(config: RunConfig, num_workers: int, reporter: Reporter) -> None:
    """Workers are given chunks, of which an outer step may have too few for all."""
    size, outer = config.outer.episodes_per_chunk, config.outer
    warming = config.warmup.episodes if config.warmup.steps else 0
    chunks = math.ceil(max(outer.meta_batch_size, warming) / size) * (1 + outer.staleness)
    if num_workers > chunks and not ALGORITHMS[config.algorithm.name].every_task:
        reporter.print(
            f"note: {num_workers} workers, but no more than {counted(chunks, 'chunk')} at a time "
            f"(outer.meta_batch_size {outer.meta_batch_size}, outer.episodes_per_chunk {size}): "
            f"{num_workers - chunks} of them stay idle"
        )
