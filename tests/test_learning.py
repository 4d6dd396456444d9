"""A learned initialization adapts better to classes that it has not seen than an untrained one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from metagan.config.learning import AlgorithmConfig, GanConfig, InnerConfig, OuterConfig
from metagan.core.batches import draw_batches
from metagan.core.gan import GanPair
from metagan.core.inner_loop import adapt
from metagan.core.meta_learner import MetaLearner
from metagan.core.outer_loop import meta_train
from metagan.core.params import GanParams
from metagan.data.arrow import prepare
from metagan.data.tasks import Episode, EpisodeKey
from metagan.devices import choose_device
from metagan.workflow.setup import prepare as prepare_run
from metagan.workflow.worker import ChunkWorker, LocalRunner
from tests.helpers import bars, tiny_config

SEEDS = range(5)
NUM_GENERATED = 64


def energy_distance(generated: Tensor, real: Tensor) -> float:
    """2 E|X-Y| - E|X-X'| - E|Y-Y'| of pictures (N, C, H, W), unbiased; 0 for equal distributions.

    Source: Szekely and Rizzo 2013, equation 1; no network of ours takes part in it.
    """
    x, y = generated.flatten(1), real.flatten(1)

    def within(one: Tensor) -> float:
        return float(torch.cdist(one, one).sum()) / (len(one) * (len(one) - 1))

    return 2 * float(torch.cdist(x, y).mean()) - within(x) - within(y)


def distance_after(
    gan: GanPair, init: GanParams, episode: Episode, inner: InnerConfig, *, steps: int, seed: int
) -> float:
    """Distance of generated samples from the query, after adaptation to the support."""
    batches = draw_batches(
        episode.support,
        gan.config,
        steps=steps,
        batch_size=4,
        seed=seed,
        purpose="support",
        num_draws=gan.augment.num_draws,
    )
    adapted = adapt(gan, init, batches, inner).params.generator
    z = torch.randn(
        NUM_GENERATED, gan.config.latent_dim, generator=torch.Generator().manual_seed(seed)
    )
    rows = torch.arange(NUM_GENERATED) % episode.support.samples.shape[1]
    support = episode.support.samples.flatten(0, 1)
    told = {"sample": support[rows]} if gan.config.conditioning else {}
    with torch.no_grad():
        generated = gan.generate(adapted, told, z)
    return energy_distance(generated, episode.query.samples.flatten(0, 1))


@pytest.mark.parametrize("algorithm", ["reptile", pytest.param("fomaml", marks=pytest.mark.slow)])
def test_what_is_learned_adapts_better_than_what_is_not(tmp_path: Path, algorithm: str) -> None:
    """By five standard errors over repetitions, after as many steps as it learned with and more."""
    folder = prepare(bars(num_domains=8, classes=4, drawings=12), tmp_path / "bars")
    is_reptile = algorithm == "reptile"
    run = prepare_run(
        tiny_config(
            data={"source": "arrow", "path": str(folder), "image_size": 16},
            device="cpu",
            gan=GanConfig(
                family="dcgan", conditioning="none", width=8, discriminator_width=8, latent_dim=4
            ),
            task={"shots": 4, "num_query": 4, "unit": "class"},
            inner=InnerConfig(steps=5, batch_size=4, lr=2e-3, optimizer="adam"),
            algorithm=AlgorithmConfig(name=algorithm),
            outer=OuterConfig(
                steps=30 if is_reptile else 15,
                meta_batch_size=8,
                episodes_per_chunk=8,
                lr=0.5 if is_reptile else 4e-3,
                optimizer="sgd" if is_reptile else "adam",
            ),
        )
    )
    config = run.spec.config
    worker = ChunkWorker(run.spec, device=choose_device("cpu"))
    learner = MetaLearner(run.layout.flatten(run.initial), config.outer, config.warmup)
    meta_train(
        learner,
        run.source,
        LocalRunner(worker),
        config,
        run.layout,
        on_step=lambda _learner, _record: False,
    )
    learned = run.layout.unflatten(torch.from_numpy(learner.vector))
    for steps in (5, 20):
        gains = []
        for seed in SEEDS:
            episodes = [
                run.source.episode(EpisodeKey(task, seed)) for task in run.source.tasks("test")
            ]
            untrained, trained = (
                np.mean(
                    [
                        distance_after(run.gan, init, e, config.inner, steps=steps, seed=seed)
                        for e in episodes
                    ]
                )
                for init in (run.initial, learned)
            )
            gains.append(untrained - trained)
        error = np.std(gains, ddof=1) / len(gains) ** 0.5
        assert np.mean(gains) > 5 * error > 0, f"after {steps} steps"
