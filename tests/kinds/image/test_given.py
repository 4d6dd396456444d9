"""Inputs of a user's pictures: made from examples, or read from files that hold them alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metagan.data.dataset import DataError
from metagan.kinds.image.convert import to_float, to_tensor
from metagan.kinds.image.given import inputs_of, read_inputs
from metagan.kinds.image.taken import hidden_of, take
from tests.kinds.image.test_taken import form


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, shape, np.uint8)


def holed(file: Path, mode: str, size: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """A picture with a transparent part, as its grey levels and where that is."""
    grey, hidden = noise(size, size), np.zeros((size, size), bool)
    hidden[2:5, 6:13] = True
    opacity = np.where(hidden, 0, 255).astype(np.uint8)
    if mode == "LA":
        picture = Image.fromarray(np.stack([grey, opacity], axis=-1), "LA")
    elif mode == "RGBA":
        picture = Image.fromarray(np.stack([grey, grey, grey, opacity], axis=-1), "RGBA")
    else:  # A palette with one transparent entry, 0.
        picture = Image.fromarray(np.where(hidden, 0, grey).astype(np.uint8), "P")
        picture.putpalette([level for value in range(256) for level in (value,) * 3])
        picture.info["transparency"] = 0
    picture.save(file)
    return grey, hidden


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_what_is_transparent_is_hidden(mode: str, tmp_path: Path) -> None:
    grey, hidden = holed(tmp_path / "one.png", mode)
    read, notes = read_inputs(tmp_path / "one.png", form("mask"))
    assert notes == []
    assert list(read) == ["one"]
    inputs = to_tensor(read["one"], read.form)[0]
    assert torch.equal(hidden_of(inputs)[0].bool(), torch.from_numpy(hidden))
    expected = to_float(grey[None, None])[0]
    seen = torch.from_numpy(~hidden)
    assert torch.equal(inputs[0][seen], expected[0][seen])
    assert (inputs[0][~seen] == -1).all()


def test_a_resized_picture_hides_whatever_lay_beside_a_hole(tmp_path: Path) -> None:
    holed(tmp_path / "large.png", "RGBA", 64)
    read, _ = read_inputs(tmp_path, form("mask"))
    hidden = read["large"][0, -1] > 0
    expected = np.zeros((16, 16), bool)
    expected[0:3, 0:5] = True  # Rows 2 to 4 and columns 6 to 12 of 64, and one pixel around.
    np.testing.assert_array_equal(hidden, expected)


def test_the_cameras_orientation_turns_the_hole_as_well(tmp_path: Path) -> None:
    grey, hidden = holed(tmp_path / "plain.png", "RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(tmp_path / "plain.png") as picture:
        picture.save(tmp_path / "turned.png", exif=exif)
    (tmp_path / "plain.png").unlink()
    read, _ = read_inputs(tmp_path, form("mask"))
    np.testing.assert_array_equal(read["turned"][0, -1] > 0, np.rot90(hidden, -1))
    seen = np.rot90(~hidden, -1)
    np.testing.assert_array_equal(read["turned"][0, 0][seen], np.rot90(grey, -1)[seen])


def test_every_file_is_an_input_of_its_own_name(tmp_path: Path) -> None:
    for name in ("b/x.png", "a/x.png", "y.png", "y.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        holed(tmp_path / name, "RGBA")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    read, notes = read_inputs(tmp_path, form("mask"))
    assert list(read) == ["a/x", "b/x", "y.png", "y.webp"]
    assert [note.partition(":")[0] for note in notes] == ["left out"]
    assert "broken.png" in notes[0]


def test_a_picture_without_a_hole_or_all_hole_is_refused(tmp_path: Path) -> None:
    Image.fromarray(noise(16, 16)).save(tmp_path / "whole.jpg")
    with pytest.raises(DataError, match=r"whole\.jpg: no part of it is hidden; make transparent"):
        read_inputs(tmp_path, form("mask"))
    (tmp_path / "whole.jpg").unlink()
    Image.fromarray(noise(16, 16, 4) * np.uint8([1, 1, 1, 0])).save(tmp_path / "clear.png")
    with pytest.raises(DataError, match=r"clear\.png: all of it is transparent"):
        read_inputs(tmp_path, form("mask"))
    (tmp_path / "clear.png").unlink()
    with pytest.raises(DataError, match=r"--inputs .*: no readable pictures in it"):
        read_inputs(tmp_path, form("mask"))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_brightness_is_read_of_any_picture(mode: str, tmp_path: Path) -> None:
    picture = Image.fromarray(noise(16, 16, 3)).convert(mode)
    picture.save(tmp_path / "one.png")
    read, _ = read_inputs(tmp_path, form("grey", 3))
    assert read["one"].shape == (1, 1, 16, 16)
    np.testing.assert_array_equal(read["one"][0, 0], np.asarray(picture.convert("L")))


def test_a_small_picture_is_enlarged_and_a_large_one_made_small_first(tmp_path: Path) -> None:
    Image.fromarray(noise(4, 4)).save(tmp_path / "small.png")
    Image.fromarray(noise(4, 4).repeat(25, 0).repeat(25, 1)).save(tmp_path / "large.png")
    read, _ = read_inputs(tmp_path, form("small"))
    large, small = (to_tensor(read[name], read.form) for name in ("large", "small"))
    assert small.shape == (1, 1, 16, 16)
    whole = to_float(noise(4, 4).repeat(4, 0).repeat(4, 1)[None, None])
    torch.testing.assert_close(small, take(whole, form("small"), [(0,)]), atol=1e-6, rtol=0)
    assert float((large - small).abs().mean()) < 0.1


def test_examples_have_masks_by_the_seed_and_their_place():
    pixels = noise(1, 3, 1, 16, 16)
    found = inputs_of(pixels, form("mask"), 5)
    assert found.shape == (1, 3, 2, 16, 16)
    assert torch.equal(found, inputs_of(pixels, form("mask"), 5))
    assert not torch.equal(found, inputs_of(pixels, form("mask"), 6))
    assert torch.equal(found[:, :2], inputs_of(pixels[:, :2], form("mask"), 5))
