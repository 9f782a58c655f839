"""Networks from flax.nnx modules: they train, keep their shapes, and are cached."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxclust.errors import UsageError
from jaxclust.methods import dcec, pretraining
from jaxclust.networks import cae, from_flax
from jaxclust.types import network_name

SHAPE = (4, 5, 1)
CONFIG = dcec.Config(clusters=3, batch=8, update_interval=2, max_steps=2, restarts=1)


class Autoencoder(nnx.Module):
    """One dense layer in each direction."""

    def __init__(self, shape, embedding, *, rngs):
        self.shape = shape
        self.down = nnx.Linear(shape[0] * shape[1] * shape[2], embedding, rngs=rngs)
        self.up = nnx.Linear(embedding, shape[0] * shape[1] * shape[2], rngs=rngs)

    def encode(self, images):
        return self.down(images.reshape(images.shape[0], -1))

    def reconstruct(self, images):
        features = self.encode(images)
        return self.up(features).reshape(-1, *self.shape), features


class Encoder(nnx.Module):
    """One dense layer of some width, with inner maps and without a decoder."""

    def __init__(self, shape, embedding, *, width=6, rngs):
        self.hidden = nnx.Linear(shape[0] * shape[1] * shape[2], width, rngs=rngs)
        self.out = nnx.Linear(width, embedding, rngs=rngs)

    def maps(self, images):
        hidden = jax.nn.relu(self.hidden(images.reshape(images.shape[0], -1)))
        return {"hidden": hidden, "features": self.out(hidden)}

    def encode(self, images):
        return self.maps(images)["features"]


def shapes(network):
    return jax.eval_shape(network.init, jax.random.key(0))


def test_a_module_trains_one_step_of_dcec():
    network = from_flax(Autoencoder)(SHAPE, 3)
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (8, *SHAPE)), jnp.uint8)
    algorithm = dcec.ALGORITHM

    @jax.jit
    def start_and_step(key, images):
        before = algorithm.init(CONFIG, network, key, None, images)
        rows = jnp.arange(8, dtype=jnp.int32)
        after, info = algorithm.step(CONFIG, network, key, before, images, rows)
        return before, after, info, algorithm.embed(CONFIG, network, after, images)

    before, after, info, features = start_and_step(jax.random.key(0), images)
    assert (features.shape, features.dtype) == ((8, 3), jnp.float32)
    assert np.isfinite(info.loss)
    assert set(after.variables.params) == {"down", "up"}
    for layer in ("down", "up"):
        old = before.variables.params[layer]["kernel"]
        assert (after.variables.params[layer]["kernel"] != old).any()


def test_a_module_without_a_decoder_refuses_pretraining():
    network = from_flax(Encoder)(SHAPE, 3)
    assert network.reconstruct is None
    images = jnp.zeros((8, *SHAPE), jnp.uint8)
    with pytest.raises(UsageError, match="network: pretraining needs a decoder") as refusal:
        pretraining.init(pretraining.Config(), network, jax.random.key(0), None, images)
    assert "\n" not in str(refusal.value)


def test_inner_maps_are_there_where_the_module_has_them():
    assert from_flax(Autoencoder)(SHAPE, 3).activations is None
    network = from_flax(Encoder)(SHAPE, 3)
    images = jax.ShapeDtypeStruct((2, *SHAPE), jnp.uint8)
    maps = jax.eval_shape(network.activations, shapes(network), images)
    assert {name: leaf.shape for name, leaf in maps.items()} == {
        "hidden": (2, 6),
        "features": (2, 3),
    }


def test_equal_arguments_give_the_identical_network():
    factory = from_flax(Encoder)
    assert factory is from_flax(Encoder)
    assert factory(SHAPE, 3, width=7) is factory(SHAPE, 3, width=7)
    assert factory(SHAPE, 3, width=7) is not factory(SHAPE, 3)
    assert shapes(factory(SHAPE, 3, width=7)).params["hidden"]["kernel"].shape == (20, 7)
    assert network_name(factory) == "Encoder"


def test_a_partial_of_a_module_is_a_module():
    factory = from_flax(functools.partial(Encoder, width=9))
    assert shapes(factory(SHAPE, 3)).params["hidden"]["kernel"].shape == (20, 9)
    assert factory(SHAPE, 3) is factory(SHAPE, 3)
    assert network_name(factory) == "Encoder(width=9)"


def test_a_partial_of_a_factory_is_a_factory():
    small = functools.partial(cae, filters=(2, 3))
    assert small((8, 8, 1), 3) is cae((8, 8, 1), 3, filters=(2, 3))
    assert shapes(small((8, 8, 1), 3)).params["conv2"]["kernel"].shape == (3, 3, 2, 3)
    assert network_name(small) == "cae(filters=(2, 3))"


def test_a_module_that_encodes_nothing_is_refused():
    class Nothing(nnx.Module):
        def __init__(self, shape, embedding, *, rngs):
            del shape, embedding, rngs

    rule = r"network: must have a method encode\(images\), got Nothing without it"
    with pytest.raises(UsageError, match=rule):
        from_flax(Nothing)(SHAPE, 3)
