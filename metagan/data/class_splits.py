"""Published splits as those of classes, and classes whose names are one text once joined."""

from collections import Counter
from collections.abc import Iterable, Mapping

from metagan.data.dataset import ClassRecord, DataError
from metagan.data.paths.names import a_few, clean_name
from metagan.words import counted


def splits_of_classes(
    splits: Mapping[tuple[str, str], set[str | None]], *, one_is_enough: bool = False
) -> tuple[dict[tuple[str, str], str | None], list[str]]:
    """The split of each class, where the published split is one of classes; and notes.

    Args:
        splits: The parts in which samples of each class (domain, label) lie; None for no part.
        one_is_enough: Keep the split even if only one part is here.
    """
    parts = sorted({split or "none" for found in splits.values() for split in found})
    if parts == ["none"]:
        return {}, []
    divided = ["/".join(key) for key, found in splits.items() if len(found) > 1]
    if divided:
        return {}, [
            f"splits: published split ({', '.join(parts)}) is inside classes: its parts are merged "
            f"({len(divided)} of {counted(len(splits), 'class', 'classes')} in several parts, such "
            f"as {clean_name(divided[0])})"
        ]
    if len(parts) == 1 and not one_is_enough:
        return {}, [f"splits: only the published part {parts[0]} is here: it is used as a whole"]
    return kept_splits(splits)


def kept_splits(
    splits: Mapping[tuple[str, str], set[str | None]],
) -> tuple[dict[tuple[str, str], str | None], list[str]]:
    """The one split of each class; and a note on classes that have none, though others do."""
    kept = {key: next(iter(found)) for key, found in splits.items()}
    without = ["/".join(key) for key, split in kept.items() if split is None]
    if not without:
        return kept, []
    return kept, [f"splits: classes in no published split are trained on: {a_few(without)}"]


def check_names(records: Iterable[ClassRecord], path: str) -> None:
    """Refuse two classes whose domain and label are the same text once they are joined."""
    counts = Counter(record.name for record in records)
    name, count = counts.most_common(1)[0]
    if count > 1:
        raise DataError(
            f"{path}: two classes are both called {name!r} once domain and label are joined; "
            "take the slash out of one of the names"
        )
