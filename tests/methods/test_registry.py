"""What every method promises, through the dict, and DCEC's formulas against slow NumPy."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import fit
from jaxclust.methods import dcec, pretraining
from jaxclust.methods.registry import ALGORITHMS, METHODS, configured
from jaxclust.networks import dctl as dctl_network
from jaxclust.networks import jule as jule_network
from jaxclust.networks import pixels, sae

NETWORK = sae((8, 8, 1), 5, (16,))
CONFIG = dcec.Config(clusters=4, batch=32, restarts=2)
SMALL = {"batch": 32, "restarts": 2, "reliable": 16, "fc9": "glorot"}
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def images(few_digits):
    return jnp.asarray(few_digits[0][:120])


@pytest.fixture(scope="module")
def state(images):
    return jax.jit(dcec.init, static_argnums=(0, 1))(CONFIG, NETWORK, KEY, None, images)


def step(config, state, images, rows, function=dcec.step):
    return function(config, NETWORK, KEY, state, images[rows], rows)


def small(name):
    """A method's module, settings and a network small enough for a test."""
    config, _ = configured(name, clusters=4)
    factory = METHODS[name].network
    if name == "dctl":
        config = dataclasses.replace(config, kernel=3)
    own = factory in (pixels, jule_network, dctl_network)
    network = fit.build(METHODS[name], config, (8, 8, 1)) if own else NETWORK
    fields = {field.name for field in dataclasses.fields(config)}
    smaller = {field: value for field, value in SMALL.items() if field in fields}
    return METHODS[name].algorithm, dataclasses.replace(config, **smaller), network


@pytest.mark.parametrize("name", METHODS)
def test_state_keeps_its_tree_shapes_and_dtypes(name, images):
    algorithm, config, network = small(name)
    before = jax.eval_shape(lambda: algorithm.init(config, network, KEY, None, images))
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(before))
    schedule = algorithm.schedule(config, len(images))
    rows = jnp.arange(schedule.batch, dtype=jnp.int32)
    if schedule.max_windows:
        after, info = jax.eval_shape(
            lambda s: algorithm.step(config, network, KEY, s, images[rows], rows), before
        )
        chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
        assert all(leaf.shape == () for leaf in info)
    if getattr(algorithm, "refresh", None) is not None:
        after, stop, info = jax.eval_shape(
            lambda s: algorithm.refresh(config, network, KEY, s, images), before
        )
        chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
        assert (stop.shape, stop.dtype) == ((), jnp.bool_)
    if getattr(algorithm, "finish", None) is not None:
        found = jax.eval_shape(lambda s: algorithm.finish(config, network, KEY, s, images), before)
        assert set(found) == set(fit.labeling_names(METHODS[name]))
        assert all((one.shape, one.dtype) == ((len(images),), jnp.int32) for one in found.values())
    predicted = jax.eval_shape(lambda s: algorithm.predict(config, network, s, images), before)
    assert [leaf.shape for leaf in predicted] == [(len(images),)] * 3
    assert [leaf.dtype for leaf in predicted] == [jnp.int32, jnp.float32, jnp.float32]


@pytest.mark.parametrize("name", METHODS)
def test_presets_differ_in_epochs_alone(name):
    paper, quick = configured(name), configured(name, "quick")
    epochs = {"epochs": paper[0].epochs} if hasattr(paper[0], "epochs") else {}
    assert dataclasses.replace(quick[0], **epochs) == paper[0]
    if paper[1] is not None:
        assert dataclasses.replace(quick[1], epochs=paper[1].epochs) == paper[1]
        assert quick[1].epochs < paper[1].epochs


def test_every_algorithm_has_a_method():
    assert {method.algorithm for method in METHODS.values()} == set(ALGORITHMS.values())


def test_a_step_is_the_same_eager_jitted_and_in_a_lane(state, images):
    rows = jnp.arange(32, dtype=jnp.int32)
    jitted = jax.jit(lambda s: step(CONFIG, s, images, rows))(state)
    with jax.disable_jit():
        eager = step(CONFIG, state, images, rows)
    two = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), state)
    lane = jax.tree.map(
        lambda leaf: leaf[1], jax.jit(jax.vmap(lambda s: step(CONFIG, s, images, rows)))(two)
    )
    for other in (eager, lane):
        chex.assert_trees_all_close(jitted, other, rtol=1e-3, atol=1e-5)


def test_the_loss_is_the_papers(state, images):
    rows = np.arange(40, 72)
    info = jax.jit(lambda s: step(CONFIG, s, images, jnp.asarray(rows, jnp.int32)))(state)[1]
    z_all = np.asarray(dcec.embed(CONFIG, NETWORK, state, images), np.float64)
    centroids = np.asarray(state.centroids, np.float64)
    q = np.zeros((len(images), 4))
    for i in range(len(images)):  # eq. 6
        for j in range(4):
            q[i, j] = 1 / (1 + np.sum((z_all[i] - centroids[j]) ** 2))
        q[i] /= q[i].sum()
    p = np.zeros_like(q)
    for i in range(len(images)):  # eq. 8
        for j in range(4):
            p[i, j] = q[i, j] ** 2 / q[:, j].sum()
        p[i] /= p[i].sum()
    clustering = np.mean(
        [sum(p[i, j] * np.log(p[i, j] / q[i, j]) for j in range(4)) for i in rows]
    )  # eq. 7
    x = np.asarray(images[rows], np.float64) / 255
    decoded = np.asarray(NETWORK.reconstruct(state.variables, images[rows], True)[0], np.float64)
    reconstruction = np.mean((decoded - x) ** 2)  # eq. 4, averaged over pixels
    np.testing.assert_allclose(state.target, p, atol=1e-4)
    np.testing.assert_allclose(info.clustering, clustering, rtol=1e-3)
    np.testing.assert_allclose(info.reconstruction, reconstruction, rtol=1e-4)
    np.testing.assert_allclose(info.loss, reconstruction + 0.1 * clustering, rtol=1e-3)  # eq. 5


def test_the_sum_over_pixels_is_the_mean_times_their_number(state, images):
    rows = jnp.arange(32, dtype=jnp.int32)
    config = dataclasses.replace(CONFIG, reconstruction="sum")
    info = step(config, state, images, rows)[1]
    np.testing.assert_allclose(
        info.loss, 64 * info.reconstruction + 0.1 * info.clustering, rtol=1e-5
    )


def test_without_reconstruction_the_decoder_stands_still(state, images):
    config = dataclasses.replace(CONFIG, reconstruction_weight=0.0, gamma=1.0)
    after, info = step(config, state, images, jnp.arange(32, dtype=jnp.int32))
    before, now = state.variables.params, after.variables.params
    moved = {
        name
        for name in before
        if any(np.any(now[name][leaf] != before[name][leaf]) for leaf in before[name])
    }
    assert moved
    assert all(name.startswith("encoder") for name in moved), moved
    assert float(info.reconstruction) == 0


def test_target_rows_sum_to_one_and_labels_are_the_nearest_centroid(state, images):
    np.testing.assert_allclose(state.target.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(
        state.labels, dcec.predict(CONFIG, NETWORK, state, images).cluster
    )


def test_permuting_centroids_permutes_the_target(state, images):
    order = np.array([2, 0, 3, 1])
    permuted = state._replace(centroids=state.centroids[order])
    plain, _, _ = dcec.refresh(CONFIG, NETWORK, KEY, state, images)
    other, _, _ = dcec.refresh(CONFIG, NETWORK, KEY, permuted, images)
    np.testing.assert_allclose(other.target, plain.target[:, order], rtol=1e-4, atol=1e-6)


def test_refresh_stops_only_below_the_tolerance(state, images):
    shifted = state._replace(
        labels=state.labels.at[0].set((state.labels[0] + 1) % 4)
    )  # one of 120 labels differs
    for tolerance, stops in ((1 / 120, False), (1.1 / 120, True)):
        config = dataclasses.replace(CONFIG, tolerance=tolerance)
        _, stop, info = dcec.refresh(config, NETWORK, KEY, shifted, images)
        assert bool(stop) is stops
        np.testing.assert_allclose(info.changed, 1 / 120, rtol=1e-6)


def test_refresh_counts_empty_clusters_and_the_largest(state, images):
    far = state._replace(centroids=state.centroids.at[1:].add(1e3))
    _, _, info = dcec.refresh(CONFIG, NETWORK, KEY, far, images)
    assert int(info.empty_clusters) == 3
    assert float(info.largest_cluster) == 1


def test_the_papers_schedule():
    assert dcec.schedule(dcec.Config(), 9298) == (256, 140, 142, "sequential")
    assert dcec.schedule(dcec.Config(max_steps=0), 9298).max_windows == 0
    assert dcec.schedule(dcec.Config(batch=256), 100).batch == 100
    assert pretraining.schedule(pretraining.Config(), 9298) == (256, 37, 200, "shuffled")


def test_pretraining_lowers_the_reconstruction_error(images):
    config = pretraining.Config(batch=32)
    state = pretraining.init(config, NETWORK, KEY, None, images)
    rows = jnp.arange(32, dtype=jnp.int32)

    def body(state, _):
        state, info = pretraining.step(config, NETWORK, KEY, state, images[rows], rows)
        return state, info.loss

    _, losses = jax.jit(lambda s: jax.lax.scan(body, s, length=30))(state)
    assert losses[-1] < 0.7 * losses[0]


def test_pretraining_needs_a_decoder(images):
    with pytest.raises(ValueError, match="network: pretraining needs a decoder"):
        pretraining.init(pretraining.Config(), pixels((8, 8, 1)), KEY, None, images)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("clusters", 1, "clusters: must be at least 2, got 1"),
        ("batch", 0, "batch: must be at least 1, got 0"),
        ("gamma", -1.0, "gamma: must be at least 0, got -1.0"),
        ("gamma", float("nan"), "gamma: must be at least 0, got nan"),
        ("tolerance", 2.0, r"tolerance: must be in \[0, 1\], got 2.0"),
        ("learning_rate", 0.0, "learning_rate: must be above 0, got 0.0"),
        ("momentum", 1.0, r"momentum: must be in \[0, 1\), got 1.0"),
        ("optimizer", "lbfgs", "optimizer: must be adam or sgd, got 'lbfgs'"),
        ("reconstruction", "max", "reconstruction: must be mean or sum, got 'max'"),
        ("update_interval", 0, "update_interval: must be at least 1, got 0"),
        ("restarts", 0, "restarts: must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        dcec.Config(**{field: value})


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="method: must be one of kmeans, .*, got 'foo'"):
        configured("foo")
    with pytest.raises(ValueError, match="preset: must be one of paper, quick, got 'fast'"):
        configured("dcec", "fast")
    with pytest.raises(ValueError, match="epochs: must be at least 0, got -1"):
        pretraining.Config(epochs=-1)
