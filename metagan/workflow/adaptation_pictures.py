"""Pictures of adaptation to domains that training never saw, for the report."""

import numpy as np

from metagan.core.algorithms import inner_settings
from metagan.evaluate.drawing import generate_samples
from metagan.evaluate.evaluation import Subject
from metagan.evaluate.target import adapt_to_target
from metagan.files import write_bytes, write_json
from metagan.kinds.registry import find_kind
from metagan.seeding import derive_seed, generator
from metagan.workflow.setup import LoadedRun

MAX_DOMAINS = 8
CLASSES_SHOWN = 6
GENERATED_SHOWN = 8


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
