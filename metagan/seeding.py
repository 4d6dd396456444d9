"""Every random draw has a name; none is consumed from a shared stream.

A draw named by (run seed, purpose, step, task, ...) is the same on any machine, in any order and
at any retry, so checkpoints hold no generator state and a lost episode is repeated exactly.
"""

import hashlib

import numpy as np

_SEED_BITS = 63


def derive_seed(seed: int, *names: str | int) -> int:
    """A seed in [0, 2**63) that depends on every name and on their order.

    Args:
        seed: The parent seed, usually `seed` of the run.
        names: What the draw is for, such as ("episode", step, task).
    """
    # The separator is doubled inside names, so that no name can pass for two; file names that are
    # not UTF-8 carry surrogates.
    named = (f"{type(name).__name__}:{name}".replace("\x1f", "\x1f\x1f") for name in names)
    text = "\x1f".join([str(seed), *named]).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> (64 - _SEED_BITS)


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator for the draw with this name."""
    return np.random.Generator(np.random.Philox(derive_seed(seed, *names)))
