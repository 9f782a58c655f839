"""``jaxclust compare``: the runs that it reads and refuses."""

import json

import pytest

from jaxclust.runs import collect
from jaxclust.runs.files import json_lines, read_json_lines, write_file
from jaxclust.runs.rows import SCORES
from jaxclust.runs.settings import digest, read_settings
from run_folders import BAD, GOOD, compare, error, make, rows


def write(path, lines):
    write_file(path, json_lines(lines))


def test_runs_of_one_method_with_other_weights_need_names(tmp_path, capsys):
    one, other = (
        make(tmp_path / name, "ccnn", dict(list(enumerate(GOOD))[half]))
        for name, half in (("a", slice(4)), ("b", slice(4, 8)))
    )
    path = other / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights": "abc"}))
    assert "ccnn on usps must have one setting, differs in weights (None -> 'abc')" in error(
        capsys, one, other
    )


def test_seeds_of_several_runs_are_joined(tmp_path, capsys):
    first = make(tmp_path / "a", "dcec", dict(enumerate(GOOD[:4])))
    second = make(tmp_path / "b", "dcec", {0: GOOD[0]} | dict(enumerate(GOOD[4:], 4)))
    found = compare(capsys, first, second)
    assert list(found["data"][0]["methods"][0]["seeds"].values()) == GOOD
    assert found["notes"] == [
        "seed 0 of dcec on usps is there twice, with the same scores, and counts once"
    ]


def test_settings_of_one_method_need_names(tmp_path, capsys):
    one, other = make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "dcec", BAD, gamma=0.5)
    message = error(capsys, one, other)
    assert "dcec on usps must have one setting, differs in config.gamma (0.1 -> 0.5)" in message
    found = compare(capsys, one, f"strong={other}")
    assert [row["method"] for row in found["data"][0]["methods"]] == ["dcec", "strong"]


def test_a_seed_with_two_scores_is_refused(tmp_path, capsys):
    message = error(
        capsys, make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "dcec", {0: 0.5})
    )
    assert "seed 0 of dcec on usps must have one score, got two" in message


def test_runs_of_other_images_are_refused(tmp_path, capsys):
    message = error(
        capsys, make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", BAD, n=90)
    )
    assert (
        "usps must be the same images and labels in all runs, differs in shape ([100, 8, 8, 1] ->"
        in message
    )


def test_unlabeled_runs_are_refused(tmp_path, capsys):
    folder = make(tmp_path / "a", "dcec", GOOD)
    found = [row | dict.fromkeys(SCORES) for row in read_json_lines(folder / "results.jsonl")]
    write(folder / "results.jsonl", found)
    assert "metric: acc needs true labels, dcec on usps had none" in error(capsys, folder)
    # Beside sets with labels they are named.
    found = compare(capsys, folder, make(tmp_path / "b", "dcec", BAD, data="digits"))
    assert [data["name"] for data in found["data"]] == ["digits"]
    assert found["notes"] == ["without true labels there are no scores to compare: dcec on usps"]


def test_a_run_that_is_still_going_is_named(tmp_path, capsys):
    going = make(tmp_path / "b", "idec", BAD)
    (going / "results.jsonl").unlink()
    found = compare(capsys, make(tmp_path / "a", "dcec", GOOD), going)
    assert f"{going} is still going or was stopped" in found["notes"][0]
    assert "at least one must have results" in error(capsys, going)


def test_a_folder_of_runs_that_is_not_through(tmp_path, capsys):
    make(tmp_path / "dcec", "dcec", GOOD)
    make(tmp_path / "dec", "dec", BAD)
    cell = {"data": "usps", "reason": None}
    states = (("dcec", "finished"), ("dec", "finished"), ("idec", "waiting"))
    listed = [
        cell | {"method": method, "folder": method, "status": status} for method, status in states
    ]
    listed.append(
        cell
        | {"method": "jule", "folder": "jule", "status": "failed", "reason": "killed by SIGKILL"}
    )
    write(tmp_path / "cells.jsonl", listed)
    found = compare(capsys, tmp_path)
    assert [row["method"] for row in found["data"][0]["methods"]] == ["dcec", "dec"]
    assert found["notes"] == [
        "idec on usps has not begun and is left out",
        "jule on usps crashed and has no row: killed by SIGKILL",
    ]
    assert f"mine={tmp_path} must name one run" in error(capsys, f"mine={tmp_path}")


def test_a_run_that_crashed_after_its_results_counts(tmp_path, capsys):
    make(tmp_path / "dcec", "dcec", GOOD)
    row = {
        "data": "usps",
        "method": "dcec",
        "folder": "dcec",
        "status": "failed",
        "reason": "killed by SIGKILL",
    }
    write(tmp_path / "cells.jsonl", [row])
    found = compare(capsys, tmp_path)
    assert found["data"][0]["methods"][0]["n"] == len(GOOD)
    assert found["notes"] == [
        "dcec on usps failed when it had its results, which count: killed by SIGKILL"
    ]
    # What is no such row is named.
    for change in ({"folder": 5}, {"reason": ...}):
        damaged = {name: value for name, value in (row | change).items() if value is not ...}
        write(tmp_path / "cells.jsonl", [damaged])
        assert "cells.jsonl line 1 is cut off or no row" in error(capsys, tmp_path)


def test_a_folder_given_twice_counts_once(tmp_path, capsys):
    folder = make(tmp_path / "a", "dcec", GOOD)
    found = compare(capsys, folder, folder)
    assert found["notes"] == [f"{folder} is given twice, and counts once"]


def test_rows_of_other_images_in_two_files_are_refused(tmp_path, capsys):
    for name, n in (("dcec", 100), ("idec", 101)):
        write(tmp_path / f"{name}.jsonl", rows(name, "usps", dict(enumerate(GOOD)), n))
    message = error(capsys, tmp_path / "dcec.jsonl", tmp_path / "idec.jsonl")
    assert (
        "usps must be the same images and labels in all runs, differs in n (100 -> 101)" in message
    )


def test_rows_from_a_file_do_not_hide_that_runs_have_other_images(tmp_path, capsys):
    write(tmp_path / "rows.jsonl", rows("kmeans", "usps", dict(enumerate(GOOD))))
    one, other = make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", BAD)
    path = other / "config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"data": settings["data"] | {"sha256": "other"}}))
    message = error(capsys, tmp_path / "rows.jsonl", one, other)
    assert "usps must be the same images and labels in all runs, differs in sha256" in message


def test_labelings_of_one_run_are_methods(tmp_path, capsys):
    folder = make(tmp_path / "a", "jule", GOOD)
    both = rows("jule-rc", "usps", dict(enumerate(GOOD))) + rows(
        "jule-sf", "usps", dict(enumerate(BAD))
    )
    write(folder / "results.jsonl", both)
    assert [row["method"] for row in compare(capsys, folder)["data"][0]["methods"]] == [
        "jule-rc",
        "jule-sf",
    ]
    assert [row["method"] for row in compare(capsys, f"mine={folder}")["data"][0]["methods"]] == [
        "mine-rc",
        "mine-sf",
    ]
    found, _ = collect.read([str(folder)])
    assert [cell.labels for cell in found] == ["labels.npy", "labels-sf.npy"]


def test_rows_from_a_file(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    found = rows("dcec", "usps", dict(enumerate(GOOD))) + rows("idec", "usps", dict(enumerate(BAD)))
    write(path, found)
    assert compare(capsys, path)["data"][0]["pairs"][0]["verdict"] == "dcec beats idec"
    write(path, [*found, found[0]])
    assert "must hold a seed once, got seed 0 of dcec on usps again" in error(capsys, path)
    write(path, [*found, found[0] | {"seed": 9, "config_hash": "other"}])
    assert "must hold one run of dcec on usps, got two settings" in error(capsys, path)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--metric f1", "metric: must be one of acc, nmi, nmi_sqrt, nmi_max, ari, got 'f1'"),
        ("--baseline jule", "baseline: must be one of dcec, got 'jule'"),
        ("--difference 0", "difference: must be above 0, got 0.0"),
        ("--alpha 5", "alpha: must be in [0.0001, 0.5), got 5.0"),
        ("--color", "Unrecognized options: --color"),
        ("/nowhere", "runs: must be a run's folder or a .jsonl file of rows, got /nowhere"),
        ("=x", "runs: must be RUN or NAME=RUN, got '=x'"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, capsys, flags, message):
    assert message in error(capsys, make(tmp_path / "a", "dcec", GOOD), *flags.split())


def test_a_folder_that_is_no_run(tmp_path, capsys):
    line = error(capsys, tmp_path)
    assert (
        f"{tmp_path} must hold a run or several, has no config.json, cells.jsonl or clusters.json"
        in line
    )


@pytest.mark.parametrize("change", [{"data": {}}, {"data": {"name": "usps"}}, {"config": {}}])
def test_damaged_settings_are_refused(tmp_path, capsys, change):
    folder = make(tmp_path / "a", "dcec", GOOD)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | change))
    assert "must be a run's settings, lacks a sound" in error(capsys, folder)


def test_rows_of_other_settings_than_those_beside_them_are_refused(tmp_path, capsys):
    folder = make(tmp_path / "a", "dcec", GOOD)
    expected = digest(read_settings(folder))
    lines = read_json_lines(folder / "results.jsonl")
    write(folder / "results.jsonl", [line | {"config_hash": expected} for line in lines])
    assert collect.read([str(folder)])[0][0].rows.keys() == set(range(len(GOOD)))
    config = json.loads((folder / "config.json").read_text())
    config["config"]["gamma"] = 0.7
    (folder / "config.json").write_text(json.dumps(config))
    assert f"config_hash is {expected} and not " in error(capsys, folder)
