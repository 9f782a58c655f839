"""Pipes, sockets and devices: nothing waits for them, and one line or a note says what they are."""

import os
import socket

import numpy as np
import pytest
from PIL import Image

from jaxclust.data import array_files, datasets, feature_files, sources, tables
from jaxclust.data.listing import listing
from jaxclust.errors import UsageError
from jaxclust.groups.edits import read_edits
from jaxclust.networks import torch_weights
from jaxclust.runs import whole
from jaxclust.runs.files import read_csv, read_json_lines, read_labels
from jaxclust.runs.history import read_history
from jaxclust.runs.settings import read_settings


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("x.npz", array_files.read),
        ("x.npy", array_files.read),
        ("x.npy", lambda path: sources.open_source(str(path))),
        ("x.npy", feature_files.read_npy),
        ("x.parquet", lambda path: feature_files.read_parquet(path, ["a"])),
        ("x.csv", lambda path: tables.read_table(path, "data")),
        ("x.zip", datasets.load),
        ("x.tar.gz", datasets.load),
        ("x.csv", read_edits),
        ("x.safetensors", lambda path: torch_weights._tensors(path, {}, {}, {})),
        ("labels.npy", read_labels),
        ("results.jsonl", read_json_lines),
        ("history.csv", read_history),
        ("clusters.csv", read_csv),
        ("config.json", lambda path: read_settings(path.parent)),
    ],
)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_file_that_never_ends_is_refused_in_one_line(tmp_path, name, read, kind):
    path = tmp_path / name
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
        if read is datasets.load or name in ("x.csv", "x.npy"):
            pytest.skip("a folder may have this name")
    with pytest.raises(UsageError, match=f"{name}.*no regular file") as error:
        read(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_run_whose_table_and_history_are_no_files_lacks_them(tmp_path, kind):
    for name in ("clusters.csv", "history.csv"):
        if kind == "pipe":
            os.mkfifo(tmp_path / name)
        elif kind == "device":
            (tmp_path / name).symlink_to("/dev/zero")
        else:
            (tmp_path / name).mkdir()
    assert not whole.has_table(tmp_path)
    assert not whole._has_curves(tmp_path / "history.csv")


def test_a_folder_is_read_without_them(tmp_path):
    for number in range(3):
        image = np.full((8, 8), 80 * number, np.uint8)
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        before = os.getcwd()
        os.chdir(tmp_path)  # A socket's address must be short.
        try:
            listener.bind("socket.png")
        finally:
            os.chdir(before)
    assert listing(tmp_path).files == ("0.png", "1.png", "2.png")
    data = datasets.load(tmp_path)
    assert len(data.images) == 3
    assert not data.unreadable
    assert "left out: 3 pipe, socket or device" in data.summary
