"""One data set in two sizes, which would put the same pictures into two domains: a leak.

MedMNIST publishes `bloodmnist.npz` and `bloodmnist_64.npz`, hubs folders `bloodmnist_28/` and
`bloodmnist_64/`.
"""

import re
from collections.abc import Collection, Iterable
from typing import Final

from metagan.data.dataset import DataError

# `blood_64`, `blood-64x64`, `64px`: the end of a folder's or file's name.
_SIZE: Final = re.compile(r"(?:^|[-_ ])(\d+)(?:x\1|px)?$")


class TwoSizes:
    """Refuses a set that another one repeats in another size."""

    def __init__(self, where: str) -> None:
        """Nothing has been seen yet.

        Args:
            where: What stands before a set's name in messages.
        """
        self._where = where
        self._seen: dict[tuple[str, tuple[str, ...]], str] = {}

    def add(
        self, name: str, labels: Iterable[str], heights: Collection[int], shown: str = ""
    ) -> None:
        """Add a set to those that have been seen.

        Args:
            name: Its path without an ending; a number at the end of a part of it is a size where
                pictures have that height.
            labels: Of all its pictures, in the order in which they are stored.
            heights: Of its pictures, as stored.
            shown: What it is called in messages; default: its name.

        Raises:
            DataError: If another one is called alike but for the size, and has the same labels in
                the same order.
        """
        shown = shown or name
        key = "/".join(_without_size(part, heights) for part in name.split("/")), tuple(labels)
        other = self._seen.setdefault(key, shown)
        if other != shown:
            raise DataError(
                f"{self._where}{shown}: the same set as {other}, in another size, which would put "
                "the same pictures into two domains; take one of the two out of the folder"
            )


def _without_size(name: str, heights: Collection[int]) -> str:
    sized = _SIZE.search(name)
    return name[: sized.start()] if sized and int(sized[1]) in heights else name
