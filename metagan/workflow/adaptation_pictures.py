"""Pictures of adaptation to domains that training never saw, for the report."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from metagan.core.algorithms import inner_settings
from metagan.data.form import Form
from metagan.evaluate.drawing import generate_samples
from metagan.evaluate.evaluation import Subject
from metagan.evaluate.pairs.items import PairSubject
from metagan.evaluate.pairs.task import PairTask
from metagan.evaluate.target import Adaptation, adapt_to_target
from metagan.files import write_bytes, write_json
from metagan.kinds.registry import find_kind
from metagan.seeding import derive_seed, generator
from metagan.workflow.setup import LoadedRun

MAX_DOMAINS = 8
CLASSES_SHOWN = 6
GENERATED_SHOWN = 8
FEWEST_ASKED, MOST_ASKED = 8, 12


def write_adaptation_pictures(run: LoadedRun, subject: Subject) -> None:
    """Per unseen domain a PNG each of the support and of samples before and after; an index."""
    folder = run.folder.samples / "adaptation"
    folder.mkdir(parents=True, exist_ok=True)
    config, data, kind = subject.config, subject.test, find_kind(run.form.kind)
    shots = config.evaluate.shots[len(config.evaluate.shots) // 2]
    # Bad choices are shown as well: the classes are drawn from the seed, not picked by eye.
    rng = generator(config.seed, "adaptation pictures")
    index = []
    domains = sorted({data.classes[i].domain for i in subject.test_classes})[:MAX_DOMAINS]
    for number, domain in enumerate(domains):
        pool = [
            i
            for i in subject.test_classes
            if data.classes[i].domain == domain and data.count(i) >= shots
        ]
        chosen = sorted(rng.permutation(pool)[:CLASSES_SHOWN].tolist())
        if not chosen:
            continue
        support = kind.to_tensor(
            np.stack([data.class_samples(i)[:shots] for i in chosen]), run.form
        )
        groups = {"given": kind.to_samples(support[:, :5], run.form)}
        steps = max(config.evaluate.adapt_steps)
        for name, adapt_steps in (("before", 0), ("after", steps)):
            target = adapt_to_target(
                subject.gan,
                run.init,
                support,
                inner=inner_settings(config),
                task=config.task,
                steps=adapt_steps,
                seed=derive_seed(config.seed, "adaptation pictures"),
            )
            per_support = -(-GENERATED_SHOWN // shots)
            generated = generate_samples(
                subject.gan,
                target,
                per_support=per_support,
                seed=config.seed,
                best_of=config.evaluate.best_of,
            )
            picks = np.linspace(0, generated.shape[1] - 1, GENERATED_SHOWN).astype(int)
            groups[name] = kind.to_samples(generated[:, picks], run.form)
        files = {name: f"{number:02d}-{name}.png" for name in groups}
        for name, samples in groups.items():
            write_bytes(folder / files[name], kind.look([[row] for row in samples], run.form))
        index.append(
            {
                "domain": domain,
                "files": files,
                "init_step": run.step,
                "adapt_steps": steps,
                "rows": [data.classes[i].label for i in chosen],
            }
        )
    write_json(folder / "index.json", index)


def write_answer_pictures(
    run: LoadedRun, subject: PairSubject, chosen: Mapping[str, Adaptation]
) -> None:
    """Per unseen domain a PNG of pairs: what was shown, asked and drawn, and the truth; an index.

    Args:
        run: The run.
        subject: Of its evaluation.
        chosen: The adaptation of each contestant that validation chose.
    """
    folder = run.folder.samples / "adaptation"
    folder.mkdir(parents=True, exist_ok=True)
    config, form, how = subject.config, run.form, chosen["run"]
    as_it_is = Adaptation(0, how.lr, False)
    shots = config.evaluate.shots[len(config.evaluate.shots) // 2]
    index = []
    for number, domain in enumerate(sorted(subject.domains["test"])[:MAX_DOMAINS]):
        task = subject.draw("test", domain, 0, shots)
        ways = {"not adapted": ("run", as_it_is)}
        others = [name for name in subject.contestants if name not in ("run", "scratch")]
        ways |= {name: (name, chosen[name]) for name in others} | {"adapted": ("run", how)}
        drawn = {}
        for name, (who, way) in ways.items():
            contestant = subject.contestants[who]
            drawn[name] = contestant.answers(contestant.told(task), way, config, seed=task.seed)
        looks, names = _looks_of_answers(task, drawn, form)
        file = f"{number:02d}.png"
        write_bytes(folder / file, looks)
        index.append(
            {
                "domain": domain,
                "files": {"answers": file},
                "init_step": run.step,
                "adapt_steps": how.steps,
                "rows": names,
            }
        )
    write_json(folder / "index.json", index)


def _looks_of_answers(
    task: PairTask, answers: Mapping[str, Tensor], form: Form
) -> tuple[bytes, list[str]]:
    """One PNG of a domain's answers by name, and the names of its rows."""
    kind = find_kind(form.kind)
    shown_inputs = kind.pairs.shown(task.asked, form)
    if shown_inputs is None:
        # Whole pairs, in one panel: what is drawn over what it is drawn for.
        form_of_inputs, joined = kind.pairs.form_of_inputs(form), kind.pairs.joined
        asked = kind.to_samples(task.asked, form_of_inputs)
        several = [
            joined(asked, kind.to_samples(drawn, form), form)
            for drawn in (task.truth, answers["not adapted"], answers["adapted"])
        ]
        return kind.look([[rows for rows, _ in several]], several[0][1]), []
    # As wide as the support, which fills its row again where it is small.
    shots = len(task.shown)
    columns = min(len(task.truth), max(shots, FEWEST_ASKED), MOST_ASKED)
    rows = {"given": task.shown[torch.arange(columns) % shots]}
    rows |= {"asked": shown_inputs, **answers, "truth": task.truth}
    shown = [[kind.to_samples(drawn[:columns], form)] for drawn in rows.values()]
    return kind.look(shown, form), list(rows)
