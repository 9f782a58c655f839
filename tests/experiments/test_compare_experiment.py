"""The comparison of every method: that its seeds can show something, and what it says where they cannot."""

import dataclasses
import json
import types

import numpy as np
import pytest

from experiments import common
from experiments import compare as experiment
from experiments.readme import ROOT
from jaxclust.cli.main import main
from jaxclust.comparison import tables
from jaxclust.data import datasets
from jaxclust.engine import fit
from jaxclust.methods.registry import METHODS, configured
from jaxclust.runs import collect
from jaxclust.runs.files import read_rows, write_labels, write_rows
from jaxclust.runs.rows import SCORES, row_name
from jaxclust.runs.settings import digest, make_settings
from pages import Page
from run_folders import make, rows

LARGEST = "coil20-32"
"""Its images are the largest: whatever takes another set's takes these."""


@pytest.fixture(scope="module")
def names():
    """Of the rows of every method that takes the largest images."""
    found = []
    for name, method in METHODS.items():
        config, _ = configured(name, clusters=datasets.SETS[LARGEST].classes)
        try:
            fit.build(method, config, datasets.SETS[LARGEST].shape)
        except ValueError:
            continue
        found += [row_name(name, labeling) for labeling in fit.labeling_names(method)]
    return found


@pytest.fixture(scope="module")
def comparison(names, tmp_path_factory):
    """Of rows of every method and seed, in which each method beats the ones before by far."""
    path = tmp_path_factory.mktemp("compare") / "rows.jsonl"
    with path.open("w") as file:
        for data, seeds in experiment.SEEDS.items():
            for place, method in enumerate(names):
                for seed in range(seeds):
                    row = {"method": method, "data": data, "seed": seed, "failed": None, "n": 100}
                    row |= {"clusters": 10, "failed_phase": None, "config_hash": method}
                    row |= dict.fromkeys(SCORES, 0.1 + 0.03 * place + 0.001 * seed)
                    file.write(json.dumps(row) + "\n")
    return experiment.comparison(*collect.read([str(path)]))


@pytest.mark.parametrize("data", [name for name, seeds in experiment.SEEDS.items() if seeds == 10])
def test_ten_seeds_of_all_methods_can_show_a_difference(comparison, names, data):
    (mine,) = (one for one in comparison["data"] if one["name"] == data)
    assert mine["family"] == len(mine["pairs"]) == len(names) - 1
    assert {pair["b"] for pair in mine["pairs"]} == {experiment.BASELINE}
    assert max(pair["smallest_holm"] for pair in mine["pairs"]) <= comparison["alpha"]
    assert {pair["verdict"] for pair in mine["pairs"]} == {
        f"{pair['a']} beats kmeans" for pair in mine["pairs"]
    }


def test_no_other_set_has_larger_images():
    shapes = {data: datasets.SETS[data].shape for data in experiment.SEEDS}
    assert all(
        mine <= most
        for shape in shapes.values()
        for mine, most in zip(shape, shapes[LARGEST], strict=True)
    )


def test_five_seeds_are_said_to_be_too_few(comparison):
    (mine,) = (one for one in comparison["data"] if one["name"] == "mnist-test")
    assert {pair["verdict"] for pair in mine["pairs"]} == {"cannot be shown"}
    text = tables.text(comparison)
    assert (
        f"test paired permutation, sign flips against a constant, family of {mine['family']} (Holm)"
        in text
    )
    assert "in a family of 25 a difference needs at least 10 shared seeds" in text


def test_ranks_are_over_all_sets(comparison):
    assert comparison["ranks"]["data"] == list(experiment.SEEDS)


def test_a_finished_cell_is_run_once_and_its_rows_of_other_settings_are_refused(
    monkeypatch, tmp_path
):
    def sweep(arguments):
        asked, out = arguments[arguments.index("--methods") + 1], tmp_path / "runs" / "digits"
        out.mkdir(parents=True)
        flags = ["--data", "digits", "--seeds", "10", "--no-figures", "--no-baseline", "--out"]
        assert main(["fit", asked, *flags, str(out / asked)]) == 0

    monkeypatch.setattr(experiment, "RESULTS", tmp_path / "rows.jsonl")
    monkeypatch.setattr(experiment, "OTHERS", ())
    monkeypatch.setattr(experiment.sweep, "command", sweep)
    for _ in range(2):  # A second folder would be an error.
        experiment.run("digits", ["ac-gdl"], tmp_path / "runs", float("inf"))
    assert [row["seed"] for row in common.rows(experiment.RESULTS)] == list(range(10))
    method = METHODS["ac-gdl"]
    monkeypatch.setitem(
        METHODS, "ac-gdl", method._replace(config=dataclasses.replace(method.config, n_neighbors=7))
    )
    with pytest.raises(
        ValueError, match="rows: digits, ac-gdl must have the settings of the method, has others"
    ):
        experiment.run("digits", ["ac-gdl"], tmp_path / "runs", float("inf"))


@pytest.fixture
def others(monkeypatch, tmp_path, digits):
    """Seeds 0 to 4 of DCEC on digits in the file of another experiment, and 3 to 5 in the comparison's own."""
    other = types.SimpleNamespace(RESULTS=tmp_path / "other.jsonl")
    monkeypatch.setattr(experiment, "OTHERS", ((other, lambda row: row["preset"] == "paper"),))
    monkeypatch.setattr(experiment, "RESULTS", tmp_path / "rows.jsonl")
    config, pretraining = configured("dcec", clusters=digits.classes)
    # How seeds ran together decides nothing, nor which they are.
    made = digest(make_settings("dcec", "paper", digits, (7,), "vmap", config, pretraining))
    row = {
        "data": "digits",
        "method": "dcec",
        "preset": "paper",
        "config_hash": made,
        "failed": None,
    }
    row |= dict.fromkeys(SCORES, 0.5)
    strange = [row | {"seed": 10, "from": "other"}, row | {"seed": 6, "preset": "caffe"}]
    common.add(
        other.RESULTS, [row | {"seed": seed, "from": "other"} for seed in range(5)] + strange
    )
    common.add(experiment.RESULTS, [row | {"seed": seed, "from": "own"} for seed in (3, 4, 5)])


def test_rows_that_another_experiment_has_count(others, digits):
    origins = {row["seed"]: row["from"] for row in experiment.present()}
    assert origins == {0: "other", 1: "other", 2: "other", 3: "own", 4: "own", 5: "own"}
    everything = tuple(range(10))
    assert experiment.missing(digits, ["dcec", "idec"]) == {
        "dcec": (6, 7, 8, 9),
        "idec": everything,
    }


def test_tables_have_sets_and_methods_in_one_order(monkeypatch, tmp_path):
    monkeypatch.setattr(experiment, "OTHERS", ())
    monkeypatch.setattr(experiment, "RESULTS", tmp_path / "rows.jsonl")
    row = {"failed": None, "failed_phase": None, "n": 100, "clusters": 10, "config_hash": "same"}
    row |= dict.fromkeys(SCORES, 0.5)
    pairs = [
        ("usps", "dec"),
        ("usps", "kmeans"),
        ("digits", "dcn"),
        ("digits", "jule-sf"),
        ("digits", "kmeans"),
    ]
    rows = [
        row | {"data": data, "method": name, "seed": seed}
        for data, name in pairs
        for seed in (0, 1)
    ]
    write_rows(experiment.RESULTS, rows)
    found = {
        data["name"]: [one["method"] for one in data["methods"]]
        for data in experiment.results()["data"]
    }
    assert list(found.items()) == [
        ("digits", ["kmeans", "jule-sf", "dcn"]),
        ("usps", ["kmeans", "dec"]),
    ]


def test_a_seed_with_two_scores_is_refused(others):
    first, *kept = common.rows(experiment.RESULTS)
    write_rows(experiment.RESULTS, [first | {"acc": 0.4}, *kept])
    with pytest.raises(
        ValueError,
        match="rows: digits, dcec, seed 3 must have one score in .*, got two of the same",
    ):
        experiment.present()


def test_only_the_seeds_that_are_missing_run_together_with_those_that_lack_the_same(
    others, monkeypatch, tmp_path
):
    ran = []
    monkeypatch.setattr(experiment.sweep, "command", lambda arguments: ran.append(arguments[:8]))
    experiment.run("digits", ["dcec", "idec", "dec"], tmp_path / "runs", float("inf"))
    commands = [
        [
            "--methods",
            "dcec",
            "--data",
            "digits",
            "--seeds",
            "6,7,8,9,",
            "--out",
            str(tmp_path / "runs/seeds-6-7-8-9"),
        ],
        [
            "--methods",
            "idec,dec",
            "--data",
            "digits",
            "--seeds",
            "0,1,2,3,4,5,6,7,8,9,",
            "--out",
            str(tmp_path / "runs"),
        ],
    ]
    assert ran == commands


def test_a_page_has_whole_runs_and_adds_the_rows_that_are_missing(others, monkeypatch, tmp_path):
    def sweep(arguments):
        ran.append(arguments[1])
        for name in arguments[1].split(","):
            (tmp_path / "runs" / "digits" / name).mkdir(parents=True)
            shared = {
                "data": "digits",
                "method": name,
                "from": "page",
                "config_hash": hashes.get(name, "old"),
            }
            shared |= {"failed": None} | dict.fromkeys(SCORES, 0.5 if name == "dcec" else 0.6)
            made = [shared | {"seed": seed} for seed in range(10)]
            write_rows(tmp_path / "runs" / "digits" / name / "results.jsonl", made)

    ran, digits = [], datasets.load("digits")
    hashes = {name: experiment._digest(digits, name) for name in ("dcec", "idec")}
    monkeypatch.setattr(experiment.sweep, "command", sweep)
    experiment.run("digits", ["dcec", "idec"], tmp_path / "runs", float("inf"), page=True)
    assert ran == ["dcec,idec"]
    with pytest.raises(
        ValueError,
        match="sae-kmeans/results.jsonl must have the settings of the method, has others",
    ):
        experiment.run("digits", ["sae-kmeans"], tmp_path / "runs", float("inf"))
    origins = {(row["method"], row["seed"]): row["from"] for row in experiment.present()}
    assert [origins["dcec", seed] for seed in range(10)] == ["other"] * 3 + ["own"] * 3 + [
        "page"
    ] * 4
    assert [origins["idec", seed] for seed in range(10)] == ["page"] * 10
    # A run that repeats what is there and ends elsewhere is no run of the same.
    path = tmp_path / "runs" / "digits" / "dcec" / "results.jsonl"
    again = read_rows(path)
    write_rows(path, [again[0] | {"acc": 0.4}, *again[1:]])
    with pytest.raises(ValueError, match="digits, dcec, seed 0 must have one score"):
        experiment.present(read_rows(path))


@pytest.mark.parametrize("data", experiment.SEEDS)
def test_rows_of_the_papers_experiments_have_the_methods_own_settings(data):
    known = datasets.SETS[data]
    if known.file is not None and datasets._path(known) is None:
        pytest.skip(f"no {known.file} here")
    experiment.missing(datasets.load(data), list(METHODS))


def test_an_unknown_set_is_refused(monkeypatch):
    monkeypatch.setattr("sys.argv", ["compare", "--table", "--data", "mnist"])
    with pytest.raises(ValueError, match="data: must be of digits, .*, got 'mnist'"):
        experiment.main()


def test_a_page_has_the_whole_table_and_a_look_into_the_runs_that_are_asked_for(
    comparison, monkeypatch, tmp_path
):
    folder, page = tmp_path / "digits", tmp_path / "report.html"
    folder.mkdir()
    run = make(folder / "kmeans", "kmeans", [0.5, 0.6], data="digits")
    write_labels(run / "labels.npy", np.tile(np.arange(100) % 10, (2, 1)))
    monkeypatch.setattr(experiment, "run", lambda *arguments: None)
    monkeypatch.setattr(experiment, "results", lambda: comparison)
    monkeypatch.setattr(experiment, "present", lambda: read_rows(run / "results.jsonl"))
    given = ["compare", "--data", "digits", "--folder", str(tmp_path), "--page"]
    monkeypatch.setattr("sys.argv", [*given, str(page)])
    experiment.main()
    found = Page(page.read_text())
    charts = [
        one["aria-label"]
        for one in found.all("svg")
        if one["aria-label"].startswith("ACC of each seed on")
    ]
    assert [chart.split()[5][:-1] for chart in charts] == [
        data["name"] for data in comparison["data"]
    ]
    assert [one["id"] for one in found.all("section")] == ["comparison", "run-0"]
    monkeypatch.setattr(experiment, "present", lambda: rows("kmeans", "digits", {0: 0.5, 1: 0.7}))
    with pytest.raises(
        ValueError, match="must have the scores of the rows, has others of digits, kmeans, seed 1"
    ):
        experiment.main()
    monkeypatch.setattr("sys.argv", [*given, str(tmp_path / "report.txt")])
    with pytest.raises(ValueError, match="out: must end in .html"):
        experiment.main()


def test_a_page_is_left_as_it_is_while_runs_wait_for_more_time(comparison, monkeypatch, tmp_path):
    page = tmp_path / "report.html"
    page.write_text("of all runs")
    monkeypatch.setattr(
        "sys.argv", ["compare", "--data", "digits", "--max-seconds", "0", "--page", str(page)]
    )
    monkeypatch.setattr(experiment, "results", lambda: comparison)
    with pytest.raises(
        SystemExit, match="report.html is not written, some runs wait for more time"
    ):
        experiment.main()
    assert page.read_text() == "of all runs"


def test_the_page_in_the_docs_is_of_the_rows():
    page = Page((ROOT / "docs" / "report.html").read_text())
    charts = [
        one["aria-label"]
        for one in page.all("svg")
        if one["aria-label"].startswith("ACC of each seed on")
    ]
    for data, chart in zip(experiment.results()["data"], charts, strict=True):
        assert chart.startswith(f"ACC of each seed on {data['name']}: ")
        for row in data["methods"]:
            scores = (
                "failed" if score is None else f"{score:.3f}" for score in row["seeds"].values()
            )
            assert f" {row['method']} {', '.join(scores)}" in chart
