"""The rounding of a device: two devices that differ here give a run other last bits.

The same torch computes sums in another order on another kind of CPU or GPU, and with other settings
of its math libraries. The differences begin in the last bits and grow with every step of a GAN.
"""

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

_SHORT = 12


@torch.enable_grad()
def arithmetic_sha256(device: torch.device) -> str:
    """A hash of what a device makes of fixed numbers, 12 hex digits.

    Takes products, convolutions with and without groups (as vectorised episodes have them), and
    their first and second derivatives. Devices with different hashes compute different bits; equal
    ones may still differ in an operation that is not among these, or at other sizes.

    Args:
        device: Computes with torch's present number of threads, which also counts.
    """
    found = [
        *_with_derivatives(functional.linear, _numbers(device, 5, 300), _numbers(device, 64, 300)),
        *_with_derivatives(torch.bmm, _numbers(device, 3, 10, 300), _numbers(device, 3, 300, 64)),
        *_with_derivatives(
            lambda x, w: functional.conv2d(x, w, padding=1),
            _numbers(device, 5, 8, 14, 14),
            _numbers(device, 16, 8, 3, 3),
        ),
        *_with_derivatives(
            lambda x, w: functional.conv2d(x, w, padding=1, groups=3),
            _numbers(device, 5, 24, 14, 14),
            _numbers(device, 48, 8, 3, 3),
        ),
    ]
    digest = hashlib.sha256()
    for tensor in found:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:_SHORT]


def _numbers(device: torch.device, *shape: int) -> Tensor:
    """Numbers that are the same on every machine: small fractions that float32 has exactly."""
    count = torch.Size(shape).numel()
    return (((torch.arange(count) * 37) % 101 - 50) / 64).reshape(shape).to(device)


def _with_derivatives(
    operation: Callable[[Tensor, Tensor], Tensor], x: Tensor, w: Tensor
) -> list[Tensor]:
    """The result, its gradient, and the gradient of that gradient's square."""
    leaves = [x.requires_grad_(), w.requires_grad_()]
    result = operation(*leaves)
    first = torch.autograd.grad(result.tanh().square().mean(), leaves, create_graph=True)
    squares = torch.stack([slope.square().sum() for slope in first]).sum()
    return [result, *first, *torch.autograd.grad(squares, leaves)]
