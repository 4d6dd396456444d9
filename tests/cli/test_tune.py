"""The last lines of `metagan tune`."""

from pathlib import Path

import pytest

from metagan.cli.tune import recommendation
from tests.report.search_files import search_data, write_search


@pytest.mark.parametrize(
    ("best", "given", "recommended"),
    [
        ((0.05, 0.06, 0.07), (0.01, 0.02, 0.03), "best.yaml"),
        ((0.01, 0.02, 0.03), (0.05, 0.06, 0.07), "given.yaml"),
        ((0.01, 0.09), (0.02, 0.05), "given.yaml"),
        ((0.05,), (0.01,), "best.yaml"),
        ((-0.135,), (0.035,), "given.yaml"),
        ((), (), "best.yaml"),
    ],
)
def test_the_settings_are_recommended_that_fresh_seeds_speak_for(
    tmp_path: Path, best: tuple[float, ...], given: tuple[float, ...], recommended: str
) -> None:
    out = write_search(tmp_path / "out", search_data(best=best, given=given, fresh_seeds=[]))
    *_, following = recommendation(out)
    assert f"{tmp_path / 'out' / recommended} --run" in following
