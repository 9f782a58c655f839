"""Features in a .parquet file, matched to files by their names."""

import numpy as np
import pytest

from jaxclust.data import datasets, feature_files, features
from jaxclust.errors import UsageError

pyarrow = pytest.importorskip("pyarrow", reason="needs the package pyarrow")
FILES = ("b/1.png", "a.png", "c.png")


def table(path, columns):
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


NAMES = ["a.png", "other.png", "b/1.png", "c.png"]
NUMBERS = np.array([[2.0, 3], [7, 7], [0, 1], [4, 5]])
EXPECTED = np.array([[0.0, 1], [2, 3], [4, 5]])


@pytest.mark.parametrize("name", ["file", "path"])
def test_columns_of_numbers_in_their_order(name, tmp_path):
    columns = {name: NAMES, "x": NUMBERS[:, 0], "note": list("pqrs"), "y": [3, 7, 1, 5]}
    found = feature_files.read_parquet(table(tmp_path / "f.parquet", columns), FILES)
    np.testing.assert_array_equal(found, EXPECTED)


@pytest.mark.parametrize("size", [-1, 2])
def test_a_column_of_lists(size, tmp_path):
    lists = pyarrow.array(NUMBERS.tolist(), pyarrow.list_(pyarrow.float32(), size))
    path = table(tmp_path / "f.parquet", {"file": NAMES, "width": [1, 2, 3, 4], "features": lists})
    np.testing.assert_array_equal(feature_files.read_parquet(path, FILES), EXPECTED)


def refused(message, path, files=FILES):
    with pytest.raises(UsageError, match=message):
        feature_files.read_parquet(path, files)


def test_what_does_not_fit_is_refused(tmp_path):
    path = tmp_path / "f.parquet"
    table(path, {"file": NAMES[:3], "x": [1, 2, 3]})
    refused("must have every file, misses c.png$", path)
    refused("must have every file, misses c.png and 1 more", path, (*FILES, "d.png"))
    table(path, {"file": [*NAMES, "a.png"], "x": range(5)})
    refused("must have each file once, has a.png twice", path)
    table(path, {"name": NAMES, "x": range(4)})
    refused("must have a column file or path, has name, x", path)
    table(path, {"file": NAMES, "x": list("pqrs")})
    refused("must have columns of numbers or a column features of lists, has file, x", path)
    table(path, {"file": NAMES, "x": [1, None, 3, 4]})
    refused("must have all numbers, misses 1", path)
    table(path, {"file": NAMES, "features": [[1.0], [1.0, 2], [3.0], [4.0]]})
    refused("must have lists of one length in the column features", path)
    table(path, {"file": NAMES, "features": [["a"], ["b"], ["c"], ["d"]]})
    refused("must hold numbers", path)
    path.write_bytes(b"PAR1")
    refused("must be a readable .parquet file", path)
    refused("must be a readable .parquet file", tmp_path / "missing.parquet")
    refused("needs a folder of them, got .* for images that are no files", path, None)


def test_in_the_images_place(tmp_path):
    dataset = datasets.checked("three", np.zeros((3, 8, 8), np.uint8))._replace(files=FILES)
    path = table(tmp_path / "f.parquet", {"file": NAMES, "x": NUMBERS[:, 0], "y": NUMBERS[:, 1]})
    found = features.replaced(dataset, str(path))
    assert found.name == "three+f"
    np.testing.assert_array_equal(found.images, features.as_images(EXPECTED))
