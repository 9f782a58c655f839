"""The autoencoders: the official architecture, padding, errors, caching, plain trees, gradients."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxclust.networks import cae, pixels, sae, tied_sae
from jaxclust.types import Network, Variables


def images(shape, n=2):
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


def start(network: Network):
    """Variables as ``init`` lays them out, drawn by NumPy.

    Compiling a draw for each kernel would take seconds.
    """
    rng = np.random.default_rng(0)
    tree = jax.eval_shape(network.init, jax.random.key(0))
    return jax.tree.map(lambda a: jnp.asarray(0.2 * rng.normal(size=a.shape), a.dtype), tree)


def shapes(network: Network):
    return jax.tree.map(lambda a: a.shape, jax.eval_shape(network.init, jax.random.key(0)).params)


def test_cae_at_28_is_the_official_architecture():
    assert shapes(cae((28, 28, 1), 10)) == {
        "conv1": {"kernel": (5, 5, 1, 32), "bias": (32,)},
        "conv2": {"kernel": (5, 5, 32, 64), "bias": (64,)},
        "conv3": {"kernel": (3, 3, 64, 128), "bias": (128,)},
        "embedding": {"kernel": (3 * 3 * 128, 10), "bias": (10,)},
        "dense": {"kernel": (10, 3 * 3 * 128), "bias": (3 * 3 * 128,)},
        "deconv3": {"kernel": (3, 3, 64, 128), "bias": (64,)},
        "deconv2": {"kernel": (5, 5, 32, 64), "bias": (32,)},
        "deconv1": {"kernel": (5, 5, 1, 32), "bias": (1,)},
    }


@pytest.mark.parametrize(
    ("shape", "padded", "inner"),
    [
        ((28, 28, 1), (28, 28), (3, 3)),  # VALID: 28, 14, 7, 3 and back
        ((16, 16, 1), (16, 16), (2, 2)),  # SAME
        ((32, 32, 3), (32, 32), (4, 4)),
        ((8, 8, 1), (8, 8), (1, 1)),
        ((12, 12, 1), (12, 12), (1, 1)),
        ((48, 42, 1), (48, 48), (6, 6)),
        (
            (28, 30, 3),
            (28, 36),
            (3, 4),
        ),  # the height chooses VALID, which an even number would not return through
        ((9, 13, 2), (12, 20), (1, 2)),
        ((30, 20, 3), (32, 24), (4, 3)),
        ((3, 1, 1), (8, 8), (1, 1)),
    ],
)
def test_cae_pads_to_the_next_exact_size_and_crops(shape, padded, inner):
    network, batch = cae(shape, 4, (3, 4, 5)), jax.ShapeDtypeStruct((2, *shape), jnp.uint8)
    variables = jax.eval_shape(network.init, jax.random.key(0))
    maps = jax.eval_shape(network.activations, variables, batch)
    assert set(maps) == {
        "conv1",
        "conv2",
        "conv3",
        "embedding",
        "dense",
        "deconv3",
        "deconv2",
        "deconv1",
    }
    assert maps["conv3"].shape == maps["dense"].shape == (2, *inner, 5)
    assert maps["deconv1"].shape == (2, *padded, shape[2])
    reconstruction, features, stats = jax.eval_shape(
        lambda v, b: network.reconstruct(v, b, True), variables, batch
    )
    assert (reconstruction.shape, reconstruction.dtype) == (batch.shape, jnp.float32)
    assert (features.shape, features.dtype) == ((2, 4), jnp.float32)
    assert stats == {}


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_any_number_of_layers(depth):
    network = cae((13, 10, 1), 2, (3,) * depth)
    variables = jax.eval_shape(network.init, jax.random.key(0))
    batch = images((13, 10, 1))
    assert (
        jax.eval_shape(lambda v: network.reconstruct(v, batch, True), variables)[0].shape
        == batch.shape
    )


def test_padding_is_even_and_the_crop_takes_it_away():
    network = cae((9, 13, 1), 2, (2, 2, 2))
    variables = start(network)
    small = images((9, 13, 1))
    large = np.pad(small, ((0, 0), (1, 2), (3, 4), (0, 0)))  # to 12 x 20
    whole = cae((12, 20, 1), 2, (2, 2, 2))
    cropped, full = jax.jit(
        lambda v: (network.reconstruct(v, small, True)[0], whole.reconstruct(v, large, True)[0])
    )(variables)
    np.testing.assert_allclose(cropped, full[:, 1:10, 3:16], atol=1e-6)


def test_sae_is_dense_mirrored_and_linear_at_both_ends():
    network, batch = sae((4, 5, 3), 2, (7, 6)), images((4, 5, 3))
    assert {name: layer["kernel"] for name, layer in shapes(network).items()} == {
        "encoder1": (60, 7),
        "encoder2": (7, 6),
        "encoder3": (6, 2),
        "decoder3": (2, 6),
        "decoder2": (6, 7),
        "decoder1": (7, 60),
    }
    variables = start(network)
    x = batch.reshape(2, -1) / np.float32(255)
    p = jax.tree.map(np.asarray, variables.params)
    order = ["encoder1", "encoder2", "encoder3", "decoder3", "decoder2", "decoder1"]
    for name in order:
        x = x @ p[name]["kernel"] + p[name]["bias"]
        if name == "encoder3":
            z = x
        elif name != "decoder1":
            x = np.maximum(x, 0)
    reconstruction, features, _ = network.reconstruct(variables, batch, False)
    np.testing.assert_allclose(features, z, atol=1e-5)
    np.testing.assert_allclose(network.encode(variables, batch, False)[0], z, atol=1e-5)
    np.testing.assert_allclose(reconstruction, x.reshape(batch.shape), atol=1e-5)
    assert network.activations(variables, batch)["encoder1"].shape == (2, 7)


def test_tied_sae_decodes_by_the_encoders_kernels():
    network, batch = tied_sae((4, 5, 3), 2, (7, 6)), images((4, 5, 3))
    params = jax.tree.map(np.asarray, start(network).params)
    assert all(set(params[f"decoder{i}"]) == {"bias"} for i in (1, 2, 3))
    for i, width in ((1, 60), (2, 7)):
        params[f"decoder{i}"]["bias"] = np.linspace(-1, 1, width, dtype=np.float32)
    # The same as without ties where the kernels are given twice.
    twice = params | {
        f"decoder{i}": params[f"decoder{i}"] | {"kernel": params[f"encoder{i}"]["kernel"].T}
        for i in (1, 2, 3)
    }
    ours = network.reconstruct(Variables(params, {}), batch, False)
    theirs = sae((4, 5, 3), 2, (7, 6)).reconstruct(Variables(twice, {}), batch, False)
    for one, other in zip(ours[:2], theirs[:2], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    wide = tied_sae((20, 20, 1), 2, (500,)).init(jax.random.key(0)).params["encoder1"]["kernel"]
    np.testing.assert_allclose(np.std(wide), 1 / 20, rtol=0.01)


def test_sae_defaults_are_those_of_dec():
    found = shapes(sae((28, 28, 1), 10))
    widths = [784, 500, 500, 2000, 10]
    assert [found[f"encoder{i}"]["kernel"] for i in range(1, 5)] == list(pairwise(widths))


def test_pixels_are_their_own_features():
    network, batch = pixels((3, 4, 2)), images((3, 4, 2))
    variables = start(network)
    assert variables == Variables({}, {})
    assert network.reconstruct is None
    features, _ = network.encode(variables, batch, True)
    assert (features.shape, features.dtype) == ((2, 24), jnp.float32)
    np.testing.assert_allclose(features, batch.reshape(2, -1) / 255, rtol=1e-6)


@pytest.mark.parametrize("factory", [cae, sae, pixels])
def test_bytes_and_unit_floats_are_the_same_images(factory):
    network, batch = factory((8, 8, 1), 3), images((8, 8, 1))
    variables = start(network)
    floats = batch.astype(np.float32) / 255
    same = jax.jit(lambda v: [network.encode(v, b, True)[0] for b in (batch, floats)])(variables)
    np.testing.assert_allclose(*same, atol=1e-5)


@pytest.mark.parametrize("factory", [cae, sae, pixels])
def test_equal_arguments_give_the_identical_network(factory):
    assert factory((8, 8, 1), 5) is factory((8, 8, 1), 5)
    assert factory((8, 8, 1), 5) is not factory((8, 9, 1), 5)


@pytest.mark.parametrize("factory", [cae, sae])
def test_init_is_a_plain_tree_under_jit_and_vmap(factory):
    network = factory((8, 8, 1), 3, (2,))  # few layers: drawing their kernels is slow to compile
    keys = jax.random.split(jax.random.key(0), 3)
    alone = jax.jit(network.init)(keys[1])
    lanes = jax.jit(jax.vmap(network.init))(keys)
    assert type(alone) is type(lanes) is Variables
    for layer in alone.params.values():
        assert type(layer) is dict
        assert all(isinstance(leaf, jax.Array) and not leaf.weak_type for leaf in layer.values())
        assert all(leaf.dtype == jnp.float32 for leaf in layer.values())
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[1], rtol=1e-6), alone, lanes)
    assert not np.allclose(*jax.tree.leaves(lanes)[1][:2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cae((0, 28, 1), 10), r"\(1, 28, 1\)"),
        (lambda: cae((28, 28), 10), r"\(28, 28, 1\)"),
        (lambda: sae((4, 4, 0), 2), r"\(4, 4, 1\)"),
        (lambda: cae((28, 28, 1), 0), "embedding"),
        (lambda: cae((28, 28, 1), 10, ()), "at least one"),
        (lambda: sae((4, 4, 1), 2, (5, 0)), "width"),
    ],
)
def test_what_cannot_work_is_an_error_that_says_what_can(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_gradients_of_the_cae_are_those_of_plain_lax():
    network, batch = cae((12, 28, 1), 3, (4, 5, 6)), images((12, 28, 1), 3)
    params = start(network).params
    how = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    paddings = {1: "SAME", 2: "SAME", 3: "VALID"}

    def plain(params):
        x = batch.astype(jnp.float32) / 255
        for i in (1, 2, 3):
            layer = params[f"conv{i}"]
            x = (
                lax.conv_general_dilated(x, layer["kernel"], (2, 2), paddings[i], **how)
                + layer["bias"]
            )
            x = jax.nn.relu(x)
        shape = x.shape
        z = x.reshape(3, -1) @ params["embedding"]["kernel"] + params["embedding"]["bias"]
        x = jax.nn.relu(z @ params["dense"]["kernel"] + params["dense"]["bias"]).reshape(shape)
        for i in (3, 2, 1):
            layer = params[f"deconv{i}"]
            x = lax.conv_transpose(
                x, layer["kernel"], (2, 2), paddings[i], transpose_kernel=True, **how
            )
            x = x + layer["bias"] if i == 1 else jax.nn.relu(x + layer["bias"])
        return x, z

    def ours(params):
        return network.reconstruct(Variables(params, {}), batch, True)[:2]

    def loss(f):
        def total(params):
            x, z = f(params)
            return jnp.mean((x - batch / 255) ** 2) + jnp.mean(jnp.sin(z))

        return jax.jit(jax.value_and_grad(total))(params)

    actual, expected = loss(ours), loss(plain)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), actual, expected
    )
