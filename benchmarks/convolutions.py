"""Ways to convolve a chunk's episodes, each with weights of its own, layer by layer.

    python -m benchmarks.convolutions                   # widths 8, 16 and 40, a minute or two
    python -m benchmarks.convolutions --widths 84

The layers are those of a DCGAN pair on 28 x 28 pictures (generator up1 and up2, discriminator down1
to down3), 5 samples for an episode and 8 episodes. Four ways, all equal to 1e-4 in float32:

* loop: torch's convolution, one episode after the other;
* grouped: what `torch.func.vmap` makes of it, one convolution with a group for every episode;
* unfolded: patches and one product for every sample (or a product and a fold, for the transposed
  ones), under vmap;
* one product: the same with all of an episode's samples in one product, under vmap or one after
  the other.

Milliseconds of CPU for all episodes, the least of the repetitions: the forward pass, then the
derivative by input and weights, by the input alone (all that a generator's step asks of the
discriminator), and by the weights alone. GFLOP/s are those of the first two together.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from benchmarks.peer_measure import environment, matmul_gflop_per_s

EPISODES, SAMPLES = 8, 5
Convolve = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Layer:
    """A convolution with padding 1 and stride 2; `transposed` ones enlarge."""

    name: str
    inputs: int
    outputs: int
    kernel: int
    side: int
    transposed: bool

    @property
    def out(self) -> int:
        """Side of the result."""
        return 2 * self.side if self.transposed else -(-self.side // 2)


def layers(width: int) -> tuple[Layer, ...]:
    return (
        Layer("up1", 4 * width, 2 * width, 4, 7, True),
        Layer("up2", 2 * width, width, 4, 14, True),
        Layer("down1", 1, width, 4, 28, False),
        Layer("down2", width, 2 * width, 4, 14, False),
        Layer("down3", 2 * width, 3 * width, 3, 7, False),
    )


def fused(layer: Layer) -> Convolve:
    function = functional.conv_transpose2d if layer.transposed else functional.conv2d
    return lambda x, w: function(x, w, None, 2, 1)


def unfolded(layer: Layer, *, one_product: bool) -> Convolve:
    """A product of weights and patches; transposed, a product and a fold of its patches."""

    def product(weights: Tensor, x: Tensor) -> Tensor:
        """(M, C) times (B, C, N)."""
        if not one_product:
            return weights.expand(len(x), -1, -1) @ x
        together = weights @ x.transpose(0, 1).flatten(1)
        return together.unflatten(1, (len(x), -1)).transpose(0, 1)

    def convolve(x: Tensor, w: Tensor) -> Tensor:
        if layer.transposed:
            patches = product(w.flatten(1).mT, x.flatten(2))
            return functional.fold(patches, layer.out, layer.kernel, padding=1, stride=2)
        patches = functional.unfold(x, layer.kernel, padding=1, stride=2)
        return product(w.flatten(1), patches).unflatten(2, (layer.out, layer.out))

    return convolve


def one_by_one(convolve: Convolve) -> Convolve:
    return lambda x, w: torch.stack([convolve(*pair) for pair in zip(x, w, strict=True)])


def ways(layer: Layer) -> dict[str, Convolve]:
    return {
        "loop": one_by_one(fused(layer)),
        "grouped": torch.func.vmap(fused(layer)),
        "unfolded": torch.func.vmap(unfolded(layer, one_product=False)),
        "one product": torch.func.vmap(unfolded(layer, one_product=True)),
        "loop, one product": one_by_one(unfolded(layer, one_product=True)),
    }


def least_ms(function: Callable[[], object], repetitions: int) -> float:
    """CPU milliseconds; the first calls prepare the library's kernels."""
    for _ in range(2):
        function()
    times = []
    for _ in range(repetitions):
        started = time.process_time()
        function()
        times.append(time.process_time() - started)
    return 1000 * min(times)


def measure(convolve: Convolve, x: Tensor, w: Tensor, repetitions: int) -> list[float]:
    """Milliseconds: forward, by both, by the input, by the weights."""
    leaves = [x.clone().requires_grad_(), w.clone().requires_grad_()]
    y = convolve(*leaves)
    slope = torch.ones_like(y)

    def backward(by: list[Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(y, by, slope, retain_graph=True)

    runs = [lambda: convolve(x, w), *(backward(by) for by in (leaves, leaves[:1], leaves[1:]))]
    return [least_ms(run, repetitions) for run in runs]


def print_layer(width: int, layer: Layer, repetitions: int) -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(EPISODES, SAMPLES, layer.inputs, layer.side, layer.side, generator=rng)
    channels = (layer.inputs, layer.outputs) if layer.transposed else (layer.outputs, layer.inputs)
    w = torch.randn(EPISODES, *channels, layer.kernel, layer.kernel, generator=rng)
    area = (layer.side if layer.transposed else layer.out) ** 2
    gflop = 2e-9 * EPISODES * SAMPLES * layer.inputs * layer.outputs * layer.kernel**2 * area
    expected = ways(layer)["loop"](x, w)
    for name, convolve in ways(layer).items():
        torch.testing.assert_close(convolve(x, w), expected, rtol=1e-4, atol=1e-3)
        forward, both, by_input, by_weights = measure(convolve, x, w, repetitions)
        rate = 3 * gflop / (forward + both) * 1000
        cells = [str(width), layer.name, name, *(f"{t:.2f}" for t in (forward, both, by_input))]
        print("| " + " | ".join([*cells, f"{by_weights:.2f}", f"{rate:.0f}"]) + " |", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.convolutions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--widths", type=int, nargs="+", default=[8, 16, 40])
    parser.add_argument("--repetitions", type=int, default=15)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(", ".join(f"{name} {value}" for name, value in environment([]).items()))
    print(f"Best rate of a matrix product: {matmul_gflop_per_s():.0f} GFLOP/s.\n")
    heads = ("width", "layer", "way", "forward, ms", "by both", "by input", "by weights", "GFLOP/s")
    print("| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
    for width in options.widths:
        for layer in layers(width):
            print_layer(width, layer, options.repetitions)


if __name__ == "__main__":
    main()
