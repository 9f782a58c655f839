"""What every method promises, checked for each entry of the registry."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import fit
from jaxclust.methods import checks, jule, registry
from jaxclust.methods.registry import METHODS
from jaxclust.networks import sae
from jaxclust.types import network_name

SMALL = {"clusters": 4, "batch": 32, "restarts": 2, "reliable": 16, "fc9": "glorot", "kernel": 3}
"""Settings small enough for a test; a method takes those that it has."""
KEPT = ("dctl", "jule", "pixels")
"""Networks that are small already, or whose shape the method needs; the others are replaced."""
SHAPE = (8, 8, 1)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def images(few_digits):
    return jnp.asarray(few_digits[0][:120])


@functools.cache
def small(name):
    """A method with settings and a network that are small enough for a test."""
    method = METHODS[name]
    known = {field.name for field in dataclasses.fields(method.config)}
    method = method.with_settings({key: SMALL[key] for key in SMALL.keys() & known})
    if network_name(method.network) not in KEPT:
        method = method.replace(
            network=lambda shape, embedding, **settings: sae(shape, 5, (16,)),
        )
    return method


@functools.cache
def traced(algorithm, config, network, n):
    """The program of an init for n images, and the shapes and dtypes of what it returns."""
    images = jax.ShapeDtypeStruct((n, *SHAPE), jnp.uint8)
    init = functools.partial(algorithm.init, config, network)
    return jax.make_jaxpr(init, return_shape=True)(KEY, None, images)


def traced_state(name, n=120):
    """The shapes and dtypes of a method's first state, for n images."""
    method = small(name)
    return traced(method.algorithm, method.config, method.build(SHAPE), n)[1]


@pytest.mark.parametrize("name", METHODS)
def test_state_keeps_its_tree_shapes_and_dtypes(name, images):
    method = small(name)
    algorithm = method.algorithm
    network = method.build(SHAPE)
    before = traced_state(name)
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(before))
    schedule = algorithm.schedule(method.config, len(images))
    rows = jnp.arange(schedule.batch, dtype=jnp.int32)
    if schedule.max_windows:
        step = functools.partial(algorithm.step, method.config, network, KEY)
        after, info = jax.eval_shape(step, before, images[rows], rows)
        chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
        assert all(leaf.shape == () for leaf in info)
    if algorithm.refresh is not None:
        refresh = functools.partial(algorithm.refresh, method.config, network, KEY)
        after, stop, info = jax.eval_shape(refresh, before, images)
        chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
        assert (stop.shape, stop.dtype) == ((), jnp.bool_)
    predict = functools.partial(algorithm.predict, method.config, network)
    predicted = jax.eval_shape(predict, before, images)
    assert [leaf.shape for leaf in predicted] == [(len(images),)] * 3
    assert [leaf.dtype for leaf in predicted] == [jnp.int32, jnp.float32, jnp.float32]


@pytest.mark.parametrize("name", METHODS)
def test_the_labelings_are_those_that_finish_returns(name, images):
    method = small(name)
    algorithm = method.algorithm
    if algorithm.finish is None:
        assert algorithm.labelings == ("",)
        return
    finish = functools.partial(algorithm.finish, method.config, method.build(SHAPE), KEY)
    labelings = jax.eval_shape(finish, traced_state(name), images)
    assert set(labelings) == set(algorithm.labelings)
    for labels in labelings.values():
        assert (labels.shape, labels.dtype) == ((len(images),), jnp.int32)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_streams_if_and_only_if_its_state_does_not_grow(name, images):
    algorithm = METHODS[name].algorithm
    state = traced_state(name)
    sizes = [leaf.shape for leaf in jax.tree.leaves(state)]
    sizes_of_fewer = [leaf.shape for leaf in jax.tree.leaves(traced_state(name, 60))]
    assert (sizes == sizes_of_fewer) is algorithm.streams
    if algorithm.streams:
        # The end of a window must not look at the images, of which only a block is there.
        method = small(name)
        refresh = functools.partial(algorithm.refresh, method.config, method.build(SHAPE), KEY)
        jax.eval_shape(refresh, state, None)


OF_ALGORITHMS = {method.algorithm: name for name, method in METHODS.items()}


@pytest.mark.parametrize("name", OF_ALGORITHMS.values())
def test_the_largest_soft_assignment_to_the_centers_is_what_predict_says(name, images):
    method = small(name)
    algorithm = method.algorithm
    rng = np.random.default_rng(0)
    # Above 0, since some are variances.
    state = jax.tree.map(
        lambda leaf: np.asarray(rng.uniform(0.01, 0.2, leaf.shape), leaf.dtype),
        traced_state(name),
    )
    arguments = (method.config, method.build(SHAPE), state, np.asarray(images)[:20])
    predicted = jax.jit(algorithm.predict, static_argnums=(0, 1))(*arguments)
    features = np.asarray(jax.jit(algorithm.embed, static_argnums=(0, 1))(*arguments))
    centers = getattr(state, algorithm.centers)
    distances = np.linalg.norm(features[:, None] - centers, axis=2)
    np.testing.assert_allclose(distances.min(axis=1), predicted.distance, rtol=1e-3, atol=1e-4)
    if algorithm.soft is None:
        assert algorithm.name == "ccnn"
        return
    soft = np.asarray(jax.jit(algorithm.soft, static_argnums=0)(method.config, features, centers))
    np.testing.assert_array_equal(soft.argmax(axis=1), predicted.cluster)
    np.testing.assert_allclose(soft.max(axis=1), predicted.probability, rtol=1e-5)
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)


def test_another_predict_has_no_soft_assignments_of_the_first():
    changed = METHODS["dec"].replace(predict=METHODS["dkm"].algorithm.predict)
    assert changed.algorithm.soft is None
    both = METHODS["dec"].replace(predict=changed.algorithm.predict, soft=checks.as_list)
    assert both.algorithm.soft is checks.as_list


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_deterministic_if_and_only_if_it_draws_no_random_number(name):
    method = small(name)
    program, _ = traced(method.algorithm, method.config, method.build(SHAPE), 120)
    assert ("random_bits" not in str(program)) is method.algorithm.deterministic
    assert registry.deterministic(name) is method.algorithm.deterministic
    # Such a method is its init alone: no step could draw a number.
    assert not method.algorithm.deterministic or method.algorithm.step is None


def test_a_method_without_steps_has_no_windows():
    for method in METHODS.values():
        windows = method.algorithm.schedule(method.config, 1000).max_windows
        assert windows == 0 or method.algorithm.step is not None


@pytest.mark.parametrize(
    "name", [name for name in METHODS if METHODS[name].algorithm.deterministic]
)
def test_deterministic_methods_give_the_same_labels_for_two_seeds(name, few_digits):
    method = registry.method(name, clusters=4)
    labels = fit.fit(method, few_digits[0][:100], (0, 7), fit.Options(over="map")).labels
    np.testing.assert_array_equal(labels[0], labels[1])
    assert len(np.unique(labels)) == 4


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].algorithm.fixed])
def test_fixed_settings_are_refused_and_not_listed(name):
    method = METHODS[name]
    assert method.algorithm.fixed[0] == "max_steps"
    assert not set(method.algorithm.fixed) & set(method.settings())
    with pytest.raises(ValueError, match=f"start: must stay kmeans for {name}, got graph"):
        method.with_settings({"start": "graph"})
    with pytest.raises(ValueError, match=f"max_steps: must stay 0 for {name}, got 5"):
        method.with_settings({"max_steps": 5})
    assert method.with_settings({"max_steps": 0}).config == method.config


def test_networks_take_settings_from_the_config():
    with_settings = {
        name for name, method in METHODS.items() if method.algorithm.network_settings is not None
    }
    assert with_settings == {"dctl", "tsc-d", "den"} | {
        name for name in METHODS if name.startswith("ccnn")
    }
    # Networks are cached: equal settings give the identical network.
    dctl = registry.method("dctl", kernel=3)
    assert dctl.build(SHAPE) is registry.method("dctl", kernel=3).build(SHAPE)
    assert dctl.build(SHAPE) is not registry.method("dctl", kernel=4).build(SHAPE)
    ccnn = registry.method("ccnn", filters=(3, 4), adaptation=(5,))
    assert ccnn.build(SHAPE) is not registry.method("ccnn").build(SHAPE)


def test_algorithms_have_names_of_their_own():
    algorithms = {method.algorithm for method in METHODS.values()}
    algorithms |= {method.pretrainer for method in METHODS.values()} - {None}
    assert len({algorithm.name for algorithm in algorithms}) == len(algorithms)


LENGTHS = ("epochs", "max_epochs", "epochs_per_alpha", "rounds", "max_steps", "iterations")
LENGTHS += ("layer_iterations",)
"""Settings that say how long a method trains."""
LEFT_OUT = ("reset_epochs",)
"""Settings of what needs a long training, and is left out of a short one."""


@pytest.mark.parametrize("name", METHODS)
def test_the_preset_quick_is_the_default_with_shorter_training(name):
    default = registry.method(name)
    quick = registry.method(name, "quick")
    assert (default.config, default.pretraining) == (
        METHODS[name].config,
        METHODS[name].pretraining,
    )
    pairs = [(quick.config, default.config)]
    if default.pretraining is not None:
        pairs.append((quick.pretraining, default.pretraining))
    for shorter, usual in pairs:
        for setting, value in checks.changes(usual, shorter).items():
            if setting in LEFT_OUT:
                assert value is None
            else:
                assert setting in LENGTHS
                assert value < getattr(usual, setting)
    if default.pretraining is not None:
        assert quick.pretraining.epochs < default.pretraining.epochs


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_default_and_the_settings_of_its_paper(name):
    method = METHODS[name]
    # No paper published ``best``.
    papers = set() if name == "best" else {"paper"}
    assert {"default", "quick"} | papers <= method.presets.keys()
    assert (method.preset, dict(method.presets["default"])) == ("default", {})
    for preset in method.presets:
        assert registry.method(name, preset).preset == preset


def test_the_presets_of_jule_are_those_of_its_text_and_codes():
    loss = {
        preset: (config.gamma, config.margin, config.negatives, config.hinge)
        for preset in ("printed", "paper", "torch")
        for config in [registry.method("jule", preset).config]
    }
    assert loss == {
        "printed": (2.0, None, "nearest", "weighted"),
        "paper": (2.0, 0.1, "random", "plain"),
        "torch": (1.0, 0.2, "random", "weighted"),
    }
    assert registry.method("jule", "printed").config == jule.Config()


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="method: must be one of best, .*, got 'foo'"):
        registry.method("foo")
    with pytest.raises(ValueError, match=r"got 'dcecc'; did you mean dcec\?"):
        registry.get("dcecc")
    with pytest.raises(
        ValueError, match="preset: must be one of default, paper, quick, got 'fast'"
    ):
        registry.method("dcec", "fast")
