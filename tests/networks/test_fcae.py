"""The fully convolutional autoencoder: pooling, table 2, any size, parity with plain lax."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxclust.methods import pretraining
from jaxclust.networks import fcae
from jaxclust.networks.fcae import COIL, MNIST, MOMENTUM, USPS, Block, Encoder, fitted
from jaxclust.networks.pooling import max_pool, pick, unpool

SMALL = Encoder((Block(3, 4), Block(2, 5, "SAME")), (2, 3), 6)  # for 10 x 14 images


def integers(seed, *shape):
    """Few values, so that windows have ties."""
    return np.random.default_rng(seed).integers(0, 3, shape).astype(np.float32)


def loop_pool(x):
    n, h, w, c = x.shape
    maxima, switches = (
        np.zeros((n, h // 2, w // 2, c), np.float32),
        np.zeros((n, h // 2, w // 2, c), np.int32),
    )
    for i, y, z, k in np.ndindex(maxima.shape):
        window = [x[i, 2 * y + a, 2 * z + b, k] for a in (0, 1) for b in (0, 1)]
        switches[i, y, z, k] = np.argmax(window)  # the first of equals
        maxima[i, y, z, k] = max(window)
    return maxima, switches


def loop_unpool(y, switches):
    n, h, w, c = y.shape
    x = np.zeros((n, 2 * h, 2 * w, c), np.float32)
    for i, j, z, k in np.ndindex(y.shape):
        a, b = divmod(int(switches[i, j, z, k]), 2)
        x[i, 2 * j + a, 2 * z + b, k] = y[i, j, z, k]
    return x


def test_pooling_and_unpooling_are_those_of_the_loop():
    x = integers(0, 2, 6, 8, 3)
    maxima, switches = jax.jit(max_pool)(x)
    assert switches.dtype == jnp.int32
    chex.assert_trees_all_equal((maxima, switches), tuple(map(jnp.asarray, loop_pool(x))))
    y = integers(1, *maxima.shape)
    np.testing.assert_array_equal(jax.jit(unpool)(y, switches), loop_unpool(y, switches))


def test_unpooling_is_the_exact_adjoint_of_pooling():
    x, y = integers(0, 2, 6, 8, 3), integers(1, 2, 3, 4, 3)  # whole numbers: the sums are exact
    switches = max_pool(x)[1]
    assert np.vdot(pick(x, switches), y) == np.vdot(x, unpool(y, switches))
    to_x = jax.grad(lambda x: jnp.vdot(max_pool(x)[0], y))(x)
    np.testing.assert_array_equal(to_x, unpool(y, switches))
    to_y = jax.grad(lambda y: jnp.vdot(unpool(y, switches), x))(y)
    np.testing.assert_array_equal(to_y, pick(x, switches))
    np.testing.assert_array_equal(pick(unpool(y, switches), switches), y)


def test_pooling_under_vmap_and_scan_is_the_loop():
    x = integers(0, 3, 2, 4, 6, 2)

    def there_and_back(x):
        return unpool(*max_pool(x))

    alone = np.stack([there_and_back(one) for one in x])
    np.testing.assert_array_equal(jax.jit(jax.vmap(there_and_back))(x), alone)
    np.testing.assert_array_equal(
        lax.scan(lambda carry, one: (carry, there_and_back(one)), 0, x)[1], alone
    )


@pytest.mark.parametrize("place", range(4))
def test_a_nan_is_never_pooled_away(place):
    x = np.ones((1, 2, 2, 1), np.float32)
    x[0, place // 2, place % 2, 0] = np.nan
    assert np.isnan(max_pool(x)[0]).all()


def test_an_odd_map_is_refused():
    with pytest.raises(ValueError, match="x: must have an even height and width, got 5 x 4"):
        max_pool(jnp.zeros((1, 5, 4, 1)))


def maps(shape, **kwargs):
    """Shapes of all inner maps of one image."""
    network = fcae(shape, **kwargs)
    variables = jax.eval_shape(network.init, jax.random.key(0))
    batch = jax.ShapeDtypeStruct((1, *shape), jnp.uint8)
    found = jax.eval_shape(network.activations, variables, batch)
    return {name: leaf.shape[1:] for name, leaf in found.items()}


TABLE_2 = {
    "mnist": ((28, 28, 1), MNIST, [(24, 24, 6), (12, 12, 6), (8, 8, 16), (4, 4, 16)], 120),
    "usps": ((16, 16, 1), USPS, [(16, 16, 20), (8, 8, 20), (8, 8, 20), (4, 4, 20)], 160),
    "coil": (
        (128, 128, 3),
        COIL,
        [(120, 120), (60, 60), (56, 56), (28, 28), (24, 24), (12, 12), (8, 8, 40), (4, 4, 40)],
        320,
    ),
}


@pytest.mark.parametrize("name", TABLE_2)
def test_table_2(name):
    shape, encoder, sizes, features = TABLE_2[name]
    assert fitted(*shape[:2]) == (encoder, shape[:2])
    found = maps(shape)
    assert found == maps(shape, encoder=encoder)
    depth = len(encoder.blocks)
    order = [f"{layer}{i}" for i in range(1, depth + 1) for layer in ("conv", "pool")]
    for layer, size in zip(order, sizes, strict=True):
        assert found[layer][: len(size)] == size
    assert found["features"] == (1, 1, features)
    # The decoder is the exact reverse.
    assert found["defeatures"] == found[f"pool{depth}"]
    for i in range(1, depth + 1):
        assert found[f"unpool{i}"] == found[f"conv{i}"]
        assert found[f"deconv{i}"] == (shape if i == 1 else found[f"pool{i - 1}"])


def test_any_size_is_fitted_and_cropped_back():
    for height, width in itertools.product((1, 7, 13, 16, 17, 28, 29, 45), (2, 9, 16, 31, 130)):
        encoder, size = fitted(height, width)
        assert min(encoder.kernel) >= 4
        assert all(padded >= side for padded, side in zip(size, (height, width), strict=True))
        # At most what the blocks' halving rounds up to, beyond the least image.
        added = [padded - side for padded, side in zip(size, (height, width), strict=True)]
        assert max(added) < max(2 ** len(encoder.blocks), 8)
    found = maps((13, 21, 2))
    assert found["features"] == (1, 1, 160)
    network, batch = fcae((13, 21, 2)), jnp.zeros((2, 13, 21, 2), jnp.uint8)
    variables = jax.eval_shape(network.init, jax.random.key(0))
    assert (
        jax.eval_shape(lambda v: network.reconstruct(v, batch, True), variables)[0].shape
        == batch.shape
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: fcae((30, 28, 1), encoder=MNIST),
            "28 x 28 for this encoder to reach a 1x1 .*, got 30 x 28",
        ),
        (
            lambda: fcae((32, 32, 3), encoder=COIL),
            "128 x 128 for this encoder to reach a 1x1 .*, got 32 x 32",
        ),
        (
            lambda: fcae((28, 28, 1), encoder=MNIST._replace(blocks=())),
            "encoder: must have at least one block",
        ),
        *(
            (lambda encoder=encoder: fcae((28, 28, 1), encoder=encoder), message)
            for message, encoders in (
                (
                    "encoder: must have kernels and filters of at least 1",
                    (
                        MNIST._replace(kernel=(0, 4)),
                        MNIST._replace(kernel=(-1, -1)),
                        MNIST._replace(features=0),
                        MNIST._replace(blocks=(Block(5, 0), Block(5, 16))),
                        MNIST._replace(blocks=(Block(0, 6),)),
                    ),
                ),
                (
                    "encoder: must have padding VALID or SAME, got '(same|FULL)'",
                    (
                        MNIST._replace(blocks=(Block(5, 6, "same"),)),
                        MNIST._replace(blocks=(Block(5, 6, "FULL"),)),
                    ),
                ),
            )
            for encoder in encoders
        ),
        (lambda: fcae((0, 28, 1)), r"\(1, 28, 1\)"),
        (lambda: fcae((28, 28)), r"\(28, 28, 1\)"),
    ],
)
def test_sizes_that_cannot_work_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_batch_of_one_has_no_statistics():
    network = fcae((10, 14, 1), encoder=SMALL)
    variables, one = (
        jax.eval_shape(network.init, jax.random.key(0)),
        jnp.zeros((1, 10, 14, 1), jnp.uint8),
    )
    message = "batch: must be at least 2 images for batch normalization, got 1"
    for run in (network.encode, network.reconstruct):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(lambda v, run=run: run(v, one, True), variables)
        jax.eval_shape(lambda v, run=run: run(v, one, False), variables)
    config, key = pretraining.Config(), jax.random.key(0)
    state = jax.eval_shape(lambda: pretraining.init(config, network, key, None, one))
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda s: pretraining.step(config, network, key, s, one, None), state)


def test_equal_arguments_give_the_identical_network():
    assert fcae((10, 14, 1), 4, SMALL) is fcae((10, 14, 1), 4, SMALL)
    assert fcae((10, 14, 1), 4, SMALL) is not fcae((10, 14, 1), 4, SMALL._replace(features=7))


def reference(params, stats, images, train):
    """SMALL in plain lax, and the statistics after it; pooling by a mask of the first maxima."""
    how = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    new = {}

    def norm(name, x):
        p, s = params[name]["norm"], stats[name]["norm"]
        mean = jnp.mean(x, axis=(0, 1, 2)) if train else s["mean"]
        var = jnp.mean((x - mean) ** 2, axis=(0, 1, 2)) if train else s["var"]
        mixed = {"mean": mean, "var": var}
        new[name] = {
            "norm": {k: MOMENTUM * s[k] + (1 - MOMENTUM) * mixed[k] if train else s[k] for k in s}
        }
        return jax.nn.relu((x - mean) / jnp.sqrt(var + 1e-5) * p["scale"] + p["bias"])

    def windows(x):
        n, h, w, c = x.shape
        return (
            x.reshape(n, h // 2, 2, w // 2, 2, c)
            .transpose(0, 1, 3, 5, 2, 4)
            .reshape(n, h // 2, w // 2, c, 4)
        )

    def pool(x):
        mask = jax.nn.one_hot(jnp.argmax(windows(x), axis=-1), 4)
        return jnp.sum(windows(x) * mask, axis=-1), mask

    def back(x, mask):
        n, h, w, c = x.shape
        x = (x[..., None] * mask).reshape(n, h, w, c, 2, 2)
        return x.transpose(0, 1, 4, 2, 5, 3).reshape(n, 2 * h, 2 * w, c)

    def up(x, kernel, padding):
        return lax.conv_transpose(x, kernel, (1, 1), padding, transpose_kernel=True, **how)

    x = images.astype(jnp.float32) / 255
    x = norm(
        "conv1",
        lax.conv_general_dilated(x, params["conv1"]["layer"]["kernel"], (1, 1), "VALID", **how),
    )
    x, mask1 = pool(x)
    x = norm(
        "conv2",
        lax.conv_general_dilated(x, params["conv2"]["layer"]["kernel"], (1, 1), "SAME", **how),
    )
    x, mask2 = pool(x)
    z = norm(
        "features",
        lax.conv_general_dilated(x, params["features"]["layer"]["kernel"], (1, 1), "VALID", **how),
    )
    x = norm("defeatures", up(z, params["defeatures"]["layer"]["kernel"], "VALID"))
    x = norm("deconv2", up(back(x, mask2), params["deconv2"]["layer"]["kernel"], "SAME"))
    x = up(back(x, mask1), params["deconv1"]["kernel"], "VALID") + params["deconv1"]["bias"]
    return x, z.reshape(z.shape[0], -1), new


@pytest.mark.parametrize("train", [True, False])
def test_values_statistics_and_gradients_are_those_of_plain_lax(train):
    network, rng = fcae((10, 14, 1), encoder=SMALL), np.random.default_rng(0)
    batch = jnp.asarray(rng.integers(0, 256, (3, 10, 14, 1)), jnp.uint8)
    tree = jax.eval_shape(network.init, jax.random.key(0))
    # Positive, so that they serve as variances too.
    params, stats = jax.tree.map(
        lambda a: jnp.asarray(rng.uniform(0.1, 0.5, a.shape), a.dtype), tuple(tree)
    )

    def loss(run):
        def value(params):
            reconstruction, features, new = run(params)
            return jnp.mean(jnp.cos(reconstruction)) + jnp.mean(features**2), (
                reconstruction,
                features,
                new,
            )

        return jax.jit(jax.value_and_grad(value, has_aux=True))

    ours = loss(lambda p: network.reconstruct(tree._replace(params=p, stats=stats), batch, train))(
        params
    )
    plain = loss(lambda p: reference(p, stats, batch, train))(params)
    chex.assert_trees_all_close(ours, plain, rtol=1e-3, atol=1e-4)
    features = jax.jit(
        lambda p: network.encode(tree._replace(params=p, stats=stats), batch, train)[0]
    )(params)
    np.testing.assert_allclose(features, ours[0][1][1], atol=1e-5)
    assert features.min() >= 0
