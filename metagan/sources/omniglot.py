"""Omniglot in its published archives: alphabets are domains, characters are classes.

The files have ink 0 on paper 1; here ink is bright. The publisher's split is by alphabet:
`images_background` is train, `images_evaluation` is test.

Source: Lake, Salakhutdinov and Tenenbaum 2015, Science 350(6266).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from metagan.dataset import DataError, Dataset
from metagan.settings import DataConfig
from metagan.sources.collect import Sample, assemble, bare_folders, describe_origin, try_decode
from metagan.sources.tree import file_sha256, read_tree, tree_name

_BACKGROUND: Final = "images_background"
_EVALUATION: Final = "images_evaluation"
_CHARACTER: Final = re.compile(r"character\d+")
_SMALL: Final = ("images_background_small1.zip", "images_background_small2.zip")


def load(config: DataConfig) -> Dataset:
    """Read Omniglot from its zips, in memory, or from the unpacked folders.

    `data.path` is the folder with the zips (background and evaluation; the small background sets
    only where the full one is absent), one zip, or the unpacked tree. `data.invert` swaps the
    result: ink dark.

    Raises:
        DataError: If there is no drawing, an archive is damaged or unsafe, or a character has no
            readable drawing.
    """
    path = Path(config.path or "").expanduser()
    roots = omniglot_archives(path) or [path]
    samples: list[Sample] = []
    seen: set[tuple[str, ...]] = set()
    empty: list[str] = []
    for root in roots:
        for identity, sample in _drawings(root, config):
            if sample is None:
                empty.append("/".join(identity))
            # The small sets share alphabets: a drawing counts once.
            elif identity not in seen:
                seen.add(identity)
                samples.append(sample)
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
        notes=bare_folders(empty),
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


def _drawings(root: Path, config: DataConfig) -> Iterator[tuple[tuple[str, ...], Sample | None]]:
    """Each drawing below an archive or folder, with what makes it unique; None: an empty folder."""
    for file in read_tree(root, lambda name: name.lower().endswith(".png")):
        if file.is_empty_folder:
            yield file.parts, None
        if len(file.parts) < 3 or (file.content is None and not file.problem):
            continue
        above, (alphabet, character, _) = file.parts[:-3], file.parts[-3:]
        picture = try_decode(
            file.content, file.problem, file.name, config, invert=not config.invert
        )
        split = split_of_part(above[-1] if above else tree_name(root))
        yield file.parts[-3:], Sample(alphabet, character, file.name, picture, split)
