"""The benchmark of hidden rules: its waves are what it says."""

import csv
from pathlib import Path

import numpy as np

from benchmarks.hidden_rule import write_waves


def test_waves_are_sines_of_hidden_amplitude_and_phase(tmp_path: Path) -> None:
    write_waves(tmp_path / "a.csv", 1, waves=20, points=30)
    write_waves(tmp_path / "b.csv", 2, waves=20, points=30)
    assert (tmp_path / "a.csv").read_text() != (tmp_path / "b.csv").read_text()
    with (tmp_path / "a.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 600
    for wave in range(20):
        own = [row for row in rows if row["domain"] == f"wave {wave:03d}"]
        x, y = (np.array([float(row[name]) for row in own]) for name in "xy")
        # a sin(x + p) = a cos(p) sin(x) + a sin(p) cos(x).
        design = np.stack([np.sin(x), np.cos(x)], axis=1)
        (sine, cosine), *_ = np.linalg.lstsq(design, y, rcond=None)
        assert np.abs(design @ [sine, cosine] - y).max() < 1e-5
        assert 0.1 <= np.hypot(sine, cosine) <= 5
        assert 0 <= np.arctan2(cosine, sine) <= np.pi
