"""Other pictures to measure on, read as a run's own were."""

from collections.abc import Collection
from typing import Any

from metagan.config.image import ImageData
from metagan.data.dataset import Dataset
from metagan.data.form import Form
from metagan.kinds.image.reading.record import Reading


def other_settings(
    data: ImageData, form: Form, source: str, said: Collection[str]
) -> dict[str, Any]:
    """Changes of a run's data settings for other pictures.

    Args:
        data: The run's.
        form: Of the run's pictures.
        source: The layout of the other pictures.
        said: Names of fields of `data` that are said of them.
    """
    # Other pictures have a reference of their own, or none.
    reading, changes = Reading.of_form(form), dict[str, Any](reference_domain=None)
    # Omniglot's files and prepared data have one polarity, whatever the run's have.
    if "invert" not in said:
        changes["invert"] = reading.inverted and source not in ("omniglot", "arrow")
    if source == "arrow" and "white" not in said:
        changes["white"] = None
    elif data.white is None and set(reading.whites) == {"integers"}:
        changes["white"] = reading.whites["integers"]
    return changes


def other_looks(dataset: Dataset, form: Form, data: ImageData) -> str | None:
    """A warning where pictures are bright and the run's dark, or the other way round.

    Args:
        dataset: The other pictures.
        form: Of the run's pictures.
        data: The settings that the others were read by.
    """
    fix = f"add data.invert={str(not data.invert).lower()}"
    if "prepared" in dataset.origin:
        asked = bool(dataset.origin.get("invert"))
        fix = f"prepare them again with data.invert={str(not asked).lower()}"
    return Reading.of_form(form).other_polarity([dataset.samples], fix)
