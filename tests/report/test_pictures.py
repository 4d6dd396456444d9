import io
from pathlib import Path

import numpy as np
from PIL import Image

from metagan.kinds.image.pictures import write_png
from metagan.report.pictures import embed
from tests.report.run_files import group


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_a_picture_is_embedded_as_it_is_where_there_is_room(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", group(8))
    found = embed(tmp_path / "a.png", 100_000, name="Given", alt="given")
    assert found.png == (tmp_path / "a.png").read_bytes()
    assert (found.width, found.height) == (8 * 29 * 2, 6 * 29 * 2)


def test_a_picture_without_room_loses_the_pixels_first_that_were_drawn_several_times(
    tmp_path: Path,
) -> None:
    drawn = group(8, noisy=True, channels=3)
    write_png(tmp_path / "a.png", drawn)
    size = (tmp_path / "a.png").stat().st_size
    found = embed(tmp_path / "a.png", size - 1, name="", alt="")
    assert len(found.png) < size
    np.testing.assert_array_equal(pixels(found.png), drawn[::2, ::2])


def test_an_embedded_picture_stays_within_its_bytes_whatever_it_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, shape in (("colour", (400, 600, 3)), ("grey", (400, 600))):
        Image.fromarray(rng.integers(0, 256, shape).astype(np.uint8)).save(tmp_path / f"{name}.png")
        found = embed(tmp_path / f"{name}.png", 30_000, name="", alt="")
        assert 1_000 < len(found.png) <= 30_000
        assert (found.width, found.height) == (600, 400)


def test_no_picture_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n not really")
    Image.new("L", (4, 4)).save(tmp_path / "b.png", format="GIF")
    write_png(tmp_path / "c.png", group(8))
    (tmp_path / "c.png").write_bytes((tmp_path / "c.png").read_bytes()[:500])
    for name in ("a.png", "b.png", "c.png", "absent.png"):
        assert embed(tmp_path / name, 100_000, name="", alt="") is None
