"""A GPU's work recorded once and replayed: thousands of small kernels for the price of one launch.

An episode of small networks is thousands of kernels of a few microseconds each, and launching one
takes the CPU longer than the GPU needs to run it. What a chunk computes is the same sequence every
time, on other numbers, so it is recorded as a CUDA graph.
"""

import functools
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Outputs = tuple[Tensor, dict[str, Tensor]]
# Before anything is recorded, so that libraries have allocated and chosen what they need.
_REHEARSALS = 2
# Each holds memory.
_KEPT = 6


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    outputs: Outputs


class Recorder:
    """Recordings by name, for one GAN, layout and config alone; the few used last are kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, _Recording] = OrderedDict()

    def __len__(self) -> int:
        """Recordings that are kept."""
        return len(self._kept)

    def run(
        self,
        name: Hashable,
        function: Callable[[Sequence[Tensor]], Outputs],
        inputs: Sequence[Tensor],
        device: torch.device,
    ) -> Outputs:
        """`function(inputs)` on a GPU, bit for bit: recorded the first time, then replayed.

        Args:
            name: Of the computation: with equal names and equal shapes and strides of the inputs,
                only the inputs' values may differ.
            function: What it does must not depend on values that it looks at; it reads and writes
                GPU memory alone.
            inputs: On any device.
            device: The GPU.

        Returns:
            Tensors that the next run of the same name overwrites.
        """
        name = (name, *((tuple(t.shape), t.stride(), t.dtype) for t in inputs))
        recording = self._kept.pop(name, None) or _record(function, inputs, device)
        self._kept[name] = recording
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        for place, tensor in zip(recording.inputs, inputs, strict=True):
            place.copy_(tensor)
        recording.graph.replay()
        return recording.outputs


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """The stream of all recordings: one, since cuBLAS keeps 32 MiB of workspace for each stream."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _record(
    function: Callable[[Sequence[Tensor]], Outputs],
    inputs: Sequence[Tensor],
    device: torch.device,
) -> _Recording:
    # Copies: where an input already lies on the device, a replay must not write to it.
    places = tuple(tensor.detach().to(device, copy=True) for tensor in inputs)
    aside = _stream(device)
    aside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(aside):
        for _ in range(_REHEARSALS):
            function(places)
    torch.cuda.current_stream(device).wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=aside):
        value, metrics = function(places)
        outputs = value.detach(), {key: metric.detach() for key, metric in metrics.items()}
    return _Recording(graph, places, outputs)
