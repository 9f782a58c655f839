"""JULE: schedule, optimiser, periods, resuming, and what it refuses."""

import dataclasses
from fractions import Fraction
from math import ceil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import driver, fit
from jaxclust.evaluation import metrics
from jaxclust.methods import agglomerative, jule
from jaxclust.methods.registry import METHODS, configured
from jaxclust.networks import pixels
from jaxclust.ops import graph_linkage, linkage, losses, neighbor_graph
from jaxclust.types import Network, Variables

KEY = jax.random.key(0)


def _linear(key):
    return Variables({"kernel": 0.1 * jax.random.normal(key, (64, 16), jnp.float32)}, {})


def _encode(variables, images, train):
    features = images.reshape(images.shape[0], -1) / 255 @ variables.params["kernel"]
    return features / jnp.linalg.norm(features, axis=1, keepdims=True), variables.stats


# Small enough to compile quickly: what is tested here is the recurrence.
NETWORK = Network(_linear, _encode)
CONFIG = jule.Config(clusters=4, epochs=2, batch=32, n_neighbors=10)


@pytest.fixture(scope="module")
def images(few_digits):
    return jnp.asarray(few_digits[0][:240])


def trained(images, config=CONFIG, seeds=2, **options):
    keys = jax.random.split(KEY, seeds)
    return driver.train(jule, config, NETWORK, keys, images, over="map", **options)


@pytest.fixture(scope="module")
def finished(images):
    return trained(images)


def test_a_period_merges_the_papers_number_of_clusters():
    for eta in (0.9, 0.2, 0.125):
        config = jule.Config(clusters=10, unrolling_rate=eta)
        for count in range(10, 3000, 7):
            assert jule.after_period(config, count) == max(
                count - ceil(Fraction(str(eta)) * count), 10
            )
            assert int(jule.after_period(config, jnp.int32(count))) == jule.after_period(
                config, count
            )
    numbers = [1762]  # MNIST-test, figure 1
    while numbers[-1] > 10:
        numbers.append(jule.after_period(jule.Config(), numbers[-1]))
    assert numbers == [1762, 176, 17, 10]


def test_the_papers_schedule():
    # 5000, 500, 50, 10: at most three periods of 20 epochs.
    assert jule.schedule(jule.Config(), 10_000) == (100, 100, 60, "shuffled")
    assert jule.schedule(jule.Config(clusters=20), 1440) == (100, 15, 40, "shuffled")


def test_a_run_merges_by_periods_and_ends_at_the_target(finished):
    assert finished.finished
    history = finished.history
    for lane in (0, 1):
        counts = history["n_clusters"][history["lane"] == lane]
        assert len(counts) % 2 == 0
        # Clusters change at the end of a period alone, to what the paper says.
        np.testing.assert_array_equal(counts[::2][1:], counts[1::2][:-1])
        changed = history["changed"][history["lane"] == lane]
        assert (changed[::2] == 0).all()
        assert (changed[1::2] > 0).all()
        expected = [counts[0]]
        while expected[-1] > 4:
            expected.append(jule.after_period(CONFIG, int(expected[-1])))
        assert counts[1::2].tolist() == expected[1:]
    assert finished.runs.stopped.all()
    assert finished.runs.state.steps.tolist() == [0, 0]


def test_the_history_leads_from_the_first_clusters_to_the_last(finished):
    state = jax.tree.map(lambda leaf: np.asarray(leaf[1]), finished.runs.state)
    first = len(np.unique(state.initial))
    assert int(state.history.count) == first - 4
    labels = state.initial
    for keep, gone in state.history.pairs[: int(state.history.count)]:
        assert keep < gone
        labels = np.where(labels == gone, keep, labels)
    np.testing.assert_array_equal(labels, state.labels)
    assert (state.history.pairs[int(state.history.count) :] == -1).all()


def test_a_periods_merges_are_those_of_its_features(images):
    """The network has no batch statistics, so that the order of the images makes no difference."""
    done = trained(images, windows_per_chunk=CONFIG.epochs, callbacks=[lambda event: True])
    for seed in range(2):
        state = jax.tree.map(lambda leaf, seed=seed: leaf[seed], done.runs.state)
        features = jule.embed(CONFIG, NETWORK, state, images)
        found = neighbor_graph.knn_digraph(features, CONFIG.n_neighbors)
        first = jnp.asarray(state.initial)
        left = jule.after_period(CONFIG, len(np.unique(first)))
        labels, _ = graph_linkage.merge(
            found, first, left, graph_linkage.no_merges(240), 1.0, CONFIG.n_local
        )
        np.testing.assert_array_equal(
            neighbor_graph.first_numbered(labels), neighbor_graph.first_numbered(state.labels)
        )


def test_finish_and_predict(finished, images):
    state = jax.tree.map(lambda leaf: leaf[0], finished.runs.state)
    found = jule.finish(CONFIG, NETWORK, KEY, state, images)
    assert [sorted(np.unique(labels)) for labels in found.values()] == [[0, 1, 2, 3]] * 2
    features = np.asarray(jule.embed(CONFIG, NETWORK, state, images))
    for cluster in range(4):
        np.testing.assert_allclose(
            state.means[cluster], features[found["rc"] == cluster].mean(axis=0), atol=1e-5
        )
    predicted = jule.predict(CONFIG, NETWORK, state, images)
    distances = np.linalg.norm(features[:, None] - np.asarray(state.means), axis=2)
    np.testing.assert_array_equal(predicted.cluster, distances.argmin(axis=1))
    np.testing.assert_allclose(predicted.distance, distances.min(axis=1), atol=1e-4)


def test_clusters_may_be_those_of_directions_from_the_mean(images):
    config = dataclasses.replace(CONFIG, centre_features=True)
    state = jax.tree.map(lambda leaf: leaf[0], trained(images, config, 1).runs.state)
    features = np.asarray(jule.embed(config, NETWORK, state, images))
    centred = features - features.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    found = [
        linkage.graph_degree_linkage(points, 4, n_neighbors=10, local_weight=1.0)[0]
        for points in (centred, features)
    ]
    np.testing.assert_array_equal(state.rc, found[0])
    assert (found[0] != found[1]).any()


def test_many_clusters_without_affinity_join_before_a_periods_merges():
    """A blob in small pieces, and a far pair that no edge leads to; the rule is for more than 20 times the target."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.standard_normal((200, 2)), [[1e3, 0], [1e3, 1]]]).astype(np.float32)
    found = neighbor_graph.knn_digraph(x, 5, 1.0)
    labels = neighbor_graph.initial_clusters(found)
    first, none = int(labels.max()) + 1, graph_linkage.no_merges(len(x))
    assert first > 40
    config = jule.Config(clusters=2, n_neighbors=5)
    for joins in (True, False):
        joined, history = jule._joined(
            dataclasses.replace(config, join_isolated=joins), found, x, labels, none
        )
        assert (joined[-1] in joined[:200]) == joins
        assert len(np.unique(joined)) == first - int(history.count)
    few = dataclasses.replace(config, clusters=first // 20 + 1)
    np.testing.assert_array_equal(jule._joined(few, found, x, labels, none)[0], labels)


def test_stopped_inside_a_period_and_resumed(finished, images):
    paused = trained(images, windows_per_chunk=1, callbacks=[lambda event: True])
    assert not paused.finished
    assert paused.runs.window.tolist() == [1, 1]
    resumed = trained(images, runs=paused.runs, history=paused.history)
    jax.tree.map(np.testing.assert_array_equal, resumed.runs.state, finished.runs.state)
    losses = [np.sort(one.history["loss"]) for one in (resumed, finished)]
    np.testing.assert_array_equal(*losses)


def test_lanes_under_vmap_differ_in_their_clusters_and_end(images):
    keys = jax.random.split(KEY, 2)
    done = driver.train(jule, CONFIG, NETWORK, keys, images, over="vmap")
    assert done.finished
    for labels in done.runs.state.rc:
        assert sorted(np.unique(labels)) == [0, 1, 2, 3]


@pytest.mark.parametrize("affinity", ["distance", "exponential"])
def test_duplicates_alone_have_sigma_0_and_a_sound_end(images, affinity):
    config = dataclasses.replace(CONFIG, sample_affinity=affinity)
    found = trained(jnp.tile(images[:8], (15, 1, 1, 1)), config, seeds=1)
    assert found.runs.failed.tolist() == [-1]
    assert found.history["sigma"][0] == 0


def test_the_first_merges_on_pixels(images):
    config = dataclasses.replace(CONFIG, first_merge="pixels")
    state = jax.jit(jule.init, static_argnums=(0, 1))(config, NETWORK, KEY, None, images)
    first = len(np.unique(state.initial))
    assert len(np.unique(state.labels)) == jule.after_period(config, first) < first


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sample_affinity": "exponential"},
        {"margin": 0.1},
        {"margin": 0.1, "hinge": "plain", "negatives": "random", "n_random": 3},
    ],
)
def test_a_step_is_sgds_with_decay_dampening_and_a_falling_rate(options, images):
    config = dataclasses.replace(
        CONFIG, dampening=0.9, rate_decay=0.5, weight_decay=0.1, gamma=1.5, **options
    )
    state = jax.jit(jule.init, static_argnums=(0, 1))(config, NETWORK, KEY, None, images)
    labels = np.asarray(state.labels)
    kernel = np.asarray(state.variables.params["kernel"], np.float64)
    velocity = np.zeros_like(kernel)
    sigma = float(state.sigma)
    run = jax.jit(lambda state, rows: jule.step(config, NETWORK, KEY, state, images[rows], rows))

    def loss(kernel, rows):
        # Slow, and different on purpose: triplet by triplet.
        x = _encode(Variables({"kernel": kernel}, {}), images[rows], True)[0]
        total, count = 0.0, 0
        for i in range(len(rows)):
            d = jnp.sum((x - x[i]) ** 2, axis=1)
            others = np.flatnonzero(labels[rows] != labels[rows[i]])
            if config.negatives == "nearest":
                negatives = jnp.asarray(others)[jnp.argsort(d[others])[:5]]
            else:
                negatives = losses.random_negatives(
                    KEY, jnp.asarray(labels[rows]), config.n_random
                )[i]
            a = -d if config.sample_affinity == "distance" else jnp.exp(-d / sigma**2)
            for j in np.flatnonzero(labels[rows] == labels[rows[i]]):
                if j != i:
                    for k in negatives:
                        value = a[k] - config.gamma * a[j]
                        if config.margin is not None:
                            held = a[k] - a[j] if config.hinge == "plain" else value
                            value = (value + config.margin) * (held + config.margin > 0)
                        total += value
                    count += len(negatives)
        return total / count

    # The first two images of one cluster, and some others.
    pair = np.flatnonzero(labels == labels[0])[:2]
    for number in range(2):
        rows = np.concatenate([pair, np.arange(20 + 10 * number, 28 + 10 * number)]).astype(
            np.int32
        )
        value, gradient = jax.value_and_grad(loss)(jnp.asarray(kernel, jnp.float32), rows)
        velocity = 0.9 * velocity + 0.1 * (np.asarray(gradient) + 0.1 * kernel)
        kernel = kernel - 0.01 * (1 + 0.5 * number) ** -0.75 * velocity
        state, info = run(state, jnp.asarray(rows))
        np.testing.assert_allclose(info.loss, value, rtol=1e-3)
        np.testing.assert_allclose(state.variables.params["kernel"], kernel, atol=1e-6)


def test_more_clusters_than_first_ones_leaves_those(images):
    config = dataclasses.replace(CONFIG, clusters=100, restart_rate=False)
    done = trained(images, config, 1)
    first = len(np.unique(done.runs.state.initial))
    assert first < 100
    assert len(np.unique(done.runs.state.labels)) == first
    assert int(done.runs.state.history.count[0]) == 0
    assert done.runs.window.tolist() == [2]
    # The steps that the rate counts go on from period to period here, and begin anew by default.
    assert done.runs.state.steps.tolist() == [16]


def test_a_seed_that_diverges_is_marked(images):
    paused = trained(images, windows_per_chunk=1, callbacks=[lambda event: True])
    kernel = paused.runs.state.variables.params["kernel"].at[1].set(np.inf)
    state = paused.runs.state._replace(variables=Variables({"kernel": kernel}, {}))
    done = trained(images, runs=paused.runs._replace(state=state), history=paused.history)
    assert done.runs.failed.tolist() == [-1, 8]
    assert done.runs.stopped.tolist() == [True, False]


def test_images_that_are_not_finite_fail_at_once(images):
    state = jax.jit(jule.init, static_argnums=(0, 1))(
        CONFIG, NETWORK, KEY, None, (images / 255).at[3, 2, 2].set(np.nan)
    )
    assert np.isnan(state.sigma)
    done = trained((images / 255).at[3, 2, 2].set(np.nan))
    assert done.runs.failed.tolist() == [0, 0]
    assert done.runs.window.tolist() == [0, 0]


def test_too_few_images_are_refused(few_digits):
    for name in ("jule", "ac-gdl"):
        config, _ = configured(name, clusters=2)
        with pytest.raises(
            ValueError, match="n_neighbors: must be from 1 to 19 for 20 samples, got 20"
        ):
            fit.fit(METHODS[name], config, None, few_digits[0][:20], (0,), over="map")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("clusters", 1, "clusters: must be at least 2, got 1"),
        ("n_local", 1, "n_local: must be at least 2, got 1"),
        ("batch", 1, "batch: must be at least 2, got 1"),
        ("a", 0.0, "a: must be above 0 and finite, got 0.0"),
        ("gamma", float("nan"), "gamma: must be at least 0 and finite, got nan"),
        ("a", float("inf"), "a: must be above 0 and finite, got inf"),
        ("margin", -0.1, "margin: must be None, or at least 0 and finite, got -0.1"),
        ("hinge", "plain", "hinge: must be weighted where margin is None, got 'plain'"),
        ("hinge", "none", "hinge: must be weighted or plain, got 'none'"),
        ("dampening", 1.0, r"dampening: must be in \[0, 1\), got 1.0"),
        ("unrolling_rate", 0.0, r"unrolling_rate: must be in \[0.001, 1\], got 0.0"),
        ("negatives", "all", "negatives: must be nearest or random, got 'all'"),
        ("first_merge", "both", "first_merge: must be features or pixels, got 'both'"),
    ],
)
def test_settings_that_cannot_work_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        jule.Config(**{field: value})


@pytest.mark.parametrize("kind", ["gdl", "average", "path", "zeta"])
def test_linkages_as_methods(kind, few_digits):
    """Each through the driver, the host's on two devices at once, and its function on the same pixels."""
    name = {"gdl": "ac-gdl", "average": "ac-link", "path": "ac-pic", "zeta": "ac-zell"}[kind]
    images = few_digits[0][:200]
    config, _ = configured(name, clusters=6)
    done = fit.fit(
        METHODS[name], config, None, images, (0, 1), over="map" if kind == "gdl" else "shard"
    )
    x = images.reshape(200, -1) / np.linalg.norm(
        images.reshape(200, -1).astype(float), axis=1, keepdims=True
    )
    expected = {
        "gdl": lambda: linkage.graph_degree_linkage(x, 6)[0],
        "average": lambda: linkage.average_linkage(x, 6),
        "path": lambda: linkage.path_linkage(x, 6, "path"),
        "zeta": lambda: linkage.path_linkage(x, 6, "zeta"),
    }[kind]()
    np.testing.assert_array_equal(done.labels, [expected, expected])
    state = jax.tree.map(lambda leaf: leaf[0], done.phases["cluster"].runs.state)
    predicted = agglomerative.predict(config, pixels((8, 8, 1)), state, jnp.asarray(images)).cluster
    assert metrics.ari(expected, np.asarray(predicted)) > 0.5


@pytest.mark.parametrize("name", ["ac-gdl", "ac-pic", "ac-zell"])
def test_a_linkage_as_a_method_keeps_its_first_clusters_and_fails_on_nan(name, few_digits):
    images = few_digits[0][:100]
    features = images.reshape(100, -1) / np.linalg.norm(
        images.reshape(100, -1).astype(float), axis=1, keepdims=True
    )
    first = (
        int(
            neighbor_graph.initial_clusters(
                neighbor_graph.knn_digraph(jnp.float32(features), 20)
            ).max()
        )
        + 1
    )
    config, _ = configured(name, clusters=first + 30)
    done = fit.fit(METHODS[name], config, None, images, (0,), over="map")
    assert len(np.unique(done.labels)) == first
    # No image goes to a cluster that nothing is in.
    state = jax.tree.map(lambda leaf: leaf[0], done.phases["cluster"].runs.state)
    predicted = agglomerative.predict(config, pixels((8, 8, 1)), state, jnp.asarray(images)).cluster
    assert set(np.asarray(predicted)) <= set(done.labels[0])
    broken = images.astype(np.float32)
    broken[3, 2, 2] = np.nan
    assert fit.fit(METHODS[name], config, None, broken, (0,), over="map").failed == [("cluster", 0)]


def test_settings_of_a_linkage_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="linkage: must be gdl, average, path or zeta, got 'ward'"):
        agglomerative.Config(linkage="ward")
    with pytest.raises(ValueError, match="n_neighbors: must be at least 1, got 0"):
        agglomerative.Config(n_neighbors=0)
