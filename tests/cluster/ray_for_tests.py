"""A Ray of the tests' own: private, with its own home and temporary folders."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.config import ClusterConfig
from cluster.connect import RaySession, ray_session
from metagan.config.settings import RunConfig
from metagan.data.arrow import prepare as prepare_arrow
from metagan.workflow.setup import TrainSetup, prepare
from tests.helpers import bars, environment_without_ray, tiny_config

NUM_CPUS = 6


@contextmanager
def ray_in_own_folders() -> Iterator[RaySession]:
    """A private Ray of `NUM_CPUS` cores."""
    # Socket paths are limited to about 107 bytes, too few for pytest's own folders.
    folder = Path(tempfile.mkdtemp(prefix="mg-"))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            patch.delenv(name)
        own = {"HOME": str(folder), "RAY_TMPDIR": str(folder)}
        for name, value in (environment_without_ray() | own).items():
            patch.setenv(name, value)
        try:
            with ray_session(ClusterConfig(num_workers=NUM_CPUS)) as session:
                yield session
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def bars_run(folder: Path, **sections: object) -> TrainSetup:
    """A tiny run on bars that are prepared in a folder, for any process to open."""
    if not folder.exists():
        prepare_arrow(bars(), folder)
    config = bars_config(folder, **sections)
    return prepare(config)


def bars_config(folder: Path, **sections: object) -> RunConfig:
    """The settings of `bars_run`: five chunks of two episodes in each of three outer steps."""
    values: dict[str, object] = {
        "device": "cpu",
        "data": {
            "source": "arrow",
            "path": str(folder),
            "image_size": 16,
            "split_by": "class",
            "test_fraction": 0.25,
            "validation_fraction": 0.25,
        },
        "outer": {"steps": 3, "meta_batch_size": 10, "episodes_per_chunk": 2},
    }
    return tiny_config(**(values | sections))
