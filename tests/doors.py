"""Stand-ins for a cluster, for tests of commands that need none."""

import sys
from types import ModuleType

import pytest

_DOORS = (
    "cluster.connect",
    "cluster.doctor",
    "cluster.jobs",
    "cluster.opening",
    "cluster.work",
    "tune.search",
)


class _Door(ModuleType):
    """A module that has nothing but what a test has put there."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AssertionError(f"no cluster is needed here: {self.__name__}.{name}")


def shut_doors(patch: pytest.MonkeyPatch) -> None:
    """Let every command that asks for a cluster fail."""
    for name in _DOORS:
        patch.setitem(sys.modules, name, _Door(name))


def open_door(patch: pytest.MonkeyPatch, name: str, **found: object) -> None:
    """Let commands find these names in a module of `cluster` or `tune`, and no others."""
    door = _Door(name)
    for attribute, value in found.items():
        setattr(door, attribute, value)
    patch.setitem(sys.modules, name, door)
