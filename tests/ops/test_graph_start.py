"""The graph start: clusters of a least size, against a replay of the merges in plain Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.evaluation import metrics
from jaxclust.ops.graph_linkage import merge, no_merges
from jaxclust.ops.graph_start import graph_clusters
from jaxclust.ops.neighbor_graph import initial_clusters, knn_digraph, unit

CLUSTERS = jax.jit(graph_clusters, static_argnums=1)
N = 200
"""Points of all tests but one, and 3 clusters: the tests share their programs."""


@jax.jit
def merged(points):
    """The clusters before the first merge and after the last one, and the merges."""
    graph = knn_digraph(points, 20)
    first = initial_clusters(graph)
    labels, history = merge(graph, first, 3, no_merges(N))
    return first, labels, history


def blobs(sizes, spread=0.05, seed=0):
    """Points around distinct directions, and the number of the direction of each."""
    generator = np.random.default_rng(seed)
    centers = np.eye(len(sizes), 12) * 3
    labels = np.repeat(np.arange(len(sizes)), sizes)
    points = centers[labels] + generator.normal(0, spread, (len(labels), 12))
    return jnp.asarray(points, jnp.float32), labels


def by_replay(features, clusters=3):
    """Merges are undone until enough large clusters stand; the rest joins the nearest mean."""
    points = np.asarray(unit(features))
    n = len(points)
    first, _, history = merged(points)
    pairs = np.asarray(history.pairs)[: int(history.count)]
    labels = np.asarray(first).copy()
    steps = [labels.copy()]
    for keep, gone in pairs:
        labels[labels == gone] = keep
        steps.append(labels.copy())

    def large(labels):
        return int(np.sum(np.bincount(labels) >= n / (4 * clusters)))

    most = max(min(large(labels), clusters) for labels in steps)
    labels = [labels for labels in steps if min(large(labels), clusters) == most][-1]
    sizes = np.bincount(labels)
    kept = np.argsort(-sizes, kind="stable")[:clusters]
    means = np.stack([points[labels == cluster].mean(axis=0) for cluster in kept])
    nearest = np.argmin(((points[:, None] - means) ** 2).sum(axis=2), axis=1)
    own = {cluster: number for number, cluster in enumerate(kept)}
    return np.array([own.get(label, nearest[i]) for i, label in enumerate(labels)])


@pytest.mark.parametrize("sizes", [(100, 91, 2, 3, 4), (67, 67, 66), (134, 36, 27, 3)])
def test_clusters_are_those_of_a_replay_of_the_merges(sizes):
    assert sum(sizes) == N
    features, _ = blobs(sizes, spread=0.4)
    np.testing.assert_array_equal(CLUSTERS(features, 3), by_replay(features))


def test_outliers_do_not_use_up_the_clusters():
    features, labels = blobs((75, 65, 54, 3, 3))
    _, cut, _ = merged(unit(features))
    clusters = np.asarray(CLUSTERS(features, 3))
    assert np.bincount(clusters, minlength=3).min() >= 54
    assert metrics.accuracy(labels[:194], clusters[:194]) == 1
    assert metrics.accuracy(labels[:194], np.unique(cut, return_inverse=True)[1][:194]) < 1


def test_a_few_images_have_fewer_neighbors():
    features, labels = blobs((4, 4))
    assert metrics.accuracy(labels, np.asarray(CLUSTERS(features, 2))) == 1
