"""The hash of a device's rounding is the same whenever it computes alike, and only then."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from metagan.core.arithmetic import arithmetic_sha256
from metagan.devices import pinned_threads

CPU = torch.device("cpu")
PRINT = """
import torch
from metagan.core.arithmetic import arithmetic_sha256
torch.set_num_threads(1)
print(arithmetic_sha256(torch.device("cpu")))
"""


def elsewhere(**variables: str) -> str:
    """The hash of another process with these variables."""
    done = subprocess.run(
        [sys.executable, "-c", PRINT],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **variables},
    )
    return done.stdout.strip()


def test_it_is_the_same_again_and_in_another_process() -> None:
    with pinned_threads(1):
        first = arithmetic_sha256(CPU)
        torch.randn(8, 8) @ torch.randn(8, 8)
        assert arithmetic_sha256(CPU) == first
    assert elsewhere() == first
    assert len(first) == 12


def test_numbers_are_computed_whatever_gradients_are_wanted_around() -> None:
    with pinned_threads(1):
        first = arithmetic_sha256(CPU)
        with torch.no_grad():
            assert arithmetic_sha256(CPU) == first


@pytest.mark.skipif(platform.machine() != "x86_64", reason="oneDNN has other names there")
@pytest.mark.skipif("AVX" not in torch.backends.cpu.get_cpu_capability(), reason="no AVX here")
def test_fewer_vector_instructions_are_another_rounding() -> None:
    assert elsewhere(ONEDNN_MAX_CPU_ISA="SSE41") != elsewhere()
