"""Spectral methods through the driver: seeds share eigenvectors; failures are said, not hidden."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse.linalg
from scipy.sparse.linalg import ArpackNoConvergence

from jaxclust.engine import fit, refusals
from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics
from jaxclust.methods import landmarks, registry, spectral_embedded
from jaxclust.methods.spectral import Config

NAMES = ("sc-njw", "sc-st", "n-cuts", "sc-ls", "sec")
MAP = fit.Options(over="map")


@pytest.mark.parametrize("name", NAMES)
def test_seeds_share_one_call_of_the_solver_and_predict_knows_the_clusters(
    name, few_digits, monkeypatch
):
    images, labels = few_digits
    images = images[:300]
    calls = []
    solver = scipy.sparse.linalg.eigsh
    monkeypatch.setattr(
        scipy.sparse.linalg, "eigsh", lambda *a, **k: calls.append(1) or solver(*a, **k)
    )
    method = registry.method(name, clusters=10)
    done = fit.fit(method, images, (0, 1), MAP)
    assert len(calls) == (0 if name == "sc-ls" else 1)
    assert metrics.nmi(labels[:300], done.labels[0]) > 0.65
    predicted = fit.apply(method, done.phases["cluster"].lanes.state, images, "predict")
    likeness = metrics.ari(done.labels[0], predicted.cluster[0])
    assert likeness == 1 if name == "sc-ls" else likeness > 0.6


def test_a_full_graph_and_the_discretization_are_options(few_digits):
    images, labels = few_digits
    method = registry.method("n-cuts", "paper", clusters=10, scale="local")
    assert (method.config.graph, method.config.assign) == ("full", "discretize")
    done = fit.fit(method, images[:200], (0,), MAP)
    assert metrics.nmi(labels[:200], done.labels[0]) > 0.5
    shape = jax.ShapeDtypeStruct((5001, 8, 8, 1), jnp.uint8)
    with pytest.raises(ValueError, match="images: must be at most 5000 for a full graph, got 5001"):
        refusals.check(registry.method("sc-njw", "paper", clusters=10), shape, "map")


def test_a_solver_that_does_not_converge_fails_the_seeds_and_says_so(few_digits, monkeypatch):
    def fails(*_, **__):
        raise ArpackNoConvergence("No convergence", np.zeros(0), np.zeros((0, 0)))

    monkeypatch.setattr(scipy.sparse.linalg, "eigsh", fails)
    with pytest.warns(RuntimeWarning, match="the eigen-solver did not converge for "):
        done = fit.fit(registry.method("n-cuts", clusters=10), few_digits[0][:300], (0,), MAP)
    assert done.failed == [("cluster", 0)]


@pytest.mark.parametrize("name", ["sc-njw", "n-cuts"])
def test_an_image_without_edges_leaves_the_groups_as_they_are(name):
    random = np.random.default_rng(0)
    middles = random.random((3, 64))
    images = np.repeat(middles, 30, axis=0) + random.normal(0, 0.01, (90, 64))
    images = np.concatenate([images, 1 - middles[:1] ** 8]).clip(0, 1).reshape(-1, 8, 8, 1)
    method = registry.method(name).with_settings({"clusters": 4, "a": 0.1})
    labels = fit.fit(method, images.astype(np.float32), (0,), MAP).labels[0]
    assert metrics.nmi(np.repeat(np.arange(4), [30, 30, 30, 1]), labels) > 0.99


def test_more_components_than_clusters_are_told():
    images = np.zeros((90, 8, 8, 1), np.uint8)
    images.reshape(90, 64)[np.arange(90), np.arange(90) // 30] = 200
    images[:, 7] = np.random.default_rng(0).integers(0, 20, (90, 8, 1))
    with pytest.warns(RuntimeWarning, match="3 connected components, which are more than 2"):
        done = fit.fit(registry.method("sc-njw", clusters=2), images, (0,), MAP)
    assert set(done.labels[0]) == {0, 1}
    # The two largest components have a cluster each.
    assert metrics.nmi(np.arange(90) // 30, done.labels[0]) > 0.7


def test_nan_in_the_images_fails_the_seed(few_digits):
    images = (few_digits[0][:100] / 255).astype(np.float32)
    images[3, 2, 2] = np.nan
    assert fit.fit(registry.method("sec", clusters=4), images, (0,), MAP).failed == [("cluster", 0)]


def test_settings_and_images_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="graph: must be neighbors or full, got 'all'"):
        Config(graph="all")
    with pytest.raises(ValueError, match="gamma: must be above 0 and finite, got 0"):
        spectral_embedded.Config(gamma=0)
    with pytest.raises(ValueError, match="landmarks: must be above the number of clusters, 10"):
        landmarks.Config(landmarks=10)
    shape = jax.ShapeDtypeStruct((10, 8, 8, 1), jnp.uint8)
    with pytest.raises(ValueError, match="n_neighbors: must be from 1 to 9 for 10 samples, got 1"):
        refusals.check(registry.method("sc-njw", clusters=4), shape, "map")
    with pytest.raises(ValueError, match="images: must be at least 12, for two images a landmark"):
        refusals.check(registry.method("sc-ls", clusters=5), shape, "map")
    shape = jax.ShapeDtypeStruct((7200, 128, 128, 1), jnp.uint8)
    with pytest.raises(ValueError, match="images: must be at most 5000, or have at most 5000 val"):
        refusals.check(registry.method("sec", clusters=100), shape, "map")


def test_more_landmarks_than_a_matrix_of_their_pairs_can_have_are_refused():
    with pytest.raises(UsageError, match="landmarks: must be at most 5000, since .*, got 35000"):
        registry.method("sc-ls").with_settings({"clusters": 10, "landmarks": 35_000})
