"""The linkages as methods: through the driver, against their functions on the same pixels."""

import jax
import numpy as np
import pytest

from jaxclust.engine import fit
from jaxclust.evaluation import metrics
from jaxclust.methods import agglomerative, registry
from jaxclust.networks import pixels
from jaxclust.ops import linkage, neighbor_graph

LINKAGES = {
    "ac-gdl": lambda x: linkage.graph_degree_linkage(x, 6)[0],
    "ac-link": lambda x: linkage.average_linkage(x, 6),
    "ac-pic": lambda x: linkage.path_linkage(x, 6, "path"),
    "ac-zell": lambda x: linkage.path_linkage(x, 6, "zeta"),
}

PREDICT = jax.jit(agglomerative.predict, static_argnums=(0, 1))


@jax.jit
def first_clusters(x):
    """The clusters before the first merge."""
    return neighbor_graph.initial_clusters(neighbor_graph.knn_digraph(x, 20))


def directions(images):
    """Pixels scaled to unit length, float64 (n, h * w)."""
    x = images.reshape(len(images), -1).astype(float)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def predicted(method, done, images):
    """The clusters that the first seed's run predicts for images, int32 (n,)."""
    state = jax.tree.map(lambda leaf: leaf[0], done.phases["cluster"].lanes.state)
    network = pixels((8, 8, 1))
    return PREDICT(method.config, network, state, images).cluster


@pytest.mark.parametrize("name", LINKAGES)
def test_linkages_as_methods(name, few_digits):
    """Those that run on the host are called from two devices at once."""
    images = few_digits[0][:200]
    method = registry.method(name, clusters=6)
    over = "map" if name == "ac-gdl" else "shard"
    done = fit.fit(method, images, (0, 1), fit.Options(over=over))
    expected = LINKAGES[name](directions(images))
    np.testing.assert_array_equal(done.labels, [expected, expected])
    assert metrics.ari(expected, np.asarray(predicted(method, done, images))) > 0.5


@pytest.mark.parametrize("name", ["ac-gdl", "ac-pic", "ac-zell"])
def test_a_linkage_keeps_its_first_clusters_and_fails_on_nan(name, few_digits):
    images = (few_digits[0][:100] / 255).astype(np.float32)
    first = int(first_clusters(np.float32(directions(images))).max()) + 1
    method = registry.method(name, clusters=first + 30)
    options = fit.Options(over="map")
    done = fit.fit(method, images, (0,), options)
    assert len(np.unique(done.labels)) == first
    # No image goes to a cluster that is empty.
    assert set(np.asarray(predicted(method, done, images))) <= set(done.labels[0])
    broken = images.copy()
    broken[3, 2, 2] = np.nan
    assert fit.fit(method, broken, (0,), options).failed == [("cluster", 0)]


def test_too_few_images_are_refused(few_digits):
    method = registry.method("ac-gdl", clusters=2)
    message = "n_neighbors: must be from 1 to 19 for 20 samples, got 20"
    with pytest.raises(ValueError, match=message):
        fit.fit(method, few_digits[0][:20], (0,), fit.Options(over="map"))


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="linkage: must be gdl, average, path or zeta, got 'ward'"):
        agglomerative.Config(linkage="ward")
    with pytest.raises(ValueError, match="n_neighbors: must be at least 1, got 0"):
        agglomerative.Config(n_neighbors=0)
