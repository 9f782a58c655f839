"""A run's files: written whole or not at all, and refused where they are damaged."""

import dataclasses
import json

import pytest

from jaxclust import whole_files
from jaxclust.data.datasets import Fingerprint, fingerprint
from jaxclust.methods import registry
from jaxclust.runs import files
from jaxclust.runs.folder import open_folder
from jaxclust.runs.rows import read_results
from jaxclust.runs.settings import digest, make_settings, read_settings


@pytest.fixture
def settings():
    data = Fingerprint("usps", (100, 8, 8, 1), "uint8", "0" * 64)
    return make_settings(registry.method("dcec"), "paper", data, (0, 1), "map")


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    files.write_file(path, files.json_lines([{"a": 1}]))

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(whole_files.os, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        files.write_file(path, files.json_lines([{"a": 2}]))
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"a": 1}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must hold a row for each seed, lacks acc, "),
        ('{"a": 1}', "must hold a row for each seed, lacks acc, "),
        ('{"a": ', "line 1 must be a row of results, is damaged"),
        ("3", "line 1 must be a row of results, got 3"),
    ],
)
def test_rows_that_are_damaged(tmp_path, content, message):
    path = tmp_path / "results.jsonl"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"rows: {path} {message}"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data", []),
        ("seeds", 5),
        ("config", None),
        ("config", {}),
        ("data", {"name": "usps"}),
        ("data", {"name": "usps", "shape": [9, 8, "8", 1]}),
        ("method", None),
        ("preset", 3),
        ("origin", "here"),
        ("x", 0),
    ],
)
def test_settings_of_the_wrong_kind(tmp_path, name, value):
    values = {"method": "idec", "seeds": [0], "over": "map", "pretraining": None}
    values |= {"data": {"name": "usps", "shape": [9, 8, 8, 1]}, "config": {"clusters": 10}}
    (tmp_path / "config.json").write_text(json.dumps(values | {name: value}))
    if name == "x":
        assert read_settings(tmp_path).method == "idec"
        return
    with pytest.raises(ValueError, match="config.json must be a run's settings, lacks a sound"):
        read_settings(tmp_path)


def test_a_hash_is_of_what_decides_a_seeds_numbers(digits):
    data = fingerprint(digits)
    made = make_settings(registry.method("dcec"), "paper", data, (0, 1), "map")
    beside = {"seeds": (2,), "over": "shard", "preset": "mine", "origin": {"data": "elsewhere"}}
    assert digest(dataclasses.replace(made, **beside)) == digest(made)
    others = {
        "method": "idec",
        "data": data._replace(sha256=""),
        "config": made.config | {"gamma": 0.2},
        "pretraining": None,
        "weights": "a",
    }
    hashes = {digest(dataclasses.replace(made, **{name: value})) for name, value in others.items()}
    assert len(hashes | {digest(made)}) == 6


def test_a_run_goes_on_from_copies_elsewhere(tmp_path, settings):
    """Where a run's inputs were is kept, and is compared with nothing.

    Runs that do not say it go on, too.
    """
    folder = tmp_path / "run"
    open_folder(folder, settings, False, False)
    for path in ("a.npz", "elsewhere/a.npz"):
        moved = dataclasses.replace(settings, origin={"data": path})
        open_folder(folder, moved, True, False)
        assert read_settings(folder) == moved
    other = dataclasses.replace(settings, method="dec", origin={"data": path})
    with pytest.raises(ValueError, match="differs in method"):
        open_folder(folder, other, True, False)


@pytest.mark.parametrize("name", ["checkpoint", "checkpoint/pretrain", "figures", "labels.npy"])
def test_overwrite_removes_a_link_and_leaves_what_it_leads_to(tmp_path, settings, name):
    run = tmp_path / "run"
    place = tmp_path / "elsewhere" / "pretrain" / "1"
    open_folder(run, settings, False, False)
    place.mkdir(parents=True)
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).symlink_to(tmp_path / "elsewhere")
    open_folder(run, settings, False, True)
    assert not (run / name).is_symlink()
    assert place.is_dir()
