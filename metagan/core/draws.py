"""Untrained weights from a named seed, whatever else draws numbers in the process meanwhile."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from metagan.seeding import derive_seed


class DrawsFrom(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside the block, what this thread draws from torch comes from the seed with this name.

    Layers draw their weights from torch's global generator. To seed that is not enough: another
    thread may draw from it between two layers, and would itself get numbers that are not its own.
    """

    def __init__(self, seed: int, *names: str | int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._generator = torch.Generator().manual_seed(derive_seed(seed, *names))

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the operation, with the generator if it draws; an error if it takes none."""
        given = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded in func.tags:
            given["generator"] = self._generator
        return func(*args, **given)
