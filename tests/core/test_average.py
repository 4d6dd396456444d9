"""The baseline `average`: the mean of models fine-tuned on every source task."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from metagan.config.learning import AlgorithmConfig, InnerConfig, OuterConfig, WarmupConfig
from metagan.config.settings import RunConfig, TaskConfig
from metagan.core.algorithms import ESTIMATORS, outer_settings
from metagan.core.batches import GanBatch
from metagan.core.chunk_gradient import chunk_gradient, episode_draws, episode_gradients
from metagan.core.chunks import ChunkKey, ChunkResult
from metagan.core.gan import GanPair
from metagan.core.meta_learner import MetaLearner
from metagan.core.outer_loop import RunnerStats, StepRecord, Upcoming, meta_train, plan_step
from metagan.core.params import GanParams, Layout, Vector
from metagan.data.form import Form
from metagan.data.splits import make_splits
from metagan.data.tasks import DatasetTasks
from metagan.kinds.image.augment import NUM_AUGMENT_DRAWS
from metagan.kinds.image.convert import to_float
from metagan.workflow.worker import build_run_gan
from tests.helpers import bars, tiny_config
from tests.reference import gan_oracle
from tests.reference.cases import (
    episode_inputs,
    episode_keys,
    perturbed,
    run_setup,
    stacked,
)

CPU = torch.device("cpu")


def plainly_adapted(
    gan: GanPair, start: GanParams, batches: GanBatch, config: RunConfig
) -> GanParams:
    """A model fine-tuned as plain modules."""
    players = gan_oracle.load_players(gan, start)
    gan_oracle.adapt(players, batches, config.gan, config.inner)
    return GanParams(
        gan_oracle.weights_of(players.generator), gan_oracle.weights_of(players.discriminator)
    )


def make_source(config: RunConfig) -> DatasetTasks:
    dataset = bars(num_domains=7)
    return DatasetTasks(dataset, make_splits(dataset, config.data, seed=0), config.task, to_float)


@pytest.mark.parametrize("warmup", [0, 2])
@pytest.mark.parametrize("unit", ["domain", "class"])
def test_the_initialization_becomes_the_mean_of_the_adapted_weights(unit, warmup):
    config = tiny_config(
        algorithm=AlgorithmConfig(name="average"),
        task=TaskConfig(unit=unit, shots=3, num_query=3),
        # None of these may matter to the one step of the baseline.
        outer=OuterConfig(
            steps=warmup + 1,
            meta_batch_size=2,
            episodes_per_chunk=2,
            optimizer="adam",
            lr=0.01,
            max_norm=1e-3,
            anneal="linear",
            ema=0.99,
        ),
        warmup=WarmupConfig(steps=warmup),
    )
    source = make_source(config)
    gan, params = build_run_gan(config, Form("image", (1, 16, 16)))[::2]
    layout = Layout.of(params)
    learner = MetaLearner(layout.flatten(params), outer_settings(config), config.warmup)
    seen: list[Vector] = []
    records: list[StepRecord] = []

    class Runner:
        num_workers = 1

        def run(
            self, vector: Vector, chunks: Sequence[ChunkKey], upcoming: Sequence[Upcoming] = ()
        ) -> tuple[list[ChunkResult], RunnerStats]:
            assert not upcoming
            seen.append(vector)
            results = [
                chunk_gradient(gan, layout, vector, chunk, source, config, device=CPU)
                for chunk in chunks
            ]
            return results, RunnerStats()

    def on_step(_: MetaLearner, record: StepRecord) -> bool:
        records.append(record)
        return False

    meta_train(learner, source, Runner(), config, layout, on_step=on_step)
    tasks = source.tasks("train")
    assert records[-1].update.num_planned == len(tasks) > 2
    assert (records[-1].algorithm, learner.step) == ("average", warmup + 1)
    start = layout.unflatten(torch.tensor(seen[-1]))
    fine_tuned = []
    for chunk in plan_step(config, tasks, source.task_weights("train"), warmup):
        for key in chunk.episodes:
            inputs = episode_draws(source.episode(key), config, chunk, num_draws=NUM_AUGMENT_DRAWS)
            fine_tuned.append(layout.flatten(plainly_adapted(gan, start, inputs.support, config)))
    mean = torch.stack(fine_tuned).mean(0).numpy()
    assert np.abs(mean - seen[-1]).max() > 1e-3
    np.testing.assert_allclose(learner.vector, mean, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(learner.averaged, learner.vector)


def test_every_training_task_is_taken_once():
    config = tiny_config(
        algorithm=AlgorithmConfig(name="average"), outer=OuterConfig(steps=1, episodes_per_chunk=3)
    )
    source = make_source(config)
    tasks = source.tasks("train")
    chunks = plan_step(config, tasks, source.task_weights("train"), 0)
    keys = [key for chunk in chunks for key in chunk.episodes]
    assert [key.task for key in keys] == list(tasks)
    assert len({key.seed for key in keys}) == len(keys)


@pytest.mark.parametrize("vectorised", [True, False])
@pytest.mark.parametrize(
    ("family", "conditioning", "loss", "optimizer"),
    [
        ("flow", "sample", "relativistic", "sgd"),
        ("dcgan", "none", "hinge", "adam"),
        ("residual", "label", "wgan_gp", "sgd"),
    ],
)
def test_one_step_ends_at_the_mean_of_plain_modules(
    family, conditioning, loss, optimizer, vectorised
):
    config, source, gan, params, layout = run_setup(
        family,
        conditioning,
        gan={"loss": loss, "penalty_every": 2},
        inner=InnerConfig(
            steps=3, batch_size=3, lr=0.05 if optimizer == "sgd" else 2e-3, optimizer=optimizer
        ),
        algorithm=AlgorithmConfig(name="average"),
        outer=OuterConfig(steps=1),
    )
    start = perturbed(params)
    keys = episode_keys(source, len(source.tasks("train")))
    inputs = episode_inputs(source, config, keys)
    estimator = ESTIMATORS["average"]
    displacements, _ = stacked(
        episode_gradients(estimator, gan, layout, start, inputs, config, vectorised=vectorised)
    )
    outer = outer_settings(config)
    assert (outer.optimizer, outer.lr, outer.max_norm, outer.anneal) == ("sgd", 1.0, None, "none")
    found = layout.flatten(start) - displacements.mean(0)
    expected = torch.stack(
        [layout.flatten(plainly_adapted(gan, start, i.support, config)) for i in inputs]
    ).mean(0)
    assert len({key.task for key in keys}) == len(keys) > 1
    assert float((expected - layout.flatten(start)).abs().max()) > 1e-3
    # Adam makes much of the last digits of a bias that has no effect (before a norm).
    assert float((found - expected).abs().max()) <= (1e-12 if optimizer == "sgd" else 1e-9)
