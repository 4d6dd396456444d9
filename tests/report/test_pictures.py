import io

import numpy as np
from PIL import Image

from metagan.kinds.image.pictures import grid, write_png
from metagan.report.pictures import embed, read_sheet, split_groups
from tests.report.run_files import sheet


def test_a_sheet_is_read_without_its_repeated_pixels_and_split_into_its_groups(tmp_path):
    write_png(tmp_path / "a.png", sheet(rows=6, size=28))
    read = read_sheet(tmp_path / "a.png")
    assert read is not None
    # 28 pixels a picture and a line between two: 5, 8 and 8 pictures of 6 classes.
    assert [group.shape for group in split_groups(read)] == [(173, 144), (173, 231), (173, 231)]


def test_the_groups_hold_the_pictures_themselves(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (2, 3, 16, 16)).astype(np.uint8) for _ in range(3)]
    write_png(tmp_path / "a.png", grid([pictures]))
    groups = split_groups(read_sheet(tmp_path / "a.png"))
    for group, picture in zip(groups, pictures, strict=True):
        np.testing.assert_array_equal(group[:16, :16], picture[0].transpose(1, 2, 0))
        np.testing.assert_array_equal(group[:16, 17:33], picture[1].transpose(1, 2, 0))


def test_a_picture_without_groups_stays_whole(tmp_path):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 90, (20, 30)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    (only,) = split_groups(read_sheet(tmp_path / "a.png"))
    np.testing.assert_array_equal(only, picture)


def test_what_is_no_picture_is_none(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n not really")
    Image.new("L", (4, 4)).save(tmp_path / "b.png", format="GIF")
    assert read_sheet(tmp_path / "a.png") is None
    assert read_sheet(tmp_path / "b.png") is None
    assert read_sheet(tmp_path / "absent.png") is None


def test_embedding_is_lossless_where_there_is_room():
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    (embedded,) = embed([picture], max_bytes=100_000)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(embedded.png))), picture)


def test_embedding_stays_within_its_bytes_whatever_the_picture():
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (400, 600, 3)).astype(np.uint8)
    grey = rng.integers(0, 256, (400, 600)).astype(np.uint8)
    embedded = embed([colour, grey], max_bytes=60_000)
    assert sum(len(picture.png) for picture in embedded) <= 60_000
