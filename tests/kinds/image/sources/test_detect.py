import io
import json
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metagan.data.dataset import DataError
from metagan.data.registry import load_dataset
from metagan.kinds.image.sources.detect import detect_source
from tests.kinds.image.pictures import png, settings, three_forms, write

PICTURES = {f"{d}/{c}/{i}.png": png(i) for d in ("latin", "greek") for c in "ab" for i in range(2)}
RUN = {"config.yaml": b"", "checkpoints/step-1/manifest.json": b"", "samples/step-1.png": png(9)}


def pack(path, name):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, png())
    return path


def test_layouts_are_told_apart(tmp_path):
    table = pa.table({"image": [png()], "label": [0]})
    (tmp_path / "hub" / "data").mkdir(parents=True)
    pq.write_table(table, tmp_path / "hub" / "data" / "train-00000-of-00001.parquet")
    idx = {"t10k-images-idx3-ubyte.gz": b"", "t10k-labels-idx1-ubyte.gz": b""}
    drawing = "images_background/Latin/character01/0001_01.png"
    cases = {
        write(tmp_path / "arrow", {"manifest.json": b"{}", "latin.arrow": b""}): "arrow",
        write(tmp_path / "tree", {"latin/a/1.png": png()}): "image_folder",
        write(tmp_path / "list", {"metadata.csv": b"", "1.png": png()}): "manifest",
        write(tmp_path / "mnist", idx): "idx",
        tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz": "idx",
        tmp_path / "hub": "parquet",
        tmp_path / "hub" / "data" / "train-00000-of-00001.parquet": "parquet",
        pack(tmp_path / "o1" / "images_evaluation.zip", drawing).parent: "omniglot",
        pack(tmp_path / "o2.zip", drawing): "omniglot",
        write(tmp_path / "o3", {drawing: png()}): "omniglot",
        tmp_path / "o3" / "images_background": "omniglot",
        pack(tmp_path / "signs.zip", "Signs/0/1.png"): "image_folder",
        tmp_path / "signs.tar.gz": "image_folder",
        tmp_path / "list" / "metadata.jsonl": "manifest",
        tmp_path / "chest.npz": "npz",
    }
    assert {path: detect_source(path) for path in cases} == cases


def test_a_file_that_no_source_reads_is_refused_with_what_is_read(tmp_path):
    write(tmp_path, {"model.pt": b""})
    with pytest.raises(DataError, match=r"unsupported file; supported: folders, \.zip"):
        detect_source(tmp_path / "model.pt")


def test_a_tar_of_omniglot_is_omniglot(tmp_path):
    with tarfile.open(tmp_path / "o.tar", "w") as archive:
        member = tarfile.TarInfo("images_background/Latin/character01/0001_01.png")
        archive.addfile(member, io.BytesIO(b""))
    assert detect_source(tmp_path / "o.tar") == "omniglot"


def table(path, *, generated=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = pa.table({"image": [png(1), png(2)], "label": ["a", "b"]})
    entry = {"metagan": json.dumps({"generated": True, "seed": 0})} if generated else {"x": "y"}
    pq.write_table(columns.replace_schema_metadata(entry), path)
    return path


def generated(folder):
    """Write files as `metagan generate` does."""
    write(folder, {f"{c}/{i:05d}.png": png(20 + i) for c in "ab" for i in range(3)})
    write(folder, {"grid.png": png(7)})
    table(folder / "samples.parquet", generated=True)
    return folder


@pytest.mark.parametrize(
    ("others", "named"),
    [
        ({"x.parquet": b"PAR1"}, "parquet files"),
        ({"data/train.parquet": b"PAR1"}, "parquet files"),
        ({"t10k-images-idx3-ubyte": b"", "t10k-labels-idx1-ubyte": b""}, "idx files"),
        ({"manifest.json": b"{}", "x.arrow": b""}, "prepared data"),
        ({"images_background.zip": b""}, "Omniglot"),
        ({"images_background/L/character01/1.png": png()}, "Omniglot"),
    ],
)
def test_two_layouts_in_one_folder_are_an_error_that_names_both(tmp_path, others, named):
    write(tmp_path, PICTURES | others)
    with pytest.raises(DataError, match="more than one layout") as error:
        detect_source(tmp_path)
    assert named in str(error.value)
    assert "data.source=image_folder" in str(error.value)
    # Saying which is enough.
    if "parquet" in named:
        assert load_dataset(settings(tmp_path, "image_folder")).domains == ("greek", "latin")


def test_a_list_of_pictures_and_the_unpacked_zips_of_omniglot_are_one_layout(tmp_path):
    write(tmp_path / "list", PICTURES | {"metadata.csv": b""})
    assert detect_source(tmp_path / "list") == "manifest"
    drawings = {"images_background/L/character01/1.png": png()}
    drawings["images_background/L/character02/1.png"] = png()
    write(tmp_path / "o", drawings | {"images_background.zip": b""})
    assert detect_source(tmp_path / "o") == "omniglot"


def test_a_logo_beside_tables_is_no_layout(tmp_path):
    table(tmp_path / "train.parquet")
    write(tmp_path, {"assets/logo.png": png(), "card.png": png()})
    assert detect_source(tmp_path) == "parquet"


def test_generated_pictures_inside_data_are_not_read(tmp_path):
    root = write(tmp_path / "t", PICTURES)
    original = load_dataset(settings(root)).fingerprint()
    generated(root / "more")
    for form in three_forms(root):
        data = load_dataset(settings(form))
        assert data.origin["source"] == "image_folder"
        assert data.fingerprint() == original
        assert "skipped: metagan itself wrote more (generated samples)" in data.notes


def test_a_generated_table_is_read_only_by_its_own_name_and_with_a_note(tmp_path):
    table(tmp_path / "real.parquet")
    fake = table(tmp_path / "fake.parquet", generated=True)
    data = load_dataset(settings(tmp_path))
    assert set(data.origin["sha256"]) == {"real.parquet"}
    assert "files left out: fake.parquet: made by metagan generate" in data.notes
    [note] = [n for n in load_dataset(settings(fake)).notes if n.startswith("generated: ")]
    assert "no real data" in note
    (tmp_path / "real.parquet").unlink()
    with pytest.raises(DataError, match=r"made by metagan generate.*data\.path=.*fake\.parquet"):
        load_dataset(settings(tmp_path, "parquet"))


def test_a_generated_folder_is_read_when_it_is_named_and_says_so(tmp_path):
    data = load_dataset(settings(generated(tmp_path / "more")))
    assert [record.name for record in data.classes] == ["more/a", "more/b"]
    assert sum(note.startswith("generated: ") for note in data.notes) == 1


@pytest.mark.parametrize("place", ["run", "runs/first", "latin/run", "train/x/run"])
def test_a_run_inside_its_data_changes_nothing(tmp_path, place):
    files = {f"train/{name}": content for name, content in PICTURES.items()}
    files |= {f"test/x{name}": png(50 + i) for i, name in enumerate(PICTURES)}
    root = write(tmp_path / "t", files)
    before = load_dataset(settings(root))
    write(root / place, RUN)
    for form in three_forms(root):
        after = load_dataset(settings(form))
        assert after.fingerprint() == before.fingerprint()
        assert set(after.notes) - set(before.notes) == {
            f"skipped: metagan itself wrote {place} (a run)"
        }


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        (RUN, "a run"),
        ({"search.yaml": b"", "given.yaml": b"", "tune/t1/samples/1.png": png()}, "a search"),
        ({"adapted.safetensors": b"", "manifest.json": b"", "preview.png": png()}, "an adapted"),
    ],
)
def test_what_metagan_wrote_is_no_data(tmp_path, files, kind):
    for form in three_forms(write(tmp_path / "t", files)):
        with pytest.raises(DataError, match=f"this folder is {kind}"):
            load_dataset(settings(form))
    root = write(tmp_path / "u", PICTURES)
    write(root / "own", files)
    assert any(f"own ({kind}" in note for note in load_dataset(settings(root)).notes)
    # One of the marks alone is somebody else's file.
    write(root / "latin" / "a", {"config.yaml": b"", "manifest.json": b""})
    assert load_dataset(settings(root)).num_classes == 4


def test_a_picture_is_no_data_set(tmp_path):
    write(tmp_path, {"a.png": png()})
    with pytest.raises(DataError, match="is one picture, no data set"):
        detect_source(tmp_path / "a.png")


def test_where_all_was_generated_the_error_says_so_and_what_to_give(tmp_path):
    generated(tmp_path / "folders" / "more")
    table(tmp_path / "tables" / "copy.parquet", generated=True)
    for root, name in ((tmp_path / "folders", "more"), (tmp_path / "tables", "copy.parquet")):
        said = rf"made by metagan generate.*\({name}\); give data.path the folder of your own pic"
        with pytest.raises(DataError, match=said) as error:
            load_dataset(settings(root))
        assert str(error.value).endswith(f"data.path={root / name}")
    for archive in three_forms(tmp_path / "folders")[1:]:
        with pytest.raises(DataError, match=r"made by metagan generate.* your own pictures$"):
            load_dataset(settings(archive))
