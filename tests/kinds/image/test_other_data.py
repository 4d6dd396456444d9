"""Other pictures to measure on have a reference of their own, which is not measured."""

from pathlib import Path

import numpy as np

from metagan.config.image import ImageData
from metagan.kinds.image.other_data import other_settings
from metagan.kinds.image.reading.record import Reading
from metagan.workflow.evaluate import open_target
from tests.kinds.image.sources.test_fonts import copied

FORM = Reading(image_size=24, channels=1).form()


class Silent:
    """Reports to nobody."""

    def print(self, text: str) -> None: ...


def test_the_reference_of_a_run_is_none_of_other_data():
    config = ImageData(source="styles", reference_domain="style 0001")
    assert other_settings(config, FORM, "fonts", ())["reference_domain"] is None


def test_the_reference_of_other_data_is_no_target(tmp_path: Path):
    data = ImageData(
        source="styles",
        image_size=24,
        reference_domain="style 0001",
        cache_dir=str(tmp_path / "cache"),
    )
    fonts = copied(tmp_path / "fonts", "cmr10", "cmtt10")
    target, warning = open_target(fonts, "auto", data, FORM, reporter=Silent())
    assert warning is None
    assert {target.dataset.classes[i].domain for i in target.classes} == {"cmr10", "cmtt10"}
    assert target.dataset.domains == ("DejaVu Sans", "cmr10", "cmtt10")
    assert np.isin(target.dataset.classes_of("DejaVu Sans"), target.classes).sum() == 0
