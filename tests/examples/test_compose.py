"""The composed method is the one that the package's settings give, and it trains."""

import dataclasses
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxclust as jc
from examples import compose
from jaxclust.methods import dcec, pretraining

KEY = jax.random.key(0)
SMALL = {
    "clusters": 4,
    "batch": 64,
    "update_interval": 2,
    "max_steps": 4,
    "restarts": 1,
    "tolerance": 0.0,
    "pretraining.epochs": 2,
    "pretraining.batch": 64,
}
small_network = functools.partial(jc.networks.sae, hidden=(32,))
METHOD = compose.METHOD.replace(network=small_network).with_settings(SMALL)


@pytest.fixture(scope="module")
def images(few_digits):
    """Digits of 16 x 16 pixels: smaller images are not moved by the setting."""
    return jnp.asarray(few_digits[0][:64].repeat(2, axis=1).repeat(2, axis=2))


@pytest.fixture(scope="module")
def states(images):
    """The first state of the composed method, and that of the package's setting."""
    network = METHOD.build((16, 16, 1))
    with_setting = dataclasses.replace(METHOD.config, start="graph")
    variables = network.init(jax.random.key(5))
    return tuple(
        jax.jit(init, static_argnums=(0, 1))(config, network, KEY, variables, images)
        for init, config in ((compose.init, METHOD.config), (dcec.init, with_setting))
    )


def test_the_method_is_under_40_lines():
    source = inspect.getsource(compose)
    method = source[source.index("def pretrain_step(") : source.index("def main(")]
    assert sum(bool(line.strip()) for line in method.splitlines()) < 40


def test_it_starts_as_with_the_setting(states):
    own, usual = states
    np.testing.assert_allclose(own.centroids, usual.centroids, atol=1e-6)
    np.testing.assert_array_equal(own.target, usual.target)
    np.testing.assert_array_equal(own.labels, usual.labels)


def test_its_steps_are_those_of_the_setting(states, images):
    network = METHOD.build((16, 16, 1))
    rows = jnp.arange(64, dtype=jnp.int32)
    first = pretraining.init(METHOD.pretraining, network, KEY, None, images)
    for own, usual, config, state in (
        (compose.step, dcec.step, METHOD.config, states[0]),
        (compose.pretrain_step, pretraining.step, METHOD.pretraining, first),
    ):
        moving = dataclasses.replace(config, augment="affine")
        step = functools.partial(jax.jit, static_argnums=(0, 1))
        expected = step(usual)(moving, network, KEY, state, images, rows)
        actual = step(own)(config, network, KEY, state, images, rows)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), actual, expected
        )


def test_it_trains_and_its_seeds_vote(few_digits, monkeypatch, capsys):
    data = jc.data.Dataset("few", *few_digits)
    monkeypatch.setattr(compose, "METHOD", METHOD.with_settings({"clusters": 10}))
    monkeypatch.setattr(jc, "load", {"few": data}.get, raising=False)
    compose.main("few")
    printed = capsys.readouterr().out
    assert "seed 3" in printed
    assert "vote: {'acc'" in printed
