"""DKM: one step against the formula of the paper, its temperatures and its first centroids."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import driver
from jaxclust.methods import dkm
from jaxclust.networks import sae
from jaxclust.ops.assignment import nearest_centroid
from sae_reference import forward

KEY = jax.random.key(0)
NETWORK = sae((8, 8, 1), 4, (12, 9))
CONFIG = dkm.Config(
    clusters=4, batch=32, alpha=0.3, annealing=True, clustering_weight=0.7, start="uniform"
)
ROWS = np.arange(20, 52)


@pytest.fixture(scope="module")
def images(few_digits):
    return jnp.asarray(few_digits[0][:120])


@pytest.fixture(scope="module")
def state(images):
    init = jax.jit(dkm.init, static_argnums=(0, 1))
    return init(CONFIG, NETWORK, KEY, None, images)


def test_the_loss_is_the_papers(state, images):
    state = state._replace(epochs=jnp.int32(5))
    alpha = 0.3 * 2 ** (1 / np.log(2) ** 2)  # The second value.
    rows = jnp.asarray(ROWS, jnp.int32)
    step = jax.jit(lambda state: dkm.step(CONFIG, NETWORK, KEY, state, images[rows], rows))
    after, info = step(state)
    total = 0.0
    for x in np.asarray(images, np.float64).reshape(120, 64)[ROWS] / 255:
        h, y = forward(state.variables.params, x)
        f = [np.sum((h - r) ** 2) for r in np.asarray(state.centroids, np.float64)]
        g = np.exp(-alpha * np.array(f))
        total += (np.sum((x - y) ** 2) + 0.7 * sum(f * g / g.sum())) / 32
    np.testing.assert_allclose(info.loss, total, rtol=1e-4)
    # Network and centroids move together.
    assert np.any(np.asarray(after.centroids) != np.asarray(state.centroids))
    assert np.any(
        np.asarray(after.variables.params["encoder1"]["kernel"])
        != state.variables.params["encoder1"]["kernel"]
    )


def test_the_temperatures_are_the_papers():
    assert dkm.temperatures(dkm.Config()) == (1000.0,) * 20
    temperatures = dkm.temperatures(dkm.Config(annealing=True, alpha=0.1, alphas=40))
    assert len(temperatures) == 40
    expected = 0.1
    for i, alpha in enumerate(temperatures, 1):
        assert alpha == pytest.approx(expected)
        expected *= 2 ** (1 / np.log(i + 1) ** 2)
    assert dkm.schedule(dkm.Config(), 1000) == (256, 4, 100, "shuffled")
    assert dkm.schedule(dkm.Config(least_steps=25), 1000) == (40, 25, 100, "shuffled")


def test_without_pretraining_the_first_centroids_are_uniform(state, images):
    assert 0.5 < np.abs(state.centroids).max() <= 1
    assert float(state.centroids.min()) < 0
    np.testing.assert_array_equal(
        state.labels, dkm.ALGORITHM.predict(CONFIG, NETWORK, state, images).cluster
    )


def test_after_pretraining_the_first_centroids_are_those_of_k_means(state, images):
    config = dataclasses.replace(CONFIG, start="kmeans", restarts=3)
    init = jax.jit(dkm.init, static_argnums=(0, 1))
    started = init(config, NETWORK, KEY, state.variables, images)
    features = np.asarray(NETWORK.encode(state.variables, images, False)[0])
    for cluster in range(4):
        mean = features[np.asarray(started.labels) == cluster].mean(axis=0)
        np.testing.assert_allclose(started.centroids[cluster], mean, atol=1e-5)


def test_an_epoch_ends_with_counts_of_its_labels(state, images):
    """A third of the images had another label at the end of the epoch before."""
    before = state.labels.at[:40].set((state.labels[:40] + 1) % 4)
    after, stop, info = dkm.refresh(CONFIG, NETWORK, KEY, state._replace(labels=before), images)
    np.testing.assert_array_equal(after.labels, state.labels)
    sizes = np.bincount(np.asarray(after.labels), minlength=4)
    assert not bool(stop)
    assert float(info.changed) == pytest.approx(1 / 3)
    assert int(info.empty_clusters) == (sizes == 0).sum()
    assert float(info.largest_cluster) == pytest.approx(sizes.max() / 120)
    assert int(after.epochs) == 1


@pytest.mark.parametrize(
    ("tolerance", "annealing", "epochs", "stops"),
    [(0.0, False, 3, False), (0.01, False, 3, True), (0.01, True, 3, False), (0.01, True, 9, True)],
)
def test_a_run_stops_where_the_labels_stay_but_not_while_alpha_grows(
    state, images, tolerance, annealing, epochs, stops
):
    config = dataclasses.replace(
        CONFIG, tolerance=tolerance, annealing=annealing, alphas=2, epochs_per_alpha=5
    )
    labels = nearest_centroid(dkm.ALGORITHM.embed(config, NETWORK, state, images), state.centroids)
    state = state._replace(labels=labels, epochs=jnp.int32(epochs))
    assert bool(dkm.refresh(config, NETWORK, KEY, state, images)[1]) is stops
    moved = state._replace(labels=(labels + 1) % 4)
    assert not dkm.refresh(config, NETWORK, KEY, moved, images)[1]


def test_a_run_through_the_driver_lowers_the_loss(images):
    config = dataclasses.replace(CONFIG, alphas=3, epochs_per_alpha=2)
    program = driver.Program(dkm.ALGORITHM, config, NETWORK, "map")
    begun = driver.begin(program, jax.random.split(KEY, 1), None, images)
    training = driver.train(program, begun, images)
    assert training.finished
    assert (training.lanes.failed < 0).all()
    assert training.history["loss"].shape == (6,)
    assert training.history["loss"][-1] < training.history["loss"][0]
    assert training.lanes.state.epochs.tolist() == [6]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("alpha", -0.1, "alpha: must be at least 0 and finite, got -0.1"),
        ("alphas", 0, "alphas: must be at least 1, got 0"),
        ("tolerance", 1.5, "tolerance: must be in"),
        ("start", "zero", "start: must be kmeans, graph or uniform, got 'zero'"),
        ("batch", 0, "batch: must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        dkm.Config(**{field: value})
