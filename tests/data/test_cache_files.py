"""A cache's files: whole or not there, and no error where nothing can be written."""

import pytest

from jaxclust.data import cache_files


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "cache" / "a.bin"
    cache_files.keep(path, b"one")
    cache_files.keep(path, b"two")
    assert path.read_bytes() == b"two"

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(cache_files.os, "replace", full)
    cache_files.keep(path, b"three")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["file/a.bin", "file"])
def test_nothing_is_kept_where_no_folder_can_be(tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    cache_files.keep(tmp_path / name / "b.bin", b"x")
    assert (tmp_path / "file").read_text() == "in the way"
