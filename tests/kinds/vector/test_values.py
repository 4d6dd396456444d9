"""Values of vectors are checked where they are read or handed in, and nowhere again."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from metagan.data.arrow import open_prepared, prepare
from metagan.data.cache import open_dataset
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.kinds.vector import files, samples
from tests.helpers import clouds, write_table
from tests.kinds.vector.written import settings


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of all that has looked at all values, in order."""
    done: list[str] = []

    def counted(name: str, function: object) -> object:
        def check(*arguments: object) -> None:
            done.append(name)
            function(*arguments)

        return check

    reader = files.READER
    counting = dataclasses.replace(reader, check_values=counted("opened", reader.check_values))
    monkeypatch.setattr(files, "READER", counting)
    monkeypatch.setattr(samples, "check_values", counted("handed in", samples.check_values))
    return done


def test_prepared_vectors_are_checked_once_when_they_are_opened(
    tmp_path: Path, checks: list[str]
) -> None:
    prepare(clouds(), tmp_path / "prepared")
    checks.clear()
    found = open_dataset(settings(tmp_path / "prepared"))
    assert checks == ["opened"]
    dataclasses.replace(found, origin={"other": 1}, notes=("a note",))
    assert checks == ["opened"]


def test_what_files_hold_is_checked_row_by_row_and_once_more_when_the_cache_is_opened(
    tmp_path: Path, checks: list[str]
) -> None:
    config = settings(
        write_table(tmp_path / "clouds.csv", clouds()), cache_dir=str(tmp_path / "cache")
    )
    checks.clear()
    open_dataset(config)
    assert checks == ["opened"]
    checks.clear()
    open_dataset(config)
    assert checks == ["opened"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_door_lets_a_value_in_that_is_no_number(tmp_path: Path, value: float) -> None:
    rows = np.ones((4, 2), np.float32)
    rows[2, 1] = value
    record = ClassRecord("d", "a")
    with pytest.raises(DataError, match=r"row 2, column 1: .*values must be finite"):
        Dataset.from_classes({record: rows}, kind="vector")
    prepare(Dataset(rows, np.array([0, 4]), (record,), "vector"), tmp_path / "prepared")
    with pytest.raises(DataError, match="samples hold NaN or infinity; leave those rows out"):
        open_prepared(tmp_path / "prepared")
