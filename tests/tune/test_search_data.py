"""Mistakes in a search's data are reported before Ray is asked for anything."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import tune.search
from metagan.data.arrow import prepare
from metagan.data.dataset import DataError
from tests.helpers import bars, tiny_config
from tests.workflow.conftest import Quiet
from tune.config import SearchJobConfig


def test_a_search_on_leaking_data_takes_nothing_of_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bars()
    samples = np.array(data.samples)
    samples[-1] = samples[0]
    path = prepare(dataclasses.replace(data, samples=samples), tmp_path / "bars")
    first, last = data.domains[0], data.domains[-1]
    held_out = {"validation_domains": [first], "test_domains": [last]}
    base = tiny_config(data={"source": "arrow", "path": str(path), "image_size": 16, **held_out})
    values = base.model_dump(mode="json") | {
        "tune": {"space": {"inner.lr": {"loguniform": [1e-3, 1e-1]}}}
    }
    config = SearchJobConfig.model_validate(values, strict=False)

    def no_ray(_config: object) -> None:
        raise AssertionError("no cluster is needed here")

    monkeypatch.setattr(tune.search, "_ray", no_ray)
    with pytest.raises(DataError, match=rf"leak: 1 picture is.*{first}.*validation.*{last}.*test"):
        tune.search.search(config, tmp_path / "out", resume=False, reporter=Quiet())
