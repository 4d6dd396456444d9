"""Every random draw of an episode, made beforehand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metagan.config.learning import GanConfig
from metagan.core.batches import all_pairs, draw_batches
from metagan.data.tasks import Half
from metagan.kinds.image.augment import NUM_AUGMENT_DRAWS

PAIRED = GanConfig(latent_dim=3)
ALONE = GanConfig(latent_dim=3, conditioning="none", family="dcgan")


def numbered(ways: int, count: int) -> torch.Tensor:
    """Samples (W, n, 1, 2, 2) whose value says which they are: 100 way + sample."""
    values = 100.0 * torch.arange(ways)[:, None] + torch.arange(count)[None]
    return values[:, :, None, None, None].expand(ways, count, 1, 2, 2).contiguous()


def draw(samples: torch.Tensor, gan: GanConfig = PAIRED, **changes: object):
    options = {"steps": 3, "batch_size": 50, "seed": 0, "purpose": "support"} | changes
    return draw_batches(Half(samples), gan, num_draws=NUM_AUGMENT_DRAWS, **options)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    ways=st.integers(1, 4),
    count=st.integers(1, 5),
    steps=st.integers(1, 3),
    batch_size=st.integers(1, 9),
)
def test_pairs_are_different_samples_of_one_class(ways, count, steps, batch_size):
    samples = numbered(ways, count)
    batch = draw(samples, steps=steps, batch_size=batch_size)
    assert batch.real.shape == batch.sample.shape == (steps, batch_size, 1, 2, 2)
    assert batch.z.shape == (steps, batch_size, 2, 3)
    assert batch.augment.shape == (steps, batch_size, 2, NUM_AUGMENT_DRAWS)
    real, condition = batch.real[..., 0, 0, 0], batch.sample[..., 0, 0, 0]
    assert torch.equal(real // 100, condition // 100)
    assert bool((real != condition).all()) == (count > 1)
    assert set(real.flatten().tolist()) <= set(samples.flatten().tolist())


def test_every_ordered_pair_of_a_class_is_equally_likely():
    batch = draw(numbered(1, 3), steps=1, batch_size=6000)
    pairs = list(
        zip(
            batch.real[0, :, 0, 0, 0].tolist(),
            batch.sample[0, :, 0, 0, 0].tolist(),
            strict=True,
        )
    )
    counts = {pair: pairs.count(pair) for pair in set(pairs)}
    assert len(counts) == 6
    # 1000 each, standard deviation 29.
    assert all(abs(count - 1000) < 5 * 29 for count in counts.values())


def test_with_conditioning_on_labels_the_condition_is_the_place_of_the_class():
    config = GanConfig(latent_dim=3, conditioning="label", family="dcgan")
    batch = draw(numbered(4, 3), config)
    assert batch.label.shape == (3, 50, 1)
    assert torch.equal(batch.label[..., 0], batch.real[..., 0, 0, 0].div(100).floor())


def test_without_conditioning_the_condition_is_empty():
    batch = draw(numbered(2, 3), ALONE)
    assert batch.condition == {}
    assert batch.real.dtype == torch.float32


def test_draws_depend_on_seed_and_purpose_alone():
    samples = numbered(2, 4)
    first, again = draw(samples), draw(samples)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    for change in ({"seed": 1}, {"purpose": "query"}):
        other = draw(samples, **change)
        assert not torch.equal(first.z, other.z)
        assert not torch.equal(first.augment, other.augment)
        assert not torch.equal(first.real, other.real)


def test_latents_are_standard_normal_and_augmentation_draws_uniform():
    batch = draw(numbered(1, 2), steps=10, batch_size=1000)
    assert float(batch.z.mean()) == pytest.approx(0, abs=0.02)
    assert float(batch.z.std()) == pytest.approx(1, abs=0.02)
    assert 0 <= float(batch.augment.min()) < 0.001
    assert 0.999 < float(batch.augment.max()) < 1
    assert float(batch.augment.mean()) == pytest.approx(0.5, abs=0.005)


def test_a_step_is_a_slice_of_all():
    batch = draw(numbered(2, 3))
    assert torch.equal(batch.step(1).z, batch.z[1])
    assert torch.equal(batch.step(-1).real, batch.real[2])


READING = GanConfig(latent_dim=3, conditioning=("input", "support"), family="unet")


def of_pairs(half: Half) -> Half:
    """The same, with inputs that say which sample they belong to."""
    return half._replace(inputs=half.samples + 0.5)


@pytest.mark.parametrize("ways", [1, 3])
def test_a_sample_has_its_own_input_and_never_reads_itself(ways):
    samples = numbered(ways, 6)
    support, whole = of_pairs(Half(samples[:, :4])), of_pairs(Half(samples))
    batch = draw_batches(
        whole,
        READING,
        steps=2,
        batch_size=60,
        seed=0,
        purpose="support",
        num_draws=0,
        read=support,
        includes_read=True,
    )
    real = batch.real[..., 0, 0, 0]
    assert torch.equal(batch.input[..., 0, 0, 0], real + 0.5)
    assert batch.support.shape == (2, 1, 4 * ways, 1, 2, 2)
    assert torch.equal(batch.support_input, batch.support + 0.5)
    read = batch.support[:, :, :, 0, 0, 0]
    # All but itself; all of them where it is none of those that are read.
    assert torch.equal(batch.reads == 1, read != real[..., None])
    assert {4 * ways - 1, 4 * ways} == set(batch.reads.sum(-1).flatten().tolist())
    assert set(batch.condition) == {"input", "support", "support_input", "reads"}


def test_a_query_reads_the_whole_support_though_places_are_the_same():
    support, query = (of_pairs(Half(samples)) for samples in (numbered(2, 3), -1 - numbered(2, 3)))
    batch = draw_batches(
        query, READING, steps=1, batch_size=9, seed=0, purpose="query", num_draws=0, read=support
    )
    assert bool((batch.reads == 1).all())
    assert float(batch.support.min()) >= 0 > float(batch.real.max())


def test_all_pairs_are_the_support_in_order_each_reading_the_others():
    half = of_pairs(Half(numbered(2, 3)))
    batch = all_pairs(half, READING, num_draws=4)
    assert torch.equal(batch.real, half.samples.flatten(0, 1))
    assert torch.equal(batch.input, batch.real + 0.5)
    assert torch.equal(batch.reads, 1 - torch.eye(6))
    assert batch.z.shape == (6, 2, 3)
    assert float(batch.z.abs().max()) == 0
    assert batch.augment.shape == (6, 2, 4)


def test_draws_of_what_is_told_change_no_other_draw():
    """A run that is told more sees the same samples, latents and augmentations."""
    half = of_pairs(Half(numbered(2, 4)))
    plain = draw(half.samples, ALONE)
    told = draw_batches(
        half,
        READING,
        steps=3,
        batch_size=50,
        seed=0,
        purpose="support",
        num_draws=NUM_AUGMENT_DRAWS,
        read=half,
        includes_read=True,
    )
    for name in ("real", "z", "augment", "between"):
        assert torch.equal(getattr(plain, name), getattr(told, name))


def test_what_is_read_is_filled_up_with_samples_that_nobody_sees():
    half = of_pairs(Half(numbered(2, 3)))
    drawn = {"steps": 2, "batch_size": 9, "seed": 0, "purpose": "query", "num_draws": 0}
    exact = draw_batches(half, READING, read=half, **drawn)
    filled = draw_batches(half, READING, read=half, room=8, **drawn)
    assert filled.support.shape[2] == filled.support_input.shape[2] == filled.reads.shape[2] == 8
    assert torch.equal(filled.support[:, :, :6], exact.support)
    assert torch.equal(filled.reads[..., :6], exact.reads)
    assert float(filled.reads[..., 6:].abs().max()) == 0
    assert torch.equal(filled.real, exact.real)
