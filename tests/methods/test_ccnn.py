"""CCNN against a slow transcription of its formulas, its settings, and whole runs of it."""

import dataclasses
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ccnn_reference as reference
from jaxclust.cli import options
from jaxclust.engine import driver
from jaxclust.methods import ccnn, ccnn_fine_tuning
from jaxclust.networks import ccnn as network_of
from jaxclust.ops.kmeans_minibatch import minibatch_update, running_means
from jaxclust.ops.kmeans_seeding import kmeans_plus_plus
from jaxclust.types import Network, Variables

CONFIG = ccnn.Config(
    clusters=4,
    batch=12,
    reliable=4,
    sample=60,
    epochs=2,
    trainable="all",
    fc9="glorot",
    learning_rate=0.1,
)
CYCLE = 36
INIT = jax.jit(ccnn.init, static_argnums=(0, 1))
STEP = jax.jit(ccnn.step, static_argnums=(0, 1))
EMBED = jax.jit(ccnn.embed, static_argnums=(0, 1))
KEY = jax.random.key(0)


def _linear(key):
    kernel = jax.random.normal(key, (64, 5), jnp.float32) / 8
    return Variables({"kernel": kernel}, {})


def _encode(variables, images, train):
    pixels = (images.astype(jnp.float32) / 255).reshape(len(images), -1)
    return jnp.tanh(pixels @ variables.params["kernel"]), variables.stats


# A trunk with parameters and little to compile.
NETWORK = Network(_linear, _encode)


@pytest.fixture(scope="module")
def images(few_digits):
    return jnp.asarray(few_digits[0][:120])


@pytest.fixture(scope="module")
def state(images):
    """The state after three cycles, so that counts and the step before are not zero."""
    state = INIT(CONFIG, NETWORK, KEY, None, images)
    for i in range(3):
        state, _ = step(CONFIG, state, images, i)
    return state


def step(config, state, images, start=0, function=None):
    rows = (jnp.arange(CYCLE, dtype=jnp.int32) * 7 + start * CYCLE) % len(images)
    return (function or STEP)(config, NETWORK, KEY, state, images[rows], rows)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"compensation": "none"},
        {"compensation": "all"},
        {"backtrack": "previous"},
        {"select": "balanced"},
        {"trainable": "head", "learning_rate": 1.0},
        {"trainable": "head", "learning_rate": 1.0, "backtrack": "previous"},
        {"trainable": "head", "gradient": "printed", "update_with": "all"},
        {"trainable": "nothing", "update_with": "reliable"},
        {"count": "assigned"},
        {"count": "assigned", "update_with": "reliable"},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())) or "paper",
)
def test_a_cycle_is_table_one(changes, state, images):
    config = dataclasses.replace(CONFIG, learning_rate=0.5)
    config = dataclasses.replace(config, **changes)
    tuning = ccnn.fine_tuning(config)
    trained = ccnn_fine_tuning.trained(tuning, state.head, state.variables.params)
    state = state._replace(opt_state=tuning.optimizer.init(trained))
    if config.trainable == "nothing":
        state = state._replace(fc9_step=jax.tree.map(jnp.zeros_like, state.fc9_step))
    rows = (jnp.arange(CYCLE) * 7) % len(images)
    after, info = step(config, state, images)
    centroids, counts, head, kernel, expected = reference.Slow(config, state, images[rows]).run()
    np.testing.assert_array_equal(after.counts, counts)
    np.testing.assert_allclose(after.centroids, centroids, rtol=1e-4, atol=1e-5)
    chex.assert_trees_all_close(after.head, jax.tree.map(np.float32, head), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(after.variables.params["kernel"], kernel, rtol=1e-4, atol=1e-5)
    # Loss, distance, drift and length.
    np.testing.assert_allclose(info, expected, rtol=1e-3, atol=1e-6)


def test_the_first_centroids_are_those_of_k_means_plus_plus_in_a_random_sample(images):
    """Line 1 of table I: seeds among the features of a sample of the images."""
    config = dataclasses.replace(CONFIG, sample=40)
    _, _, sample_key, seeds_key = jax.random.split(KEY, 4)
    state = INIT(config, NETWORK, KEY, None, images)
    rows = np.asarray(jax.random.permutation(sample_key, len(images)))[:40]
    assert (np.diff(rows) < 0).any()
    sample = ccnn.embed(config, NETWORK, state, images[rows])
    np.testing.assert_allclose(state.centroids, kmeans_plus_plus(seeds_key, sample, 4), atol=1e-5)
    assert len(np.unique(np.asarray(state.centroids), axis=0)) == 4


def test_batch_statistics_are_the_fine_tuning_batchs(images):
    network = network_of((8, 8, 1), 4, (3, 4), (5,), True)
    config = dataclasses.replace(CONFIG, trainable="all", batch_statistics=True)
    state = INIT(config, network, KEY, None, images)
    loss = {}
    for own in (False, True):
        config = dataclasses.replace(config, batch_statistics=own)
        after, info = STEP(config, network, KEY, state, images[:CYCLE], jnp.arange(CYCLE))
        moved = jax.tree.map(
            lambda new, old: bool(jnp.any(new != old)), after.variables.stats, state.variables.stats
        )
        assert any(jax.tree.leaves(moved)) is own
        loss[own] = float(info.loss)
    assert abs(loss[True] - loss[False]) > 1e-5


def test_what_is_tracked_back_matters(state, images):
    """The variants differ by more than rounding, so that the test above can tell them apart."""
    config = dataclasses.replace(CONFIG, learning_rate=0.5)
    variants = [
        {},
        {"compensation": "none"},
        {"compensation": "all"},
        {"backtrack": "previous"},
    ]
    centroids = [
        step(dataclasses.replace(config, **changes), state, images)[0].centroids
        for changes in variants
    ]
    for first, second in itertools.combinations(centroids, 2):
        assert float(jnp.max(jnp.abs(first - second))) > 1e-4


def test_running_means_are_those_of_the_loop():
    rng = np.random.default_rng(0)
    centroids = rng.normal(size=(5, 3)).astype(np.float32)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    labels = rng.integers(0, 4, 200)  # The last cluster gets no point.
    counts = np.array([0, 7, 100_000, 1, 3], np.int32)
    expected = centroids.astype(np.float64)
    seen = counts.copy()
    for point, label in zip(x.astype(np.float64), labels, strict=True):
        seen[label] += 1
        expected[label] = (1 - 1 / seen[label]) * expected[label] + point / seen[label]
    means, total = running_means(
        jnp.asarray(centroids), jnp.asarray(counts), jnp.asarray(x), jnp.asarray(labels)
    )
    np.testing.assert_array_equal(total, seen)
    np.testing.assert_allclose(means, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(means[4], centroids[4])


def test_the_order_of_a_batch_does_not_matter():
    rng = np.random.default_rng(1)
    centroids, x = (jnp.asarray(rng.normal(size=(n, 3)), jnp.float32) for n in (4, 50))
    counts = jnp.array([0, 3, 5, 0], jnp.int32)
    forward, backward = (minibatch_update(centroids, counts, part) for part in (x, x[::-1]))
    chex.assert_trees_all_close(forward, backward, rtol=1e-5, atol=1e-6)


def test_baseline_two_is_minibatch_kmeans(images):
    config = dataclasses.replace(CONFIG, trainable="nothing", reliable=12)
    assert ccnn.schedule(config, 120) == (12, 10, 2, "shuffled")
    state = INIT(config, NETWORK, KEY, None, images)
    rows = jnp.arange(12, dtype=jnp.int32)
    after, info = STEP(config, NETWORK, KEY, state, images[rows], rows)
    h = EMBED(config, NETWORK, state, images[rows])
    centroids, counts = minibatch_update(state.centroids, state.counts, h)
    np.testing.assert_allclose(after.centroids, centroids, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(after.counts, counts)
    chex.assert_trees_all_equal((after.variables, after.head), (state.variables, state.head))
    assert float(info.drift) == 0


def test_baseline_three_ends_where_k_means_does(images):
    config = dataclasses.replace(CONFIG, trainable="nothing", start="kmeans", epochs=0)
    assert ccnn.schedule(config, 120).max_windows == 0
    state = INIT(config, NETWORK, KEY, None, images)
    h = np.asarray(EMBED(config, NETWORK, state, images))
    labels = np.asarray(ccnn.predict(config, NETWORK, state, images).cluster)
    for cluster in np.unique(labels):  # Each centroid is the mean of its cluster.
        np.testing.assert_allclose(
            state.centroids[cluster], h[labels == cluster].mean(axis=0), atol=1e-3
        )


def test_a_cycle_is_the_same_eager_jitted_and_in_a_lane(state, images):
    jitted = step(CONFIG, state, images)
    with jax.disable_jit():
        eager = step(CONFIG, state, images, function=ccnn.step)
    two = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), state)
    lanes = jax.jit(jax.vmap(lambda s: step(CONFIG, s, images)))(two)
    for other in (eager, jax.tree.map(lambda leaf: leaf[1], lanes)):
        chex.assert_trees_all_close(jitted, other, rtol=1e-4, atol=1e-5)


def test_state_keeps_its_tree_shapes_and_dtypes_whatever_n(images):
    network = network_of((8, 8, 1), 4, (4, 6), (5,), True)
    rows = jnp.arange(CYCLE, dtype=jnp.int32)
    for config in (
        CONFIG,
        dataclasses.replace(CONFIG, batch_statistics=True, fc9="identity", momentum=0.9),
    ):
        before = jax.eval_shape(lambda c=config: ccnn.init(c, network, KEY, None, images))
        few = jax.eval_shape(lambda c=config: ccnn.init(c, network, KEY, None, images[:70]))
        chex.assert_trees_all_equal_shapes_and_dtypes(before, few)
        assert not any(leaf.weak_type for leaf in jax.tree.leaves(before))
        after, info = jax.eval_shape(
            lambda s, c=config: ccnn.step(c, network, KEY, s, images[rows], rows), before
        )
        chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
        assert all(leaf.shape == () and leaf.dtype == jnp.float32 for leaf in info)
        after, stop, _ = jax.eval_shape(
            lambda s, c=config: ccnn.refresh(c, network, KEY, s, images), before
        )
        chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
        assert (stop.shape, stop.dtype) == ((), jnp.bool_)


def test_counts_grow_by_the_images_that_move_centroids(state, images):
    for update_with, images_moved in (("last", 12), ("reliable", 12), ("all", 36)):
        after, _ = step(dataclasses.replace(CONFIG, update_with=update_with), state, images)
        assert int(jnp.sum(after.counts - state.counts)) == images_moved
        assert (after.counts >= state.counts).all()


def test_a_centroid_that_never_gets_an_image_stays_and_is_counted(state, images):
    far = state._replace(
        centroids=state.centroids.at[1].set(1e3),
        counts=state.counts.at[1].set(0),
        before=state.centroids,
    )
    after, _ = step(CONFIG, far, images)
    np.testing.assert_array_equal(after.centroids[1], np.full(4, 1e3, np.float32))
    _, stop, info = ccnn.refresh(CONFIG, NETWORK, KEY, after, images)
    assert int(info.unseen) == 1
    assert not bool(stop)


def test_the_run_stops_when_the_centroids_do(state, images):
    moved = state._replace(before=state.centroids * 1.001)
    for tolerance, stops in ((0.0, False), (1.0, True)):
        config = dataclasses.replace(CONFIG, tolerance=tolerance)
        fresh, stop, info = ccnn.refresh(config, NETWORK, KEY, moved, images)
        assert bool(stop) is stops
        assert float(info.moved) > 0
        np.testing.assert_array_equal(fresh.before, state.centroids)


def test_starting_counts_weigh_the_seed(images):
    config = dataclasses.replace(CONFIG, start_count=1)
    from_zero = INIT(CONFIG, NETWORK, KEY, None, images)
    from_one = INIT(config, NETWORK, KEY, None, images)
    np.testing.assert_array_equal(from_one.counts, np.ones(4))
    replaced, _ = step(CONFIG, from_zero, images)
    weighed, _ = step(config, from_one, images)
    m = np.asarray(replaced.counts)[:, None].astype(np.float32)
    seeds = from_zero.centroids
    expected = np.where(m > 0, (seeds + m * replaced.centroids) / (m + 1), seeds)
    np.testing.assert_allclose(weighed.centroids, expected, rtol=1e-4, atol=1e-5)


def _dimmed(variables, images, train):
    features, _ = _encode(variables, images, train)
    return variables.stats["brightness"] * jnp.abs(features[:, :4]), variables.stats


DIMMED = Network(_linear, _dimmed)
"""A trunk with four features, whose length its statistics decide."""


@pytest.mark.parametrize("brightness", [1.0, 1e-3, 0.0])
def test_features_begin_at_one_scale_whatever_the_networks(images, brightness):
    config = dataclasses.replace(CONFIG, fc9="identity", sample=120)
    variables = Variables(_linear(KEY).params, {"brightness": jnp.float32(brightness)})
    state = INIT(config, DIMMED, KEY, variables, images)
    square = float(jnp.mean(EMBED(config, DIMMED, state, images) ** 2))
    np.testing.assert_allclose(square, 1.0 if brightness else 0.0, rtol=1e-5)
    np.testing.assert_array_equal(state.head["fc9"]["kernel"], np.eye(4, dtype=np.float32))


def test_permuting_centroids_permutes_the_labels(state, images):
    order = np.array([2, 0, 3, 1])
    plain = ccnn.predict(CONFIG, NETWORK, state, images)
    other = ccnn.predict(CONFIG, NETWORK, state._replace(centroids=state.centroids[order]), images)
    np.testing.assert_array_equal(order[np.asarray(other.cluster)], plain.cluster)
    np.testing.assert_allclose(other.distance, plain.distance, rtol=1e-5)
    assert ((np.asarray(plain.probability) >= 0) & (np.asarray(plain.probability) <= 1)).all()


def test_resumed_after_an_epoch_it_ends_as_if_uninterrupted(images):
    keys = jnp.stack([jax.random.key(seed) for seed in (0, 1)])
    program = driver.Program(ccnn.ALGORITHM, CONFIG, NETWORK, "map")
    begun = driver.begin(program, keys, None, images)
    once = driver.train(program, begun, images, windows_per_chunk=2)
    half = driver.train(program, begun, images, windows_per_chunk=1, callbacks=[lambda event: True])
    assert not half.finished
    rest = driver.train(program, half, images)
    chex.assert_trees_all_equal(rest.lanes.state, once.lanes.state)
    assert rest.finished
    assert {"loss", "drift", "length", "distance", "moved", "unseen"} <= rest.history.keys()


def test_images_and_networks_that_cannot_work_are_refused(images):
    message = "clusters: must be at most the number of images, 3, got 4"
    with pytest.raises(ValueError, match=message):
        ccnn.init(CONFIG, NETWORK, KEY, None, images[:3])
    config = dataclasses.replace(CONFIG, fc9="identity")
    with pytest.raises(ValueError, match="fc9: must be glorot for 5 features and 4 clusters"):
        ccnn.init(config, NETWORK, KEY, None, images)
    message = "batch_statistics: must be with a network that has batch normalization"
    with pytest.raises(ValueError, match=message):
        ccnn.init(dataclasses.replace(CONFIG, batch_statistics=True), NETWORK, KEY, None, images)


@pytest.mark.parametrize(
    ("typed", "epochs"), [("", 0), ("--pretraining.epochs 3", 3), ("--pretraining.epochs=3", 3)]
)
def test_weights_from_a_file_replace_the_pretraining(typed, epochs):
    words = f"--data digits --out x --weights w {typed}".split()
    method = options.read("ccnn", words).method
    assert (method.config.epochs, method.pretraining.epochs) == (10, epochs)
    without = options.read("ccnn", ["--data", "digits", "--out", "x"]).method
    assert without.pretraining.epochs == 100


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"clusters": 1}, "clusters: must be at least 2, got 1"),
        ({"reliable": 60}, "reliable: must divide batch, 50, got 60"),
        ({"reliable": 7}, "reliable: must divide batch, 50, got 7"),
        ({"sample": 9}, "sample: must be at least clusters, 10, got 9"),
        ({"trainable": "some"}, "trainable: must be one of all, head, nothing, got 'some'"),
        (
            {"gradient": "printed", "trainable": "all"},
            "trainable: must be head with gradient printed, got 'all'",
        ),
        (
            {"backtrack": "previous", "compensation": "all"},
            "compensation: must be fc9 with backtrack previous",
        ),
        ({"tolerance": float("nan")}, "tolerance: must be at least 0, got nan"),
        ({"batch_statistics": True}, "trainable: must be all with batch statistics, got 'head'"),
        ({"count": "seen"}, "count: must be one of moved, assigned, got 'seen'"),
        ({"start_count": -1}, "start_count: must be at least 0, got -1"),
        ({"learning_rate": 0.0}, "learning_rate: must be above 0, got 0.0"),
    ],
)
def test_settings_that_cannot_work_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        ccnn.Config(**fields)
