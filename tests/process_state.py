"""State that a test must not leave in its process, since later tests would compute with it."""

from typing import Any

import numpy as np
import torch


def numerical_state() -> dict[str, Any]:
    """All of a process's settings that change the bits of what is computed after them."""
    denormal = torch.tensor(1e-40) * 1
    return {
        "threads": torch.get_num_threads(),
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "grad mode": torch.is_grad_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "oneDNN": torch.backends.mkldnn.enabled,
        "NNPACK": torch._C._get_nnpack_enabled(),
        "products in lower precision": torch.get_float32_matmul_precision(),
        "denormal numbers": bool(denormal > 0),
        "several threads in a backward pass": torch.autograd.is_multithreading_enabled(),
        "anomalies looked for": torch.is_anomaly_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "numpy's reaction to errors": np.geterr(),
    }
