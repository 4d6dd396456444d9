"""Rounded to bfloat16 on the wire, added up in float32."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metagan.core.aggregate import tree_sum
from metagan.core.wire import from_wire, to_wire

finite = st.floats(-(2.0**126), 2.0**126, width=32, allow_subnormal=False)


@given(st.lists(finite, min_size=1, max_size=40))
def test_rounding_is_to_the_nearest_number_of_eight_significant_bits(values):
    exact = np.array(values, np.float32)
    sent = to_wire(torch.from_numpy(exact), "bfloat16")
    assert (sent.dtype, sent.nbytes) == (np.uint16, exact.nbytes // 2)
    got = from_wire(sent)
    assert got.dtype == np.float32
    # At most half of what the last of eight bits is worth.
    assert (np.abs(got - exact) <= np.abs(exact) * 2.0**-8).all()
    # A number between two, by arithmetic on whole numbers: half goes to the even one.
    bits = exact.view(np.uint32).astype(np.uint64)
    nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    np.testing.assert_array_equal(sent, nearest.astype(np.uint16))
    np.testing.assert_array_equal(to_wire(torch.from_numpy(got), "bfloat16"), sent)


def test_float32_is_sent_as_it_is():
    exact = torch.randn(5)
    sent = to_wire(exact, "float32")
    assert from_wire(sent) is sent
    np.testing.assert_array_equal(sent, exact.numpy())


@pytest.mark.parametrize("size", [1, 100_000])  # More than one block of a sum.
def test_what_was_sent_rounded_is_added_up_in_float32(size):
    parts = [to_wire(torch.full((size,), value), "bfloat16") for value in (256.0, 1.0, 2.0**-8)]
    # In bfloat16, 256 + 1 is 256.
    np.testing.assert_array_equal(tree_sum(parts), np.full(size, 257 + 2.0**-8, np.float32))
