"""Factorizations, infinite ensembles and unrolled sparse coding through the driver."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from jaxclust import networks
from jaxclust.engine import fit, refusals
from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics
from jaxclust.methods import (
    factors,
    infinite_ensemble,
    nmf_deep,
    nmf_locality,
    registry,
    sparse_deep,
)
from jaxclust.ops import consensus
from jaxclust.runs.fit import fit as fit_run

MAP = fit.Options(over="map")
SHORT = {
    "nmf-lp": {"iterations": 40},
    "nmf-d": {"layers": (12, 8), "layer_iterations": 30, "iterations": 40},
    "iec": {"partitions": 20},
    "tsc-d": {"atoms": 32, "epochs": 3, "dictionary_rounds": 5, "tolerance": 0.0},
}
LEAST_NMI = {"nmf-lp": 0.7, "nmf-d": 0.5, "iec": 0.65, "tsc-d": 0.6}

LEAST_AGREEMENT = {"nmf-lp": 0.9, "nmf-d": 0.95}
"""With the clusters that a new image of the same pixels would have; seeds
0 and 1 have .95 and .92 of nmf-lp, and .98 and .99 of nmf-d."""


@pytest.mark.parametrize("name", SHORT)
def test_digits_are_told_apart_and_constant_images_fail_no_seed(name, few_digits):
    images, labels = few_digits
    method = registry.method(name, clusters=10, **SHORT[name])
    done = fit.fit(method, images, (0, 1), MAP)
    assert done.failed == [None, None]
    assert np.any(done.labels[0] != done.labels[1])
    assert metrics.nmi(labels, done.labels[0]) > LEAST_NMI[name]
    predicted = fit.apply(method, done.phases["cluster"].lanes.state, images, "predict")
    agreement = np.mean(done.labels[0] == predicted.cluster[0])
    assert agreement == 1 if name in ("iec", "tsc-d") else agreement > LEAST_AGREEMENT[name]
    # All images are equal: every clustering is as good, and no number is infinite.
    for value in (0, 90):
        equal = fit.fit(method, np.full_like(images, value), (0, 1), MAP)
        assert equal.failed == [None, None]


@pytest.mark.parametrize("name", ["nmf-lp", "nmf-d"])
def test_no_step_raises_the_objective(name, few_digits):
    method = registry.method(name, clusters=10, **SHORT[name])
    algorithm = method.algorithm
    network = method.build((8, 8, 1))
    images = jnp.asarray(few_digits[0])
    arguments = (method.config, network, jax.random.key(0))
    state = jax.jit(algorithm.init, static_argnums=(0, 1))(*arguments, None, images)
    step = jax.jit(algorithm.step, static_argnums=(0, 1))
    rows = jnp.arange(len(images), dtype=jnp.int32)
    losses = []
    for _ in range(40):
        state, info = step(*arguments, state, images, rows)
        losses.append(float(info.loss))
    assert np.all(np.diff(losses) <= 1e-5 * losses[0])
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(
    ("iterations", "length", "windows"), [(50, 10, 5), (100, 20, 5), (30, 15, 2), (7, 7, 1)]
)
def test_there_are_as_many_steps_as_iterations(iterations, length, windows):
    plan = factors.schedule(iterations, 9)
    assert plan == (9, length, windows, "sequential")


def test_images_without_light_have_no_edges(few_digits):
    x = few_digits[0][:30].reshape(30, 64).astype(np.float32)
    x[[4, 17]] = 0
    x[5] *= 0.01  # The length of an image is no matter to its neighbors.
    edges = nmf_locality.graph(jnp.asarray(x), 3)
    graph = np.zeros((30, 30))
    np.put_along_axis(graph, np.asarray(edges.neighbors), np.asarray(edges.weights), axis=1)
    assert not graph[[4, 17]].any()
    assert not graph[:, [4, 17]].any()
    cosines = (x @ x.T) / np.maximum(np.outer(*[np.linalg.norm(x, axis=1)] * 2), 1e-9)
    np.fill_diagonal(cosines, -1)
    nearest = np.argsort(-cosines[5])[:3]
    assert set(np.flatnonzero(graph[5])) == set(nearest)


def test_a_network_whose_values_may_be_negative_needs_the_split(few_digits):
    images = few_digits[0][:40]
    method = registry.method("nmf-lp", clusters=3, iterations=20)
    other = method.replace(network=networks.sae)
    shape = jax.ShapeDtypeStruct(images.shape, jnp.uint8)
    rule = "signed: must be split for a network other than pixels"
    with pytest.raises(UsageError, match=rule):
        refusals.check(other, shape, "map")
    refusals.check(method, shape, "map")
    split = other.with_settings({"signed": "split"})
    assert fit.fit(split, images, (0,), MAP).failed == [None]


@pytest.mark.parametrize("linear", [False, True])
def test_little_corruption_is_refused_where_it_has_layers(linear, few_digits):
    rule = "corruption: must be at least 0.001 where there are layers, got 0"
    with pytest.raises(UsageError, match=rule):
        registry.method("iec", corruption=0.0)
    assert registry.method("iec", corruption=0.0, layers=0).config.layers == 0
    settings = {"corruption": 0.001, "layers": 3, "linear": linear, "partitions": 6}
    method = registry.method("iec", clusters=4, **settings)
    assert fit.fit(method, few_digits[0][:60], (0, 1), MAP).failed == [None, None]


def test_without_layers_the_ensemble_is_the_consensus(few_digits):
    images = jnp.asarray(few_digits[0][:60])
    config = infinite_ensemble.Config(clusters=4, partitions=6, layers=0)
    network = registry.method("iec").build((8, 8, 1))
    key = jax.random.key(3)
    state = infinite_ensemble.init(config, network, key, None, images)
    labels = consensus.partitions(state.basic, images.reshape(60, 64) / 255)
    own = consensus.consensus(jax.random.split(key, 3)[2], labels, 8, 4)
    np.testing.assert_array_equal(own.labels, state.labels)


def test_the_probability_of_tsc_d_is_that_which_it_trains(few_digits):
    images = few_digits[0]
    method = registry.method("tsc-d", clusters=10, **SHORT["tsc-d"])
    done = fit.fit(method, images, (0,), MAP)
    lane = jax.tree.map(lambda leaf: leaf[0], done.phases["cluster"].lanes.state)
    network = method.build((8, 8, 1))
    codes, _ = network.encode(lane.variables, jnp.asarray(images), False)
    centers = np.asarray(lane.centroids * lane.unit, np.float64)
    squared = ((np.asarray(codes, np.float64)[:, None] - centers) ** 2).sum(axis=2)
    soft = softmax(-3 * squared / float(lane.unit) ** 2, axis=1)
    predicted = method.algorithm.predict(method.config, network, lane, jnp.asarray(images))
    np.testing.assert_allclose(predicted.probability, soft.max(axis=1), rtol=1e-2)
    assert np.median(soft.max(axis=1)) > 0.5


def test_a_dictionary_does_not_begin_with_the_networks_numbers(few_digits):
    images = jnp.asarray(few_digits[0][:60])
    network = registry.method("tsc-d", atoms=16).build((8, 8, 1))
    config = sparse_deep.Config(clusters=4, atoms=16, dictionary_rounds=0)
    key = jax.random.key(0)
    given = []
    make = sparse_deep.sparse_coding.dictionary
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sparse_deep.sparse_coding,
            "dictionary",
            lambda key, *arguments: given.append(key) or make(key, *arguments),
        )
        watched = network._replace(init=lambda key: given.append(key) or network.init(key))
        sparse_deep.init(config, watched, key, None, images)
    first, second = (jax.random.key_data(key).tolist() for key in given)
    assert first != second


def test_seeds_of_deep_semi_nmf_run_together_in_one_program(few_digits):
    method = registry.method("nmf-d", clusters=10, **SHORT["nmf-d"])
    history = {}
    for over in ("map", "vmap"):
        done = fit.fit(method, few_digits[0], (0, 1), fit.Options(over=over))
        columns = done.phases["cluster"].history
        history[over] = [columns["loss"][columns["lane"] == lane] for lane in (0, 1)]
    np.testing.assert_allclose(history["map"], history["vmap"], rtol=1e-2)
    assert history["map"][0][-1] != history["map"][1][-1]


def test_negative_values_are_refused_or_split(few_digits):
    features = few_digits[0][:60].astype(np.float32) / 128 - 1
    method = registry.method("nmf-lp", clusters=3, iterations=20)
    rule = "images: must be at least 0 for non-negative factors, or signed must be split, got -1"
    with pytest.raises(UsageError, match=rule):
        fit.fit(method, features, (0,), MAP)
    with pytest.raises(UsageError, match=rule):
        fit.apply(method, None, features, "predict")
    split = method.with_settings({"signed": "split"})
    assert fit.fit(split, features, (0,), MAP).failed == [None]
    both = factors.parts(jnp.asarray([[1.0, -2.0]]), "split")
    np.testing.assert_array_equal(both, [[1, 0, 0, 2]])


def test_negative_features_are_refused_before_a_run_has_a_folder(tmp_path, few_digits):
    path = tmp_path / "features.npy"
    np.save(path, np.random.default_rng(0).normal(size=(60, 6)))
    out = tmp_path / "run"
    options = {"clusters": 3, "seeds": 1, "features": path, "out": out}
    with pytest.raises(UsageError, match="images: must be at least 0 for non-negative factors"):
        fit_run("nmf-lp", few_digits[0][:60], **options)
    assert not out.exists()


def test_images_by_their_cut_count_by_the_inverse_of_their_product(few_digits):
    x = few_digits[0][:50].reshape(50, 64).astype(np.float64) / 255
    x[7] = 0
    config = nmf_locality.Config(weight="cut", locality=0, clusters=3)
    images = jnp.asarray(x.reshape(50, 8, 8, 1), jnp.float32)
    network = registry.method("nmf-lp").build((8, 8, 1))
    state = jax.jit(nmf_locality.init, static_argnums=(0, 1))(
        config, network, jax.random.key(0), None, images
    )
    products = x @ x.sum(axis=0)
    others = np.arange(50) != 7
    ratio = np.asarray(state.importance)[others] * products[others]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
    assert float(state.importance.mean()) == pytest.approx(1, rel=1e-5)


def test_the_loss_of_unrolled_sparse_coding_is_the_entropy_less_the_spread(few_digits):
    images = jnp.asarray(few_digits[0][:64])
    config = sparse_deep.Config(clusters=4, atoms=16, balance=0.5, sharpness=2.0)
    network = registry.method("tsc-d", atoms=16).build((8, 8, 1))
    key = jax.random.key(2)
    state = jax.jit(sparse_deep.init, static_argnums=(0, 1))(config, network, key, None, images)
    rows = jnp.arange(32, dtype=jnp.int32)
    step = jax.jit(sparse_deep.step, static_argnums=(0, 1))
    after, info = step(config, network, key, state, images[:32], rows)
    features = np.asarray(sparse_deep.embed(config, network, state, images), np.float64)
    squared = ((features[:, None] - np.asarray(state.centroids)) ** 2).sum(axis=2)
    assert squared.min(axis=1).mean() == pytest.approx(1, rel=1e-3)
    soft = softmax(-2 * squared[:32], axis=1)
    entropy = -(soft * np.log(soft)).sum(axis=1).mean()
    mean = soft.mean(axis=0)
    spread = -(mean * np.log(mean)).sum()
    expected = [entropy - 0.5 * spread, entropy, spread]
    np.testing.assert_allclose(info, expected, rtol=1e-3)
    assert np.any(np.asarray(after.centroids) != np.asarray(state.centroids))
    kernel = after.variables.params["mutual"]["kernel"]
    assert np.any(np.asarray(kernel) != np.asarray(state.variables.params["mutual"]["kernel"]))


def test_settings_and_images_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="layers: must be widths of at least 1, got"):
        nmf_deep.Config(layers=())
    with pytest.raises(ValueError, match="locality: must be at least 0 and finite, got -1"):
        nmf_locality.Config(locality=-1)
    with pytest.raises(ValueError, match="corruption: must be in "):
        infinite_ensemble.Config(corruption=1)
    with pytest.raises(ValueError, match="most_clusters: must give at most 5000 clusters, got"):
        infinite_ensemble.Config(clusters=100, most_clusters=60.0)
    shape = jax.ShapeDtypeStruct((7, 8, 8, 1), jnp.uint8)
    with pytest.raises(ValueError, match="images: must be at least 8, the clusters of a basic"):
        refusals.check(registry.method("iec", clusters=4), shape, "map")
    with pytest.raises(ValueError, match="layers: must be at most 7 wide for 7 images, got"):
        refusals.check(registry.method("nmf-d", clusters=4, layers=(9, 4)), shape, "map")
    wide = jax.ShapeDtypeStruct((100, 128, 128, 1), jnp.uint8)
    with pytest.raises(ValueError, match="images: must have at most 5000 values for denoised"):
        refusals.check(registry.method("iec", clusters=4, denoised="pixels"), wide, "map")
