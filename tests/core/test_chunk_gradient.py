"""The meta-gradient of a chunk of episodes: sums, failures, and both ways to compute it."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metagan.config.algorithms import ALGORITHMS
from metagan.config.kinds import KIND_WORDS
from metagan.config.learning import (
    AlgorithmConfig,
    GanConfig,
    InnerConfig,
    WarmupConfig,
)
from metagan.core.algorithms import reptile
from metagan.core.chunk_gradient import chunk_gradient, episode_gradients, prefers_vmap
from metagan.core.chunks import CalledOffError, ChunkKey, ChunkResult
from metagan.core.gan import GanPair, build_gan
from metagan.core.params import vector_hash
from metagan.data.form import Form
from metagan.data.tasks import DatasetTasks, Episode, EpisodeKey, Half
from metagan.kinds.image.build import build_players
from tests.reference.cases import (
    episode_inputs,
    episode_keys,
    perturbed,
    run_setup,
    stacked,
)

CPU = torch.device("cpu")


def compute(setup: tuple, chunk: ChunkKey, source: object = None, **options: object) -> ChunkResult:
    config, default_source, gan, params, layout = setup
    vector = layout.flatten(params).numpy()
    vector.flags.writeable = False
    return chunk_gradient(
        gan, layout, vector, chunk, source or default_source, config, device=CPU, **options
    )


def test_vectorised_inner_adam_equals_single_episodes_in_float64():
    inner = InnerConfig(steps=3, batch_size=3, lr=2e-3, optimizer="adam")
    config, source, gan, params, layout = run_setup(inner=inner)
    doubled = episode_inputs(source, config, episode_keys(source, 2))
    init = perturbed(params)
    together, single = (
        stacked(episode_gradients(reptile, gan, layout, init, doubled, config, vectorised=v))[0]
        for v in (True, False)
    )
    assert float((together - single).abs().max()) <= 1e-9


def test_the_vectorised_chunk_equals_the_loop_in_float32():
    setup = run_setup()
    chunk = ChunkKey(0, 0, "reptile", episode_keys(setup[1], 3))
    together, loop = (compute(setup, chunk, vectorised=v).gradient_sum for v in (True, False))
    # Float32 kinks may differ; the chunk of three has a sum of norm about 1e-1.
    assert np.linalg.norm(together - loop) <= 1e-3 * np.linalg.norm(loop)


@pytest.mark.parametrize("algorithm", ["reptile", "fomaml", "maml", "anil", "imaml"])
def test_a_chunk_is_the_sum_of_its_episodes_in_order(algorithm):
    setup = run_setup(
        second_order=ALGORITHMS[algorithm].second_order,
        algorithm=AlgorithmConfig(name=algorithm, cg_steps=2),
    )
    keys = episode_keys(setup[1], 4)
    whole = compute(setup, ChunkKey(0, 0, algorithm, keys), vectorised=False)
    total = np.zeros_like(whole.gradient_sum)
    losses = 0.0
    for key in keys:
        single = compute(setup, ChunkKey(0, 0, algorithm, (key,)), vectorised=False)
        total += single.gradient_sum
        losses += single.report.metric_sums["loss_d_last"]
    assert whole.gradient_sum.dtype == np.float32
    np.testing.assert_array_equal(whole.gradient_sum, total)
    assert whole.report.metric_sums["loss_d_last"] == losses
    assert whole.report.num_finite == 4
    assert whole.report.failures == ()


@pytest.mark.parametrize("vectorised", [True, False])
@pytest.mark.parametrize("algorithm", ["reptile", "fomaml", "maml", "meta_sgd", "imaml", "joint"])
def test_a_chunk_is_bit_equal_whatever_ran_before_it(algorithm, vectorised):
    inner = InnerConfig(steps=2, batch_size=4, optimizer="adam", lr=1e-2)
    setup = run_setup(
        second_order=ALGORITHMS[algorithm].second_order,
        inner=inner,
        algorithm=AlgorithmConfig(name=algorithm, cg_steps=2),
    )
    chunk = ChunkKey(1, 0, algorithm, episode_keys(setup[1], 3))
    first = compute(setup, chunk, vectorised=vectorised)
    for other in ("fomaml", "joint", "reptile"):
        keys = episode_keys(setup[1], 3, step=7)
        compute(setup, ChunkKey(7, 0, other, keys), vectorised=vectorised)
    again = compute(setup, chunk, vectorised=vectorised)
    np.testing.assert_array_equal(first.gradient_sum, again.gradient_sum)
    assert first.report.gradient_hash == again.report.gradient_hash
    assert first.report.metric_sums == again.report.metric_sums


class PoisonedTasks:
    """Episodes of some keys have NaN pixels, as a broken file might give."""

    def __init__(self, source: DatasetTasks, bad: set[EpisodeKey]) -> None:
        self._source, self._bad = source, bad

    def tasks(self, split):
        return self._source.tasks(split)

    def episode(self, key: EpisodeKey) -> Episode:
        episode = self._source.episode(key)
        if key not in self._bad:
            return episode
        poisoned = Half(torch.full_like(episode.support.samples, torch.nan))
        return Episode(key, poisoned, episode.query)


@pytest.mark.parametrize("vectorised", [True, False])
def test_episodes_that_are_not_finite_are_left_out_listed_and_counted(vectorised):
    setup = run_setup()
    keys = episode_keys(setup[1], 4)
    bad = {keys[1], keys[3]}
    source = PoisonedTasks(setup[1], bad)
    mixed = compute(setup, ChunkKey(0, 0, "reptile", keys), source=source, vectorised=vectorised)
    good = compute(setup, ChunkKey(0, 0, "reptile", (keys[0], keys[2])), vectorised=False)
    assert [failure.key for failure in mixed.report.failures] == [keys[1], keys[3]]
    first = next(iter(setup[4].shapes))
    assert {failure.reason for failure in mixed.report.failures} == {
        f"meta-gradient is not finite, first in {first}"
    }
    assert mixed.report.num_finite == 2
    assert np.isfinite(mixed.gradient_sum).all()
    tolerance = 1e-3 * np.linalg.norm(good.gradient_sum) if vectorised else 0.0
    assert np.linalg.norm(mixed.gradient_sum - good.gradient_sum) <= tolerance
    assert mixed.report.metric_sums["loss_d_first"] == pytest.approx(
        good.report.metric_sums["loss_d_first"], rel=1e-5
    )


@pytest.mark.parametrize("algorithm", ["reptile", "joint"])
def test_episodes_above_the_largest_norm_are_left_out_with_their_norm(algorithm):
    config, *others = run_setup()
    keys = episode_keys(others[0], 3)
    # All episodes of a joint chunk share one meta-gradient.
    parts = [(key,) for key in keys] if algorithm == "reptile" else [keys]
    chunks = [ChunkKey(0, 0, algorithm, part) for part in parts]
    each = [compute((config, *others), chunk, vectorised=False) for chunk in chunks]
    norms = [
        float(np.linalg.norm(e.gradient_sum)) / len(p) for e, p in zip(each, parts, strict=True)
    ]
    limit = float(np.mean(norms)) if algorithm == "reptile" else norms[0] / 1.01
    outer = config.outer.model_copy(update={"max_episode_norm": limit})
    limited = config.model_copy(update={"outer": outer})
    whole = compute((limited, *others), ChunkKey(0, 0, algorithm, keys), vectorised=False)
    too_long = [
        (key, norm) for part, norm in zip(parts, norms, strict=True) for key in part if norm > limit
    ]
    assert 0 < len(too_long) == len(whole.report.failures)
    for (key, norm), failure in zip(too_long, whole.report.failures, strict=True):
        assert failure.key == key
        assert f"norm {norm:.4g}, more than outer.max_episode_norm {limit:g}" in failure.reason
    assert whole.report.num_finite == len(keys) - len(too_long)
    kept = [e.gradient_sum for e, norm in zip(each, norms, strict=True) if norm <= limit]
    np.testing.assert_array_equal(whole.gradient_sum, sum(kept, np.zeros_like(whole.gradient_sum)))


@pytest.mark.parametrize("looks", range(6))
def test_a_chunk_is_left_as_soon_as_it_is_called_off(looks):
    """Asked before each of two episodes is drawn and after both, and the same for computing."""
    setup = run_setup()
    chunk = ChunkKey(0, 0, "reptile", episode_keys(setup[1], 2))
    asked = itertools.count()
    with pytest.raises(CalledOffError):
        compute(setup, chunk, vectorised=False, called_off=lambda: next(asked) == looks)
    assert next(asked) == looks + 1


def test_a_poisoned_joint_chunk_loses_all_its_episodes():
    setup = run_setup()
    keys = episode_keys(setup[1], 3)
    result = compute(
        setup, ChunkKey(0, 0, "joint", keys), source=PoisonedTasks(setup[1], {keys[0]})
    )
    assert [failure.key for failure in result.report.failures] == list(keys)
    assert result.report.num_finite == 0
    assert not result.gradient_sum.any()


def test_the_sent_vector_is_not_written_to_and_is_hashed():
    config, source, gan, params, layout = run_setup()
    vector = layout.flatten(params).numpy()
    before = vector.copy()
    chunk = ChunkKey(0, 0, "reptile", episode_keys(source, 2))
    for vectorised in (True, False):
        result = chunk_gradient(
            gan, layout, vector, chunk, source, config, device=CPU, vectorised=vectorised
        )
        np.testing.assert_array_equal(vector, before)
        assert result.report.params_hash == vector_hash(before)
        assert result.report.gradient_hash == vector_hash(result.gradient_sum)


def test_joint_counts_as_all_its_episodes_and_is_their_pooled_mean():
    warmup = WarmupConfig(steps=1, pairs_per_episode=2)
    setup = run_setup(warmup=warmup)
    keys = episode_keys(setup[1], 4)
    whole = compute(setup, ChunkKey(1, 0, "joint", keys))
    parts = [compute(setup, ChunkKey(1, i, "joint", keys[i : i + 1])) for i in range(4)]
    assert whole.report.num_finite == 4
    mean = sum(part.gradient_sum for part in parts) / 4
    # Losses are means over samples, so the pooled gradient is the mean of the parts'.
    np.testing.assert_allclose(whole.gradient_sum / 4, mean, atol=1e-5 * np.abs(mean).max())
    assert whole.report.metric_sums["loss_d_first"] == pytest.approx(
        sum(part.report.metric_sums["loss_d_first"] for part in parts), rel=1e-5
    )


def test_the_rule_for_vectorising_reads_only_sizes_and_the_kind_of_device():
    cuda = torch.device("cuda")

    def pair(side: int, **settings: object) -> GanPair:
        config = GanConfig.model_validate(settings)
        return build_gan(build_players, config, Form("image", (1, side, side)), seed=0)[0]

    small = pair(28, width=8)
    assert prefers_vmap(small, 8, CPU)
    assert not prefers_vmap(pair(64, width=8), 8, CPU)
    assert not prefers_vmap(pair(28, width=64), 8, CPU)
    assert prefers_vmap(pair(64, width=64), 8, cuda)
    assert not prefers_vmap(small, 1, CPU)
    assert not prefers_vmap(small, 1, cuda)
    for family in KIND_WORDS["image"].families:
        assert prefers_vmap(pair(16, family=family, width=4), 2, CPU)


def test_an_episode_does_not_depend_on_its_group_under_vmap():
    """On a CPU a chunk is vectorised eight episodes at a time."""
    setup = run_setup("dcgan", inner=InnerConfig(steps=1, batch_size=2, lr=1e-2, optimizer="sgd"))
    keys = episode_keys(setup[1], 11)
    whole = compute(setup, ChunkKey(0, 0, "reptile", keys), vectorised=True)
    parts = [
        compute(setup, ChunkKey(0, i, "reptile", part), vectorised=True).gradient_sum
        for i, part in enumerate((keys[:8], keys[8:]))
    ]
    assert whole.report.num_finite == 11
    np.testing.assert_allclose(whole.gradient_sum, sum(parts), atol=1e-7)
    loop = compute(setup, ChunkKey(0, 0, "reptile", keys), vectorised=False).gradient_sum
    assert np.linalg.norm(whole.gradient_sum - loop) <= 1e-3 * np.linalg.norm(loop)


@settings(max_examples=4, derandomize=True, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 5), max_size=3, unique=True),
    algorithm=st.sampled_from(["reptile", "fomaml"]),
)
def test_chunks_of_any_size_add_up_to_the_same_gradient(cuts, algorithm):
    setup = run_setup("dcgan", inner=InnerConfig(steps=1, batch_size=2, lr=1e-2, optimizer="sgd"))
    keys = episode_keys(setup[1], 6)
    whole = compute(setup, ChunkKey(0, 0, algorithm, keys), vectorised=False).gradient_sum
    edges = [0, *sorted(cuts), 6]
    parts = [
        compute(setup, ChunkKey(0, i, algorithm, keys[a:b]), vectorised=False).gradient_sum
        for i, (a, b) in enumerate(itertools.pairwise(edges))
    ]
    np.testing.assert_allclose(sum(parts), whole, atol=1e-5 * np.abs(whole).max())


@pytest.mark.parametrize("algorithm", ["joint", "fomaml"])
@pytest.mark.parametrize("vectorised", [True, False])
def test_domains_of_fewer_classes_are_read_together_with_others(algorithm, vectorised):
    """A domain of two classes has two thirds of the support that one of three has."""
    few = {"task": {"unit": "domain", "shots": 3, "num_query": 3, "ways": 3}}
    setup = run_setup("mlp", "sample+support", **few)
    source = setup[1]
    tasks = source._classes["train"]
    smaller = sorted(tasks)[0]
    tasks[smaller] = tasks[smaller][:2]
    keys = tuple(EpisodeKey(task, 0) for task in sorted(tasks))
    sizes = {source.episode(key).support.samples.shape[0] for key in keys}
    assert sizes == {2, 3}
    result = compute(setup, ChunkKey(0, 0, algorithm, keys), vectorised=vectorised)
    assert result.report.num_finite == len(keys)
