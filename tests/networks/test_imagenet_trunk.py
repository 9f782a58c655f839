"""CCNN's networks on trunks trained on ImageNet: their maps, their sizes, what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.errors import UsageError
from jaxclust.networks import ccnn_lite0, ccnn_squeezenet, imagenet_trunk
from jaxclust.networks.ccnn import ccnn_lite0_plain, ccnn_squeezenet_plain
from jaxclust.networks.imagenet_trunk import array_shapes, attribute
from jaxclust.networks.pretrained import FEATURES

SIDE = 32


@pytest.fixture
def least_side(monkeypatch):
    """Lets images of 32 pixels stay as they are, and builds networks anew."""
    monkeypatch.setattr(imagenet_trunk, "LEAST_SIDE", SIDE)
    factories = (ccnn_squeezenet, ccnn_squeezenet_plain, ccnn_lite0, ccnn_lite0_plain)
    for factory in factories:
        factory.cache_clear()
    yield
    for factory in factories:
        factory.cache_clear()


def images(shape=(SIDE, SIDE, 3), n=2):
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


def start(network):
    """Variables as ``init`` lays them out, drawn by NumPy, which compiles nothing."""
    rng = np.random.default_rng(0)
    tree = jax.eval_shape(network.init, jax.random.key(0))
    return jax.tree.map(
        lambda a: jnp.asarray(rng.normal(size=a.shape) / np.sqrt(np.prod(a.shape[:-1])), a.dtype),
        tree,
    )


def arrays_of(variables, name):
    backbone = variables.params["backbone"]
    return {array: backbone[attribute(array)] for array in array_shapes(name)}


@pytest.mark.parametrize(
    ("factory", "name"),
    [(ccnn_squeezenet, "squeezenet"), (ccnn_lite0, "efficientnet-lite0")],
)
def test_the_trunks_features_are_those_of_the_pretrained_network(factory, name, least_side):
    network = factory((SIDE, SIDE, 3), 4, (), (6, 5))
    variables = start(network)
    batch = images()
    maps = jax.jit(network.activations)(variables, batch)
    features = jnp.mean(maps["trunk"], axis=(1, 2))
    forward = jax.jit(FEATURES[name].forward)
    expected = forward(arrays_of(variables, name), batch.astype(np.float32))
    assert expected.std() > 1e-3
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert maps.keys() == {"trunk", "conv6", "conv7", "conv8", "features"}
    np.testing.assert_array_equal(maps["features"], jnp.max(maps["conv8"], axis=(1, 2)))
    # Without adaptation layers the features are the maxima of the same map.
    plain = {ccnn_squeezenet: ccnn_squeezenet_plain, ccnn_lite0: ccnn_lite0_plain}[factory]
    shape = jax.eval_shape(plain((SIDE, SIDE, 3), 4).init, jax.random.key(0))
    assert shape.params.keys() == {"backbone"}


def test_eager_is_jit_and_blocks_are_the_whole(least_side, monkeypatch):
    network = ccnn_squeezenet((SIDE, SIDE, 3), 4, (), (6, 5))
    variables = start(network)
    batch = images(n=5)
    whole, _ = jax.jit(network.encode, static_argnums=2)(variables, batch, False)
    # Two images in a block, and one in the last.
    monkeypatch.setattr(imagenet_trunk, "BLOCK_PIXELS", 2 * SIDE * SIDE)
    eager, _ = network.encode(variables, jnp.asarray(batch), False)
    np.testing.assert_allclose(eager, whole, rtol=1e-4, atol=1e-5 * np.abs(whole).max())


def test_small_images_are_enlarged_by_a_whole_factor_and_gray_is_repeated(least_side, monkeypatch):
    monkeypatch.setattr(imagenet_trunk, "LEAST_SIDE", SIDE + 1)
    network = ccnn_squeezenet_plain((SIDE, SIDE + 3, 1), 4)
    variables = start(network)
    batch = images((SIDE, SIDE + 3, 1))
    maps = jax.jit(network.activations)(variables, batch)
    x = np.repeat(batch.astype(np.float32), 3, axis=3)
    # Each new pixel lies a quarter of a pixel from an old one, and takes a quarter of the next.
    for axis in (1, 2):
        before = np.concatenate([x.take([0], axis), np.delete(x, -1, axis)], axis)
        after = np.concatenate([np.delete(x, 0, axis), x.take([-1], axis)], axis)
        pair = np.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        x = pair.reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])
    assert x.shape == (2, 2 * SIDE, 2 * SIDE + 6, 3)
    expected = jax.jit(FEATURES["squeezenet"].last_map)(arrays_of(variables, "squeezenet"), x)
    np.testing.assert_allclose(
        maps["trunk"], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
    )


def test_images_reach_128_pixels_and_fresh_weights_keep_their_scale():
    for side, map_side in ((32, 7), (64, 7), (96, 11), (128, 7), (227, 13)):
        network = ccnn_squeezenet_plain((side, side, 3), 4)
        variables = jax.eval_shape(network.init, jax.random.key(0))
        batch = jax.ShapeDtypeStruct((1, side, side, 3), np.uint8)
        found = jax.eval_shape(network.activations, variables, batch)
        assert found["trunk"].shape == (1, map_side, map_side, 512), side
    network = ccnn_squeezenet_plain((SIDE, SIDE, 3), 4)
    backbone = jax.jit(network.init)(jax.random.key(0)).params["backbone"]
    # He's draw: variance 2 / 64 for a 1x1 kernel on 64 channels.
    assert np.std(backbone["fire2_squeeze1x1_kernel"]) == pytest.approx((2 / 64) ** 0.5, rel=0.05)
    assert np.std(backbone["fire9_expand3x3_kernel"]) == pytest.approx((2 / 576) ** 0.5, rel=0.05)
    assert not np.any(backbone["conv1_bias"])


@pytest.mark.parametrize(
    ("factory", "shape", "filters", "adaptation", "message"),
    [
        (ccnn_squeezenet, (31, 40, 3), (), (6, 5), "shape: must be at least 32 x 32 .* squeezenet"),
        (ccnn_squeezenet, (40, 40, 2), (), (6, 5), "shape: must be .* of 1 or 3 channels"),
        (ccnn_squeezenet, (40, 40, 3), (8,), (6, 5), "filters: must not be given for squeezenet"),
        (ccnn_lite0, (40, 40, 3), (8,), (6, 5), "filters: .* for efficientnet-lite0"),
        (ccnn_squeezenet, (40, 40, 3), (), (0, 5), "must be at least 1"),
        (ccnn_squeezenet_plain, (40, 40, 3), (), (6,), "adaptation: must be none"),
        (ccnn_lite0_plain, (40, 40, 3), (), (6,), "adaptation: must be none"),
    ],
)
def test_what_cannot_be_is_refused(factory, shape, filters, adaptation, message):
    with pytest.raises(UsageError, match=message):
        factory(shape, 4, filters, adaptation)
