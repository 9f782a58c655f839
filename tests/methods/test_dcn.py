"""DCN: one step against the formulas of the paper, computed one after the other."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxclust.engine import driver
from jaxclust.methods import dcn
from jaxclust.networks import pixels, tied_sae
from jaxclust.ops import optimizers
from sae_reference import forward
from slopes import assert_goes_down

KEY = jax.random.key(0)
NETWORK = tied_sae((8, 8, 1), 4, (12, 9))
CONFIG = dcn.Config(clusters=4, batch=32, restarts=2, counts=3, learning_rate=1e-3)
ROWS = np.arange(20, 52)


@pytest.fixture(scope="module")
def images(few_digits):
    return jnp.asarray(few_digits[0][:120])


@pytest.fixture(scope="module")
def state(images):
    init = jax.jit(dcn.init, static_argnums=(0, 1))
    return init(CONFIG, NETWORK, KEY, None, images)


def test_sgd_is_that_of_the_authors_on_pixels_times_5():
    """Pixels times 5.1 make the loss 5.1^2 times as large, biases and outputs 5.1 times."""
    slopes = np.random.default_rng(0).normal(size=(4, 2))
    kernel = 1.0
    bias = 5.1
    delta = 0.0
    bias_delta = 0.0
    optimizer = optimizers.make("sgd", 1e-4 * 5.1**2, 0.9, nesterov=True, bias_rate=2 / 5.1**2)
    params = {"layer": {"kernel": jnp.float32(1), "bias": jnp.float32(1)}}
    opt_state = optimizer.init(params)
    for slope, bias_slope in slopes:
        # The gradients on pixels times 5.1, and the authors' updates.
        pull = 5.1**2 * slope
        bias_pull = 5.1 * bias_slope
        kernel += 0.9**2 * delta - 1.9 * 1e-4 * pull
        bias += 0.9**2 * bias_delta - 1.9 * 2e-4 * bias_pull
        delta = 0.9 * delta - 1e-4 * pull
        bias_delta = 0.9 * bias_delta - 2e-4 * bias_pull
        gradient = {"layer": {"kernel": jnp.float32(slope), "bias": jnp.float32(bias_slope)}}
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        params = optax.apply_updates(params, updates)
        np.testing.assert_allclose(params["layer"]["kernel"], kernel, rtol=1e-6)
        np.testing.assert_allclose(params["layer"]["bias"], bias / 5.1, rtol=1e-6)
    adams = [optimizers.make("adam", 1e-3, 0.9, *more) for more in ((True, 0.1), ())]
    chex.assert_trees_all_equal(*(adam.update(gradient, adam.init(params))[0] for adam in adams))


def test_a_step_is_that_of_algorithm_1(state, images):
    """The labels before the step decide it; here they are not the nearest, so that this shows."""
    state = state._replace(labels=(state.labels + 1) % 4)
    rows = jnp.asarray(ROWS, jnp.int32)
    step = jax.jit(lambda state: dcn.step(CONFIG, NETWORK, KEY, state, images[rows], rows))
    after, info = step(state)
    x = np.asarray(images, np.float64).reshape(120, 64)[ROWS] / 255
    centers = np.asarray(state.centroids, np.float64)
    own = centers[np.asarray(state.labels)[ROWS]]

    def loss(params):
        """Eq. 9 with the weights of the authors' code."""
        total = 0.0
        for image, center in zip(x, own, strict=True):
            features, reconstruction = forward(params, image)
            total += np.sum((features - center) ** 2) + np.sum((reconstruction - image) ** 2)
        return total / len(x)

    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), state.variables.params)
    np.testing.assert_allclose(info.loss, loss(params), rtol=1e-4)

    # The network makes its first step of SGD down that loss, with Nesterov's momentum. The slopes
    # are those of differences.
    for layer, part in (
        ("encoder1", "kernel"),
        ("encoder3", "kernel"),
        ("encoder2", "bias"),
        ("decoder1", "bias"),
    ):
        rate = 1.9 * CONFIG.learning_rate * (CONFIG.bias_rate if part == "bias" else 1)
        assert_goes_down(
            params, after.variables.params, [(layer, part)], lambda: loss(params), rate
        )

    # Eq. 8 with the new network and the batch's first centroids, then eq. 12 for one sample after
    # the other.
    features = [forward(after.variables.params, image)[0] for image in x]
    labels = [int(np.argmin(np.sum((centers - h) ** 2, axis=1))) for h in features]
    moved_centers = centers.copy()
    counts = [3] * 4
    for h, label in zip(features, labels, strict=True):
        counts[label] += 1
        moved_centers[label] -= (moved_centers[label] - h) / counts[label]
    np.testing.assert_array_equal(after.labels[ROWS], labels)
    np.testing.assert_array_equal(after.counts, counts)
    np.testing.assert_allclose(after.centroids, moved_centers, rtol=1e-4, atol=1e-5)
    others = np.setdiff1d(np.arange(120), ROWS)
    np.testing.assert_array_equal(after.labels[others], state.labels[others])


def test_an_epoch_ends_with_counts_of_its_labels(state, images):
    """A third of the images had another label at the end of the epoch before."""
    before = state.labels.at[:40].set((state.labels[:40] + 1) % 4)
    after, stop, info = dcn.refresh(CONFIG, NETWORK, KEY, state._replace(before=before), images)
    np.testing.assert_array_equal(after.labels, state.labels)
    np.testing.assert_array_equal(after.before, state.labels)
    sizes = np.bincount(np.asarray(after.labels), minlength=4)
    assert not bool(stop)
    assert float(info.changed) == pytest.approx(1 / 3)
    assert int(info.empty_clusters) == (sizes == 0).sum()
    assert float(info.largest_cluster) == pytest.approx(sizes.max() / 120)


@pytest.mark.parametrize(("tolerance", "stops"), [(0.0, False), (0.01, True)])
def test_a_run_stops_where_the_labels_stay(state, images, tolerance, stops):
    config = dataclasses.replace(CONFIG, tolerance=tolerance)
    state = state._replace(before=state.labels)
    assert bool(dcn.refresh(config, NETWORK, KEY, state, images)[1]) is stops
    moved = state._replace(before=(state.labels + 1) % 4)
    assert not dcn.refresh(config, NETWORK, KEY, moved, images)[1]


def test_each_epoch_has_a_new_order():
    assert dcn.schedule(CONFIG, 120) == (32, 4, 50, "shuffled")


def test_a_run_through_the_driver_lowers_the_loss(images):
    config = dataclasses.replace(CONFIG, epochs=6)
    program = driver.Program(dcn.ALGORITHM, config, NETWORK, "map")
    begun = driver.begin(program, jax.random.split(KEY, 1), None, images)
    training = driver.train(program, begun, images)
    assert training.finished
    assert (training.lanes.failed < 0).all()
    assert training.history["loss"].shape == (6,)
    assert training.history["loss"][-1] < training.history["loss"][0]


def test_a_network_without_a_decoder_is_refused(state, images):
    rows = jnp.arange(32, dtype=jnp.int32)
    with pytest.raises(ValueError, match="network: dcn needs a decoder, got a network without"):
        dcn.step(CONFIG, pixels((8, 8, 1)), KEY, state, images[rows], rows)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("clusters", 1, "clusters: must be at least 2, got 1"),
        ("bias_rate", 0.0, "bias_rate: must be above 0, got 0.0"),
        ("counts", -1, "counts: must be at least 0, got -1"),
        (
            "clustering_weight",
            float("nan"),
            "clustering_weight: must be at least 0 and finite, got nan",
        ),
        ("reconstruction", "max", "reconstruction: must be mean or sum, got 'max'"),
    ],
)
def test_settings_that_cannot_work_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        dcn.Config(**{field: value})
