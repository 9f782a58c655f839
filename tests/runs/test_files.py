"""A run's files: written whole or not at all, refused where they are damaged, and what decides a hash."""

import json

import pytest

from jaxclust.methods.registry import configured
from jaxclust.runs.files import write_rows
from jaxclust.runs.folder import open_folder
from jaxclust.runs.rows import os, read_results
from jaxclust.runs.settings import digest, make_settings, read_settings
from run_folders import SETTINGS


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [{"a": 1}])

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        write_rows(path, [{"a": 2}])
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
        ("method", None),
        ("x", 0),
    ],
)
def test_settings_of_the_wrong_kind(tmp_path, name, value):
    settings = {"method": "idec", "seeds": [0], "over": "map", "pretraining": None}
    settings |= {"data": {"name": "usps", "shape": [9, 8, 8, 1]}, "config": {"clusters": 10}}
    (tmp_path / "config.json").write_text(json.dumps(settings | {name: value}))
    if name == "x":
        assert read_settings(tmp_path)["method"] == "idec"
        return
    with pytest.raises(
        ValueError, match="config.json must be a run's settings, got something else"
    ):
        read_settings(tmp_path)


def test_a_hash_is_of_what_decides_a_seeds_numbers(digits):
    config, pretraining = configured("dcec")
    made = make_settings("dcec", "paper", digits, (0, 1), "map", config, pretraining)
    beside = {"seeds": [2], "over": "shard", "preset": "mine", "origin": {"data": "elsewhere"}}
    assert digest(made | beside) == digest(made)
    others = {
        "method": "idec",
        "data": {},
        "config": made["config"] | {"gamma": 0.2},
        "pretraining": None,
        "weights": "a",
    }
    assert (
        len({digest(made | {name: value}) for name, value in others.items()} | {digest(made)}) == 6
    )


def test_a_run_goes_on_from_copies_elsewhere(tmp_path):
    """Where its inputs were is kept and compared with nothing, also of runs that do not say it."""
    open_folder(tmp_path / "run", SETTINGS, False, False)
    for path in ("a.npz", "elsewhere/a.npz"):
        open_folder(tmp_path / "run", SETTINGS, True, False, {"data": path})
        assert read_settings(tmp_path / "run") == SETTINGS | {"origin": {"data": path}}
    with pytest.raises(ValueError, match="differs in method"):
        open_folder(tmp_path / "run", SETTINGS | {"method": "dec"}, True, False, {"data": path})


@pytest.mark.parametrize("name", ["checkpoint", "checkpoint/pretrain", "figures", "labels.npy"])
def test_overwrite_removes_a_link_and_leaves_what_it_leads_to(tmp_path, name):
    run, place = tmp_path / "run", tmp_path / "elsewhere" / "pretrain" / "1"
    open_folder(run, SETTINGS, False, False)
    place.mkdir(parents=True)
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).symlink_to(tmp_path / "elsewhere")
    open_folder(run, SETTINGS, False, True)
    assert not (run / name).is_symlink()
    assert place.is_dir()
