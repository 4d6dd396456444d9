"""Omniglot in its published archives: alphabets are domains, characters are classes.

The files have ink 0 on paper 1; here ink is bright. The publisher's split is by alphabet:
`images_background` is train, `images_evaluation` is test.

Source: Lake, Salakhutdinov and Tenenbaum 2015, Science 350(6266).
"""

import re
from pathlib import Path
from typing import Final

from metagan.config.image import ImageData
from metagan.data.dataset import DataError, Dataset
from metagan.data.notes import listed
from metagan.data.paths.links import data_path
from metagan.data.paths.names import a_few
from metagan.data.paths.own_folders import refuse_own
from metagan.data.paths.tree import Parts, file_sha256, read_tree, tree_name, with_parents
from metagan.kinds.image.reading.collect import Sample, assemble, describe_origin
from metagan.kinds.image.reading.contents import (
    TreeContents,
    contents_notes,
    read_contents,
    refuse_lost,
)
from metagan.kinds.image.reading.decode import is_picture

_BACKGROUND: Final = "images_background"
_EVALUATION: Final = "images_evaluation"
_CHARACTER: Final = re.compile(r"character\d+")
_SMALL: Final = ("images_background_small1.zip", "images_background_small2.zip")


def load(config: ImageData) -> Dataset:
    """Read Omniglot from its zips, in memory, or from the unpacked folders.

    `data.path` is the folder with the zips (background and evaluation; the small background sets
    only where the full one is absent), one zip, or the unpacked tree. `data.invert` swaps the
    result: ink dark.

    Raises:
        DataError: If there is no drawing, an archive is damaged or unsafe, a character has no
            readable drawing, or a folder of drawings is no alphabet or character.
    """
    path = data_path(config)
    roots = omniglot_archives(path) or [path]
    samples: list[Sample] = []
    notes: list[str] = []
    seen: set[Parts] = set()
    for root in roots:
        contents = read_contents(read_tree(root, is_picture), config, invert=not config.invert)
        refuse_own(root, contents.skipped.get((), ""))
        drawings, loose = _places(root, contents)
        refuse_lost(root, contents, drawings.values(), max(map(len, drawings.values()), default=0))
        for parts, picture in contents.pictures:
            folder = drawings.get(parts)
            if folder is None:
                continue
            alphabet, character = folder[-2:]
            identity = (alphabet, character, *parts[len(folder) :])
            # The small sets share alphabets: a drawing counts once.
            if identity not in seen:
                seen.add(identity)
                split = split_of_part(folder[-3] if len(folder) > 2 else tree_name(root))
                samples.append(Sample(alphabet, character, "/".join(parts), picture, split))
        notes += contents_notes(contents, drawings.values())
        notes += listed(loose, "left out")
        problems = [f"{'/'.join(parts)}: {why}" for parts, why in contents.problems.items()]
        notes += listed(problems, "left out")
    if not any(sample.split or _CHARACTER.fullmatch(sample.label) for sample in samples):
        raise DataError(
            f"{path}: no Omniglot drawings; expected images_background.zip and "
            "images_evaluation.zip, or images_background/<Alphabet>/characterNN/*.png (for other "
            "pictures in folders: data.source=image_folder)"
        )
    sha256 = {root.name: file_sha256(root) for root in roots if root.is_file()}
    return assemble(
        samples,
        origin=describe_origin("omniglot", path, config, sha256=sha256, inverted=not config.invert),
        notes=notes,
        class_splits=True,
    )


def omniglot_archives(path: Path) -> list[Path]:
    """The published archives in a folder that together are the data set; may be empty."""
    full = path / f"{_BACKGROUND}.zip"
    background = [full] if full.is_file() else [path / name for name in _SMALL]
    return [p for p in (*background, path / f"{_EVALUATION}.zip") if p.is_file()]


def split_of_part(name: str) -> str | None:
    """The published split of a top folder or archive, None where its name says none."""
    if name.startswith(_EVALUATION):
        return "test"
    return "train" if name.startswith(_BACKGROUND) else None


def _places(root: Path, contents: TreeContents) -> tuple[dict[Parts, Parts], list[str]]:
    """The character's folder of each drawing, and lines on pictures that are in none.

    Below the part's folder, or the root where there is none, come the alphabet and the character;
    what lies deeper belongs to its character.

    Raises:
        DataError: If all pictures of a folder are in none.
    """
    folders: dict[Parts, Parts] = {}
    loose: list[Parts] = []
    for parts, _ in contents.pictures:
        top = max((i + 1 for i, name in enumerate(parts[:-1]) if split_of_part(name)), default=None)
        if top is None:
            top = 0 if split_of_part(tree_name(root)) else max(len(parts) - 3, 0)
        if len(parts) - top < 3:
            loose.append(parts)
        else:
            folders[parts] = parts[: top + 2]
    filled = with_parents(folders.values())
    lost = sorted({"/".join(parts[:-1]) for parts in loose if parts[:-1] not in filled})
    if folders and lost:
        raise DataError(
            f"{root}: pictures of whole folders would be left out: {a_few(lost)}; drawings lie in "
            f"{_BACKGROUND}/<Alphabet>/<character> folders; move these, or take them away"
        )
    return folders, [f"{'/'.join(parts)}: in no character's folder" for parts in sorted(loose)]
