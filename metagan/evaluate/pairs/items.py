"""Arms of an evaluation of pairs: adapted networks and their rivals, on one target each.

Work is cut into items as in `metagan.evaluate.evaluation`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from metagan.config.agreement import can_solve
from metagan.config.learning import InnerConfig
from metagan.config.settings import EvaluateConfig, RunConfig
from metagan.core.gan import GanPair
from metagan.core.params import GanParams, params_on
from metagan.data.dataset import Dataset
from metagan.data.form import Form
from metagan.data.library import Library
from metagan.data.tasks import Half
from metagan.devices import choose_device
from metagan.evaluate.drawing import answers
from metagan.evaluate.pairs.measures import errors
from metagan.evaluate.pairs.rivals import plain_arms
from metagan.evaluate.pairs.task import PairTask, draw_pairs
from metagan.evaluate.source_classifier import SourceClassifier
from metagan.evaluate.target import Adaptation, adapt_to_target
from metagan.seeding import derive_seed

PLAIN = "plain"
"""Stands for all arms that need no generator, which are computed together."""
NOT_ADAPTED = " not adapted"
"""Behind a contestant's name: the arm that takes its initialization as it is."""


@dataclass(frozen=True)
class Contestant:
    """A generator that takes part: networks, where they start, and their inner loop.

    Attributes:
        gan: Networks.
        init: The initialization.
        inner: The inner loop.
        config: The settings that it was trained with.
    """

    gan: GanPair
    init: GanParams
    inner: InnerConfig
    config: RunConfig

    def adaptations(self, evaluate: EvaluateConfig) -> dict[str, Adaptation]:
        """All ways to adapt that are tried on validation, by name; nothing is always one."""
        rates = evaluate.adapt_lr or (self.inner.lr,)
        tried = [(0, self.inner.lr)]
        tried += [(steps, lr) for steps in evaluate.adapt_steps if steps for lr in rates]
        solves = (False, True) if can_solve(self.config) else (False,)
        found = [Adaptation(steps, lr, solve) for solve in solves for steps, lr in tried]
        return {adaptation.name: adaptation for adaptation in found}

    def words(self, how: Adaptation) -> str:
        """All that adapts it, in words."""
        parts = ["reads"] if "support" in self.config.gan.conditioning else []
        return " + ".join([*parts, *([how.name] if how.name != "none" else [])]) or "nothing"

    def told(self, task: PairTask) -> tuple[Half, Half]:
        """Pairs that are shown and asked, with all that the generator is told beside."""
        shown = Half(task.shown[None], task.inputs[None])
        asked = Half(task.truth[None], task.asked[None])
        if "library" not in self.gan.config.conditioning:
            return shown, asked
        assert task.library is not None, "labels that domains share"
        return task.library.beside(shown, asked, task.shown_labels, task.asked_labels)

    def answers(
        self, told: tuple[Half, Half], how: Adaptation, config: RunConfig, *, seed: int
    ) -> Tensor:
        """Answers (Q, *sample_shape) to what a target asks, on the CPU; NaN if it diverges.

        Args:
            told: From `told`.
            how: How it adapts to what is shown.
            config: The evaluated run's, for the device.
            seed: The target's.
        """
        device = choose_device(config.device)
        gan, (shown, asked) = self.gan.to(device), told
        assert shown.inputs is not None, "of pairs"
        assert asked.inputs is not None, "of pairs"
        target = adapt_to_target(
            gan,
            params_on(self.init, device),
            shown.samples.to(device),
            inner=self.inner.model_copy(update={"lr": how.lr}),
            task=self.config.task,
            steps=how.steps,
            seed=seed,
            inputs=shown.inputs.to(device),
            solve=how.solve,
        )
        if not all(torch.isfinite(w).all() for w in target.params.generator.values()):
            return torch.full_like(asked.samples[0], torch.nan)
        return answers(gan, target, asked.inputs[0].to(device), seed=seed).cpu()


@dataclass(frozen=True)
class PairSubject:
    """The subject of an evaluation of pairs, shared by every item.

    Attributes:
        config: The run's settings.
        form: Of all samples.
        contestants: By name; "run" is the one evaluated.
        data: What is drawn from, by split: validation and test.
        domains: Classes of the target domains, by split and domain.
        library: Of training domains, where inputs have labels that domains share.
        judge: A classifier of labels, where there are such.
        target_name: What is measured on, for people.
        is_foreign: Whether that are other data than the run's.
    """

    config: RunConfig
    form: Form
    contestants: Mapping[str, Contestant]
    data: Mapping[str, Dataset]
    domains: Mapping[str, Mapping[str, tuple[int, ...]]]
    library: Library | None
    judge: SourceClassifier | None
    target_name: str
    is_foreign: bool

    def draw(self, split: str, domain: str, repetition: int, shots: int) -> PairTask:
        """The target of a repetition: the same for every arm."""
        evaluate = self.config.evaluate
        return draw_pairs(
            self.data[split],
            self.domains[split][domain],
            self.form,
            self.library,
            shots=shots,
            most_shots=max(evaluate.shots),
            seed=derive_seed(self.config.seed, "evaluate pairs", split, domain, repetition),
        )


@dataclass(frozen=True)
class PairItem:
    """Arms of one contestant, or all plain ones, on one target.

    Attributes:
        split: validation or test.
        domain: The target.
        repetition: Of it.
        shots: Pairs that are shown.
        who: A contestant's name, or `PLAIN`.
        wanted: Names of candidates by arm; None: all there are.
    """

    split: str
    domain: str
    repetition: int
    shots: int
    who: str
    wanted: Mapping[str, tuple[str, ...]] | None = None

    def wants(self, arm: str, candidate: str) -> bool:
        """True if a candidate is to be measured."""
        return self.wanted is None or candidate in self.wanted.get(arm, ())


Errors = dict[str, dict[str, Mapping[str, float]]]
"""{arm: {candidate: {measure: value}}}."""


def run_pair_item(subject: PairSubject, item: PairItem) -> Errors:
    """Errors of the item's arms and candidates."""
    task = subject.draw(item.split, item.domain, item.repetition, item.shots)
    judge = None if subject.judge is None else subject.judge.features()
    found: Errors = {}
    for arm, candidate, drawn in drawn_by(subject, task, item):
        measured = errors(drawn, task.truth, task.known, subject.form, judge)
        found.setdefault(arm, {})[candidate] = measured
    return found


def drawn_by(
    subject: PairSubject, task: PairTask, item: PairItem
) -> Iterable[tuple[str, str, Tensor]]:
    """Arm, candidate and its answers (Q, *sample_shape)."""
    if item.who == PLAIN:
        for arm, candidates in plain_arms(task, subject.form).items():
            for name, drawn in candidates.items():
                if item.wants(arm, name):
                    yield arm, name, drawn
        return
    contestant = subject.contestants[item.who]
    told = contestant.told(task)
    for name, adaptation in contestant.adaptations(subject.config.evaluate).items():
        arms = [item.who] if item.wants(item.who, name) else []
        plain = item.who + NOT_ADAPTED
        # An untrained network that is not adapted draws noise.
        if name == "none" and item.who != "scratch" and item.wants(plain, name):
            arms.append(plain)
        if arms:
            drawn = contestant.answers(told, adaptation, subject.config, seed=task.seed)
            yield from ((arm, name, drawn) for arm in arms)
