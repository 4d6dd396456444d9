"""Chunks of a meta-batch."""

from hypothesis import given, settings
from hypothesis import strategies as st

from metagan.core.chunks import split_into_chunks
from metagan.data.tasks import EpisodeKey


@settings(max_examples=50, derandomize=True, deadline=None)
@given(count=st.integers(1, 40), size=st.integers(1, 12))
def test_chunks_hold_every_episode_once_in_order(count, size):
    keys = [EpisodeKey(f"task{i}", i) for i in range(count)]
    chunks = split_into_chunks(3, "reptile", keys, episodes_per_chunk=size)
    assert [key for chunk in chunks for key in chunk.episodes] == keys
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert all(len(chunk.episodes) == size for chunk in chunks[:-1])
    assert 1 <= len(chunks[-1].episodes) <= size
    assert {(chunk.step, chunk.algorithm) for chunk in chunks} == {(3, "reptile")}


def test_equal_chunks_are_equal_values():
    keys = [EpisodeKey("a", 1), EpisodeKey("b", 2)]
    first, second = (split_into_chunks(0, "joint", keys, episodes_per_chunk=1) for _ in range(2))
    assert first == second
    assert len({*first, *second}) == 2
