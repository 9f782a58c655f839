"""What is made anew during a run: resets of the weights, and centroids from a graph."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import driver
from jaxclust.methods import dbc, dcec, dcn, dkm, renewals
from jaxclust.networks import cae, fcae, sae, tied_sae
from jaxclust.ops.assignment import cluster_means
from jaxclust.ops.graph_start import graph_clusters

NETWORK = sae((8, 8, 1), 5, (16,))
KEY = jax.random.key(0)
GRAPH = {"clusters": 4, "batch": 30, "restarts": 2, "start": "graph", "graph_windows": 2}
GRAPH |= {"tolerance": 1.0}  # Whatever the labels do, a run may stop.
CONFIGS = {
    "dcec": (dcec, dcec.Config(**GRAPH, max_steps=40, update_interval=4), NETWORK),
    "dbc": (dbc, dbc.Config(**GRAPH, max_epochs=10), NETWORK),
    "dkm": (dkm, dkm.Config(**GRAPH, alphas=10, epochs_per_alpha=1), NETWORK),
    "dcn": (dcn, dcn.Config(**GRAPH, epochs=10), tied_sae((8, 8, 1), 5, (16,))),
}


@pytest.fixture(scope="module")
def images(few_digits):
    return jnp.asarray(few_digits[0][:120])


@functools.cache
def compiled(function):
    """A function of a config, a network and arrays as one program."""
    return jax.jit(function, static_argnums=(0, 1))


graph_labels = jax.jit(graph_clusters, static_argnums=1)


@functools.partial(jax.jit, static_argnums=1)
def graph_means(features, clusters):
    return cluster_means(features, graph_labels(features, clusters), clusters)


def begun(module, config, network, images):
    """The state before the first step."""
    return compiled(module.init)(config, network, KEY, None, images)


def with_one_step(module, config, network, images):
    """The state after a step, so that the optimizer has a momentum."""
    state = begun(module, config, network, images)
    rows = jnp.arange(30, dtype=jnp.int32)
    return compiled(module.step)(config, network, KEY, state, images[rows], rows)[0]


def refreshed(module, config, network, state, images):
    """The state after the end of a window, and whether the run stops there."""
    return compiled(module.refresh)(config, network, KEY, state, images)[:2]


def embedded(module, config, network, state, images):
    return compiled(module.ALGORITHM.embed)(config, network, state, images)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_graph_makes_the_centroids_every_few_windows_but_not_at_the_end(name, images):
    module, config, network = CONFIGS[name]
    windows = module.schedule(config, len(images)).max_windows
    assert windows == 10
    state = with_one_step(module, config, network, images)
    fresh = with_fresh(state, network)
    np.testing.assert_allclose(
        begun(module, config, network, images).centroids,
        graph_means(embedded(module, config, network, fresh, images), 4),
        atol=1e-5,
    )
    counter = "epochs" if name == "dkm" else "windows"
    # Window 2 makes centroids anew; after window 9 only one window would follow.
    for before, renews in ((0, False), (1, True), (8, False), (9, False)):
        number = state._replace(**{counter: jnp.int32(before)})
        after, _ = refreshed(module, config, network, number, images)
        expected = state.centroids
        if renews:
            expected = graph_means(embedded(module, config, network, state, images), 4)
        np.testing.assert_allclose(after.centroids, expected, atol=1e-5)
        assert int(getattr(after, counter)) == before + 1


def with_fresh(state, network):
    """The state with the weights that ``init`` draws."""
    return state._replace(variables=jax.jit(network.init)(jax.random.split(KEY)[0]))


@pytest.mark.parametrize("name", ["dcec", "dbc"])
def test_the_graphs_clusters_are_the_target_of_one_window(name, images):
    module, config, network = CONFIGS[name]
    state = begun(module, config, network, images)
    features = embedded(module, config, network, state, images)
    expected = np.eye(4)[np.asarray(graph_labels(features, 4))]
    np.testing.assert_array_equal(state.target, expected)
    soft, _ = refreshed(module, config, network, state, images)
    assert np.asarray(soft.target).max(axis=1).min() < 1
    again, _ = refreshed(module, config, network, soft, images)
    np.testing.assert_array_equal(again.target, expected)


def test_from_kmeans_the_first_target_is_sharpened(images):
    config = dcec.Config(clusters=4, batch=30, restarts=2)
    target = begun(dcec, config, NETWORK, images).target
    assert np.asarray(target).max(axis=1).min() < 1


def test_new_centroids_have_no_momentum_and_weights_keep_theirs(images):
    module, config, network = CONFIGS["dcec"]
    state = with_one_step(module, config, network, images)._replace(windows=jnp.int32(1))
    after, _ = refreshed(module, config, network, state, images)
    params, centroids = state.opt_state[0].mu
    new_params, new_centroids = after.opt_state[0].mu
    assert np.any(centroids != 0)
    assert not np.any(new_centroids)
    jax.tree.map(np.testing.assert_array_equal, new_params, params)


def test_a_reset_mixes_the_weights_with_fresh_ones_except_in_the_embedding_layer(images):
    config = dcec.Config(
        clusters=4, batch=30, update_interval=4, max_steps=40, reset_epochs=1, restarts=2
    )
    state = with_one_step(dcec, config, NETWORK, images)._replace(windows=jnp.int32(0))
    after, _ = refreshed(dcec, config, NETWORK, state, images)
    fresh = with_fresh(state, NETWORK).variables.params
    for name, old in state.variables.params.items():
        kernel = after.variables.params[name]["kernel"]
        expected = old["kernel"]
        if name != "encoder2":
            expected = 0.8 * old["kernel"] + 0.2 * fresh[name]["kernel"]
        np.testing.assert_allclose(kernel, expected, atol=1e-6, err_msg=name)
    assert np.any(after.centroids != state.centroids)


def test_dcn_counts_from_the_start_again_after_a_renewal(images):
    module, config, network = CONFIGS["dcn"]
    state = with_one_step(module, config, network, images)._replace(windows=jnp.int32(1))
    assert np.any(state.counts != config.counts)
    after, _ = refreshed(module, config, network, state, images)
    assert np.all(after.counts == config.counts)
    features = embedded(module, config, network, state, images)
    np.testing.assert_array_equal(after.labels, graph_labels(features, 4))


def test_a_run_stops_only_after_the_last_renewal(images):
    """Nothing changes in any window; the last of ten windows in which it may is the eighth."""
    for name in ("dcec", "dbc", "dkm", "dcn"):
        module, config, network = CONFIGS[name]
        counter = "epochs" if name == "dkm" else "windows"
        state = begun(module, config, network, images)
        for before, stops in ((0, False), (6, False), (7, False), (8, True)):
            number = state._replace(**{counter: jnp.int32(before)})
            assert bool(refreshed(module, config, network, number, images)[1]) is stops, name


def test_dbcs_statistics_settle_after_a_reset(images):
    network = fcae((8, 8, 1), 4)
    config = dbc.Config(
        clusters=4, batch=30, restarts=2, max_epochs=10, reset_epochs=1, reset_share=1.0
    )
    state = begun(dbc, config, network, images)
    key = jax.random.key(9)
    after = compiled(dbc.refresh)(config, network, key, state, images)[0]
    encode = jax.jit(network.encode, static_argnums=2)
    features, _ = encode(after.variables, images, False)
    with_batch, _ = encode(after.variables, images, True)
    stale, _ = encode(after.variables._replace(stats=state.variables.stats), images, False)

    def gap(other):
        return float(jnp.mean((other - with_batch) ** 2))

    assert gap(features) < gap(stale) / 2


@pytest.mark.parametrize(
    ("network", "width"),
    [(cae, 7), (sae, 7), (tied_sae, 7), (fcae, 160)],
    ids=["cae", "sae", "tied_sae", "fcae"],
)
def test_the_embedding_layer_of_a_network_is_as_wide_as_the_features(network, width):
    made = network((16, 16, 1), 7)
    params = jax.eval_shape(made.init, KEY).params[made.embedding_layer]
    assert {leaf.shape[-1] for leaf in jax.tree.leaves(params)} == {width}


@pytest.mark.slow
def test_a_run_with_renewals_is_the_same_in_chunks_and_together(images):
    """Graphs after two and four of eight windows, resets after three; lanes end together."""
    config = dcec.Config(
        clusters=4,
        batch=30,
        restarts=2,
        update_interval=4,
        max_steps=32,
        tolerance=0.0,
        start="graph",
        graph_windows=2,
        reset_epochs=3,
    )
    keys = jax.random.split(KEY, 2)

    def trained(over, windows):
        program = driver.Program(dcec.ALGORITHM, config, NETWORK, over)
        begun = driver.begin(program, keys, None, images)
        return driver.train(program, begun, images, windows_per_chunk=windows)

    whole = trained("map", None)
    assert np.asarray(whole.lanes.state.windows).tolist() == [8, 8]
    chunks = trained("map", 1)
    jax.tree.map(np.testing.assert_array_equal, whole.lanes.state, chunks.lanes.state)
    together = trained("vmap", None)
    np.testing.assert_allclose(
        together.history["loss"], whole.history["loss"], rtol=0.05, atol=1e-3
    )


def test_a_run_without_renewals_has_no_counter(images):
    config = dcec.Config(clusters=4, batch=30, restarts=2)
    assert begun(dcec, config, NETWORK, images).windows is None


def test_reset_epochs_are_passes_over_the_images(images):
    config = dcec.Config(clusters=4, reset_epochs=20)
    # 140 steps of 256 images are 3.85 passes over 9,298 images.
    schedule = dcec.schedule(config, 9298)
    assert renewals.renewal(config, None, schedule, 9298).reset_windows == 5


@pytest.mark.parametrize(("n", "windows"), [(9298, 5), (70_000, 5), (10_000_000, 5)])
def test_large_sets_have_three_resets_all_the_same(n, windows):
    """20 windows of 140 steps are 10 passes over 70,000 images, of which 20 would be no reset."""
    config = dcec.Config(clusters=4, reset_epochs=20, max_steps=2800)
    renewal = renewals.renewal(config, None, dcec.schedule(config, n), n)
    assert renewal.reset_windows == windows
    assert renewal.last == 15


def test_a_run_of_one_window_has_no_reset():
    config = dcec.Config(clusters=4, batch=30, update_interval=4, max_steps=4, reset_epochs=1)
    assert not renewals.renewal(config, None, dcec.schedule(config, 60), 60).repeats


def test_lanes_are_renewed_together_as_alone(images):
    """Each lane has its own number of windows; the first lane is due, the second is not."""
    module, config, network = CONFIGS["dcec"]
    state = with_one_step(module, config, network, images)
    lanes = [state._replace(windows=jnp.int32(before)) for before in (1, 2)]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *lanes)

    def refresh(lane):
        return module.refresh(config, network, KEY, lane, images)[0]

    result = jax.jit(jax.vmap(refresh))(together)
    for place, lane in enumerate(lanes):
        alone, _ = refreshed(module, config, network, lane, images)
        jax.tree.map(
            lambda both, one, place=place: np.testing.assert_allclose(both[place], one, atol=1e-5),
            result,
            alone,
        )


def test_settings_that_cannot_work_are_refused(images):
    with pytest.raises(ValueError, match="graph_windows: must be at least 1, got 0"):
        dcec.Config(graph_windows=0)
    with pytest.raises(ValueError, match="reset_epochs: must be at least 1, got 0"):
        dbc.Config(reset_epochs=0)
    with pytest.raises(ValueError, match=r"reset_share: must be in \[0, 1\], got 2"):
        dkm.Config(reset_share=2)
    with pytest.raises(ValueError, match="start: must be kmeans or graph, got 'grap'"):
        dcn.Config(start="grap")
    config = dcec.Config(clusters=4, batch=30, update_interval=4, max_steps=40, reset_epochs=1)
    unnamed = NETWORK._replace(embedding_layer="")
    with pytest.raises(ValueError, match="network: must name its embedding_layer"):
        dcec.init(config, unnamed, KEY, None, images)
    with pytest.raises(ValueError, match="graph_windows: must be at most half of the 20 windows"):
        dcec.Config(max_steps=2800, graph_windows=11)
