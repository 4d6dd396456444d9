"""Batches by hand, of what a test has a use for."""

from torch import Tensor

from metagan.core.batches import Condition, GanBatch


def batch_of(
    real: Tensor, *, z: Tensor, augment: Tensor, between: Tensor, **told: Tensor
) -> GanBatch:
    """A batch whose players are told these words; real samples are (..., B, *sample_shape)."""
    nothing = real.new_empty((*z.shape[:-2], 0))
    words = ("label", "sample", "input", "support", "support_input", "reads")
    return GanBatch(real, *(told.get(word, nothing) for word in words), z, augment, between)


def rows_of(condition: Condition, rows: slice) -> Condition:
    """Conditions of some samples of a batch."""
    shared = ("support", "support_input")
    return {word: told if word in shared else told[rows] for word, told in condition.items()}
