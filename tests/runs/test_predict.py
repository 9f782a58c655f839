"""New images into the clusters of a finished run: the labels of training again, and refusals."""

import csv
import json
import shutil

import jax
import numpy as np
import pytest

from jaxclust.cli.main import main
from jaxclust.runs.files import json_lines, read_json_lines
from jaxclust.runs.reading import open_run


@pytest.fixture(scope="module")
def run(finished):
    """The folder of a finished run of seeds 0 and 3."""
    return finished


def refused(capsys, arguments):
    """The one line with which the command refuses."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line


@pytest.fixture(scope="module")
def votes(run):
    """The consensus of that run."""
    return open_run(run).consensus()


def test_the_labels_of_training_again(run, votes, few_digits):
    labels = np.load(run / "labels.npy", allow_pickle=False)
    opened = open_run(run)
    for lane, seed in enumerate((0, 3)):
        assert opened.seed_of(seed) == seed
        predicted = opened.predict(few_digits[0], seed)
        np.testing.assert_array_equal(predicted.cluster, votes.seed_labels[lane])
        np.testing.assert_array_equal(votes.numbering[lane][labels[lane]], predicted.cluster)
    assert (votes.seed_labels[0] != votes.seed_labels[1]).any()
    predicted = opened.predict(few_digits[0])
    np.testing.assert_array_equal(predicted.cluster, votes.labels)
    np.testing.assert_array_equal(predicted.probability, votes.share)


def test_the_distance_of_a_vote_is_the_mean_of_those_who_voted_so(run, few_digits):
    opened = open_run(run)
    voted = opened.predict(few_digits[0])
    each = [opened.predict(few_digits[0], seed) for seed in (0, 3)]
    agree = each[0].cluster == each[1].cluster
    assert 0 < agree.sum() < 300
    mean = (each[0].distance + each[1].distance) / 2
    # Both seeds agree best with the other: the first one decides where they differ.
    expected = np.where(agree, mean, each[0].distance)
    np.testing.assert_allclose(voted.distance, expected, rtol=1e-6)


def test_probability_and_distance_are_those_of_the_nearest_centroid(run, few_digits):
    images = few_digits[0][:50]
    opened = open_run(run)
    assert opened.seed_of() == 0
    predicted = opened.predict(images, 0)
    method = opened.method
    state = jax.tree.map(lambda leaf: leaf[0], opened.states([0]))
    network = method.build(images.shape[1:])
    features = np.asarray(method.algorithm.embed(method.config, network, state, images))
    np.testing.assert_allclose(opened.embed(images), features, rtol=1e-4, atol=1e-5)
    features = features.astype(np.float64)
    centroids = np.asarray(state.centroids, np.float64)
    for i, feature in enumerate(features):
        distances = [np.sqrt(np.sum((feature - centroid) ** 2)) for centroid in centroids]
        similarities = [1 / (1 + distance**2) for distance in distances]
        assert predicted.cluster[i] == np.argmin(distances)
        assert predicted.distance[i] == pytest.approx(min(distances), rel=1e-3)
        assert predicted.probability[i] == pytest.approx(
            max(similarities) / sum(similarities), rel=1e-4
        )


def test_the_command_writes_the_votes_on_each_image(run, data, tmp_path, capsys):
    """On the images of the run itself they are those of its clusters.csv."""
    out = tmp_path / "votes.csv"
    assert main(f"predict {run} --data {data} --out {out}".split()) == 0
    head, *lines = out.read_text().splitlines()
    assert head == "image,cluster,share,probability,distance,seed_0,seed_3"
    assert len(lines) == 300
    kept = (run / "clusters.csv").read_text().splitlines()
    assert kept[0] == head
    for line, other in zip(lines, kept[1:], strict=True):
        cells, others = (text.split(",") for text in (line, other))
        assert cells[:3] + cells[5:] == others[:3] + others[5:]
        np.testing.assert_allclose(
            np.array(cells[3:5], float), np.array(others[3:5], float), rtol=1e-4
        )
    assert "300 images into the clusters of the consensus of 2 seeds" in capsys.readouterr().out


def test_the_table_has_the_means_of_the_seeds_that_voted(run, few_digits):
    opened = open_run(run)
    each = opened.predict_seeds(few_digits[0])
    rows = list(csv.DictReader((run / "clusters.csv").read_text().splitlines()))
    cluster = np.array([int(row["cluster"]) for row in rows])
    voted = each.cluster == cluster
    for name in ("probability", "distance"):
        means = np.ma.array(getattr(each, name), mask=~voted).mean(axis=0)
        found = np.array([float(row[name]) for row in rows])
        np.testing.assert_allclose(found, means, rtol=1e-4)


def test_the_command_writes_a_line_an_image(run, votes, data, tmp_path, capsys):
    out = tmp_path / "labels.csv"
    assert main(f"predict {run} --data {data} --out {out} --seed 3".split()) == 0
    lines = list(csv.DictReader(out.read_text().splitlines()))
    assert list(lines[0]) == ["image", "cluster", "probability", "distance"]
    assert [int(line["cluster"]) for line in lines] == votes.seed_labels[1].tolist()
    assert "300 images into the clusters of seed 3" in capsys.readouterr().out
    out.write_text("mine")
    line = refused(capsys, f"predict {run} --data {data} --out {out}".split())
    assert "out: must not exist without --overwrite" in line
    assert out.read_text() == "mine"
    assert main(f"predict {run} --data {data} --out {out} --overwrite".split()) == 0


def test_one_image(run, votes, few_digits, tmp_path):
    path = tmp_path / "one.npy"
    out = tmp_path / "one.csv"
    np.save(path, few_digits[0][7:8])
    assert main(f"predict {run} --data {path} --out {out}".split()) == 0
    (line,) = csv.DictReader(out.read_text().splitlines())
    assert (line["image"], int(line["cluster"])) == ("0", votes.labels[7])


def test_images_of_another_shape(run, tmp_path, capsys):
    path = tmp_path / "wide.npz"
    np.savez(path, images=np.zeros((5, 8, 9), np.uint8))
    line = refused(capsys, f"predict {run} --data {path} --out {tmp_path / 'x.csv'}".split())
    assert "images: must be of shape (n, 8, 8, 1), got (5, 8, 9, 1)" in line


def test_runs_that_cannot_predict(run, data, tmp_path, capsys):
    def line(directory, more=""):
        arguments = f"predict {directory} --data {data} --out {tmp_path / 'x.csv'} {more}"
        return refused(capsys, arguments.split())

    assert "must hold a run, has no config.json" in line(tmp_path / "nowhere")
    assert "seed: must be one of 0, 3" in line(run, "--seed 1")
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "checkpoint" / "cluster")
    assert "checkpoint: must be in" in line(copy)
    shutil.copytree(run / "checkpoint" / "pretrain", copy / "checkpoint" / "cluster")
    assert "checkpoint: " in line(copy)
    results = copy / "results.jsonl"
    rows = read_json_lines(results)
    results.write_text(json_lines(row | {"failed": 3} for row in rows))
    assert "seed: all seeds of" in line(copy)
    results.write_text(json_lines(rows[:1]))
    assert "must hold a row for each seed, (0, 3), got [0]" in line(copy)
    results.unlink()
    assert "must be finished, has no results.jsonl" in line(copy)
    settings = json.loads((copy / "config.json").read_text())
    results.write_text(json_lines(row | {"config_hash": None} for row in rows))
    (copy / "config.json").write_text(json.dumps(settings | {"method": "of-tomorrow"}))
    assert "must hold settings of this version's methods" in line(copy)
    assert not (tmp_path / "x.csv").exists()
