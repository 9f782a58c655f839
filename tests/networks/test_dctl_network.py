"""DCTL's network: against slow loops over its filters, its sizes, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.networks import dctl
from jaxclust.networks.dctl import PAPER, Architecture

KEY = jax.random.key(0)


def selu(x):
    return 1.0507009873554805 * np.where(
        x > 0, x, 1.6732632423543772 * (np.exp(np.minimum(x, 0)) - 1)
    )


def slow_layer(x, filters, pooling):
    """One image (h, w, c) through zero-padded filters (kh, kw, c, m) and 2x2 max pooling."""
    h, w, _ = x.shape
    kh, kw, _, m = filters.shape
    padded = np.pad(x, ((kh // 2, kh // 2), (kw // 2, kw // 2), (0, 0)))
    places = [(i, j, k) for i in range(h) for j in range(w) for k in range(m)]
    y = np.array(
        [np.sum(padded[i : i + kh, j : j + kw] * filters[..., k]) for i, j, k in places]
    ).reshape(h, w, m)
    if pooling == "floor":
        y = y[: h - h % 2 or h, : w - w % 2 or w]
    rows = range(0, y.shape[0], 2)
    columns = range(0, y.shape[1], 2)
    return np.array([[y[i : i + 2, j : j + 2].max(axis=(0, 1)) for j in columns] for i in rows])


@pytest.mark.parametrize(
    ("size", "changes"),
    [
        ((5, 6), {}),
        ((5, 6), {"layers": 1, "pooling": "floor"}),
        ((5, 6), {"layers": 1, "single": "linear"}),
        ((5, 6), {"mixing": "separate", "pooling": "floor", "start": "orthonormal"}),
        ((5, 6), {"layout": "line"}),
        # Above DENSE entries of a filter the first layer is a convolution.
        ((7, 9), {}),
        ((7, 9), {"pooling": "floor"}),
    ],
)
def test_the_network_is_the_papers_by_loops(size, changes):
    architecture = Architecture(kernel=3)._replace(**changes)
    network = dctl((*size, 1), architecture=architecture)
    variables = jax.jit(network.init)(KEY)
    images = np.random.default_rng(1).standard_normal((2, *size, 1)).astype(np.float32)
    encoded, _ = jax.jit(network.encode, static_argnums=2)(variables, images, True)
    for image, features in zip(images.astype(np.float64), encoded, strict=True):
        x = image.reshape(1, -1, 1) if architecture.layout == "line" else image
        x = slow_layer(x, np.asarray(variables.params["layer1"], np.float64), architecture.pooling)
        x = x if architecture.single == "linear" else selu(x)
        if architecture.layers == 2:
            filters = np.asarray(variables.params["layer2"], np.float64)
            if architecture.mixing == "separate":
                assert filters.shape == (3, 3, 1, 3)
                maps = [
                    slow_layer(x[..., i : i + 1], filters[..., i : i + 1], architecture.pooling)
                    for i in range(3)
                ]
                x = np.concatenate(maps, axis=2)
            else:
                x = slow_layer(x, filters, architecture.pooling)
        np.testing.assert_allclose(features, x.ravel(), rtol=1e-4, atol=1e-5)
    if architecture.start == "orthonormal":
        for filters in variables.params.values():
            t = filters.reshape(-1, 3)
            np.testing.assert_allclose(t.T @ t, np.eye(3) / 2, atol=1e-5)


def test_the_papers_sizes():
    variables = jax.eval_shape(dctl((15, 20, 1)).init, KEY)
    assert {name: filters.shape for name, filters in variables.params.items()} == {
        "layer1": (9, 9, 1, 3),
        "layer2": (9, 9, 3, 3),
    }


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        (
            (8, 10, 1),
            {},
            "kernel: a filter of 9 x 9 must not cover more than the 80 features, got 8 x 10",
        ),
        (
            (1, 8, 1),
            {"layout": "line"},
            "kernel: a filter of 1 x 9 must not cover more than the 8 features",
        ),
        (
            (1, 127, 1),
            {},
            "every entry of a filter of 9 x 9 must meet the maps of layer 1, .*, got 1 x 127; "
            "layout line",
        ),
        (
            (8, 16, 1),
            {},
            "every entry of a filter of 9 x 9 must meet the maps of layer 2, .*, got 4 x 8",
        ),
        (
            (9, 9, 1),
            {"pooling": "floor"},
            "must meet the maps of layer 2, which are too small, got 4 x 4",
        ),
        (
            (5, 6, 1),
            {"kernel": 1},
            "filters: must be from 1 to a filter's number of entries, 1, got 3",
        ),
        (
            (5, 6, 3),
            {"kernel": 1, "filters": 4},
            "filters: must be from 1 to a filter's number of entries, 3, got 4",
        ),
        ((15, 20, 1), {"layers": 3}, "layers: must be 1 or 2, got 3"),
    ],
)
def test_a_network_that_cannot_be_is_refused(shape, changes, message):
    with pytest.raises(ValueError, match=message):
        dctl(shape, architecture=PAPER._replace(**changes))


@pytest.mark.parametrize("pooling", ["ceil", "floor"])
@pytest.mark.parametrize("kernel", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 6), (2, 6), (3, 5), (4, 4), (5, 3)])
def test_a_network_is_refused_where_an_entry_of_a_filter_changes_no_output(size, kernel, pooling):
    """Such entries could hold the penalty at its least while the others, and all outputs, are 0."""
    architecture = Architecture(
        layers=1, kernel=kernel, pooling=pooling, filters=1, single="linear"
    )
    if size[0] * size[1] < kernel**2:
        return
    row, column = np.ones((2, 1, kernel))
    for length, entries in zip(size, (row, column), strict=True):
        padded = np.zeros((length + kernel - 1, length))
        padded[np.arange(length) + (kernel - 1) // 2, np.arange(length)] = 1
        kept = length - length % 2 or length if pooling == "floor" else length
        entries[:] = [padded[r : r + kept].any() for r in range(kernel)]
    if row.all() and column.all():
        network = dctl((*size, 1), architecture=architecture)
        images = np.random.default_rng(2).standard_normal((50, *size, 1)).astype(np.float32)
        variables = network.init(KEY)

        def loss(params):
            features, _ = network.encode(variables._replace(params=params), images, True)
            return jnp.sum(features**2)

        slope = jax.grad(loss)
        assert np.abs(slope(variables.params)["layer1"]).min() > 0
    else:
        with pytest.raises(ValueError, match="must meet the maps of layer 1"):
            dctl((*size, 1), architecture=architecture)
