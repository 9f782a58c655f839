import numpy as np
import pytest

import jaxclust as jc
from jaxclust.data.datasets import Dataset
from jaxclust.evaluation.vectors import fit_projection, project
from jaxclust.groups import partition as partitions
from jaxclust.groups.partition import as_grid
from jaxclust.methods import registry
from jaxclust.runs.fit import execute
from jaxclust.runs.plan import Plan
from jaxclust.runs.progress import Bars

SIZES = (12, 30, 20)


@pytest.fixture(scope="module")
def three():
    """Vectors of three groups of SIZES, and a run of them."""
    generator = np.random.default_rng(0)
    centers = np.repeat(np.eye(3, 16) * 8, SIZES, axis=0)
    features = (centers + generator.normal(size=centers.shape)).astype(np.float32)
    vectors = project(fit_projection(features), features)
    data = Dataset("three", as_grid(vectors), None)
    method = registry.method("kmeans", clusters=3)
    return vectors, execute(method, data, Plan(seeds=(0, 1, 2)), Bars(disable=True))


def test_the_largest_group_is_the_first(three):
    vectors, run = three
    partition, _ = partitions.make_partition(run, vectors)
    np.testing.assert_array_equal(partition.groups, np.repeat([2, 0, 1], SIZES))
    assert (np.bincount(partition.groups) == sorted(SIZES, reverse=True)).all()
    assert partition.certain.mean() > 0.9
    assert ((partition.sure >= 0) & (partition.sure <= 1)).all()


def test_other_pictures_join_the_groups_there_are(three):
    vectors, run = three
    partition, shape = partitions.make_partition(run, vectors)
    again = partitions.assign(run, shape, vectors)
    for first, second in zip(partition, again, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)


def test_a_picture_between_two_groups_is_half_as_sure_and_not_certain(three):
    vectors, run = three
    _, shape = partitions.make_partition(run, vectors)
    between = shape.centers[:2].mean(axis=0, keepdims=True)
    partition = partitions.assign(run, shape, between)
    assert partition.sure[0] <= 0.51
    assert not partition.certain[0]


def test_most_typical_pictures_come_first():
    groups = np.array([0, 1, 0, -1, 1, 0])
    distance = np.array([0.3, 0.2, 0.1, 0.0, 0.1, 0.2])
    first, second = partitions.most_typical_first(groups, distance, 2)
    np.testing.assert_array_equal(first, [2, 5, 0])
    np.testing.assert_array_equal(second, [4, 1])


def test_most_similar_pictures_are_the_nearest(three):
    vectors, _ = three
    distances = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    np.fill_diagonal(distances, np.inf)
    expected = np.sort(distances, axis=1)[:, : partitions.NEIGHBORS]
    found = partitions.most_similar(vectors)
    np.testing.assert_allclose(np.take_along_axis(distances, found, 1), expected, atol=1e-5)


def test_levels_are_nested():
    from sklearn.datasets import load_digits

    features = load_digits(return_X_y=True)[0][:600].astype(np.float32)
    vectors = project(fit_projection(features), features)
    run = jc.fit("kmeans", load_digits().images[:600] / 16, clusters=6, seeds=2, progress=False)
    groups = partitions.largest_first(run.consensus().labels)
    found = partitions.levels(vectors, groups)
    assert len(np.unique(found["coarse"])) == 2
    assert len(np.unique(found["fine"])) == 18
    for finer, coarser in ((found["fine"], groups), (groups, found["coarse"])):
        assert len(np.unique(np.stack([finer, coarser]), axis=1)[0]) == len(np.unique(finer))


def test_groups_are_named_by_the_kind_that_most_of_their_known_pictures_have():
    groups = np.array([0, 0, 0, 1, 1, -1])
    known = ["cat", "dog", "dog", None, "fox", "owl"]
    assert partitions.names_by_labels(groups, known, 3) == ["dog", "fox", ""]


def test_distances_are_from_the_mean_of_each_group():
    vectors = np.array([[0, 0], [2, 0], [5, 5], [9, 9]], np.float32)
    found = partitions.distance_to_centers(vectors, np.array([0, 0, 1, -1]), 3, np.full(4, 7.0))
    np.testing.assert_allclose(found, [1, 1, 0, 7])
