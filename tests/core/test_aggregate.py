"""Aggregation of chunk results into one update."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metagan.config.learning import OuterConfig
from metagan.core.aggregate import _BLOCK, DivergedError, aggregate, tree_sum
from metagan.core.chunks import (
    ChunkKey,
    ChunkReport,
    ChunkResult,
    EpisodeFailure,
    split_into_chunks,
)
from metagan.core.params import Layout, vector_hash
from metagan.data.tasks import EpisodeKey

LAYOUT = Layout({"generator.w": (3,), "discriminator.w": (2, 2)})
OUTER = OuterConfig()


def plan(num_episodes: int, size: int, *, step: int = 5) -> list[ChunkKey]:
    keys = [EpisodeKey(f"task{i}", i) for i in range(num_episodes)]
    return split_into_chunks(step, "reptile", keys, episodes_per_chunk=size)


def result(chunk: ChunkKey, gradients: np.ndarray, *, num_failed: int = 0) -> ChunkResult:
    """A result whose last `num_failed` episodes failed; gradients (E - failed, P)."""
    total = gradients.sum(0, dtype=np.float32) if len(gradients) else np.zeros(7, np.float32)
    failed = chunk.episodes[len(chunk.episodes) - num_failed :]
    report = ChunkReport(
        step=chunk.step,
        index=chunk.index,
        num_finite=len(chunk.episodes) - num_failed,
        metric_sums={"loss": float(gradients.sum())},
        failures=tuple(EpisodeFailure(key, "meta-gradient is not finite") for key in failed),
        compute_s=0.0,
        gradient_hash=vector_hash(total),
        params_hash="",
    )
    return ChunkResult(report, total)


def results_of(chunks: list[ChunkKey], *, seed: int = 0) -> tuple[list[ChunkResult], np.ndarray]:
    rng = np.random.default_rng(seed)
    per_chunk = [
        rng.standard_normal((len(chunk.episodes), 7)).astype(np.float32) for chunk in chunks
    ]
    results = [result(chunk, g) for chunk, g in zip(chunks, per_chunk, strict=True)]
    return results, np.concatenate(per_chunk)


def test_the_update_is_bit_equal_in_any_order_of_arrival():
    chunks = plan(5, 1)
    results, _ = results_of(chunks)
    updates = [
        aggregate(chunks, list(order), OUTER, LAYOUT) for order in itertools.permutations(results)
    ]
    assert len({update.gradient.tobytes() for update in updates}) == 1
    assert len({tuple(sorted(update.metrics.items())) for update in updates}) == 1


@settings(max_examples=40, derandomize=True, deadline=None)
@given(count=st.integers(1, 25), size=st.integers(1, 7), seed=st.integers(0, 99))
def test_the_update_is_the_exact_mean_for_chunks_of_any_size(count, size, seed):
    chunks = plan(count, size)
    results, gradients = results_of(chunks, seed=seed)
    random.Random(seed).shuffle(results)
    update = aggregate(chunks, results, OUTER, LAYOUT)
    exact = gradients.astype(np.float64).mean(0)
    np.testing.assert_allclose(update.gradient, exact, atol=1e-6)
    assert update.gradient.dtype == np.float32
    assert update.metrics["loss"] == pytest.approx(gradients.sum(1).mean(), abs=1e-5)
    assert (update.num_finite, update.num_planned) == (count, count)


def test_a_mean_of_chunk_means_would_differ():
    chunks = plan(3, 2)
    results = [
        result(chunks[0], np.ones((2, 7), np.float32)),
        result(chunks[1], np.full((1, 7), 4, np.float32)),
    ]
    update = aggregate(chunks, results, OUTER, LAYOUT)
    assert update.gradient.tolist() == [2.0] * 7


def test_the_tree_has_a_fixed_shape():
    # At 1e8 single floats drop a 1, so the grouping can be read off the result.
    def vector(value: float) -> np.ndarray:
        return np.array([value], np.float32)

    parts = [vector(v) for v in (1e8, 1.0, 1.0, -1e8, 1.0, 1.0, 1.0)]
    # ((1e8 + 1) + (1 - 1e8)) + ((1 + 1) + 1) = (1e8 - 1e8) + 3.
    assert float(tree_sum(parts)[0]) == 3.0
    # From the left, the 1s beside 1e8 are lost: 1e8 - 1e8 first, then as many as come after it.
    assert float(tree_sum(parts[:4])[0]) == 0.0
    for count in range(1, 20):
        assert float(tree_sum([vector(1.0)] * count)[0]) == count


@settings(max_examples=60, derandomize=True, deadline=None)
@given(count=st.integers(1, 40), group=st.sampled_from([2, 4, 8]), seed=st.integers(0, 9))
def test_the_update_is_bit_equal_with_groups_of_chunks_that_are_added_up_already(
    count, group, seed
):
    chunks = plan(count, 1)
    results, _ = results_of(chunks, seed=seed)
    grouped = [
        ChunkResult(
            r.report,
            tree_sum([other.gradient_sum for other in results[i : i + group]])
            if i % group == 0
            else np.empty(0, np.float32),
        )
        for i, r in enumerate(results)
    ]
    expected = aggregate(chunks, results, OUTER, LAYOUT)
    random.Random(seed).shuffle(grouped)
    update = aggregate(chunks, grouped, OUTER, LAYOUT)
    np.testing.assert_array_equal(update.gradient, expected.gradient)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(count=st.integers(1, 17), seed=st.integers(0, 9))
def test_the_tree_equals_its_recursive_definition(count, seed):
    parts = list(np.random.default_rng(seed).standard_normal((count, 5)).astype(np.float32))

    def recursive(start: int, width: int) -> np.ndarray | None:
        if start >= count:
            return None
        if width == 1:
            return parts[start]
        left, right = recursive(start, width // 2), recursive(start + width // 2, width // 2)
        return left if right is None else left + right

    np.testing.assert_array_equal(tree_sum(parts), recursive(0, 32))


def test_an_empty_sum_is_refused():
    with pytest.raises(ValueError, match=r"shapes \[\]"):
        tree_sum([])


def test_vectors_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match=r"shapes \[\(3,\), \(4,\)\]"):
        tree_sum([np.zeros(3, np.float32), np.zeros(4, np.float32)])


@pytest.mark.parametrize("count", [1, 2, 3, 16, 23])
def test_a_sum_over_several_blocks_has_the_bits_of_one_over_whole_vectors(count):
    rng = np.random.default_rng(count)
    parts = list(rng.standard_normal((count, 2 * _BLOCK + 7)).astype(np.float32))
    before = [part.copy() for part in parts]
    level = parts
    while len(level) > 1:
        pairs = [level[i] + level[i + 1] for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) - len(level) % 2 :]
    total = tree_sum(parts)
    np.testing.assert_array_equal(total, level[0])
    # Parts lie in an object store that others read, too.
    assert not any(np.shares_memory(total, part) for part in parts)
    np.testing.assert_array_equal(parts, before)


def test_inputs_are_not_written_to():
    chunks = plan(1, 1)
    results, _ = results_of(chunks)
    before = results[0].gradient_sum.copy()
    results[0].gradient_sum.flags.writeable = False
    aggregate(chunks, results, OuterConfig(max_norm=1e-3), LAYOUT)
    np.testing.assert_array_equal(results[0].gradient_sum, before)


def test_each_player_is_clipped_to_the_norm_by_itself():
    chunks = plan(1, 1)
    gradient = np.array([[3.0, 0, 4.0, 0.1, 0, 0, 0]], np.float32)
    update = aggregate(chunks, [result(chunks[0], gradient)], OuterConfig(max_norm=1.0), LAYOUT)
    np.testing.assert_allclose(update.gradient, [0.6, 0, 0.8, 0.1, 0, 0, 0], rtol=1e-6)
    assert update.metrics["grad_norm_generator"] == pytest.approx(5.0)
    assert update.metrics["grad_norm_discriminator"] == pytest.approx(0.1)


def test_failed_episodes_do_not_count_in_the_mean():
    chunks = plan(4, 2)
    ones = np.ones((2, 7), np.float32)
    results = [result(chunks[0], ones), result(chunks[1], 3 * ones[:1], num_failed=1)]
    update = aggregate(chunks, results, OUTER, LAYOUT)
    np.testing.assert_allclose(update.gradient, [5 / 3] * 7, rtol=1e-6)
    assert (update.num_finite, update.num_planned) == (3, 4)
    assert [failure.key.task for failure in update.failures] == ["task3"]


def test_below_the_quorum_the_run_has_diverged():
    chunks = plan(4, 2)
    results = [
        result(chunks[0], np.ones((1, 7), np.float32), num_failed=1),
        result(chunks[1], np.ones((0, 7), np.float32), num_failed=2),
    ]
    message = "outer step 6: only 1 of 4 episodes gave a usable meta-gradient.*'task1'"
    with pytest.raises(DivergedError, match=message):
        aggregate(chunks, results, OUTER, LAYOUT)
    results[1] = result(chunks[1], np.ones((1, 7), np.float32), num_failed=1)
    assert aggregate(chunks, results, OUTER, LAYOUT).num_finite == 2


def test_finite_meta_gradients_whose_sum_is_infinite_are_divergence():
    chunks = plan(2, 1)
    huge = np.ones((1, 7), np.float32)
    huge[0, 4] = 3e38  # Twice that is more than float32 holds.
    name = list(LAYOUT.shapes)[int(np.searchsorted(np.cumsum(LAYOUT.sizes), 4, "right"))]
    with pytest.raises(DivergedError, match=rf"outer step 6: the sum .* \(first in {name}\)"):
        aggregate(chunks, [result(chunk, huge) for chunk in chunks], OUTER, LAYOUT)


def test_no_finite_episode_is_divergence():
    chunks = plan(2, 2)
    results = [result(chunks[0], np.ones((0, 7), np.float32), num_failed=2)]
    with pytest.raises(DivergedError, match="only 0 of 2"):
        aggregate(chunks, results, OUTER, LAYOUT)


def test_lost_duplicate_and_foreign_chunks_are_refused():
    chunks = plan(4, 2)
    results, _ = results_of(chunks)
    foreign, _ = results_of(plan(4, 2, step=6))
    with pytest.raises(ValueError, match=r"lost \[\(5, 1\)\]"):
        aggregate(chunks, results[:1], OUTER, LAYOUT)
    with pytest.raises(ValueError, match=r"counted twice or foreign \[\(5, 0\)\]"):
        aggregate(chunks, [*results, results[0]], OUTER, LAYOUT)
    with pytest.raises(ValueError, match=r"lost \[\(5, 1\)\].*foreign \[\(6, 1\)\]"):
        aggregate(chunks, [results[0], foreign[1]], OUTER, LAYOUT)


def test_a_chunk_that_miscounts_its_episodes_is_refused():
    chunks = plan(4, 2)
    results, _ = results_of(chunks)
    short = result(plan(3, 2)[1], np.ones((1, 7), np.float32))
    with pytest.raises(ValueError, match=r"3 \+ 0 episodes, but 4 were planned"):
        aggregate(chunks, [results[0], short], OUTER, LAYOUT)
