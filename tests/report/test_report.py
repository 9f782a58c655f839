"""The page: its parts, its text alternatives, and that it asks nobody for anything."""

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

from jaxclust.cli.main import main
from jaxclust.report import page as written
from jaxclust.report import run_images
from jaxclust.report.look import Look, features, look
from jaxclust.runs import collect, repeat
from jaxclust.runs.files import read_rows, write_labels
from jaxclust.runs.settings import read_settings
from pages import Page, chosen, idec
from run_folders import SETTINGS, make


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return idec(tmp_path_factory.mktemp("runs") / "idec", data)


@pytest.fixture(scope="module")
def path(run, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    assert main(["report", str(run), "--data", str(data), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def page(path):
    return Page(path.read_text())


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


def test_numbers_are_the_runs(page, run):
    for row in read_rows(run / "results.jsonl"):
        assert f"{row['acc']:.4f}" in page.text
    points = json.loads(
        next(one["data-points"] for one in page.all("figure") if "data-points" in one)
    )
    labels = np.load(run / "labels.npy", allow_pickle=False)
    assert points["clusters"] in [labels[lane][points["rows"]].tolist() for lane in (0, 1)]
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


def pixels(address):
    """A picture of the page, uint8 (height, width), grey."""
    return np.asarray(
        Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("L")
    )


def test_thumbnails_are_the_images_of_their_points(path, page, few_digits):
    points = json.loads(
        next(one["data-points"] for one in page.all("figure") if "data-points" in one)
    )
    sheet = pixels(re.search(r"\.thumbs-0\{background-image:url\(([^)]*)\)", path.read_text())[1])
    width, height = points["size"]
    for place, row in enumerate(points["rows"]):
        top, left = place // points["columns"] * height, place % points["columns"] * width
        np.testing.assert_array_equal(
            sheet[top : top + height, left : left + width], few_digits[0][row, ..., 0]
        )


def test_sheets_hold_images_of_their_clusters(page, run, few_digits):
    shown = next(
        one for one in page.all("img") if one["alt"].startswith("Most certain, of clusters ")
    )
    lane = int("Pictures show seed 3" in page.text)
    labels = np.load(run / "labels.npy", allow_pickle=False)[lane]
    images = np.kron(few_digits[0][..., 0], np.ones((4, 4), np.uint8))

    def clusters(picture, columns, count):
        """Of each image on the sheet."""
        sheet, found = pixels(picture["src"]), []
        for place in range(count):
            top, left = 2 + place // columns * 34, 2 + place % columns * 34
            (same,) = np.nonzero(
                (images == sheet[top : top + 32, left : left + 32]).all(axis=(1, 2))
            )
            found.append(set(labels[same]))
        return found

    sheets = [one for one in page.all("img") if re.match(r"\d+ of cluster", one["alt"])]
    assert len(sheets) == len(np.unique(labels))
    for one in sheets:
        count, cluster, members = map(
            int, re.match(r"(\d+) of cluster (\d+): (\d+) images", one["alt"]).groups()
        )
        assert members == (labels == cluster).sum()
        assert all(cluster in found for found in clusters(one, 8, count))
    named = [int(name) for name in shown["alt"].partition("clusters ")[2].split(", ")]
    assert all(
        name in found for name, found in zip(named, clusters(shown, 12, len(named)), strict=True)
    )


def test_images_are_ranked_by_how_certain_they_are(run, data):
    cell = next(cell for cell in collect.read([str(run)])[0] if cell.folders)
    look = look(cell, [str(data)])
    images = run_images.inputs(look.settings[0], look.data)
    (features,) = features(run, look.settings[0], images, [look.medoid])
    labels = look.labels[look.medoid]
    means = {k: features[labels == k].mean(axis=0) for k in np.unique(labels)}
    certain = []
    for one, own in zip(features, labels, strict=True):
        away = {k: float(np.linalg.norm(one - mean)) for k, mean in means.items()}
        certain.append(1 - away.pop(own) / min(away.values()))
    assert sorted(look.ranked) == list(range(300))
    assert (np.diff(np.array(certain)[look.ranked]) <= 1e-4).all()


def test_the_consensus_is_each_images_cluster_with_most_votes(tmp_path, capsys):
    labels = np.array([np.arange(100) % 10, (np.arange(100) + 1) % 10, np.arange(100) % 10])
    labels[0, 0] = labels[2, 1] = (
        7  # Each outvoted by the other two; seed 1's clusters are the others', renamed.
    )
    run = make(tmp_path / "a", "dcec", [0.5, 0.6, 0.7])
    write_labels(run / "labels.npy", labels)
    words = [
        "report",
        str(run),
        "--out",
        str(tmp_path / "page.html"),
        "--consensus",
        str(tmp_path / "votes.csv"),
    ]
    assert main(words) == 0
    assert capsys.readouterr().out.endswith(f"wrote {tmp_path / 'votes.csv'}\n")
    head, *lines = (tmp_path / "votes.csv").read_text().splitlines()
    assert head == "data,method,image,cluster,votes"
    found = [line.split(",") for line in lines]
    assert [line[:3] for line in found] == [["usps", "dcec", str(image)] for image in range(100)]
    votes = {0: "0.6667", 1: "0.6667"}
    assert [line[4] for line in found] == [votes.get(image, "1") for image in range(100)]
    # Numbers of clusters are those of one of the seeds.
    named = [int(line[3]) for line in found]
    assert named in [(np.arange(100) % 10).tolist(), ((np.arange(100) + 1) % 10).tolist()]
    for suffix, message in (
        ("csv", "consensus: must not exist without --overwrite"),
        ("txt", "must end in .csv, got"),
    ):
        words = [run, "--out", tmp_path / "more.html", "--consensus", tmp_path / f"votes.{suffix}"]
        assert message in error(capsys, *words)
        assert not (tmp_path / "more.html").exists()


def test_matrices_are_those_of_the_labels(path, run, few_digits):
    def table(title):
        body = path.read_text().partition(f"<caption><span>{title}")[2].partition("</table>")[0]
        return [
            re.findall(r"<td[^>]*>([^<]*)</td>", line)
            for line in re.findall(r"<tr>.*?</tr>", body)[1:]
        ]

    labels = np.load(run / "labels.npy", allow_pickle=False)
    ari = f"{adjusted_rand_score(*labels):.2f}"
    assert table("Agreement between seeds (ARI)") == [["1.00", ari], [ari, "1.00"]]
    lane = int("Pictures show seed 3" in path.read_text())
    counts = np.array([[int(cell or 0) for cell in line] for line in table("Classes by clusters")])
    expected = np.zeros((10, 10), int)
    np.add.at(expected, (few_digits[1], labels[lane]), 1)
    assert sorted(map(tuple, counts.T)) == sorted(map(tuple, expected.T))
    # Matched: no other order of the clusters has more on the diagonal.
    assert np.trace(counts) == expected[linear_sum_assignment(-expected)].sum()


def test_runs_on_the_same_images_share_their_thumbnails(digits):
    def look(points):
        labels, places = (
            np.zeros((1, len(digits.labels)), int),
            np.arange(2 * points).reshape(-1, 2),
        )
        rows = np.arange(len(digits.labels))
        return Look(None, [], [0], labels, rows, {}, [])._replace(
            sample=rows[:points], data=digits, places=places
        )

    sprites = {}
    parts = [
        written.embedding(number, look(points), sprites)
        for number, points in enumerate((30, 30, 20))
    ]
    assert list(sprites.values()) == ["thumbs-0", "thumbs-1"]
    assert [re.search(r"thumb (thumbs-.)", part)[1] for part in parts] == [
        "thumbs-0",
        "thumbs-0",
        "thumbs-1",
    ]
    assert not any("base64" in part for part in parts)


@pytest.fixture(scope="module")
def auto(tmp_path_factory):
    """The page of a run whose number of clusters was chosen."""
    return chosen(tmp_path_factory.mktemp("auto"))


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
    )  # Of the comparison and of the seeds.


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
        "--max-steps 8",
        "--pretraining.epochs 2",
        "--restarts 2",
    ):
        assert word in words
    assert "--gamma" not in words


def error(capsys, *arguments):
    assert main(["report", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    return err


def test_without_the_images_the_rest_is_there(run, tmp_path, capsys):
    out = tmp_path / "bare.html"
    assert main(["report", str(run), "--out", str(out)]) == 0
    page = Page(out.read_text())
    assert "no pictures: --data PATH must say where the images of few are" in page.text
    assert "Agreement between seeds" in page.text
    assert page.all("img") == []


def test_features_are_shown_by_their_images(data, few_digits, tmp_path):
    features, run = tmp_path / "mine.npy", tmp_path / "run"
    np.save(features, few_digits[0].reshape(300, 64)[:, ::2].astype(np.float64))
    common = f"--seeds 2 --over map --no-baseline --no-figures --features {features}"
    assert main(f"fit kmeans --data {data} --out {run} --restarts 2 {common}".split()) == 0

    def page(name, *more):
        assert main(["report", str(run), "--out", str(tmp_path / name), *map(str, more)]) == 0
        return Page((tmp_path / name).read_text())

    found = page("with.html", "--data", data)
    assert "no pictures" not in found.text
    assert "no embedding" not in found.text
    for heading in ("Embedding", "Classes by clusters", "Most and least certain images"):
        assert heading in found.text
    assert (
        "no pictures: --data PATH must say where the images of few are" in page("without.html").text
    )
    np.savez(tmp_path / "others.npz", images=few_digits[0][::-1])
    others = page("others.html", "--data", tmp_path / "others.npz")
    assert (
        f"the images of few are not to be had: {tmp_path / 'others.npz'} has another checksum"
        in others.text
    )
    assert others.all("img") == []
    np.save(features, few_digits[0].reshape(300, 64).astype(np.float64))
    found = page("changed.html", "--data", data)
    assert "must be those of the run, has another checksum" in found.text
    assert len(found.all("img")) == 10


def test_a_stream_is_shown_without_the_images_that_cannot_be_read(few_digits, tmp_path):
    images, labels = few_digits[0][:40, ..., 0], few_digits[1][:40] % 3
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = tmp_path / "set" / str(label) / f"{index:02}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    files = sorted((tmp_path / "set").rglob("*.png"))
    files[5].write_bytes(files[5].read_bytes()[:60])
    run, out = tmp_path / "run", tmp_path / "page.html"
    flags = "--batch 12 --reliable 12 --sample 30 --epochs 1 --pretraining.epochs 0 --seeds 2 --over map --stream"
    assert main(f"fit ccnn-ii --data {tmp_path / 'set'} --out {run} {flags}".split()) == 0
    assert main(f"report {run} --data {tmp_path / 'set'} --out {out}".split()) == 0
    page = Page(out.read_text())
    assert "left out: 1 of 40 images could not be read" in page.text
    for part in (
        "39 images, 3 clusters",
        "Their consensus",
        "Classes by clusters",
        "Most and least certain images",
    ):
        assert part in page.text
    points = json.loads(
        next(one["data-points"] for one in page.all("figure") if "data-points" in one)
    )
    assert points["rows"] == [index for index in range(40) if index != 5]
    found = np.load(run / "labels.npy", allow_pickle=False)[:, points["rows"]]
    assert points["clusters"] in found.tolist()
    assert points["classes"] == [int(path.parent.name) for path in files if path != files[5]]


def test_a_stream_is_shown_by_another_file_of_its_images(few_digits, data, tmp_path):
    np.save(tmp_path / "plain.npy", few_digits[0])
    _, source = run_images.opened(str(tmp_path / "plain.npy"), (8, 8), True)
    settings = SETTINGS | {
        "stream": 50,
        "data": {"name": "plain", "shape": [300, 8, 8, 1], "sha256": next(iter(source))},
    }
    notes = []
    found = run_images.find(settings, [str(data)], notes)
    np.testing.assert_array_equal(found.labels, few_digits[1])
    assert notes == []
    streamed = run_images.part(
        run_images.find(settings, [str(tmp_path / "plain.npy")], notes), np.array([4, 7])
    )
    np.testing.assert_array_equal(streamed.images[np.array([1])], few_digits[0][[7]])


def test_without_the_checkpoint_there_is_no_embedding(run, data, tmp_path):
    copy, out = tmp_path / "copy", tmp_path / "page.html"
    shutil.copytree(
        run, copy, ignore=lambda folder, names: [name for name in names if name == "checkpoint"]
    )
    assert main(["report", str(copy), "--data", str(data), "--out", str(out)]) == 0
    page = Page(out.read_text())
    assert "no embedding: checkpoint: must be in" in page.text
    assert "Most and least" not in page.text
    assert len(page.all("img")) == 10


def test_a_run_that_failed_throughout(tmp_path):
    folder, out = make(tmp_path / "a", "dcec", [None, None]), tmp_path / "page.html"
    np.save(folder / "labels.npy", np.full((2, 100), -1, np.int32))
    assert main(["report", str(folder), "--out", str(out)]) == 0
    assert "every seed failed" in Page(out.read_text()).text


def test_without_labels_there_is_no_comparison(few_digits, tmp_path):
    np.savez(tmp_path / "plain.npz", images=few_digits[0][:60])
    run, out = tmp_path / "run", tmp_path / "page.html"
    common = f"--data {tmp_path / 'plain.npz'} --out"
    assert (
        main(f"fit kmeans {common} {run} --clusters 3 --seeds 2 --over map --no-figures".split())
        == 0
    )
    assert main(f"report {run} {common} {out}".split()) == 0
    page = Page(out.read_text())
    assert "without true labels there are no scores to compare: kmeans on plain" in page.text
    assert "Agreement between seeds" in page.text


def test_names_are_text_and_no_markup(tmp_path):
    folder, out = make(tmp_path / "a", "dcec", [0.5, 0.6]), tmp_path / "page.html"
    np.save(folder / "labels.npy", np.zeros((2, 100), np.int32))
    (folder / "history.csv").write_text("phase,seed,window,loss\n<i>x</i>,0,0,2\n<i>x</i>,0,1,1\n")
    assert main(["report", f"<b>'&\"={folder}", "--out", str(out)]) == 0
    page = Page(out.read_text())
    assert page.all("b") == page.all("i") == []
    assert "<i>x</i>: loss" in page.text
    assert "<b>'&\" on usps" in page.text


def test_what_cannot_be_reported_is_refused(run, tmp_path, capsys):
    assert "out: must end in .html, got" in error(capsys, run, "--out", tmp_path / "x.htm")
    (tmp_path / "mine.html").write_text("keep")
    assert "out: must not exist without --overwrite" in error(
        capsys, run, "--out", tmp_path / "mine.html"
    )
    assert (tmp_path / "mine.html").read_text() == "keep"
    assert "must be in a folder that exists" in error(
        capsys, run, "--out", tmp_path / "no" / "x.html"
    )
    assert "data: must be a named set or a path that exists, got 'nope'" in error(
        capsys, run, "--data", "nope", "--out", tmp_path / "x.html"
    )
    (tmp_path / "run").mkdir()
    shutil.copy(run / "config.json", tmp_path / "run")
    shutil.copy(run / "results.jsonl", tmp_path / "run")
    assert "labels.npy must hold the run's labels" in error(
        capsys, tmp_path / "run", "--out", tmp_path / "x.html"
    )
    for labels, message in (
        (10, "must hold clusters from 0 to 9, or -1"),
        (-1, "must hold clusters of seed 0, which"),
    ):
        np.save(tmp_path / "run" / "labels.npy", np.full((2, 300), labels, np.int32))
        assert message in error(capsys, tmp_path / "run", "--out", tmp_path / "x.html")
    shutil.copy(run / "labels.npy", tmp_path / "run")
    for damage in (
        "seed,window,loss\n0,0,1\n",
        "phase,seed,loss\na,0,1e-\n",
        "phase,seed,loss\na,0,1,2\n",
        "seed,phase,loss\n0\n",
        "sead,phase,window,loss\n0,a,0,1\n",
        "seed,phase,window,loss\n0,a,0,\N{BOX DRAWINGS LIGHT VERTICAL}\n",
    ):
        (tmp_path / "run" / "history.csv").write_bytes(damage.encode("cp437"))
        line = error(capsys, tmp_path / "run", "--out", tmp_path / "x.html")
        assert "history.csv line 2 must be a phase and numbers, is damaged" in line
