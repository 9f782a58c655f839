"""Passes over new images, against a plain loop of the method's steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.engine import further
from jaxclust.engine.fit import lane_keys
from jaxclust.methods import ccnn
from jaxclust.methods.registry import method
from jaxclust.networks.autoencoders import pixels

SETTINGS = {"clusters": 3, "batch": 4, "reliable": 2, "fc9": "glorot", "sample": 10, "epochs": 3}


def test_a_pass_is_each_step_once_on_all_images(few_digits):
    own = method("ccnn").replace(network=pixels, pretrainer=None, pretraining=None)
    own = own.with_settings(SETTINGS)
    images = jnp.asarray(few_digits[0][:16])
    network = own.build(images.shape[1:])
    keys = further.pass_keys((3, 5), 1)
    begun = [ccnn.init(own.config, network, jax.random.key(seed), None, images) for seed in (3, 5)]
    states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *begun)
    after, failed = further.pass_over(own, states, keys, np.asarray(images))
    assert failed.tolist() == [-1, -1]
    step = jax.jit(functools.partial(ccnn.step, own.config, network))
    for lane, state in enumerate(begun):
        order_key, step_key, _ = jax.random.split(keys[lane], 3)
        order = jax.random.permutation(jax.random.fold_in(order_key, 0), jnp.arange(16))
        for number in range(2):
            rows = order[8 * number : 8 * number + 8]
            key = jax.random.fold_in(step_key, number)
            state, _ = step(key, state, images[rows], rows)
        state = ccnn.refresh(own.config, network, keys[lane], state, images)[0]
        lane_state = jax.tree.map(lambda leaf, lane=lane: leaf[lane], after)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), lane_state, state
        )


def test_keys_of_passes_are_new():
    used = [further.pass_keys((0, 1), number) for number in range(3)]
    runs = lane_keys((0, 1))["cluster"]
    own = [jax.random.split(key, 2) for key in runs]
    words = np.concatenate([jax.random.key_data(keys) for keys in [*used, runs, *own]])
    assert len(np.unique(words, axis=0)) == len(words) == 12
