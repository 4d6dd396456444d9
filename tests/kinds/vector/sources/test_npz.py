"""Arrays in npz files: what is read, and every fault with the file and the fix."""

import numpy as np
import pytest

from metagan.data.dataset import DataError
from tests.kinds.vector.written import load, rows_of

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
Y = np.array(["x", "y", "x"])


def save(path, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_rows_labels_and_domains_are_read(tmp_path):
    file = save(tmp_path / "f.npz", x=X, y=Y, domain=np.array([1, 1, 2]), columns=["a", "b"])
    data = load(file)
    assert rows_of(data) == {"1/x": [[1, 2]], "1/y": [[3, 4]], "2/x": [[5, 6]]}
    assert data.origin["columns"] == ["a", "b"]
    assert data.samples.dtype == np.float32


@pytest.mark.parametrize(
    "arrays",
    [
        {"X": X, "labels": Y},
        {"data": X.astype(int), "target": Y[:, None]},
        {"x": X.astype(np.float16), "y": Y.astype("S")},
    ],
)
def test_usual_names_and_types_are_read(tmp_path, arrays):
    data = load(save(tmp_path / "f.npz", **arrays))
    assert rows_of(data) == {"f/x": [[1, 2], [5, 6]], "f/y": [[3, 4]]}


def test_one_column_may_lie_flat_and_labels_may_be_numbers(tmp_path):
    data = load(save(tmp_path / "f.npz", x=X[:, 0], y=np.array([-1.0, 1.0, 1.0])))
    assert rows_of(data) == {"f/-1": [[1]], "f/1": [[3], [5]]}


def test_nan_is_a_missing_value_and_its_row_is_left_out(tmp_path):
    x = X.copy()
    x[2, 1] = np.nan
    data = load(save(tmp_path / "f.npz", x=x, y=Y))
    assert rows_of(data) == {"f/x": [[1, 2]], "f/y": [[3, 4]]}
    assert "1 of 3 rows has a missing value, most in column x1" in data.notes[0]


def test_a_published_split_of_classes_is_kept(tmp_path):
    file = save(tmp_path / "f.npz", x=X, y=Y, split=np.array(["train", "val", "train"]))
    assert [record.split for record in load(file).classes] == ["train", "validation"]


def test_columns_are_chosen_by_name_where_a_file_names_them(tmp_path):
    file = save(tmp_path / "f.npz", x=X, y=Y, columns=["a", "b"])
    assert rows_of(load(file, columns=("b",)))["f/y"] == [[4]]
    bare = save(tmp_path / "g.npz", x=X, y=Y)
    with pytest.raises(DataError, match=r"no array columns \(D,\).*data\.columns names b"):
        load(bare, columns=("b",))


def test_a_folders_files_are_domains_and_columns_go_by_name(tmp_path):
    save(tmp_path / "d" / "north.npz", x=X, y=Y, columns=["a", "b"])
    save(tmp_path / "d" / "south.npz", x=X[:, ::-1], y=Y, columns=["b", "a"])
    data = load(tmp_path / "d")
    assert rows_of(data)["north/y"] == rows_of(data)["south/y"] == [[3, 4]]


FAULTS = {
    "no x": ({"x": None}, r"no array x \(N, D\); arrays are y"),
    "no y": ({"y": None}, r"no array y \(N,\)"),
    "pictures": ({"x": np.zeros((3, 8, 8))}, r"shape \(3, 8, 8\).*data\.kind=image"),
    "texts": ({"x": Y[:, None]}, "x is <U1; floats or whole numbers"),
    "too few labels": ({"y": Y[:2]}, r"y has shape \(2,\); one value for each of 3 rows"),
    "one-hot labels": ({"y": np.eye(3)}, r"shape \(3, 3\).*argmax"),
    "a number to predict": ({"y": np.array([1.0, 2.5, 3.0])}, r"y, row 1: 2\.5"),
    "an empty label": ({"y": np.array(["x", " ", "y"])}, "y, row 1: ' '"),
    "infinity": ({"x": np.array([[1.0], [np.inf], [2.0]])}, "row 1, column x0: inf"),
    "names of too few": ({"columns": np.array(["a"])}, r"columns is <U1 of shape \(1,\)"),
    "a name twice": ({"columns": np.array(["a", "a"])}, "an empty name or one twice: a, a"),
    "a bad split": ({"split": np.array(["a", "train", "train"])}, "split, row 0: 'a'"),
    "no rows": ({"x": X[:0], "y": Y[:0]}, "x has no rows"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_an_error_with_the_file(tmp_path, fault):
    arrays, message = FAULTS[fault]
    with pytest.raises(DataError, match=message) as error:
        load(save(tmp_path / "f.npz", **{"x": X, "y": Y, **arrays}))
    assert str(tmp_path / "f.npz") in str(error.value)


def test_two_arrays_of_labels_are_an_error(tmp_path):
    with pytest.raises(DataError, match="label, targets may all be y; call the right one y"):
        load(save(tmp_path / "f.npz", x=X, label=Y, targets=Y))


def test_arrays_that_are_not_read_are_noted(tmp_path):
    [note] = load(save(tmp_path / "f.npz", x=X, y=Y, subject=Y)).notes
    assert note.startswith("other files ignored: arrays subject of f.npz")


def test_a_column_that_counts_the_rows_is_noted(tmp_path):
    x = np.stack([np.arange(20.0), np.arange(20.0) ** 2 % 7], axis=1)
    [note] = load(save(tmp_path / "f.npz", x=x, y=np.arange(20) % 2)).notes
    assert note.startswith("leak: x0 counts the rows")


def test_files_that_lie_too_deep_are_noted(tmp_path):
    save(tmp_path / "d" / "a.npz", x=X, y=Y)
    save(tmp_path / "d" / "b" / "c" / "d.npz", x=X[::-1], y=Y)
    assert "files left out: b/c/d.npz: is too deep; move it up" in load(tmp_path / "d").notes


def test_nothing_is_unpickled(tmp_path):
    with pytest.raises(DataError, match="unpickled"):
        load(save(tmp_path / "f.npz", x=X, y=np.array([1, "x", None], object)))


def test_files_of_different_widths_are_an_error(tmp_path):
    save(tmp_path / "d" / "a.npz", x=X, y=Y)
    save(tmp_path / "d" / "b.npz", x=X[:, :1], y=Y)
    with pytest.raises(DataError, match=r"b\.npz: x has 1 columns, that of .*a\.npz 2"):
        load(tmp_path / "d")


def test_generated_arrays_are_no_data(tmp_path):
    save(tmp_path / "d" / "real.npz", x=X, y=Y)
    save(tmp_path / "d" / "made.npz", x=X, y=Y, generated=np.array(True))
    data = load(tmp_path / "d")
    assert data.domains == ("real",)
    assert data.notes == ("files left out: made.npz: made by metagan generate",)
