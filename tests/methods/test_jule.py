"""JULE: its schedule, its optimizer and loss, its periods and merges, and what it refuses."""

import dataclasses
from fractions import Fraction
from math import ceil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import driver, fit
from jaxclust.methods import jule, jule_merging, registry
from jaxclust.ops import graph_linkage, linkage, losses, neighbor_graph
from jaxclust.ops.graph_linkage import Criterion
from jaxclust.types import Network, Variables

KEY = jax.random.key(0)
INIT = jax.jit(jule.init, static_argnums=(0, 1))


def _linear(key):
    return Variables({"kernel": 0.1 * jax.random.normal(key, (64, 16), jnp.float32)}, {})


def _encode(variables, images, train):
    features = images.reshape(images.shape[0], -1) / 255 @ variables.params["kernel"]
    return features / jnp.linalg.norm(features, axis=1, keepdims=True), variables.stats


# The network is small, so that it compiles quickly: the recurrence is what is tested here.
NETWORK = Network(_linear, _encode)
CONFIG = jule.Config(clusters=4, epochs=2, batch=32, n_neighbors=10)
MERGING = jule.merging_of(CONFIG)


@pytest.fixture(scope="module")
def images(few_digits):
    return jnp.asarray(few_digits[0][:240])


def program(config=CONFIG, over="map"):
    return driver.Program(jule.ALGORITHM, config, NETWORK, over)


def trained(images, config=CONFIG, seeds=2, over="map", **options):
    """A training of the given number of lanes, from its beginning."""
    run = program(config, over)
    begun = driver.begin(run, jax.random.split(KEY, seeds), None, images)
    return driver.train(run, begun, images, **options)


def lane(training, number):
    """The state of one lane."""
    return jax.tree.map(lambda leaf: leaf[number], training.lanes.state)


@pytest.fixture(scope="module")
def finished(images):
    """Two lanes at their end."""
    return trained(images)


@pytest.fixture(scope="module")
def paused(images):
    """The same two lanes after their first window, which is inside a period."""
    return trained(images, windows_per_chunk=1, callbacks=[lambda event: True])


@pytest.fixture(scope="module")
def centered(images):
    """Two lanes under vmap at their end, with clusters of directions from the mean."""
    return trained(images, dataclasses.replace(CONFIG, center_features=True), over="vmap")


@pytest.fixture(scope="module")
def started(images):
    """The state of one lane before its first step."""
    return INIT(CONFIG, NETWORK, KEY, None, images)


def test_a_period_merges_the_papers_number_of_clusters():
    for eta in (0.9, 0.2, 0.125):
        merging = jule.merging_of(jule.Config(clusters=10, unrolling_rate=eta))
        for count in range(10, 3000, 7):
            expected = max(count - ceil(Fraction(str(eta)) * count), 10)
            assert jule_merging.after_period(merging, count) == expected
            assert int(jule_merging.after_period(merging, jnp.int32(count))) == expected
    numbers = [1762]  # MNIST-test, figure 1
    while numbers[-1] > 10:
        numbers.append(jule_merging.after_period(jule.merging_of(jule.Config()), numbers[-1]))
    assert numbers == [1762, 176, 17, 10]


def test_the_papers_schedule():
    # 5000, 500, 50, 10: at most three periods of 20 epochs.
    assert jule.schedule(jule.Config(), 10_000) == (100, 100, 60, "shuffled")
    assert jule.schedule(jule.Config(clusters=20), 1440) == (100, 15, 40, "shuffled")


def test_a_run_merges_by_periods_and_ends_at_the_target(finished):
    assert finished.finished
    history = finished.history
    for number in (0, 1):
        counts = history["n_clusters"][history["lane"] == number]
        assert len(counts) % 2 == 0
        # Clusters change only at the end of a period, to the paper's number.
        np.testing.assert_array_equal(counts[::2][1:], counts[1::2][:-1])
        changed = history["changed"][history["lane"] == number]
        assert (changed[::2] == 0).all()
        assert (changed[1::2] > 0).all()
        expected = [counts[0]]
        while expected[-1] > 4:
            expected.append(jule_merging.after_period(MERGING, int(expected[-1])))
        assert counts[1::2].tolist() == expected[1:]
    assert finished.lanes.stopped.all()
    assert finished.lanes.state.steps.tolist() == [0, 0]


def test_the_history_leads_from_the_first_clusters_to_the_last(finished):
    state = jax.tree.map(np.asarray, lane(finished, 1))
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
    training = trained(images, windows_per_chunk=CONFIG.epochs, callbacks=[lambda event: True])
    none = graph_linkage.no_merges(240)
    criterion = Criterion(1.0, CONFIG.n_local)
    merge = jax.jit(lambda *arguments: graph_linkage.merge(*arguments, none, criterion)[0])
    for number in range(2):
        state = lane(training, number)
        features = jule.embed(CONFIG, NETWORK, state, images)
        graph = neighbor_graph.knn_digraph(features, CONFIG.n_neighbors)
        first = jnp.asarray(state.initial)
        left = jule_merging.after_period(MERGING, len(np.unique(first)))
        labels = merge(graph, first, left)
        np.testing.assert_array_equal(
            neighbor_graph.first_numbered(labels), neighbor_graph.first_numbered(state.labels)
        )


def test_finish_and_predict(finished, images):
    state = lane(finished, 0)
    labelings = jule.finish(CONFIG, NETWORK, KEY, state, images)
    assert [sorted(np.unique(labels)) for labels in labelings.values()] == [[0, 1, 2, 3]] * 2
    features = np.asarray(jule.embed(CONFIG, NETWORK, state, images))
    for cluster in range(4):
        np.testing.assert_allclose(
            state.means[cluster], features[labelings["rc"] == cluster].mean(axis=0), atol=1e-5
        )
    predicted = jule.predict(CONFIG, NETWORK, state, images)
    distances = np.linalg.norm(features[:, None] - np.asarray(state.means), axis=2)
    np.testing.assert_array_equal(predicted.cluster, distances.argmin(axis=1))
    np.testing.assert_allclose(predicted.distance, distances.min(axis=1), atol=1e-4)


def test_clusters_may_be_those_of_directions_from_the_mean(centered, images):
    state = lane(centered, 0)
    features = np.asarray(jule.embed(CONFIG, NETWORK, state, images))
    directions = features - features.mean(axis=0)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    of_directions, of_features = (
        linkage.graph_degree_linkage(points, 4, n_neighbors=10, criterion=Criterion(1.0))[0]
        for points in (directions, features)
    )
    np.testing.assert_array_equal(state.rc, of_directions)
    assert (of_directions != of_features).any()


def test_many_clusters_without_affinity_join_before_a_periods_merges():
    """A blob in small pieces, and a far pair that no edge leads to.

    The rule holds for more than 20 times the final number of clusters.
    """
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.standard_normal((200, 2)), [[1e3, 0], [1e3, 1]]]).astype(np.float32)
    graph = neighbor_graph.knn_digraph(x, 5, 1.0)
    labels = neighbor_graph.initial_clusters(graph)
    first = int(labels.max()) + 1
    none = graph_linkage.no_merges(len(x))
    assert first > 40
    merging = jule.merging_of(jule.Config(clusters=2, n_neighbors=5))
    for joins in (True, False):
        joined, history = jule_merging.join(
            merging._replace(join_isolated=joins), graph, x, labels, none
        )
        assert (joined[-1] in joined[:200]) == joins
        assert len(np.unique(joined)) == first - int(history.count)
    few = merging._replace(clusters=first // 20 + 1)
    np.testing.assert_array_equal(jule_merging.join(few, graph, x, labels, none)[0], labels)


def test_stopped_inside_a_period_and_resumed(finished, paused, images):
    assert not paused.finished
    assert paused.lanes.window.tolist() == [1, 1]
    resumed = driver.train(program(), paused, images)
    jax.tree.map(np.testing.assert_array_equal, resumed.lanes.state, finished.lanes.state)
    losses = [np.sort(training.history["loss"]) for training in (resumed, finished)]
    np.testing.assert_array_equal(*losses)


def test_lanes_under_vmap_differ_in_their_clusters_and_end(centered):
    assert centered.finished
    for labels in centered.lanes.state.rc:
        assert sorted(np.unique(labels)) == [0, 1, 2, 3]


@pytest.mark.parametrize("affinity", ["distance", "exponential"])
def test_with_duplicates_alone_sigma_is_0_and_a_run_ends_well(images, affinity):
    config = dataclasses.replace(CONFIG, sample_affinity=affinity)
    training = trained(jnp.tile(images[:8], (30, 1, 1, 1)), config)
    assert training.lanes.failed.tolist() == [-1, -1]
    assert training.history["sigma"][0] == 0


def test_the_first_merges_on_pixels(images):
    config = dataclasses.replace(CONFIG, first_merge="pixels")
    state = INIT(config, NETWORK, KEY, None, images)
    first = len(np.unique(state.initial))
    left = jule_merging.after_period(MERGING, first)
    assert len(np.unique(state.labels)) == left < first


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sample_affinity": "exponential"},
        {"margin": 0.1},
        {"margin": 0.1, "hinge": "plain", "negatives": "random", "n_random": 3},
    ],
)
def test_a_step_is_sgds_with_decay_dampening_and_a_falling_rate(options, started, images):
    config = dataclasses.replace(
        CONFIG, dampening=0.9, rate_decay=0.5, weight_decay=0.1, gamma=1.5, **options
    )
    state = started
    labels = np.asarray(state.labels)
    kernel = np.asarray(state.variables.params["kernel"], np.float64)
    velocity = np.zeros_like(kernel)
    sigma = float(state.sigma)
    step = jax.jit(lambda state, rows: jule.step(config, NETWORK, KEY, state, images[rows], rows))

    def negatives_of(i, d, rows):
        others = np.flatnonzero(labels[rows] != labels[rows[i]])
        if config.negatives == "nearest":
            return jnp.asarray(others)[jnp.argsort(d[others])[:5]]
        return losses.random_negatives(KEY, jnp.asarray(labels[rows]), config.n_random)[i]

    def loss(kernel, rows):
        """The loss, slowly, triplet by triplet."""
        x = _encode(Variables({"kernel": kernel}, {}), images[rows], True)[0]
        total = 0.0
        count = 0
        for i in range(len(rows)):
            d = jnp.sum((x - x[i]) ** 2, axis=1)
            negatives = negatives_of(i, d, rows)
            a = -d if config.sample_affinity == "distance" else jnp.exp(-d / sigma**2)
            for j in np.flatnonzero(labels[rows] == labels[rows[i]]):
                if j == i:
                    continue
                value = a[negatives] - config.gamma * a[j]
                if config.margin is not None:
                    compared = a[negatives] - a[j] if config.hinge == "plain" else value
                    value = (value + config.margin) * (compared + config.margin > 0)
                total += jnp.sum(value)
                count += len(negatives)
        return total / count

    # The first two images of one cluster, and some others.
    pair = np.flatnonzero(labels == labels[0])[:2]
    for number in range(2):
        others = np.arange(20 + 10 * number, 28 + 10 * number)
        rows = np.concatenate([pair, others]).astype(np.int32)
        value, gradient = jax.value_and_grad(loss)(jnp.asarray(kernel, jnp.float32), rows)
        velocity = 0.9 * velocity + 0.1 * (np.asarray(gradient) + 0.1 * kernel)
        kernel = kernel - 0.01 * (1 + 0.5 * number) ** -0.75 * velocity
        state, info = step(state, jnp.asarray(rows))
        np.testing.assert_allclose(info.loss, value, rtol=1e-3)
        np.testing.assert_allclose(state.variables.params["kernel"], kernel, atol=1e-6)


def test_more_clusters_than_first_ones_leave_the_first_ones(images):
    config = dataclasses.replace(CONFIG, clusters=100, restart_rate=False, join_isolated=False)
    training = trained(images, config, 1)
    state = training.lanes.state
    first = len(np.unique(state.initial))
    assert first < 100
    assert len(np.unique(state.labels)) == first
    assert int(state.history.count[0]) == 0
    assert training.lanes.window.tolist() == [2]
    # Here the steps of the rate's decay go on from period to period; by default they begin anew.
    assert state.steps.tolist() == [16]


def test_a_seed_that_diverges_is_marked(paused, images):
    kernel = paused.lanes.state.variables.params["kernel"].at[1].set(np.inf)
    state = paused.lanes.state._replace(variables=Variables({"kernel": kernel}, {}))
    broken = paused._replace(lanes=paused.lanes._replace(state=state))
    training = driver.train(program(), broken, images)
    assert training.lanes.failed.tolist() == [-1, 8]
    assert training.lanes.stopped.tolist() == [True, False]


def test_images_that_are_not_finite_fail_at_once(images):
    broken = (images / 255).at[3, 2, 2].set(np.nan)
    training = trained(broken)
    assert np.isnan(training.lanes.state.sigma).all()
    assert training.lanes.failed.tolist() == [0, 0]
    assert training.lanes.window.tolist() == [0, 0]


def test_too_few_images_are_refused(few_digits):
    method = registry.method("jule", clusters=2)
    message = "n_neighbors: must be from 1 to 19 for 20 samples, got 20"
    with pytest.raises(ValueError, match=message):
        fit.fit(method, few_digits[0][:20], (0,), fit.Options(over="map"))


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
