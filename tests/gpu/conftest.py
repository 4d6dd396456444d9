"""Skips what needs a GPU where there is none."""

import pytest
import torch

from metagan.devices import choose_device


@pytest.fixture
def cuda() -> torch.device:
    """The GPU, made deterministic."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return choose_device("cuda")
