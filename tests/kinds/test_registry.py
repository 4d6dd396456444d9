"""The table of kinds: each is found by its name, and imported only then."""

import subprocess
import sys

import numpy as np
import pytest

from metagan.config.learning import GanConfig
from metagan.kinds.registry import KINDS, find_kind


def test_the_first_kind_gives_players_and_takes_its_samples_there_and_back() -> None:
    kind = find_kind(next(iter(KINDS)))
    stored = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    assert np.array_equal(kind.to_samples(kind.to_tensor(stored)), stored)
    small = GanConfig(width=4, discriminator_width=4)
    made = kind.players(small, stored.shape[1:], seed=0, second_order=False)
    assert made.augment.num_draws > 0
    assert made.is_light


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="'picture'; kinds are image"):
        find_kind("picture")


def test_the_table_imports_no_kind() -> None:
    code = "import sys, metagan.kinds.registry; print('metagan.kinds.image' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
