"""Pictures of adaptation to domains that training never saw, for the report."""

import numpy as np

from metagan.core.algorithms import inner_settings
from metagan.evaluate.evaluation import Subject
from metagan.evaluate.target import adapt_to_target, generate_samples
from metagan.files import write_json
from metagan.kinds.image.convert import to_float, to_uint8
from metagan.kinds.image.pictures import grid, write_png
from metagan.seeding import derive_seed, generator
from metagan.workflow.setup import LoadedRun

MAX_DOMAINS = 8
CLASSES_SHOWN = 6
GENERATED_SHOWN = 8


def write_adaptation_pictures(run: LoadedRun, subject: Subject) -> None:
    """Per unseen domain a PNG each of the support and of samples before and after; an index."""
    folder = run.folder.samples / "adaptation"
    folder.mkdir(parents=True, exist_ok=True)
    config, data = subject.config, subject.test
    shots = config.evaluate.shots[len(config.evaluate.shots) // 2]
    # Bad choices show, too: the classes are drawn from the seed, not picked by eye.
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
        support = to_float(np.stack([data.class_samples(i)[:shots] for i in chosen]))
        groups = {"given": to_uint8(support[:, :5])}
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
            groups[name] = to_uint8(generated[:, picks])
        files = {name: f"{number:02d}-{name}.png" for name in groups}
        for name, samples in groups.items():
            write_png(
                folder / files[name], grid([[row] for row in run.reading.given_back(samples)])
            )
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
