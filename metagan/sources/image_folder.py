"""Pictures in folders, unpacked or inside a zip or tar: the folder names are the labels.

Layouts, below `data.path` or the archive's root:

    <domain>/<class>/*          several domains
    <class>/*                   one domain, called like the folder or archive
    <split>/<domain>/<class>/*  or <split>/<class>/*, split being train, val, test, ...

A single folder around a whole layout that has domains is passed through; around classes alone it
is the domain.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from metagan.dataset import DataError, Dataset
from metagan.settings import DataConfig
from metagan.sources.collect import (
    Decoded,
    Sample,
    assemble,
    bare_folders,
    canonical_split,
    describe_origin,
    endings,
    listed,
    try_decode,
)
from metagan.sources.decode import PICTURE_SUFFIXES, is_picture
from metagan.sources.tree import ARCHIVE_SUFFIXES, file_sha256, read_tree, tree_name


@dataclass(frozen=True)
class _Picture:
    parts: tuple[str, ...]
    picture: Decoded

    @property
    def depth(self) -> int:
        return len(self.parts) - 1


def load(config: DataConfig) -> Dataset:
    """Read pictures from folders, or from a zip or tar without extracting it.

    Unreadable files are left out and named in the notes.

    Raises:
        DataError: If there are no pictures, the folders are no known layout, a class has no
            readable picture, or the archive is damaged or unsafe.
    """
    root = Path(config.path or "").expanduser()
    pictures: list[_Picture] = []
    others: list[str] = []
    unfollowed: list[str] = []
    without: list[tuple[str, ...]] = []
    for file in read_tree(root, is_picture):
        if file.is_empty_folder:
            without.append(file.parts)
        elif not file.problem and file.content is None:
            others.append(file.name)
            without.append(file.parts[:-1])
        elif not is_picture(file.parts[-1]):
            unfollowed.append(f"{file.name}: {file.problem}")
        else:
            picture = try_decode(
                file.content, file.problem, file.name, config, invert=config.invert
            )
            pictures.append(_Picture(file.parts, picture))
    if not pictures:
        raise DataError(_nothing_found(root, others, unfollowed))
    # A tar comes in any order; the order of samples must not depend on who packed it.
    pictures.sort(key=lambda picture: picture.parts)
    samples, notes = _label(pictures, root)
    notes += bare_folders(_bare(without, pictures))
    if others:
        notes.append(f"other files ignored, by ending: {endings(others)}")
    notes += listed(unfollowed, "left out")
    sha256 = {root.name: file_sha256(root)} if root.is_file() else {}
    origin = describe_origin("image_folder", root, config, sha256=sha256)
    return assemble(samples, origin=origin, notes=notes)


def _bare(folders: Iterable[tuple[str, ...]], pictures: Sequence[_Picture]) -> Iterator[str]:
    """The names of folders without pictures; of one below another only the upper."""
    filled = {picture.parts[:end] for picture in pictures for end in range(len(picture.parts))}
    for folder in folders:
        above = (folder[:end] for end in range(1, len(folder) + 1))
        bare = next((parts for parts in above if parts not in filled), None)
        if bare is not None:
            yield "/".join(bare)


def _nothing_found(root: Path, others: Sequence[str], unfollowed: Sequence[str]) -> str:
    readable = [name for name in others if name.lower().endswith((*ARCHIVE_SUFFIXES, ".npz"))]
    text = f"{root}: no pictures found ({', '.join(sorted(PICTURE_SUFFIXES))})"
    if readable:
        return f"{text}; to read an archive, give it itself: data.path={root / readable[0]}"
    if others:
        text += f"; other endings there: {endings(others)}"
    return "; ".join([text, *unfollowed[:3]])


def _label(pictures: Sequence[_Picture], root: Path) -> tuple[list[Sample], list[str]]:
    """Read domain, class and split off the paths; and notes on pictures at another depth."""
    counts = Counter(picture.depth for picture in pictures)
    depth = max(counts, key=lambda depth: (counts[depth], depth))
    kept = [picture for picture in pictures if picture.depth == depth]
    strays = [
        f"{'/'.join(picture.parts)}: not as deep in folders as most pictures are"
        for picture in pictures
        if picture.depth != depth
    ]
    folders = [picture.parts[:-1] for picture in kept]
    while len(folders[0]) >= 3 and len({above[0] for above in folders}) == 1:
        if canonical_split(folders[0][0]):
            break
        folders = [above[1:] for above in folders]
    splits: list[str | None] = [None] * len(kept)
    if len(folders[0]) >= 2 and all(canonical_split(above[0]) for above in folders):
        splits = [canonical_split(above[0]) for above in folders]
        folders = [above[1:] for above in folders]
    if len(folders[0]) not in (1, 2):
        found = "/".join(kept[0].parts)
        raise DataError(
            f"{root}: pictures must lie in <class>, <domain>/<class> or "
            f"<split>/<domain>/<class> folders; found {found}"
        )
    only_domain = tree_name(root)
    samples = [
        Sample(
            above[0] if len(above) == 2 else only_domain,
            above[-1],
            "/".join(picture.parts),
            picture.picture,
            split,
        )
        for picture, above, split in zip(kept, folders, splits, strict=True)
    ]
    return samples, listed(strays, "left out")
