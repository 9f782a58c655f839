"""``jaxclust compare``: rows that are damaged, lost or no rows."""

import json

import pytest

from jaxclust.runs import collect
from jaxclust.runs.files import json_lines, read_json_lines, write_file
from jaxclust.runs.rows import SCORES
from run_folders import BAD, GOOD, compare, error, make, rows


def write(path, lines):
    write_file(path, json_lines(lines))


def test_seeds_without_a_score_or_a_failure_count_as_missing(tmp_path, capsys):
    good, bad = (
        make(tmp_path / "a", "dcec", [*GOOD[:6], None, None]),
        make(tmp_path / "b", "idec", BAD),
    )
    failed = compare(capsys, good, bad)["data"][0]
    blank = [
        row | {"failed": None, "failed_phase": None}
        for row in read_json_lines(good / "results.jsonl")
    ]
    write(good / "results.jsonl", blank)
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
    write(tmp_path / "c.jsonl", [one[0], one[1] | dict.fromkeys(SCORES), one[2]])
    assert compare(capsys, tmp_path / "c.jsonl")["data"][0]["methods"][0]["missing"] == []


def test_a_truncated_file_gives_its_whole_rows(tmp_path, capsys):
    folder = make(tmp_path / "a", "dcec", GOOD)
    path = folder / "results.jsonl"
    path.write_text(path.read_text()[:-40])
    found = compare(capsys, folder)
    assert found["data"][0]["methods"][0]["n"] == 7
    mean = (sum(GOOD[:7]) + 0.1) / 8
    assert found["notes"] == [
        f"{path} line 8 is cut off or no row, and is left out",
        f"{path} lacks seeds 7 of dcec, which are left out",
        f"dcec on usps: no row of seeds 7; mean with them as chance {mean:.4f}",
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
    # A constant method has one row.
    path.write_text(
        "\n".join([*lines[:15], json_lines(rows("ac-gdl", "usps", {0: 0.7})), lines[15][:50]])
    )
    data = compare(capsys, path)
    assert [row["missing"] for row in data["data"][0]["methods"]] == [[], [7], []]
    assert not any("of ac-gdl, which" in note for note in data["notes"])
    # Seeds that are not there in a file without a fault were not asked for.
    path.write_text("\n".join(lines[:14]))
    assert compare(capsys, path)["data"][0]["methods"][1]["missing"] == []


def test_a_labeling_whose_rows_are_lost_is_named(tmp_path, capsys):
    folder = make(tmp_path / "a", "jule", GOOD)
    for labeling, other, labels in (("rc", "sf", "labels.npy"), ("sf", "rc", "labels-sf.npy")):
        write(folder / "results.jsonl", rows(f"jule-{labeling}", "usps", dict(enumerate(GOOD))))
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
        write(where, found)
        message = error(capsys, run)
        assert (
            f"{where} must have one {name} of dcec on usps, got {found[0][name]} and 3" in message
        )
    write(folder / "results.jsonl", rows("idec", "usps", dict(enumerate(GOOD))))
    assert "must hold rows of dcec, got of idec" in error(capsys, folder)
    write(folder / "results.jsonl", rows("dcec", "usps", dict(enumerate(GOOD))))
    for change in ({name: 3}, {"method": "idec"}):
        write(folder / "baseline.jsonl", [found[0], found[1] | change])
        assert f"baseline.jsonl must have one {next(iter(change))} of dcec on usps" in error(
            capsys, folder
        )


def test_a_failed_seed_is_no_score_where_there_are_no_labels(tmp_path, capsys):
    plain = make(tmp_path / "a", "dcec", {seed: None for seed in range(3)})
    lines = read_json_lines(plain / "results.jsonl")
    write(plain / "results.jsonl", [lines[0], *(row | {"failed": None} for row in lines[1:])])
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
    lines = read_json_lines(folder / "results.jsonl")
    lines[2] = {name: value for name, value in (lines[2] | change).items() if value is not ...}
    write(folder / "results.jsonl", lines)
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
    write(twice / "results.jsonl", rows("idec", "usps", {0: 0.5}) * 2)
    assert "must hold a seed once, got seed 0 of idec on usps again" in error(capsys, twice)
