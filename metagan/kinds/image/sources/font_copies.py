"""Faces under several names: families that share a picture are one group.

Many families are copies of another, or add to it. Apart, one could be learned from and the other
measured on.
"""

from dataclasses import replace

from metagan.data.dataset import Dataset
from metagan.data.pairs import reference_domain
from metagan.data.paths.names import a_few
from metagan.data.repeats import find_repeats


def join_copies(dataset: Dataset) -> Dataset:
    """The same data, in which groups with byte-identical pictures are one, with a note."""
    reference = reference_domain(dataset)
    group_of = {domain: dataset.group_of(domain) or domain for domain in dataset.domains}
    root_of = {group: group for group in group_of.values()}

    def root(group: str) -> str:
        while root_of[group] != group:
            group = root_of[group]
        return group

    alike: dict[tuple[str, str], None] = {}
    for shared in find_repeats(dataset).across_classes:
        domains = sorted({dataset.classes[index].domain for index in shared} - {reference})
        for other in domains[1:]:
            one, two = sorted((root(group_of[domains[0]]), root(group_of[other])))
            if one != two:
                root_of[two] = one
                alike[domains[0], other] = None
    if not alike:
        return dataset
    joined = {group for group in root_of if root(group) != group}
    joined |= {root(group) for group in joined}
    classes = tuple(
        replace(record, group=root(group_of[record.domain]))
        if group_of[record.domain] in joined
        else record
        for record in dataset.classes
    )
    shown = a_few([f"{one} and {other}" for one, other in alike])
    note = f"domains: families that share pictures are held out together: {shown}"
    return replace(dataset, classes=classes, notes=(*dataset.notes, note))
