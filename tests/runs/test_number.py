"""Each criterion of the number of clusters, on far groups and on scikit-learn's digits."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from jaxclust.errors import UsageError
from jaxclust.runs import number
from jaxclust.runs.number import CRITERIA, estimate

N = 200
"""Images of most tests here: arrays of one shape have one compiled program."""


def blobs(groups, n=N):
    """Pictures of 6 x 6 values of some far groups of like size."""
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(groups, 36)) * 6
    pictures = centers[np.arange(n) % groups] + generator.normal(size=(n, 36))
    return pictures.astype(np.float32).reshape(n, 6, 6)


@pytest.mark.parametrize("groups", [3, 6])
@pytest.mark.parametrize("criterion", [name for name in CRITERIA if name != "dying"])
def test_far_groups_are_counted(criterion, groups):
    # A Gaussian in 20 dimensions has 231 numbers, and needs more images than that.
    images = blobs(groups, 1200 if criterion == "bic" else N)
    found = estimate(criterion, images, range(2, 9))
    assert found.clusters == groups
    assert list(found.values) == list(range(2, 9))
    assert found.sentences[0].startswith(f"{groups} clusters: ")
    assert not any("was tried" in sentence for sentence in found.sentences)


@pytest.mark.parametrize("criterion", ["spectrum", "merges"])
def test_digits_have_ten_or_so(criterion):
    found = estimate(criterion, np.asarray(load_digits(return_X_y=True)[0])[:N], range(2, 21))
    assert 9 <= found.clusters <= 11


def _clusters_that_live(monkeypatch, counts, failed):
    """Lets a training end with so many clusters in each seed; gives what was trained."""
    asked = {}

    def train(method, images, seeds):
        clusters = method.clusters
        alive = np.arange(clusters) < np.asarray(counts)[:, None]
        asked.update(clusters=clusters, images=images, seeds=len(seeds))
        lanes = SimpleNamespace(state=SimpleNamespace(alive=alive))
        return SimpleNamespace(phases={"cluster": SimpleNamespace(lanes=lanes)}, failed=failed)

    monkeypatch.setattr(number.engine, "fit", train)
    return asked


def test_the_middle_of_the_seeds_living_clusters_is_taken(monkeypatch):
    asked = _clusters_that_live(monkeypatch, [9, 4, 5], [None] * 3)
    found = estimate("dying", blobs(3), range(2, 13))
    assert (asked["clusters"], asked["seeds"], asked["images"].shape) == (35, 3, (N, 1, 1, 36))
    assert abs(asked["images"].mean()) < 1e-5
    assert asked["images"].std() == pytest.approx(1, rel=1e-5)
    assert found.clusters == 5
    assert found.values[9] == pytest.approx(1 / 3)
    assert sum(found.values.values()) == pytest.approx(1)
    said = "5 clusters: of 35 clusters 9, 4, 5 lived in the end, a number for each of 3 seeds, "
    assert found.sentences[0] == f"{said}and the middle one counts."
    assert found.sentences[1] == "The seeds differ by more than two: the number is not sure."


def test_failed_seeds_do_not_count_and_the_range_bounds_the_number(monkeypatch):
    asked = _clusters_that_live(monkeypatch, [2, 39, 38], [("cluster", 3), None, None])
    found = estimate("dying", blobs(3), range(2, 38))
    assert asked["clusters"] == 37
    assert found.clusters == 37
    assert "lived in the end, a number for each of 2 seeds" in found.sentences[0]
    assert found.sentences[1].startswith("That is the largest number that was tried")
    _clusters_that_live(monkeypatch, [2, 2, 2], [("cluster", 3)] * 3)
    with pytest.raises(UsageError, match="criterion: must be another one, got dying"):
        estimate("dying", blobs(3), range(2, 9))


@pytest.mark.parametrize(("numbers", "end"), [(range(2, 5), "largest"), (range(6, 9), "smallest")])
def test_the_end_of_the_range_is_said(numbers, end):
    found = estimate("merges", blobs(4 if end == "largest" else 6), numbers)
    said = f"That is the {end} number that was tried: try another range, too."
    assert found.sentences[-1] == said


@pytest.mark.parametrize(("second", "sure"), [(0.38, False), (0.2, True)])
def test_a_number_that_is_hardly_better_is_said(monkeypatch, second, sure):
    values = {2: 0.1, 3: second, 4: 0.4, 5: 0.0}
    monkeypatch.setattr(number, "gaps", lambda neighbors, weights, numbers: values)
    first, *rest = estimate("spectrum", blobs(3), range(2, 6)).sentences
    assert f"40% of all gaps, the best of the others is 3 with {second:.0%}" in first
    assert rest == ([] if sure else ["The second best is nearly as good: the number is not sure."])


def test_noise_has_no_silhouette_that_stands_out():
    noise = np.random.default_rng(3).normal(size=(150, 30)).astype(np.float32)
    found = estimate("silhouette", noise, range(2, 6))
    assert "No number stands out: the images may have no clear clusters." in found.sentences


def test_of_many_images_a_sample_is_looked_at(monkeypatch):
    monkeypatch.setattr(number, "SAMPLE", N)
    images = blobs(5, 600)
    assert estimate("spectrum", images, range(2, 9)).clusters == 5
    seen = number._vectors(images)
    assert len(seen) == N
    np.testing.assert_allclose(np.linalg.norm(seen, axis=1), 1, rtol=1e-5)


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(UsageError, match="criterion: must be one of merges, .*, got 'best'"):
        estimate("best", blobs(3), range(2, 9))
    rule = "cluster-range: must end at most at a fifth of the different images, 40, got 2,60"
    with pytest.raises(UsageError, match=rule):
        estimate("spectrum", blobs(3), range(2, 61))
    with pytest.raises(UsageError, match="different images, 0, got 2,4"):
        estimate("bic", np.ones((50, 4, 4)), range(2, 5))
