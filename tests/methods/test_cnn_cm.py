"""CNN-CM: salient images, the connection matrix and a round's clusters against slow loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.errors import UsageError
from jaxclust.methods import cnn_cm
from jaxclust.networks import sae
from jaxclust.ops.kmeans_minibatch import minibatch_kmeans
from slopes import assert_goes_down

KEY = jax.random.key(0)
NETWORK = sae((8, 8, 1), 5, (16,))
CONFIG = cnn_cm.Config(
    clusters=4,
    restarts=3,
    kmeans_batch=32,
    kmeans_steps=5,
    salient=0.5,
    optimizer="sgd",
    momentum=0.0,
    learning_rate=1e-2,
)
ROWS = np.arange(20, 52)
TERMS = jax.jit(cnn_cm.connection_terms)
SLOPES = jax.jit(jax.grad(lambda f, labels: sum(cnn_cm.connection_terms(f, labels).values())))


@pytest.fixture(scope="module")
def images(few_digits):
    return jnp.asarray(few_digits[0][:120])


@pytest.fixture(scope="module")
def state(images):
    return jax.jit(cnn_cm.init, static_argnums=(0, 1))(CONFIG, NETWORK, KEY, None, images)


@pytest.mark.parametrize("share", [0.01, 0.5, 1.0])
def test_salient_images_are_the_nearest_of_their_cluster(share):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 50)
    labels[labels == 2] = 3  # A cluster may be empty.
    distances = rng.integers(0, 9, 50).astype(np.float32)
    expected = np.zeros(50, bool)
    for cluster in (0, 1, 3):
        members = [i for i in range(50) if labels[i] == cluster]
        members.sort(key=lambda i: distances[i])  # Ties keep the order of the images.
        expected[members[: int(np.ceil(share * len(members)))]] = True
    found = cnn_cm.salient(jnp.asarray(labels, jnp.int32), jnp.asarray(distances), 4, share)
    np.testing.assert_array_equal(found, expected)


def terms(features, connected):
    """The two terms, pair by pair."""
    together = []
    apart = []
    for i, f in enumerate(features):
        for j, g in enumerate(features):
            if i == j or connected[i] < 0 or connected[j] < 0:
                continue
            lengths = np.sqrt(np.sum(f**2)) * np.sqrt(np.sum(g**2))
            cosine = np.dot(f, g) / lengths if lengths > 0 else 0.0
            if connected[i] == connected[j]:
                together.append((1 - cosine) ** 2)
            else:
                apart.append(cosine**2)
    return [np.mean(values) if values else 0.0 for values in (together, apart)]


@pytest.mark.parametrize(
    "connected", [[0, 0, 1, -1, 1, 2, 0], [0, 1, 2, 3, 4, 5, 6], [-1] * 7, [0] * 7]
)
def test_the_terms_are_those_of_all_pairs_of_salient_images(connected):
    features = np.random.default_rng(0).normal(size=(7, 3))
    features[5] = 0
    labels = jnp.asarray(connected, jnp.int32)
    found = TERMS(jnp.asarray(features, jnp.float32), labels)
    np.testing.assert_allclose(
        [found["together"], found["apart"]], terms(features, connected), rtol=1e-5, atol=1e-7
    )
    # The length of the features does not count, and zeros have a finite gradient.
    longer = TERMS(jnp.asarray(1e3 * features, jnp.float32), labels)
    np.testing.assert_allclose(list(longer.values()), list(found.values()), rtol=1e-4, atol=1e-7)
    slopes = SLOPES(jnp.asarray(features, jnp.float32), labels)
    assert np.isfinite(slopes).all()
    np.testing.assert_array_equal(slopes[5], 0)


def test_changed_pairs_are_those_on_which_two_clusterings_disagree():
    rng = np.random.default_rng(0)
    old, new = rng.integers(0, 4, (2, 40))
    disagree = [(old[i] == old[j]) != (new[i] == new[j]) for i in range(40) for j in range(40)]
    arrays = (jnp.asarray(old, jnp.int32), jnp.asarray(new, jnp.int32))
    np.testing.assert_allclose(cnn_cm.changed_pairs(*arrays, 4), np.mean(disagree), rtol=1e-5)
    renumbered = jnp.asarray([2, 0, 3, 1])[arrays[0]]
    np.testing.assert_allclose(cnn_cm.changed_pairs(arrays[0], renumbered, 4), 0, atol=1e-6)


def test_a_round_has_the_best_mini_batch_run_and_a_full_k_means_from_it():
    x = np.random.default_rng(0).normal(size=(120, 2)).astype(np.float32)
    full, connected = jax.jit(cnn_cm.clusters_of, static_argnums=0)(CONFIG, KEY, jnp.asarray(x))
    runs = [minibatch_kmeans(key, jnp.asarray(x), 4, 32, 5) for key in jax.random.split(KEY, 3)]
    best = min(runs, key=lambda run: float(run.inertia))
    assert float(best.inertia) < max(float(run.inertia) for run in runs)
    labels = np.asarray(best.labels)
    chosen = np.asarray(connected) >= 0
    np.testing.assert_array_equal(np.asarray(connected)[chosen], labels[chosen])
    sizes = np.bincount(labels, minlength=4)
    np.testing.assert_array_equal(np.bincount(labels[chosen], minlength=4), np.ceil(sizes / 2))
    # Lloyd's iteration, until no label changes.
    centers = np.asarray(best.centroids, np.float64)
    while True:
        nearest = np.argmin(np.sum((x[:, None] - centers) ** 2, axis=2), axis=1)
        means = np.array([x[nearest == c].mean(axis=0) for c in range(4)])
        if np.allclose(means, centers, atol=1e-9):
            break
        centers = means
    np.testing.assert_allclose(full.centroids, centers, atol=0.05)
    assert np.mean(np.asarray(full.labels) != nearest) < 0.05


def test_a_step_goes_down_the_loss_of_its_salient_images(state, images):
    rows = jnp.asarray(ROWS, jnp.int32)
    step = jax.jit(cnn_cm.step, static_argnums=(0, 1))
    after, info = step(CONFIG, NETWORK, KEY, state, images[rows], rows)
    connected = np.asarray(state.connected)[ROWS]
    assert 0 < np.sum(connected >= 0) < 32
    # The clusters are those of the directions of the features, as the matrix is.
    directions = cnn_cm.embed(CONFIG, NETWORK, state, images)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-5)
    predicted = cnn_cm.predict(CONFIG, NETWORK, state, images)
    np.testing.assert_array_equal(predicted.cluster, state.labels)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), state.variables.params)
    x = np.asarray(images, np.float64)[ROWS].reshape(32, 64) / 255

    def loss():
        hidden = np.maximum(x @ params["encoder1"]["kernel"] + params["encoder1"]["bias"], 0)
        features = hidden @ params["encoder2"]["kernel"] + params["encoder2"]["bias"]
        return np.mean(terms(features, connected))

    np.testing.assert_allclose(info.loss, loss(), rtol=1e-4)
    leaves = (("encoder1", "kernel"), ("encoder2", "kernel"), ("encoder1", "bias"))
    assert_goes_down(params, after.variables.params, leaves, loss)
    # Images that are not salient do not count.
    hidden = images[rows].at[np.flatnonzero(connected < 0)].set(7)
    same, _ = step(CONFIG, NETWORK, KEY, state, hidden, rows)
    for found, expected in zip(
        jax.tree.leaves(same.variables), jax.tree.leaves(after.variables), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"salient": 0.0}, "salient: must be above 0"),
        ({"salient": 1.5}, r"salient: must be in \[0, 1\], got 1.5"),
        ({"round_epochs": 0}, "round_epochs: must be at least 1, got 0"),
        ({"clusters": 40, "kmeans_batch": 13}, "kmeans_batch: must be at least 14, got 13"),
        ({"rounds": -1}, "rounds: must be at least 0, got -1"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        cnn_cm.Config(**settings)
