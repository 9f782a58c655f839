"""The images on which all seeds agree teach the others: when they do, and what is refused."""

import csv
import dataclasses

import numpy as np
import pytest

import jaxclust as jc
from jaxclust.cli.main import main
from jaxclust.data.datasets import Dataset
from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics
from jaxclust.methods import pupil
from jaxclust.runs import vote
from jaxclust.runs.consensus import make_consensus

QUICK = pupil.Config(epochs=1, least_steps=30, batch=32, learning_rate=3e-3)
KINDS = 3
SHAPE = (8, 8, 1)


def pictures(n, seed=0):
    """Bars at three places, moved a little and with noise; and their kinds."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(n) % KINDS
    images = rng.random((n, *SHAPE)) * 0.3
    for image, kind in zip(images, kinds, strict=True):
        place = rng.integers(0, 6)
        if kind == 0:
            image[place : place + 2] += 0.7
        elif kind == 1:
            image[:, place : place + 2] += 0.7
        else:
            image[np.arange(8), (np.arange(8) + place) % 8] += 0.7
    return images.astype(np.float32), kinds.astype(np.int32)


def seeds_with_own_errors(kinds, seeds, wrong, rng):
    """Labels of seeds, each of which errs on its own share of the images."""
    labels = np.tile(kinds, (seeds, 1))
    for own in labels:
        rows = rng.choice(len(kinds), int(wrong * len(kinds)), replace=False)
        own[rows] = (kinds[rows] + rng.integers(1, KINDS, len(rows))) % KINDS
    return labels


def consensus(labels, clusters=KINDS):
    return make_consensus(labels, tuple(range(len(labels))), clusters)


@pytest.fixture(scope="module")
def taught():
    """Images, kinds, the votes of four seeds whose errors differ, and what pupils learn of them."""
    images, kinds = pictures(360)
    votes = consensus(seeds_with_own_errors(kinds, 4, 0.3, np.random.default_rng(3)))
    return images, kinds, votes, vote.train(votes, images, 0, QUICK)


def test_pupils_improve_the_vote_of_seeds_whose_errors_differ(taught):
    _, kinds, votes, pupils = taught
    decided = vote.decide(votes, pupils)
    assert (decided.why_not, pupils.shape, pupils.dtype) == ("", (2, 360), np.int32)
    assert decided.backing == vote.backing(votes, pupils)
    assert vote.backing(votes, pupils).pupils > vote.backing(votes, pupils).seeds
    before = metrics.accuracy(kinds, votes.labels)
    after = metrics.accuracy(kinds, decided.labels)
    assert before < 0.95 < after
    np.testing.assert_array_equal(decided.changed, decided.labels != votes.labels)
    np.testing.assert_array_equal(decided.disputed, votes.share < 1)
    # Undisputed images keep their cluster, and disputed ones on which the pupils differ, too.
    kept = ~decided.disputed | (pupils[0] != pupils[1])
    assert not decided.changed[kept].any()
    np.testing.assert_array_equal(decided.labels[~kept], pupils[0][~kept])
    expected = (votes.seed_labels == decided.labels).mean(axis=0)
    np.testing.assert_array_equal(decided.share, expected)


def test_the_same_seed_teaches_the_same_and_another_one_does_not(taught):
    images, _, votes, pupils = taught
    told = []
    again = vote.train(votes, images, 0, QUICK, lambda phase, event: told.append((phase, event)))
    np.testing.assert_array_equal(again, pupils)
    assert [phase for phase, event in told if event is None] == ["pupil 1", "pupil 2"]
    assert told[-1][1].done.all()
    assert (vote.train(votes, images, 1, QUICK) != pupils).any()


def test_a_pupil_learns_from_its_half_alone(taught):
    images, _, votes, pupils = taught
    first, second = vote.halves(votes.labels, np.flatnonzero(votes.share == 1), 0)
    # The other half's pictures may be anything: here they are black.
    changed = images.copy()
    changed[second] = 0
    rest = np.ones(len(images), bool)
    rest[second] = False
    other = vote.train(votes, changed, 0, QUICK)
    np.testing.assert_array_equal(other[0][rest], pupils[0][rest])
    assert (other[1][rest] != pupils[1][rest]).any()
    changed = images.copy()
    changed[first] = 0
    rest = np.ones(len(images), bool)
    rest[first] = False
    np.testing.assert_array_equal(vote.train(votes, changed, 0, QUICK)[1][rest], pupils[1][rest])


def test_halves_are_disjoint_and_hold_half_of_each_cluster():
    labels = np.repeat([0, 1, 2], [41, 20, 12])
    places = np.arange(3, 73)
    first, second = vote.halves(labels, places, 5)
    assert len(first) == len(second) == 35
    assert not np.intersect1d(first, second).size
    assert np.isin(np.concatenate([first, second]), places).all()
    counts = np.stack([np.bincount(labels[half], minlength=3) for half in (first, second)])
    assert (abs(counts[0] - counts[1]) <= 1).all()
    assert (vote.halves(labels, places, 6)[0] != first).any()
    # One of an odd number is left out.
    first, second = vote.halves(labels, places[:-1], 5)
    assert len(first) == len(second) == 34


def slow_backing(votes, pupils):
    """Image by image, seed by seed."""
    cases = by_pupils = by_seeds = 0
    labels = votes.seed_labels
    for out in range(len(labels)):
        others = [place for place in range(len(labels)) if place != out]
        medoid = votes.seeds.index(votes.medoid)
        decides = medoid if medoid in others else others[0]
        for image in range(labels.shape[1]):
            given = [int(labels[place, image]) for place in others]
            if len(set(given)) == 1 or len(set(pupils[:, image].tolist())) > 1:
                continue
            most = max(given.count(cluster) for cluster in given)
            best = [cluster for cluster in sorted(set(given)) if given.count(cluster) == most]
            own = int(labels[decides, image])
            chosen = own if own in best else best[0]
            if chosen == pupils[0, image]:
                continue
            cases += 1
            by_pupils += int(labels[out, image] == pupils[0, image])
            by_seeds += int(labels[out, image] == chosen)
    return cases, by_pupils, by_seeds


@pytest.mark.parametrize("seeds", [3, 4, 5])
def test_backing_is_that_of_a_slow_count(seeds):
    rng = np.random.default_rng(seeds)
    kinds = np.arange(200) % 5
    labels = np.where(rng.random((seeds, 200)) < 0.6, kinds, rng.integers(0, 5, (seeds, 200)))
    pupils = np.where(rng.random((2, 200)) < 0.8, kinds, rng.integers(0, 5, (2, 200)))
    votes = consensus(labels, 5)
    found = vote.backing(votes, pupils)
    assert found == slow_backing(votes, pupils)
    assert min(found) > 0


def test_pupils_that_the_seeds_do_not_back_decide_nothing():
    kinds = np.arange(300) % KINDS
    labels = np.tile(kinds, (4, 1))
    # Each image of ten is disputed by one seed alone; the pupils are always wrong.
    for place, own in enumerate(labels):
        own[place * 10 : place * 10 + 10] = (kinds[place * 10 : place * 10 + 10] + 1) % KINDS
    wrong = np.tile((kinds + 2) % KINDS, (2, 1)).astype(np.int32)
    votes = consensus(labels)
    decided = vote.decide(votes, wrong)
    backing = vote.backing(votes, wrong)
    assert decided.backing == backing
    assert backing.pupils == 0 < backing.seeds
    assert "sides with the other seeds" in decided.why_not
    np.testing.assert_array_equal(decided.labels, votes.labels)
    np.testing.assert_array_equal(decided.share, votes.share)
    assert not decided.changed.any()


def test_nothing_is_taught_where_nothing_is_disputed_or_a_cluster_is():
    kinds = np.arange(30) % KINDS
    assert "agree on every image" in vote.reason_not_to_teach(consensus(np.tile(kinds, (3, 1))))
    labels = np.tile(kinds, (3, 1))
    assert vote.reason_not_to_teach(consensus(np.vstack([labels, np.roll(kinds, 30)])))
    labels[0, :3] = labels[0, [1, 2, 0]]
    assert vote.reason_not_to_teach(consensus(labels)) == ""
    # The last seed gives cluster 1 all images of cluster 2 but two, of which one is disputed.
    labels[2][np.flatnonzero(kinds == 2)[2:]] = 1
    reason = vote.reason_not_to_teach(consensus(labels))
    assert reason == "the seeds agree on 1 image of cluster 2, too few to teach it"


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data, few_digits):
    """Folders of k-means runs of three seeds, of one, and on features."""
    folder = tmp_path_factory.mktemp("vote")
    words = f"--data {data} --no-figures --no-baseline --restarts 1 --quiet"
    assert main(f"fit kmeans {words} --seeds 3 --out {folder / 'three'}".split()) == 0
    assert main(f"fit kmeans {words} --seeds 2 --out {folder / 'two'}".split()) == 0
    vectors = folder / "vectors.npy"
    np.save(vectors, few_digits[0].reshape(300, -1).astype(np.float32))
    words = f"{words} --features {vectors}"
    assert main(f"fit kmeans {words} --seeds 3 --out {folder / 'features'}".split()) == 0
    return folder


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(pupil, "Config", lambda: QUICK)


@pytest.mark.slow
def test_the_command_writes_what_python_gives(runs, data, quick, capsys):
    assert main(["vote", str(runs / "three"), "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("the seeds disagree on ")
    assert out.endswith(f"300 images: {runs / 'three' / 'vote.csv'}\n")
    with (runs / "three" / "vote.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == ["image", "cluster", "share", "changed"]
    decided = jc.vote(jc.open_run(runs / "three"), jc.load(data))
    assert [int(line["cluster"]) for line in lines] == decided.labels.tolist()
    assert [int(line["changed"]) for line in lines] == decided.changed.astype(int).tolist()
    np.testing.assert_allclose([float(line["share"]) for line in lines], decided.share, rtol=1e-5)
    refused(capsys, ["vote", str(runs / "three")], "out: must not exist without --overwrite")
    assert main(["vote", str(runs / "three"), "--quiet", "--overwrite"]) == 0


def refused(capsys, words, rule):
    capsys.readouterr()
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert rule in line


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("two", "must have 3 seeds or more that did not fail, got 2"),
        ("features", "must be on images, which can be turned and shifted, is on vectors.npy"),
        ("none", "none"),
        ("three --data digits --out {0}/new.csv", "digits has another checksum"),
        ("three --data {0}/nowhere --out {0}/new.csv", "data: must be a named set or a path"),
        ("three --out {0}/no/folder.csv", "out: must be in a folder that exists"),
    ],
)
def test_what_cannot_be_is_one_line(words, rule, runs, monkeypatch, capsys):
    monkeypatch.setattr(vote, "train", None)  # Nothing is trained.
    monkeypatch.chdir(runs)
    if "digits" in words:  # The images are not found where they were, either.
        monkeypatch.setattr("jaxclust.report.run_images._read_from", lambda *_: ([], []))
    refused(capsys, ["vote", *words.format(runs).split()], rule)


def test_python_refuses_other_images_and_unfinished_runs(few_digits):
    images = few_digits[0]
    run = jc.fit("kmeans", images, clusters=10, seeds=3, progress=False)
    vote.check(run)
    assert vote.own_images(run, images).shape == (300, 8, 8, 1)
    assert vote.own_images(run, Dataset("x", images, few_digits[1])).shape == (300, 8, 8, 1)
    other = images.copy()
    other[0, 0, 0] ^= 1
    with pytest.raises(UsageError, match="images: must be the run's own, .* another checksum"):
        jc.vote(run, other)
    with pytest.raises(UsageError, match="images: must be the run's own, .* of shape"):
        jc.vote(run, images[:10])
    with pytest.raises(UsageError, match="run: must be finished"):
        jc.vote(dataclasses.replace(run, rows=(), labelings={}), images)
    streamed = dataclasses.replace(run.settings, stream=100)
    with pytest.raises(UsageError, match="must be on images in memory"):
        jc.vote(dataclasses.replace(run, settings=streamed), images)
