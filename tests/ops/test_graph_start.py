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


def blobs(sizes, spread=0.05, seed=0):
    """Points around distinct directions, and the number of the direction of each."""
    generator = np.random.default_rng(seed)
    centers = np.eye(len(sizes), 12) * 3
    labels = np.repeat(np.arange(len(sizes)), sizes)
    points = centers[labels] + generator.normal(0, spread, (len(labels), 12))
    return jnp.asarray(points, jnp.float32), labels


def by_replay(features, clusters):
    """Merges are undone until enough large clusters stand; the rest joins the nearest mean."""
    points = unit(features)
    n = len(points)
    graph = knn_digraph(points, 20)
    first = initial_clusters(graph)
    history = merge(graph, first, clusters, no_merges(n))[1]
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
    means = np.stack([np.asarray(points)[labels == cluster].mean(axis=0) for cluster in kept])
    nearest = np.argmin(((np.asarray(points)[:, None] - means) ** 2).sum(axis=2), axis=1)
    own = {cluster: number for number, cluster in enumerate(kept)}
    return np.array([own.get(label, nearest[i]) for i, label in enumerate(labels)])


@pytest.mark.parametrize(
    "sizes",
    [
        (100, 90, 2, 3, 4),
        pytest.param((60, 60, 60), marks=pytest.mark.slow),
        pytest.param((150, 40, 30, 3), marks=pytest.mark.slow),
    ],
)
def test_clusters_are_those_of_a_replay_of_the_merges(sizes):
    features, _ = blobs(sizes, spread=0.4)
    np.testing.assert_array_equal(CLUSTERS(features, 3), by_replay(features, 3))


def test_outliers_do_not_use_up_the_clusters():
    features, labels = blobs((80, 70, 60, 3, 3))
    plain = knn_digraph(unit(features), 20)
    cut = merge(plain, initial_clusters(plain), 3, no_merges(len(labels)))[0]
    clusters = np.asarray(CLUSTERS(features, 3))
    assert np.bincount(clusters, minlength=3).min() >= 60
    assert metrics.accuracy(labels[:210], clusters[:210]) == 1
    assert metrics.accuracy(labels[:210], np.unique(cut, return_inverse=True)[1][:210]) < 1


def test_a_few_images_have_fewer_neighbors():
    features, labels = blobs((4, 4))
    assert metrics.accuracy(labels, np.asarray(CLUSTERS(features, 2))) == 1
