"""The page: its parts, its text alternatives, and that it asks nobody for anything."""

import json
import re

import numpy as np

from jaxclust.cli.main import main
from jaxclust.runs import repeat
from jaxclust.runs.files import json_lines, write_labels
from jaxclust.runs.reading import open_run
from jaxclust.runs.rows import read_rows
from jaxclust.runs.settings import read_settings
from pages import Page
from run_folders import make, rows


def test_every_part_is_there(page):
    for heading in (
        "Comparison",
        "idec on few",
        "Curves",
        "Agreement and confusion",
        "Embedding",
        "Clusters",
    ):
        assert heading in page.text
    for part in (
        "Most and least certain images",
        "To repeat it",
        "All settings",
        "jaxlib",
        "kmeans",
    ):
        assert part in page.text
    assert len([one for one in page.all("img") if "cluster" in one["alt"]]) >= 10


def test_numbers_are_the_runs(page, run, few_digits):
    for row in read_rows(run / "results.jsonl"):
        assert f"{row.acc:.4f}" in page.text
    points = json.loads(
        next(one["data-points"] for one in page.all("figure") if "data-points" in one)
    )
    lines = (run / "clusters.csv").read_text().splitlines()[1:]
    clusters = [int(line.split(",")[1]) for line in lines]
    assert points["clusters"] == [clusters[row] for row in points["rows"]]
    scores = open_run(run).consensus().scores(few_digits[1])
    acc, nmi, ari = (f"{scores[name]:.4f}" for name in ("acc", "nmi", "ari"))
    assert f"and ACC {acc}, NMI {nmi}, ARI {ari}." in page.text
    assert "clusters.csv in the run's folder lists them for every image." in page.text
    assert (
        len([one for one in page.all("circle") if re.fullmatch(r"c\d+", one.get("class", ""))])
        == 300
    )


def test_nothing_is_asked_from_anyone(path, page):
    text = path.read_text()
    assert "http:" not in text
    assert "https:" not in text
    assert "default-src 'none'" in text
    asked = [one[name] for _, one in page.found for name in ("src", "href") if name in one]
    assert all(value.startswith(("data:", "#")) for value in asked)
    assert all(value.startswith("data:") for value in re.findall(r"url\((.{5})", text))
    assert not any(tag in ("script", "iframe", "object") and one for tag, one in page.found)


def test_pictures_have_words_and_places_are_reached(page):
    assert all(one["alt"] for one in page.all("img"))
    assert all(one["aria-label"] and one["role"] == "img" for one in page.all("svg"))
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert all(one["href"][1:] in ids for one in page.all("a"))
    assert page.all("html")[0]["lang"] == "en"
    assert all("scope" in one for one in page.all("th"))


def test_how_the_number_of_clusters_was_chosen(auto):
    page = Page(auto.read_text())
    assert "Number of clusters" in page.text
    assert "3 is the largest within 0.01 of the best" in page.text
    assert "Agreement by clusters: 2 0.900, 3 0.895, 4 0.500" in [
        one["aria-label"] for one in page.all("svg")
    ]
    assert len([one for one in page.all("circle") if "picked" in one.get("class", "")]) == 1


def test_a_run_of_another_number_of_clusters_is_not_called_the_chosen_one(auto, tmp_path):
    run = make(auto.parent / "k-4", "kmeans", [0.5, 0.6], clusters=4)
    write_labels(run / "labels.npy", np.tile(np.arange(100) % 4, (2, 1)))
    assert main(["report", str(run), "--out", str(tmp_path / "page.html")]) == 0
    text = Page((tmp_path / "page.html").read_text()).text
    assert "3 is the largest within 0.01 of the best, this run has 4." in text


def test_a_method_without_randomness_is_one_value(tmp_path):
    run = make(tmp_path / "a", "ac-gdl", [0.5] * 3)
    write_labels(run / "labels.npy", np.tile(np.arange(100) % 10, (3, 1)))
    assert main(["report", str(run), "--out", str(tmp_path / "page.html")]) == 0
    page = Page((tmp_path / "page.html").read_text())
    assert (
        "100 images, 10 clusters, one value for all seeds: the method draws no random number."
        in page.text
    )
    assert "Agreement between seeds" not in page.text
    assert [one for one in page.all("svg") if "ac-gdl 0.500" in one["aria-label"]]
    assert (
        sum(one.get("scope") == "row" for one in page.all("th")) == 2
    )  # Those of the comparison and of the seeds.


def test_the_page_says_where_numbers_of_clusters_are_not_those_of_the_table(tmp_path):
    clusters = np.arange(100) % 10
    one = make(tmp_path / "a", "dcec", {0: 0.5, 1: 0.6})
    more = make(tmp_path / "b", "dcec", {2: 0.7})
    write_labels(one / "labels.npy", np.stack([clusters, 9 - clusters]))
    write_labels(more / "labels.npy", clusters[None])
    jule = make(tmp_path / "c", "jule", [0.5, 0.6])
    lines = [line for part in ("rc", "sf") for line in rows(f"jule-{part}", "usps", {0: 0.5, 1: 1})]
    (jule / "results.jsonl").write_text(json_lines(lines))
    for name in ("labels.npy", "labels-sf.npy"):
        write_labels(jule / name, np.stack([clusters, clusters]))
    words = ["report", *map(str, (one, more, jule)), "--out", str(tmp_path / "page.html")]
    assert main(words) == 0
    text = Page((tmp_path / "page.html").read_text()).text
    assert "numbers that seed 0 gave them. The seeds of 2 folders vote together here: the" in text
    said = "They are the clusters of labels-sf.npy; clusters.csv has those of labels.npy"
    assert text.count(said) == 1


def test_runs_that_are_not_whole_are_reported_as_far_as_they_go(tmp_path):
    cut, going = make(tmp_path / "a", "dcec", [0.5, 0.6, 0.7]), make(tmp_path / "b", "idec", [0.5])
    write_labels(cut / "labels.npy", np.tile(np.arange(100) % 10, (3, 1)))
    (cut / "results.jsonl").write_text((cut / "results.jsonl").read_text()[:-30])
    (going / "results.jsonl").unlink()
    assert main(["report", str(cut), str(going), "--out", str(tmp_path / "page.html")]) == 0
    text = Page((tmp_path / "page.html").read_text()).text
    assert f"{cut / 'results.jsonl'} line 3 is cut off or no row, and is left out" in text
    assert f"{going} is still going or was stopped" in text
    assert "100 images, 10 clusters, 2 seeds." in text


def test_the_command_that_repeats_a_run(run, data):
    words = repeat.repeat(read_settings(run))
    for word in (
        f"fit idec --data {data} --seeds 0,3",
        "--max-steps 20",
        "--pretraining.epochs 3",
        "--restarts 2",
    ):
        assert word in words
    assert "--gamma" not in words


def test_a_run_that_failed_throughout(tmp_path):
    folder, out = make(tmp_path / "a", "dcec", [None, None]), tmp_path / "page.html"
    np.save(folder / "labels.npy", np.full((2, 100), -1, np.int32))
    assert main(["report", str(folder), "--out", str(out)]) == 0
    assert "every seed failed" in Page(out.read_text()).text


def test_names_are_text_and_no_markup(tmp_path):
    folder, out = make(tmp_path / "a", "dcec", [0.5, 0.6]), tmp_path / "page.html"
    np.save(folder / "labels.npy", np.zeros((2, 100), np.int32))
    (folder / "history.csv").write_text("phase,seed,window,loss\n<i>x</i>,0,0,2\n<i>x</i>,0,1,1\n")
    assert main(["report", f"<b>'&\"={folder}", "--out", str(out)]) == 0
    page = Page(out.read_text())
    assert page.all("b") == page.all("i") == []
    assert "<i>x</i>: loss" in page.text
    assert "<b>'&\" on usps" in page.text
