"""Files of vectors, read by the product and by csv, numpy and pyarrow alone."""

import csv
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kinds.vector.written import load

NAMES = ["a", "ü b", "c,d"]
LABELS = ["x", "Ελλ", "y;z"]


def drawn(seed, rows=60):
    """Values, labels and domains; in a random order, with a few values missing."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 10.0 ** rng.integers(-3, 6, 3), (rows, 3))
    values[rng.random((rows, 3)) < 0.03] = np.nan
    labels = [LABELS[i] for i in rng.integers(0, 3, rows)]
    domains = [f"d{i}" for i in rng.integers(0, 2, rows)]
    return values, labels, domains


def by_class(rows):
    """{domain/label: float32 rows} of (domain, label, values), complete ones alone, in order."""
    found = defaultdict(list)
    for domain, label, values in rows:
        if not np.isnan(values).any():
            found[f"{domain}/{label}"].append(np.array(values, np.float64).astype(np.float32))
    return {name: np.stack(found[name]) for name in sorted(found)}


def reference_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return by_class(
            (row["domain"], row["label"], [float(row[name] or "nan") for name in NAMES])
            for row in csv.DictReader(file)
        )


def reference_npz(path):
    with np.load(path) as file:
        columns = file["columns"].tolist()
        order = [columns.index(name) for name in NAMES]
        return by_class(
            zip(file["domain"].tolist(), file["y"].tolist(), file["x"][:, order], strict=True)
        )


def reference_parquet(path):
    rows = pq.read_table(path).to_pylist()
    return by_class(
        (row["domain"], row["label"], [np.nan if row[n] is None else row[n] for n in NAMES])
        for row in rows
    )


def assert_same(path, expected, **data):
    found = load(path, columns=NAMES, **data)
    names = [record.name for record in found.classes]
    assert names == sorted(expected)
    for index, name in enumerate(names):
        assert np.array_equal(found.class_samples(index), expected[name]), name


def write_csv(path, values, labels, domains):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["label", NAMES[2], "domain", NAMES[0], NAMES[1]])
        for row, label, domain in zip(values, labels, domains, strict=True):
            a, b, c = ("" if np.isnan(value) else repr(float(value)) for value in row)
            writer.writerow([label, c, domain, a, b])
    return path


@pytest.mark.parametrize("seed", range(5))
def test_csv(tmp_path, seed):
    path = write_csv(tmp_path / "f.csv", *drawn(seed))
    assert_same(path, reference_csv(path))


@pytest.mark.parametrize("seed", range(5))
def test_npz(tmp_path, seed):
    values, labels, domains = drawn(seed)
    path = tmp_path / "f.npz"
    np.savez(path, x=values[:, ::-1], y=labels, domain=domains, columns=NAMES[::-1])
    assert_same(path, reference_npz(path))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
def test_parquet(tmp_path, seed, kind):
    values, labels, domains = drawn(seed)
    columns = {n: pa.array(values[:, i], kind, from_pandas=True) for i, n in enumerate(NAMES)}
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"label": labels, **columns, "domain": domains}), path)
    assert_same(path, reference_parquet(path))


@pytest.mark.parametrize("seed", range(3))
def test_the_three_layouts_of_the_same_rows_are_the_same_data(tmp_path, seed):
    values, labels, domains = drawn(seed)
    csv_file = write_csv(tmp_path / "f.csv", values, labels, domains)
    np.savez(tmp_path / "f.npz", x=values, y=labels, domain=domains, columns=NAMES)
    columns = {name: values[:, i] for i, name in enumerate(NAMES)}
    pq.write_table(
        pa.table({"label": labels, "domain": domains, **columns}), tmp_path / "f.parquet"
    )
    found = {
        load(tmp_path / name, columns=NAMES).fingerprint()
        for name in ("f.csv", "f.npz", "f.parquet")
    }
    assert csv_file.exists()
    assert len(found) == 1


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.lists(st.floats(-1e36, 1e36), min_size=1, max_size=20))
def test_every_float_that_python_writes_is_read_as_python_reads_it(tmp_path, values):
    path = tmp_path / "f.csv"
    path.write_text("label,a\n" + "".join(f"x,{value!r}\n" for value in values))
    found = load(path, columns=("a",)).samples[:, 0]
    assert found.tolist() == [float(np.float32(value)) for value in values]
