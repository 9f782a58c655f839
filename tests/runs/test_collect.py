"""``jaxclust compare``: the runs it reads and refuses."""

import json

import pytest

from jaxclust.runs import collect
from jaxclust.runs.files import json_lines, read_rows, write_rows
from jaxclust.runs.rows import SCORES
from run_folders import BAD, GOOD, compare, error, make, rows


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


def test_unlabelled_runs_are_refused(tmp_path, capsys):
    folder = make(tmp_path / "a", "dcec", GOOD)
    found = [row | dict.fromkeys(SCORES) for row in read_rows(folder / "results.jsonl")]
    write_rows(folder / "results.jsonl", found)
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
    write_rows(tmp_path / "cells.jsonl", listed)
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
    write_rows(tmp_path / "cells.jsonl", [row])
    found = compare(capsys, tmp_path)
    assert found["data"][0]["methods"][0]["n"] == len(GOOD)
    assert found["notes"] == [
        "dcec on usps crashed when it had its results, which count: killed by SIGKILL"
    ]
    # What is no such row is named.
    for change in ({"folder": 5}, {"reason": ...}):
        damaged = {name: value for name, value in (row | change).items() if value is not ...}
        write_rows(tmp_path / "cells.jsonl", [damaged])
        assert "cells.jsonl line 1 is cut off or no row" in error(capsys, tmp_path)


def test_a_folder_given_twice_counts_once(tmp_path, capsys):
    folder = make(tmp_path / "a", "dcec", GOOD)
    found = compare(capsys, folder, folder)
    assert found["notes"] == [f"{folder} is given twice, and counts once"]


def test_seeds_without_a_score_or_a_failure_count_as_missing(tmp_path, capsys):
    good, bad = (
        make(tmp_path / "a", "dcec", [*GOOD[:6], None, None]),
        make(tmp_path / "b", "idec", BAD),
    )
    failed = compare(capsys, good, bad)["data"][0]
    blank = [
        row | {"failed": None, "failed_phase": None} for row in read_rows(good / "results.jsonl")
    ]
    write_rows(good / "results.jsonl", blank)
    found = compare(capsys, good, bad)
    assert found["data"][0]["methods"][0]["missing"] == [6, 7]
    assert (
        "dcec on usps: seeds 6, 7 have neither scores nor a failure, and are left out"
        in found["notes"]
    )
    for one in (failed, found["data"][0]):
        assert one["pairs"][0]["verdict"] == "not claimed: it hangs on failed or missing seeds"
    # Where one run is all there is, a lost repetition is none.
    one = rows("ac-gdl", "usps", dict.fromkeys(range(3), 0.5))
    write_rows(tmp_path / "c.jsonl", [one[0], one[1] | dict.fromkeys(SCORES), one[2]])
    assert compare(capsys, tmp_path / "c.jsonl")["data"][0]["methods"][0]["missing"] == []


def test_seeds_that_the_k_means_beside_a_run_lacks_count_as_chance(tmp_path, capsys):
    folder = make(tmp_path / "a", "dcec", [score - 0.2 for score in GOOD])
    path = folder / "baseline.jsonl"
    write_rows(path, rows("kmeans", "usps", dict(enumerate(BAD))))
    assert compare(capsys, folder)["data"][0]["pairs"][0]["verdict"] == "kmeans beats dcec"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:6], lines[6][:40]]))
    found = compare(capsys, folder)
    assert found["data"][0]["methods"][1]["missing"] == [6, 7]
    assert (
        found["data"][0]["pairs"][0]["verdict"]
        == "not claimed: it hangs on failed or missing seeds"
    )
    # Runs of other seeds keep other seeds of it; those that none has are missing.
    more = make(tmp_path / "b", "dcec", {6: 0.6, 8: 0.6})
    write_rows(more / "baseline.jsonl", rows("kmeans", "usps", {6: BAD[6], 8: 0.7}))
    folder_settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(folder_settings | {"seeds": [0, 1, 2, 3, 4, 5, 7]})
    )
    whole = [row for row in read_rows(folder / "results.jsonl") if row["seed"] != 6]
    write_rows(folder / "results.jsonl", whole)
    assert compare(capsys, folder, more)["data"][0]["methods"][1]["missing"] == [7]


def test_a_truncated_file_gives_its_whole_rows(tmp_path, capsys):
    folder = make(tmp_path / "a", "dcec", GOOD)
    path = folder / "results.jsonl"
    path.write_text(path.read_text()[:-40])
    found = compare(capsys, folder)
    assert found["data"][0]["methods"][0]["n"] == 7
    assert found["notes"] == [
        f"{path} line 8 is cut off or no row, and is left out",
        f"{path} lacks seeds 7 of dcec, which are left out",
        f"dcec on usps: no row of seeds 7; mean with them as chance {(sum(GOOD[:7]) + 0.1) / 8:.4f}",
    ]


def test_no_beats_that_hangs_on_rows_that_a_file_lost(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    found = json_lines(
        rows("idec", "usps", dict(enumerate(BAD))) + rows("dcec", "usps", dict(enumerate(GOOD)))
    )
    path.write_text(found)
    assert compare(capsys, path)["data"][0]["pairs"][0]["verdict"] == "dcec beats idec"
    lines = found.splitlines()
    path.write_text("\n".join([*lines[:14], lines[14][:50]]))
    data = compare(capsys, path)
    assert [row["missing"] for row in data["data"][0]["methods"]] == [[], [6, 7]]
    assert f"{path} lacks seeds 6, 7 of dcec, which are left out" in data["notes"]
    assert (
        data["data"][0]["pairs"][0]["verdict"] == "not claimed: it hangs on failed or missing seeds"
    )
    # What is no row, and still says whose it was to be, is that seed's alone.
    whole = [json.loads(line) for line in lines]
    path.write_text(json_lines([*whole[:11], whole[11] | {"acc": float("nan")}, *whole[12:15]]))
    assert [row["missing"] for row in compare(capsys, path)["data"][0]["methods"]] == [[], [3]]
    path.write_text(json_lines([*whole[:14], whole[14] | {"method": 5}]))
    assert [row["missing"] for row in compare(capsys, path)["data"][0]["methods"]] == [[], [6, 7]]
    # Of a constant method one row is all.
    path.write_text(
        "\n".join([*lines[:15], json_lines(rows("ac-ward", "usps", {0: 0.7})), lines[15][:50]])
    )
    data = compare(capsys, path)
    assert [row["missing"] for row in data["data"][0]["methods"]] == [[], [7], []]
    assert not any("of ac-ward, which" in note for note in data["notes"])
    # Seeds that are not there in a file without a fault were not asked for.
    path.write_text("\n".join(lines[:14]))
    assert compare(capsys, path)["data"][0]["methods"][1]["missing"] == []


def test_a_labeling_whose_rows_are_lost_is_named(tmp_path, capsys):
    folder = make(tmp_path / "a", "jule", GOOD)
    for labeling, other, labels in (("rc", "sf", "labels.npy"), ("sf", "rc", "labels-sf.npy")):
        write_rows(
            folder / "results.jsonl", rows(f"jule-{labeling}", "usps", dict(enumerate(GOOD)))
        )
        (cell,), notes = collect.read([str(folder)])
        assert (cell.method, cell.labels) == (f"jule-{labeling}", labels)
        assert notes == [
            f"{folder / 'results.jsonl'} has no whole row of jule-{other}, which is left out"
        ]


@pytest.mark.parametrize("name", ["n", "clusters"])
def test_rows_of_one_method_are_of_one_run(tmp_path, capsys, name):
    found = rows("dcec", "usps", dict(enumerate(GOOD)))
    found[3][name] = 3
    folder, path = make(tmp_path / "a", "dcec", GOOD), tmp_path / "rows.jsonl"
    for where, run in ((folder / "results.jsonl", folder), (path, path)):
        write_rows(where, found)
        message = error(capsys, run)
        assert (
            f"{where} must have one {name} of dcec on usps, got {found[0][name]} and 3" in message
        )
    write_rows(folder / "results.jsonl", rows("idec", "usps", dict(enumerate(GOOD))))
    assert "must hold rows of dcec, got of idec" in error(capsys, folder)
    write_rows(folder / "results.jsonl", rows("dcec", "usps", dict(enumerate(GOOD))))
    for change in ({name: 3}, {"method": "idec"}):
        write_rows(folder / "baseline.jsonl", [found[0], found[1] | change])
        assert f"baseline.jsonl must have one {next(iter(change))} of dcec on usps" in error(
            capsys, folder
        )


def test_the_k_means_beside_a_run_is_a_method(tmp_path, capsys):
    folder = make(tmp_path / "a", "dcec", GOOD)
    write_rows(folder / "baseline.jsonl", rows("kmeans", "usps", dict(enumerate(BAD))))
    assert [row["method"] for row in compare(capsys, folder)["data"][0]["methods"]] == [
        "dcec",
        "kmeans",
    ]


def test_the_k_means_beside_runs_of_other_seeds_is_one_method(tmp_path, capsys):
    runs = []
    for name, seeds in (("a", range(4)), ("b", range(4, 8))):
        runs.append(make(tmp_path / name, "dcec", {seed: GOOD[seed] for seed in seeds}))
        write_rows(
            runs[-1] / "baseline.jsonl", rows("kmeans", "usps", {seed: BAD[seed] for seed in seeds})
        )
    found = compare(capsys, *runs)
    assert [row["n"] for row in found["data"][0]["methods"]] == [8, 8]
    assert found["data"][0]["pairs"][0]["test"] == "paired permutation"
    other = [row | {"clusters": 3} for row in rows("kmeans", "usps", {4: 0.5})]
    write_rows(runs[1] / "baseline.jsonl", other)
    found = compare(capsys, *runs)
    assert [row["n"] for row in found["data"][0]["methods"]] == [8, 4]
    assert "kmeans on usps with 3 clusters is left out, beside 10" in found["notes"]
    write_rows(runs[1] / "baseline.jsonl", rows("kmeans", "usps", {3: 0.25, 4: 0.5}))
    found = compare(capsys, *runs)
    assert list(found["data"][0]["methods"][1]["seeds"].values()) == [*BAD[:4], 0.5]
    assert (
        "seed 3 of kmeans on usps has other scores beside another run, and counts as it is first"
        in found["notes"]
    )


def test_a_failed_seed_is_no_score_where_there_are_no_labels(tmp_path, capsys):
    plain = make(tmp_path / "a", "dcec", {seed: None for seed in range(3)})
    lines = read_rows(plain / "results.jsonl")
    write_rows(plain / "results.jsonl", [lines[0], *(row | {"failed": None} for row in lines[1:])])
    assert "metric: acc needs true labels, dcec on usps had none" in error(capsys, plain)


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"seed": "</title><script>"}, "line 3 is cut off or no row, and is left out"),
        ({"seed": True}, "line 3 is cut off or no row, and is left out"),
        ({"clusters": ...}, "line 3 is cut off or no row, and is left out"),
        ({"failed_phase": ...}, "line 3 is cut off or no row, and is left out"),
        ({"acc": "high"}, "line 3 is cut off or no row, and is left out"),
        ({"acc": None}, "line 3 is cut off or no row, and is left out"),
        ({"acc": float("nan")}, "line 3 is cut off or no row, and is left out"),
        ({"method": 5}, "line 3 is cut off or no row, and is left out"),
        ({"clusters": 0}, "line 3 is cut off or no row, and is left out"),
        ({"n": 0, "acc": None, "failed": 5}, "line 3 is cut off or no row, and is left out"),
        ({"data": ["x"]}, "line 3 is cut off or no row, and is left out"),
    ],
)
def test_a_row_that_is_none_is_named(tmp_path, capsys, change, note):
    folder = make(tmp_path / "a", "dcec", GOOD)
    lines = read_rows(folder / "results.jsonl")
    lines[2] = {name: value for name, value in (lines[2] | change).items() if value is not ...}
    write_rows(folder / "results.jsonl", lines)
    found = compare(capsys, folder)
    assert found["data"][0]["methods"][0]["n"] == 7
    assert any(note in one for one in found["notes"])


def test_many_rows_that_are_none_are_one_note(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    path.write_text("no row\n" * 900)
    assert (
        f"got none ({path} lines 1, 2, 3 and 897 more are cut off or no rows, and are left out)"
        in error(capsys, path)
    )


def test_a_file_without_a_row_is_named_and_a_seed_comes_once(tmp_path, capsys):
    empty, twice = make(tmp_path / "a", "dcec", GOOD), make(tmp_path / "b", "idec", BAD)
    (empty / "results.jsonl").write_text("")
    assert (
        f"{empty / 'results.jsonl'} has no whole row of dcec, which is left out"
        in compare(capsys, empty, twice)["notes"]
    )
    write_rows(twice / "results.jsonl", rows("idec", "usps", {0: 0.5}) * 2)
    assert "must hold a seed once, got seed 0 of idec on usps again" in error(capsys, twice)


def test_rows_of_other_images_in_two_files_are_refused(tmp_path, capsys):
    for name, n in (("dcec", 100), ("idec", 101)):
        write_rows(tmp_path / f"{name}.jsonl", rows(name, "usps", dict(enumerate(GOOD)), n))
    message = error(capsys, tmp_path / "dcec.jsonl", tmp_path / "idec.jsonl")
    assert (
        "usps must be the same images and labels in all runs, differs in n (100 -> 101)" in message
    )


def test_rows_from_a_file_do_not_hide_that_runs_have_other_images(tmp_path, capsys):
    write_rows(tmp_path / "rows.jsonl", rows("kmeans", "usps", dict(enumerate(GOOD))))
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
    write_rows(folder / "results.jsonl", both)
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
    write_rows(path, found)
    assert compare(capsys, path)["data"][0]["pairs"][0]["verdict"] == "dcec beats idec"
    write_rows(path, [*found, found[0]])
    assert "must hold a seed once, got seed 0 of dcec on usps again" in error(capsys, path)
    write_rows(path, [*found, found[0] | {"seed": 9, "config_hash": "other"}])
    assert "must hold one run of dcec on usps, got two settings" in error(capsys, path)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--metric f1", "argument --metric: invalid choice: 'f1'"),
        ("--baseline jule", "baseline: must be one of dcec, got 'jule'"),
        ("--difference 0", "difference: must be above 0, got 0.0"),
        ("--alpha 5", "alpha: must be in [0.0001, 0.5), got 5.0"),
        ("--colour", "unrecognized arguments: --colour"),
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
    assert "must be a run's settings, got something else" in error(capsys, folder)
