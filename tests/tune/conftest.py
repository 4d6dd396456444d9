"""The Ray that these tests share with those of the cluster package."""

from tests.cluster.conftest import local_ray

__all__ = ["local_ray"]
