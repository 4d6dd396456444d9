"""A CPU's work traced once and replayed: its operations without the Python that led to them.

With small networks half of a chunk's time is Python, autograd's bookkeeping and the dispatch of
`torch.func`, the same in every chunk. So a computation that has been done often is traced into the
plain list of its operations, which from then on are called one after the other on other numbers.
They are the same operations in the same order, so the results are the same bits: it does not matter
who replays and who computes, and how often a worker did what decides about time alone. Nothing in a
trace depends on a number: where a computation looks at one, tracing ends in an error, and it is
never replayed. Measured in benchmarks/results/inner_loop.md.
"""

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from metagan.replay import Kept, Outputs, with_shapes

Traced = Callable[..., Outputs]
# Tracing costs what some 100 to 300 replays save, and torch imports 76 MB of modules for it.
# Whoever computes less often never pays for that.
_USES_BEFORE = 200


class Tracer:
    """Traces by name, of which the most recently used few are kept."""

    def __init__(self, *, uses_before: int = _USES_BEFORE) -> None:
        """A computation is traced when it has been done `uses_before` times."""
        self._uses_before = uses_before
        self._uses: dict[Hashable, int] = {}
        self._kept: Kept[Traced] = Kept()

    def __len__(self) -> int:
        """Traces that are kept."""
        return len(self._kept)

    def serves(self, device: torch.device, *, second_order: bool) -> bool:
        """See `Replayer`.

        The graph of second-order work has five to ten times the operations: tracing takes a quarter
        of a minute and half a gigabyte, and saves a tenth of the time at most.
        """
        return device.type == "cpu" and not second_order

    def run(
        self,
        name: Hashable,
        function: Callable[[Sequence[Tensor]], Outputs],
        inputs: Sequence[Tensor],
        device: torch.device,
    ) -> Outputs:
        """See `Replayer`."""
        inputs = [tensor.detach().to(device) for tensor in inputs]
        name = with_shapes(name, inputs)
        if (traced := self._kept.get(name)) is not None:
            return traced(*inputs)
        outputs = function(inputs)
        self._uses[name] = self._uses.get(name, 0) + 1
        # At the next multiple again, if it was dropped for others meanwhile.
        if self._uses[name] % self._uses_before == 0:
            self._trace(name, function, inputs, outputs)
        return outputs

    def _trace(
        self,
        name: Hashable,
        function: Callable[[Sequence[Tensor]], Outputs],
        inputs: Sequence[Tensor],
        expected: Outputs,
    ) -> None:
        try:
            traced: Traced = make_fx(lambda *tensors: function(tensors))(*inputs)
        except RuntimeError:
            # It looks at numbers, or this release of torch cannot trace it: it is computed.
            return
        # Never a trace that gives other bits, whatever a release of torch makes of it.
        if _same_bits(traced(*inputs), expected):
            self._kept.keep(name, traced)


def _same_bits(one: Outputs, other: Outputs) -> bool:
    return torch.equal(one[0], other[0]) and all(
        torch.equal(one[1][key], value) for key, value in other[1].items()
    )
