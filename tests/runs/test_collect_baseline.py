"""``jaxclust compare``: the k-means that a run keeps beside itself."""

import json

from jaxclust.runs.files import json_lines, read_json_lines, write_file
from run_folders import BAD, GOOD, compare, make, rows


def write(path, lines):
    write_file(path, json_lines(lines))


def test_seeds_that_the_k_means_beside_a_run_lacks_count_as_chance(tmp_path, capsys):
    folder = make(tmp_path / "a", "dcec", [score - 0.2 for score in GOOD])
    path = folder / "baseline.jsonl"
    write(path, rows("kmeans", "usps", dict(enumerate(BAD))))
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
    write(more / "baseline.jsonl", rows("kmeans", "usps", {6: BAD[6], 8: 0.7}))
    folder_settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(folder_settings | {"seeds": [0, 1, 2, 3, 4, 5, 7]})
    )
    whole = [row for row in read_json_lines(folder / "results.jsonl") if row["seed"] != 6]
    write(folder / "results.jsonl", whole)
    assert compare(capsys, folder, more)["data"][0]["methods"][1]["missing"] == [7]


def test_the_k_means_beside_a_run_is_a_method(tmp_path, capsys):
    folder = make(tmp_path / "a", "dcec", GOOD)
    write(folder / "baseline.jsonl", rows("kmeans", "usps", dict(enumerate(BAD))))
    assert [row["method"] for row in compare(capsys, folder)["data"][0]["methods"]] == [
        "dcec",
        "kmeans",
    ]


def test_the_k_means_beside_runs_of_other_seeds_is_one_method(tmp_path, capsys):
    runs = []
    for name, seeds in (("a", range(4)), ("b", range(4, 8))):
        runs.append(make(tmp_path / name, "dcec", {seed: GOOD[seed] for seed in seeds}))
        write(
            runs[-1] / "baseline.jsonl", rows("kmeans", "usps", {seed: BAD[seed] for seed in seeds})
        )
    found = compare(capsys, *runs)
    assert [row["n"] for row in found["data"][0]["methods"]] == [8, 8]
    assert found["data"][0]["pairs"][0]["test"] == "paired permutation"
    other = [row | {"clusters": 3} for row in rows("kmeans", "usps", {4: 0.5})]
    write(runs[1] / "baseline.jsonl", other)
    found = compare(capsys, *runs)
    assert [row["n"] for row in found["data"][0]["methods"]] == [8, 4]
    assert "kmeans on usps with 3 clusters is left out, beside 10" in found["notes"]
    write(runs[1] / "baseline.jsonl", rows("kmeans", "usps", {3: 0.25, 4: 0.5}))
    found = compare(capsys, *runs)
    assert list(found["data"][0]["methods"][1]["seeds"].values()) == [*BAD[:4], 0.5]
    assert (
        "seed 3 of kmeans on usps has other scores beside another run, and counts as it is first"
        in found["notes"]
    )
