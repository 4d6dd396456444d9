"""Chunks of episodes on a GPU: equal to the CPU's, equal bits every time, memory given back."""

import gc
import itertools
from typing import get_args

import numpy as np
import pytest
import torch

from metagan.config.algorithms import ALGORITHMS
from metagan.config.learning import AdversarialLossName, AlgorithmConfig, GanConfig, InnerConfig
from metagan.core.algorithms import ESTIMATORS, inner_settings
from metagan.core.batches import EpisodeInputs
from metagan.core.chunk_gradient import chunk_gradient, episode_draws, episode_gradients
from metagan.core.chunks import ChunkKey, ChunkResult
from metagan.core.cuda_graphs import Recorder
from metagan.core.params import Layout, params_on
from metagan.core.rates import with_rates
from metagan.data.arrow import prepare as prepare_arrow
from metagan.data.tasks import meta_batch
from metagan.devices import choose_device
from metagan.workflow.setup import prepare
from metagan.workflow.worker import ChunkWorker
from tests.helpers import bars, tiny_config
from tests.reference.cases import (
    PICTURES,
    build,
    gan_settings,
    goes_with,
    kind_of,
    little_learned,
    make_source,
    perturbed,
)

pytestmark = pytest.mark.gpu
CPU = torch.device("cpu")
FIRST_ORDER = ("reptile", "fomaml", "joint", "average")


class Case:
    """A tiny run of an algorithm; a chunk of three episodes at each outer step."""

    def __init__(
        self,
        algorithm: str,
        family: str = "flow",
        conditioning: str = "sample",
        /,
        **sections: object,
    ) -> None:
        self.algorithm = algorithm
        values: dict[str, object] = {
            "gan": gan_settings(family, conditioning),
            "task": {"unit": "domain", "shots": 3, "num_query": 3, "ways": 2},
            "inner": InnerConfig(steps=2, batch_size=4, lr=1e-2, optimizer="sgd"),
            "algorithm": AlgorithmConfig(name=algorithm, cg_steps=2),
        }
        if algorithm == "average":
            values |= {"outer": {"steps": 1}}
        self.config = tiny_config(kind_of(family), **(values | sections))
        second_order = ALGORITHMS[algorithm].second_order
        self.gan, params = build(self.config, seed=0, second_order=second_order)
        self.init = with_rates(params, inner_settings(self.config))
        self.layout = Layout.of(self.init)
        self.source = make_source(self.config)
        self.gan.to(choose_device("auto"))

    def chunk(self, step: int, episodes: int = 3) -> ChunkKey:
        keys = meta_batch(self.source.tasks("train"), step=step, size=episodes, seed=0)
        return ChunkKey(step, 0, self.algorithm, tuple(keys))

    def compute(
        self, step: int, device: torch.device, recorder: Recorder | None, episodes: int = 3
    ) -> ChunkResult:
        return chunk_gradient(
            self.gan,
            self.layout,
            self.layout.flatten(perturbed(self.init)).float().numpy(),
            self.chunk(step, episodes),
            self.source,
            self.config,
            device=device,
            recorder=recorder,
        )


NETWORKS = (
    *((family, "sample") for family in ("flow", "dcgan", "residual", "mlp")),
    *(("unet", "input+support"), ("mlp", "input+support")),
)


@pytest.mark.parametrize(
    ("algorithm", "family", "conditioning"),
    [
        (row, *network)
        for row, network in itertools.product(ALGORITHMS, NETWORKS)
        if goes_with(row, *network)
    ],
)
def test_a_replayed_chunk_has_the_bits_of_a_fresh_one(cuda, algorithm, family, conditioning):
    case, recorder = Case(algorithm, family, conditioning), Recorder()
    # Penalties are lazy in joint training: steps 0 and 8 have them, others do not.
    for step in (0, 1, 8, 9, 2):
        fresh, replayed = case.compute(step, cuda, None), case.compute(step, cuda, recorder)
        assert fresh.report.num_finite == 3
        assert np.array_equal(fresh.gradient_sum, replayed.gradient_sum), step
        assert fresh.report.metric_sums == replayed.report.metric_sums
        assert np.abs(fresh.gradient_sum).max() > 0
    alone = Recorder()
    assert np.array_equal(
        case.compute(2, cuda, alone).gradient_sum, case.compute(2, cuda, recorder).gradient_sum
    )


@pytest.mark.parametrize("loss", get_args(AdversarialLossName))
@pytest.mark.parametrize(("family", "conditioning"), PICTURES)
def test_every_loss_and_conditioning_is_replayed_with_the_bits_of_a_fresh_chunk(
    cuda, loss, family, conditioning
):
    unit = {"none": "class"}.get(conditioning, "domain")
    case = Case(
        "maml",
        family,
        conditioning,
        gan=gan_settings(family, conditioning, loss=loss, num_labels=2),
        task={"unit": unit, "shots": 3, "num_query": 3, "ways": 2},
    )
    recorder = Recorder()
    for step in range(2):
        fresh, replayed = case.compute(step, cuda, None), case.compute(step, cuda, recorder)
        assert np.array_equal(fresh.gradient_sum, replayed.gradient_sum), step
    assert len(recorder) == 1


@pytest.mark.parametrize("algorithm", ["joint", "reptile", "maml"])
def test_a_chunk_with_spectral_norm_repeats_itself(cuda, algorithm):
    case = Case(algorithm, gan=gan_settings("dcgan", "sample", spectral_norm=True))
    recorder = Recorder()
    for step in (0, 1, 0):
        fresh, again = case.compute(step, cuda, None), case.compute(step, cuda, recorder)
        assert np.array_equal(fresh.gradient_sum, again.gradient_sum), step
        assert np.abs(fresh.gradient_sum).max() > 0
    assert not len(recorder)


@pytest.mark.parametrize(
    ("algorithm", "family", "conditioning"),
    [
        *((row, "flow", "sample") for row in ("reptile", "maml", "meta_sgd", "imaml")),
        *(("ridge", family, "input+support") for family in ("unet", "mlp")),
    ],
)
def test_episodes_equal_those_of_the_cpu_in_float64(cuda, algorithm, family, conditioning):
    case = Case(algorithm, family, conditioning)
    doubled = []
    for key in case.chunk(0).episodes:
        num_draws = case.gan.augment.num_draws
        drawn = episode_draws(
            case.source.episode(key), case.config, case.chunk(0), num_draws=num_draws
        )
        batches = [type(part)(*(t.double() for t in part)) for part in drawn.batches]
        doubled.append(EpisodeInputs.of_batches(batches, 0))
    init = little_learned(perturbed(case.init))
    found = {
        device: [
            gradient.cpu()
            for gradient, _ in episode_gradients(
                ESTIMATORS[algorithm],
                case.gan,
                case.layout,
                params_on(init, device),
                doubled,
                case.config,
                vectorised=vectorised,
            )
        ]
        for device, vectorised in ((CPU, False), (cuda, True))
    }
    for here, there in zip(found[CPU], found[cuda], strict=True):
        assert float((here - there).abs().max()) <= 1e-9 * max(1.0, float(here.abs().max()))


def test_a_multi_step_query_loss_is_recorded_only_once_it_has_narrowed(cuda):
    settings = AlgorithmConfig(name="fomaml", multi_step=3)
    case, recorder = Case("fomaml", algorithm=settings), Recorder()
    for step in range(6):
        fresh, replayed = case.compute(step, cuda, None), case.compute(step, cuda, recorder)
        assert np.array_equal(fresh.gradient_sum, replayed.gradient_sum), step
    assert len(recorder) == 1


def test_chunks_of_other_sizes_have_recordings_of_their_own(cuda):
    case, recorder = Case("reptile"), Recorder()
    for episodes in (3, 1, 2, 3):
        fresh = case.compute(1, cuda, None, episodes)
        replayed = case.compute(1, cuda, recorder, episodes)
        assert np.array_equal(fresh.gradient_sum, replayed.gradient_sum)
    assert len(recorder) == 3


def test_an_episode_that_is_not_finite_is_left_out_on_a_gpu_too(cuda):
    case = Case("reptile", inner=InnerConfig(steps=2, batch_size=4, lr=1e30, optimizer="sgd"))
    result = case.compute(0, cuda, Recorder())
    assert result.report.num_finite == 0
    assert len(result.report.failures) == 3
    assert not np.any(result.gradient_sum)


def test_a_worker_gives_its_memory_back(cuda, tmp_path):
    data = {"source": "arrow", "path": str(prepare_arrow(bars(), tmp_path / "bars"))}
    gan = GanConfig(width=16, latent_dim=4)
    run = prepare(tiny_config(device="cuda", data=data | {"image_size": 16}, gan=gan))
    chunk = ChunkKey(
        0, 0, "reptile", tuple(meta_batch(run.source.tasks("train"), step=0, size=4, seed=0))
    )
    vector = np.zeros(run.layout.size, np.float32)
    sizes = []
    for _ in range(4):
        worker = ChunkWorker(run.spec, device=cuda)
        worker.compute(vector, chunk)
        assert torch.cuda.memory_allocated() > 0
        del worker
        gc.collect()
        torch.cuda.empty_cache()
        sizes.append((torch.cuda.memory_allocated(), torch.cuda.memory_reserved()))
    # Libraries keep workspaces from their first use on.
    assert sizes[1:] == sizes[:-1] or sizes[2:] == sizes[1:-1]
