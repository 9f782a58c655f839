"""Moved images as a setting of every method with a gradient step."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.methods import registry
from jaxclust.methods.pretraining import Config as Pretraining
from jaxclust.methods.pretraining_layerwise import Config as Layerwise
from jaxclust.networks import sae, tied_sae
from jaxclust.ops.moved_images import moved
from jaxclust.types import network_name

KEY = jax.random.key(1)
SHAPE = (16, 16, 1)
MOVED = jax.jit(moved)
PHASES = [
    (method, phase, algorithm, config)
    for method in registry.METHODS.values()
    if not method.needs_weights and method.kind != "factors"  # Their steps take no gradient.
    for phase, algorithm, config in method.phases()
    if algorithm.step is not None and algorithm.schedule(config, 60).max_windows > 0
]


def names():
    """One case for each algorithm of each phase, with the first method that has it."""
    seen = {}
    for method, _, algorithm, config in PHASES:
        seen.setdefault(algorithm.name, (method, algorithm, config))
    return seen


CASES = names()


def small_network(method):
    """The method's own where its shape matters, otherwise one that is quickly compiled."""
    name = network_name(method.network)
    if name in ("dctl", "jule"):
        return method.build(SHAPE)
    return (tied_sae if name.startswith("tied_sae") else sae)(SHAPE, 10, (16,))


def test_the_cases_are_every_algorithm_with_steps():
    assert {"dcec", "dbc", "ccnn", "jule", "dctl", "dcn", "dkm", "pretraining"} <= set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_step_on_moved_images_is_the_step_on_images_moved_before(name, few_digits):
    """The step moves its batch with its own key, and does nothing else with it."""
    method, algorithm, config = CASES[name]
    images = jnp.asarray(few_digits[0][:60].repeat(2, axis=1).repeat(2, axis=2))
    network = small_network(method)
    few = {"clusters": 10, "restarts": 1, "fc9": "glorot"}
    known = {field.name for field in dataclasses.fields(config)}
    if name == "layerwise":
        few["layers"] = 2
    config = dataclasses.replace(config, **{key: few[key] for key in few.keys() & known})
    state = jax.jit(algorithm.init, static_argnums=(0, 1))(config, network, KEY, None, images)
    if name == "jule":
        state = state._replace(labels=jnp.arange(60, dtype=jnp.int32) // 6)
    rows = jnp.arange(algorithm.schedule(config, 60).batch, dtype=jnp.int32) % 60
    batch = images[rows]
    step = jax.jit(algorithm.step, static_argnums=(0, 1))
    config = dataclasses.replace(config, augment="none")
    plain = step(config, network, KEY, state, batch, rows)[1]
    affine = dataclasses.replace(config, augment="affine")
    with_moving = step(affine, network, KEY, state, batch, rows)[1]
    moving_key = jax.random.fold_in(KEY, 1) if name == "jule" else KEY
    expected = step(config, network, KEY, state, MOVED(moving_key, batch), rows)[1]
    assert float(with_moving.loss) != float(plain.loss)
    np.testing.assert_allclose(with_moving.loss, expected.loss, rtol=1e-4)


def test_another_value_is_refused():
    for config in (Pretraining, Layerwise, *(type(case[2]) for case in CASES.values())):
        with pytest.raises(ValueError, match="augment: must be (one of )?none"):
            config(augment="afine")
