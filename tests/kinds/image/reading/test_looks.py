"""Losses of pictures while they are read are reported, or refused where nothing is left."""

import io
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from metagan.config.image import ImageData
from metagan.data.cache import open_dataset
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.data.notes import by_weight, first_notes
from metagan.data.registry import load_dataset
from metagan.data.repeats import find_leak, find_leak_into, find_repeats
from metagan.kinds.image.notes import WORDS
from metagan.kinds.image.pictures import png_bytes
from metagan.kinds.image.reading.looks import (
    blank_samples,
    check_looks,
    count_levels,
    count_traits,
    is_drawn,
    level_counts,
    look_at,
    middle_level,
)
from metagan.kinds.image.reading.record import Reading
from tests.kinds.image.pictures import encode, noise, png, settings, three_forms, write


def load(folder, **changes):
    return load_dataset(settings(folder, "image_folder", **changes))


def ink(seed, colour=(0, 0, 0)):
    """Ink of one colour on a transparent ground."""
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[..., :3] = colour
    pixels[..., 3] = noise(seed, 16)
    return encode(pixels)


def of_classes(**pixels):
    """A data set; a class's name is its domain and label, one letter each."""
    return Dataset.from_classes(
        {ClassRecord(name[0], name[1:]): np.asarray(values) for name, values in pixels.items()}
    )


def test_dark_ink_on_a_transparent_ground_is_refused_with_the_setting_that_shows_it(tmp_path):
    write(tmp_path / "d", {f"{label}/{i}.png": ink(i) for label in "ab" for i in range(3)})
    with pytest.raises(DataError, match=r"class d/a is blank, all 3 pictures.*data\.invert=true"):
        load(tmp_path / "d")
    data = load(tmp_path / "d", invert=True)
    assert np.array_equal(data.samples[0, 0], noise(0, 16))


def test_a_blank_class_is_refused_and_a_few_blank_pictures_are_counted(tmp_path):
    files = {f"a/{i}.png": encode(noise(i)) for i in range(5)}
    write(tmp_path / "d", files | {"a/9.png": encode(np.full((9, 9), 200, np.uint8))})
    assert any(n.startswith("blank: 1 of 6 pictures") for n in load(tmp_path / "d").notes)
    write(tmp_path / "d", {"b/1.png": encode(np.full((9, 9), 201, np.uint8))})
    with pytest.raises(DataError, match=r"class d/b is blank, all 1 picture of it"):
        load(tmp_path / "d")


def test_mostly_blank_data_is_refused(tmp_path):
    blank = {
        f"{label}/{i}.png": encode(np.full((9, 9), i, np.uint8)) for label in "ab" for i in "12"
    }
    write(tmp_path / "d", {"a/0.png": encode(noise(1)), "b/0.png": encode(noise(2))} | blank)
    with pytest.raises(DataError, match=r"4 of 6 pictures are blank"):
        load(tmp_path / "d")


def test_blank_arrays_are_refused_as_files_are(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.full((4, 16, 16), 9, np.uint8), labels=[0, 0, 1, 1])
    with pytest.raises(DataError, match=r"class a/0 is blank"):
        load_dataset(settings(tmp_path / "a.npz"))


def test_contrast_is_looked_for_in_every_channel_and_colour_alone_is_none():
    flat_red = np.zeros((1, 3, 4, 4), np.uint8)
    flat_red[:, 0] = 255
    blue_stroke = flat_red.copy()
    blue_stroke[0, 2, 1] = 90
    assert blank_samples(of_classes(ab=flat_red, ac=blue_stroke)).tolist() == [True, False]


def test_colour_that_is_read_as_grey_is_counted(tmp_path):
    red = np.zeros((16, 16, 3), np.uint8)
    red[4:9, 4:9, 0] = 255
    write(
        tmp_path / "d",
        {
            "a/1.png": encode(red),
            "a/2.png": encode(noise(3)),
            "a/3.jpg": encode(Image.fromarray(noise(4)).convert("RGB"), "JPEG"),
            "a/4.png": encode(Image.fromarray(red).convert("P")),
        },
    )
    grey = load(tmp_path / "d")
    assert "colour: 2 of 4 pictures are in colour and read as grey; data.channels=3 keeps it" in (
        grey.notes
    )
    assert not [n for n in load(tmp_path / "d", channels=3).notes if n.startswith("colour")]


def test_a_small_coloured_mark_on_a_large_picture_counts_and_a_yellowed_scan_does_not(tmp_path):
    scan = np.repeat(noise(1, 64)[..., None] // 2 + 100, 3, axis=2)
    scan[..., 2] -= 10
    marked = np.full((400, 400, 3), 255, np.uint8)
    marked[100:110, 100:110] = (255, 0, 0)
    write(tmp_path / "d", {"a/1.png": encode(scan), "a/2.png": encode(marked)})
    assert load(tmp_path / "d").origin["pictures"]["d"]["colour"] == 1


def test_colour_arrays_are_counted_too(tmp_path):
    images = np.repeat(noise(1, 16)[None, ..., None], 3, axis=3).repeat(2, axis=0)
    images[1, 3, 3] = (255, 0, 0)
    np.savez(tmp_path / "a.npz", images=images, labels=[0, 0])
    notes = load_dataset(settings(tmp_path / "a.npz")).notes
    assert any(note.startswith("colour: 1 of 2 pictures") for note in notes)


def clear(seed):
    """A drawing of which every pixel is transparent, as editors leave it where a mask was kept."""
    return encode(np.dstack([noise(seed, 16)] * 3 + [np.zeros((16, 16), np.uint8)]))


def red_on_grey(seed):
    """A drawing whose colours have one grey."""
    share = (noise(seed, 16) > 127)[..., None]
    return encode(np.where(share, (255, 0, 0), (76, 76, 76)).astype(np.uint8))


def in_floats(seed, scale):
    return encode(Image.fromarray(noise(seed, 16).astype(np.float32) / scale), "TIFF")


@pytest.mark.parametrize(
    ("files", "changes", "fix"),
    [
        ({"a/0.png": clear(0)}, {}, "every pixel of some is transparent"),
        ({"a/0.png": clear(0)}, {"invert": True}, "every pixel of some is transparent"),
        (
            {"a/0.png": ink(0, (255,) * 3)},
            {"invert": True},
            r"read as white: set data\.invert=false",
        ),
        (
            {"a/0.png": ink(0), "b/0.png": encode(noise(1))},
            {},
            r"fill the ground, or set data\.invert=true if that suits all other pictures",
        ),
        ({"a/0.png": encode(noise(0) // 128)}, {}, r"a mask of 0 and 1 times 255"),
        ({"a/0.png": red_on_grey(0)}, {}, r"set data\.channels=3"),
        (
            {"x/a/0.tif": in_floats(0, 255), "y/a/0.tif": in_floats(1, 1)},
            {},
            "class x/a is blank.*255 is read as white in all: scale them alike",
        ),
    ],
)
def test_what_is_said_of_a_blank_class_is_why_it_is_blank(tmp_path, files, changes, fix):
    write(tmp_path / "d", files)
    with pytest.raises(DataError, match=fix):
        load(tmp_path / "d", **changes)


def test_masks_of_zero_and_one_in_arrays_are_told_as_files_are(tmp_path):
    np.savez(tmp_path / "a.npz", images=noise(1, 16)[None] // 128, labels=[0])
    with pytest.raises(DataError, match="a mask of 0 and 1 times 255"):
        load_dataset(settings(tmp_path / "a.npz"))


def test_a_domain_of_another_scale_or_polarity_than_the_others_is_told():
    dim = of_classes(xa=noise(1)[None, None] // 9, yb=noise(2)[None, None])
    (note,) = check_looks(dim)
    assert note.startswith("dim: the brightest pixels of some domains are dark: x (28 of 255); ")
    dark = (noise(1) // 4).reshape(1, 1, 20, 20)
    dark[..., 0] = 255
    (note,) = check_looks(of_classes(xa=dark, yb=255 - dark, zc=noise(2)[None, None]))
    assert note.startswith("polarity: most pixels are bright in y and dark in x; ")
    assert check_looks(of_classes(xa=dark, zc=noise(2)[None, None])) == []


def test_a_white_that_is_given_to_pictures_of_8_bits_is_told_to_change_nothing(tmp_path):
    write(tmp_path / "d", {"a/0.png": encode(noise(1))})
    assert load(tmp_path / "d", white=4095).notes == (
        "depth: data.white is 4095, but changes nothing: all pictures have 8 bits, or say "
        "themselves which value is white",
    )
    write(tmp_path / "d", {"a/1.png": encode(noise(1).astype(np.uint16) * 16)})
    assert load(tmp_path / "d", white=4095).notes == ()


def test_a_set_that_uses_an_eighth_of_the_scale_is_told(tmp_path):
    write(tmp_path / "d", {f"a/{i}.png": encode(noise(i) // 10) for i in range(2)})
    assert any(
        n.startswith("dim: the brightest pixel of all pictures is 2")
        for n in load(tmp_path / "d").notes
    )
    inverted = load(tmp_path / "d", invert=True)
    assert any(note.startswith("dim: the brightest") for note in inverted.notes)


def test_traits_are_counted_by_domain(tmp_path):
    write(tmp_path / "d", {"north/a/1.png": ink(1, (255,) * 3), "south/a/1.png": encode(noise(1))})
    found = load(tmp_path / "d").origin["pictures"]
    assert (found["north"]["transparent"], found["south"]["transparent"]) == (1, 0)
    assert (found["north"]["pictures"], found["north"]["deep"]) == (1, 0)
    assert count_traits([]) == {}


def test_notes_come_by_weight_and_the_heaviest_kind_is_never_cut():
    notes = [
        "left out: a.png: empty",
        "duplicates: 3",
        "leak: x",
        "labels: y",
        "domains left out: z",
    ]
    assert [note.partition(":")[0] for note in by_weight(notes, WORDS)] == [
        "leak", "domains left out", "labels", "duplicates", "left out",
    ]  # fmt: skip
    many = [f"leak: {i}" for i in range(7)] + ["left out: a"]
    assert first_notes(many, WORDS) == [*many[:7], "and 1 more: metagan data inspect"]
    assert first_notes(notes, WORDS, most=2)[-1] == "and 3 more: metagan data inspect"
    assert first_notes([], WORDS) == []


def test_repeats_are_found_whatever_their_order():
    pictures = np.stack([noise(seed, 8)[None] for seed in range(6)])
    data = of_classes(xa=pictures[[0, 1, 0]], xb=pictures[[2, 0, 3]], yc=pictures[[3, 4, 5]])
    repeats = find_repeats(data)
    assert repeats.groups == ((0, 0, 1), (1, 2))
    assert [repeats.within_class[i] for i in range(3)] == [1, 0, 0]
    assert repeats.across([None, None, None]) == []
    assert repeats.across(["train", "train", "test"]) == [(1, 2)]


def test_a_leak_is_found_in_the_runs_own_split_and_in_other_data():
    pictures = np.stack([noise(seed, 8)[None] for seed in range(6)])
    data = of_classes(xa=pictures[[0, 1]], xb=pictures[[2, 3]], yc=pictures[[3, 4]])
    repeats = find_repeats(data)
    assert find_leak(data, repeats, {"train": [0], "test": [1, 2]}) is None
    leak = find_leak(data, repeats, {"train": [0, 1], "test": [2]})
    assert leak.as_json() == {"samples": 1, "examples": [["x/b (train)", "y/c (test)"]]}
    assert str(leak).startswith("1 picture is on both sides of the split")
    assert find_leak(data, repeats, {"train": [0], "validation": [2], "test": [1]}).examples == (
        ("y/c (validation)", "x/b (test)"),
    )
    other = of_classes(tq=pictures[[1, 5]])
    assert find_leak_into(data, {"train": [0, 1]}, other).examples == (
        ("x/a (train)", "t/q (target)"),
    )
    assert find_leak_into(data, {"train": [1]}, other) is None


def test_blank_pictures_are_no_leak_but_repeat_each_other():
    pictures = np.stack([noise(seed, 8)[None] for seed in range(4)])
    pictures[3] = 7
    data = of_classes(xa=pictures[[0, 3, 3]], yb=pictures[[1, 3]], yc=pictures[[2]])
    repeats = find_repeats(data)
    assert (repeats.groups, repeats.within_class[0]) == ((), 1)
    assert find_leak(data, repeats, {"train": [0], "test": [1, 2]}) is None
    other = of_classes(za=pictures[[2, 3]])
    assert find_leak_into(data, {"train": [0, 1]}, other) is None
    assert find_leak_into(data, {"train": [2]}, other).samples == 1


def test_pictures_that_hide_their_drawing_are_told_from_blank_files():
    with Image.open(io.BytesIO(ink(1))) as image:
        assert image.mode == "RGBA"
    hidden = Dataset.from_classes(
        {ClassRecord("d", "a"): np.stack([noise(1, 8)[None], np.zeros((1, 8, 8), np.uint8)])},
        origin={"pictures": {"d": {"pictures": 2, "hidden": 1}}},
    )
    assert "data.invert=true" in check_looks(hidden)[0]


def test_generated_pictures_are_told_of_wherever_they_were_copied(tmp_path):
    drawn = {f"b/{i}.png": png_bytes(noise(i, 16), is_generated=True) for i in range(3)}
    root = write(tmp_path / "d", {"a/real.png": encode(noise(9, 16)), **drawn})
    note = "generated: 3 pictures were made by metagan generate, they are no real data"
    for form in three_forms(root):
        data = load(form)
        assert data.notes[0] == note
        assert data.origin["pictures"]["d"]["generated"] == 3
    rows = "".join(f"{name},d,{name[0]}\n" for name in drawn)
    (root / "list.csv").write_text("file_name,domain,label\n" + rows)
    assert note in load_dataset(settings(root / "list.csv")).notes


def test_one_generated_picture_is_enough_and_its_pixels_are_those_of_the_picture(tmp_path):
    pictures = {"a/0.png": encode(noise(0, 16)), "a/1.png": encode(noise(1, 16))}
    original = load(write(tmp_path / "real" / "d", pictures))
    pictures["a/1.png"] = png_bytes(noise(1, 16), is_generated=True)
    data = load(write(tmp_path / "drawn" / "d", pictures))
    assert data.notes == (
        "generated: 1 picture was made by metagan generate, they are no real data",
    )
    assert data.fingerprint() == original.fingerprint()


def test_other_texts_in_pictures_and_pictures_written_by_hand_are_no_sign_of_a_gan(tmp_path):
    text = PngInfo()
    text.add_text("Software", "metagan generated")
    files = {"a/0.png": encode(noise(0, 16), pnginfo=text), "a/1.png": png_bytes(noise(1, 16))}
    assert load(write(tmp_path / "d", files)).notes == ()


@pytest.mark.parametrize("invert", [False, True])
def test_ink_that_comes_out_dark_everywhere_is_told_with_the_setting(tmp_path, invert):
    white = np.full((16, 16), 255, np.uint8)
    white[3:6] = noise(1, 16)[3:6]
    files = {f"a/{i}.png": encode(255 - np.roll(white, i) if invert else white) for i in range(2)}
    write(tmp_path / "d", files)
    fix = f"set data.invert={str(not invert).lower()}"
    assert any(
        note.startswith("polarity: ") and note.endswith(fix)
        for note in load(tmp_path / "d", invert=invert).notes
    )
    other = load(tmp_path / "d", invert=not invert)
    assert not [note for note in other.notes if note.startswith("polarity")]


@pytest.mark.parametrize("channels", [1, 3])
def test_photographs_have_no_polarity(channels):
    """Half of a photograph may be as bright as the ground of a drawing."""
    bright = np.full((2, channels, 16, 16), 240, np.uint8)
    seeds = range(2 * channels)
    bright[:, :, 8:] = np.stack([noise(i, 16)[8:] for i in seeds]).reshape(2, channels, 8, 16)
    assert check_looks(of_classes(xa=bright, yb=255 - bright)) == []
    assert check_looks(of_classes(xa=bright)) == []
    drawn = np.full((2, channels, 16, 16), 240, np.uint8)
    drawn[:, :, 13:] = bright[:, :, 13:]
    (note,) = check_looks(of_classes(xa=drawn, yb=255 - drawn))
    assert note.startswith("polarity: ")
    run = Reading(16, channels, median=0)
    assert run.other_polarity([bright]) is None
    assert run.other_polarity([drawn]) is not None


def test_built_in_drawings_are_taken_for_drawings():
    glyphs = level_counts(load_dataset(ImageData(source="glyphs", drawings_per_class=2)))
    assert all(map(is_drawn, glyphs.values()))


def test_levels_are_counted_once_for_notes_and_lines(tmp_path, monkeypatch):
    files = {f"{d}/{c}/{i}.png": png(i) for d in "xy" for c in "ab" for i in range(2)}
    counted = []

    def count(arrays):
        counted.append(1)
        return count_levels(arrays)

    monkeypatch.setattr("metagan.kinds.image.reading.looks.count_levels", count)
    root = write(tmp_path / "d", files)
    cached = settings(root, cache_dir=str(tmp_path / "cache"))
    for data in (load_dataset(settings(root)), open_dataset(cached), open_dataset(cached)):
        looks = look_at(data, find_repeats(data).within_class)
        assert (looks["x"].darkest, looks["x"].brightest) == (0, 255)
        earlier = replace(data, origin={**data.origin, "levels": {}})
        assert looks == look_at(earlier, find_repeats(data).within_class)
    # Two domains, at two loads, and three times for what an earlier version has kept.
    assert len(counted) == 2 * (2 + 3)


def test_levels_of_large_data_are_counted_in_little_memory():
    pixels = np.zeros((3, 1, 1024, 1024), np.uint8)
    pixels[0, 0, :2] = 9
    tracemalloc.start()
    counts = count_levels([pixels, np.full((1, 1, 2, 2), 255, np.uint8)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {level: int(counts[level]) for level in np.flatnonzero(counts)} == {
        0: pixels.size - 2048,
        9: 2048,
        255: 4,
    }
    assert middle_level(counts) == 0
    assert peak < 4 * pixels.size
