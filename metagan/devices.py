"""Devices to compute on, and settings that make their results repeatable."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


def choose_device(setting: str, *, gpu_granted: bool = True) -> torch.device:
    """The device for "auto", "cpu" or "cuda"; a GPU is made to repeat itself to the bit.

    Args:
        setting: `device` of the run.
        gpu_granted: Whether this process may use a GPU; Ray grants one to some workers only.

    Raises:
        ValueError: If cuda is asked for and there is none to use.
    """
    usable = gpu_granted and torch.cuda.is_available()
    if setting == "cuda" and not usable:
        raise ValueError(
            "device is cuda, but no GPU is usable here; set device auto or cpu, and for Ray "
            "workers cluster.gpus_per_worker"
        )
    if not usable or setting == "cpu":
        return torch.device("cpu")
    _make_cuda_deterministic()
    return torch.device("cuda")


def device_name(device: torch.device) -> str:
    """Name of the CPU or GPU, as its maker calls it; for messages and reports."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []  # No Linux.
    known = dict(line.replace("\t", "").partition(": ")[::2] for line in reversed(lines))
    name = known.get("model name") or platform.processor() or platform.machine()
    # Clouds give processors of several generations one name; the model number tells them apart.
    numbers = [known[key] for key in ("cpu family", "model") if key in known]
    return f"{name} (model {'/'.join(numbers)})" if numbers else name


def _make_cuda_deterministic() -> None:
    """Make equal inputs give equal bits on CUDA, as far as torch has deterministic kernels.

    On a GPU the networks replace operations without one, such as grid_sample's backward pass; for
    the rest torch warns and continues.
    """
    # Read when cuBLAS is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads memory before it is written, and filling it first costs a kernel each time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


@contextmanager
def backward_in_this_thread() -> Iterator[None]:
    """Sum gradients inside the block in the order of the forward pass, on a GPU too.

    torch's engine takes what is ready by a number that every thread counts for itself, and makes a
    GPU's second derivatives in a thread of its own: in which order three of their terms are added
    would depend on all that the process computed before.
    """
    with torch.autograd.set_multithreading_enabled(False):
        yield


@contextmanager
def pinned_threads(threads: int) -> Iterator[None]:
    """Let torch compute with this many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
