"""What the seeds of a run say together: one numbering for all of them, votes, and their file."""

import csv
import dataclasses

import numpy as np
import pytest

from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics
from jaxclust.runs.consensus import make_consensus
from jaxclust.runs.reading import open_run
from jaxclust.types import Prediction
from run_folders import memory_run

BASE = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2], np.int32)
# The same clusters under other numbers, with one image of the others' cluster 0 in their cluster 1.
RENAMED = np.array([2, 2, 2, 0, 0, 0, 0, 0, 1, 1, 1, 1], np.int32)
# The same clusters under other numbers again, with two such images, and one more that only this
# seed moves.
MOVED = np.array([1, 1, 2, 2, 2, 2, 2, 2, 0, 0, 0, 1], np.int32)
VOTED = np.array([2, 2, 2, 0, 0, 0, 0, 0, 1, 1, 1, 1], np.int32)


@pytest.fixture
def run():
    """Three seeds, of which seed 1 lies between the other two and gives the numbers."""
    return memory_run("dcec", np.stack([BASE, RENAMED, MOVED]))


def test_three_seeds_vote_in_the_numbers_of_the_one_that_agrees_best(run):
    votes = run.consensus()
    assert (votes.medoid, votes.seeds) == (1, (0, 1, 2))
    np.testing.assert_array_equal(votes.labels, VOTED)
    np.testing.assert_allclose(votes.share, np.array([3, 3, 2, 2, 3, 3, 3, 3, 3, 3, 3, 2]) / 3)
    np.testing.assert_array_equal(votes.numbering[:, :3], [[2, 0, 1], [0, 1, 2], [1, 2, 0]])
    np.testing.assert_array_equal(votes.seed_labels[0], [2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(votes.seed_labels[1], RENAMED)
    np.testing.assert_array_equal(votes.seed_labels[2], [2, 2, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2])
    # The labels of the run itself keep each seed's own numbers.
    np.testing.assert_array_equal(run.labels, [BASE, RENAMED, MOVED])
    with pytest.raises(ValueError, match="read-only"):
        votes.labels[0] = 1
    assert run.consensus() is votes


def test_a_failed_seed_does_not_vote(run):
    votes = memory_run("dcec", np.stack([np.full(12, -1), RENAMED, MOVED, BASE])).consensus()
    assert votes.seeds == (1, 2, 3)
    assert votes.medoid == 1
    np.testing.assert_array_equal(votes.labels, run.consensus().labels)
    with pytest.raises(UsageError, match="consensus: at least one seed must not have failed"):
        memory_run("dcec", np.full((2, 12), -1)).consensus()


@pytest.mark.parametrize("failed", [0, 1])
def test_a_single_seed_has_its_own_numbers(failed, tmp_path):
    run = memory_run("dcec", np.stack([np.full(12, -1)] * failed + [MOVED]))
    votes = run.consensus()
    assert votes.medoid == failed
    np.testing.assert_array_equal(votes.labels, MOVED)
    np.testing.assert_array_equal(votes.numbering, [np.arange(10)])
    assert (votes.share == 1).all()
    # The seed that is left has all votes.
    run.write_clusters(tmp_path)
    head, first, *_ = table(tmp_path / "clusters.csv")
    assert head == ["image", "cluster", "share", f"seed_{failed}"]
    assert first == ["0", "1", "1", "1"]
    assert (run.scores(BASE).consensus is not None) == (failed == 1)


def test_an_image_that_could_not_be_read_has_no_cluster(run):
    labels = np.insert(run.labels, 3, -1, axis=1)
    votes = make_consensus(labels, (0, 1, 2), 10)
    others = np.arange(13) != 3
    assert (votes.labels[3], votes.share[3], votes.seed_labels[:, 3].tolist()) == (-1, 0, [-1] * 3)
    np.testing.assert_array_equal(votes.labels[others], VOTED)
    classes = np.insert(BASE, 3, 9)
    assert votes.scores(classes) == metrics.scores(BASE, VOTED)


def test_a_method_of_several_labelings_has_a_consensus_of_each():
    labelings = {"rc": np.stack([BASE, RENAMED]), "sf": np.stack([MOVED, MOVED])}
    run = memory_run("jule", labelings)
    np.testing.assert_array_equal(run.consensus().labels, run.consensus("rc").labels)
    np.testing.assert_array_equal(run.consensus("sf").labels, MOVED)
    with pytest.raises(UsageError, match="labeling: must be one of 'rc', 'sf', got 'own'"):
        run.consensus("own")


def test_votes_on_new_images_by_hand(run):
    """Each image has three predictions, which are brought to the consensus's numbers first."""
    raw = np.array([[0, 1, 0], [2, 1, 1], [0, 1, 2]], np.int32)
    distance = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]], np.float32)
    votes = run.consensus()
    each = votes.numbered(Prediction(raw, distance, distance), votes.seeds)
    np.testing.assert_array_equal(each.cluster, [[2, 0, 2], [2, 1, 1], [1, 2, 0]])
    voted = votes.vote(each)
    # Where each seed votes for another cluster, that of seed 1 wins.
    np.testing.assert_array_equal(voted.cluster, [2, 1, 1])
    np.testing.assert_allclose(voted.probability, [2 / 3, 1 / 3, 1 / 3])
    np.testing.assert_allclose(voted.distance, [(1 + 4) / 2, 5, 6])
    assert [values.dtype.name for values in voted] == ["int32", "float32", "float32"]


def test_the_scores_have_the_consensus_beside_the_mean(run):
    scores = run.scores(BASE)
    assert scores.consensus == metrics.scores(BASE, VOTED)
    *_, low, high, consensus = str(scores).splitlines()
    assert (low.split()[0], high.split()[0]) == ("95", "95")
    acc, nmi, ari = (f"{scores.consensus[name]:.4f}" for name in ("acc", "nmi", "ari"))
    assert consensus.split() == ["consensus", acc, nmi, ari]


def table(path):
    """The lines of a run's table of clusters."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_a_saved_run_lists_each_file_once_and_in_order(run, tmp_path):
    names = [f"{number:02}.png" for number in range(8)]
    names += ["a, b.png", 'the "best".png', "two\nlines.png", "r\u00e9sum\u00e9.png"]
    run = dataclasses.replace(run, names=tuple(names))
    run.save(tmp_path / "run")
    head, *lines = table(tmp_path / "run" / "clusters.csv")
    assert head == ["image", "cluster", "share", "seed_0", "seed_1", "seed_2"]
    votes = run.consensus()
    assert [line[0] for line in lines] == names
    assert [int(line[1]) for line in lines] == votes.labels.tolist()
    assert [line[2] for line in lines[:3]] == ["1", "1", "0.666667"]
    each = np.array([[int(cell) for cell in line[3:]] for line in lines]).T
    np.testing.assert_array_equal(each, votes.seed_labels)
    # A run that was opened has the same consensus and names, and its copy the same file.
    opened = open_run(tmp_path / "run")
    assert run.files == opened.files == tuple(names)
    np.testing.assert_array_equal(opened.consensus().labels, votes.labels)
    opened.save(tmp_path / "copy")
    assert table(tmp_path / "copy" / "clusters.csv") == [head, *lines]


def test_a_folder_without_the_table_is_whole(run, tmp_path):
    """As versions wrote it that had no such file."""
    run.save(tmp_path / "run")
    (tmp_path / "run" / "clusters.csv").unlink()
    opened = open_run(tmp_path / "run")
    np.testing.assert_array_equal(opened.consensus().labels, VOTED)
    opened.save(tmp_path / "copy")
    assert [line[0] for line in table(tmp_path / "copy" / "clusters.csv")[1:]] == [
        str(row) for row in range(12)
    ]


def test_probability_and_distance_are_means_over_the_seeds_that_voted_for_the_cluster(
    run, tmp_path
):
    # A failed seed in the middle, whose numbers are none.
    labels = np.insert(run.labels, 1, -1, axis=0)
    values = np.repeat([[1.0], [np.nan], [2.0], [4.0]], 12, axis=1).astype(np.float32)
    predictions = Prediction(labels, values / 10, values)
    dataclasses.replace(memory_run("dcec", labels), predictions=predictions).save(tmp_path / "run")
    head, *lines = table(tmp_path / "run" / "clusters.csv")
    assert head[:5] == ["image", "cluster", "share", "probability", "distance"]
    assert head[5:] == ["seed_0", "seed_2", "seed_3"]
    # All three vote for image 0; the last two for image 3, the first two for image 2.
    assert lines[0] == ["0", "2", "1", "0.233333", "2.33333", "2", "2", "2"]
    assert lines[3][:5] == ["3", "0", "0.666667", "0.3", "3"]
    assert lines[2][:5] == ["2", "2", "0.666667", "0.15", "1.5"]
    # A copy of the folder has the same table.
    open_run(tmp_path / "run").save(tmp_path / "copy")
    assert table(tmp_path / "copy" / "clusters.csv") == [head, *lines]


def test_failed_seeds_and_unreadable_images_in_the_table(tmp_path):
    labels = np.insert(np.stack([BASE, BASE, BASE]), 4, -1, axis=1)
    labels[1] = -1
    memory_run("dcec", labels).write_clusters(tmp_path, lambda place: f"image {place}")
    head, *lines = table(tmp_path / "clusters.csv")
    assert head == ["image", "cluster", "share", "seed_0", "seed_2"]
    assert lines[3] == ["image 3", "0", "1", "0", "0"]
    assert lines[4] == ["image 4", "", "", "", ""]
    assert len(lines) == 13
