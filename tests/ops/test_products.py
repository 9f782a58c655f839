"""Products keep all digits of float32 on devices that would round them to fewer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.networks.sparse import of_dictionary, unrolled
from jaxclust.ops import consensus, denoising, nmf, products, semi_nmf, sparse_coding
from jaxclust.types import Variables

X = jnp.ones((6, 4))
U = jnp.ones((4, 3))
V = jnp.ones((6, 3))
W = jnp.ones(6)


def encoded(images):
    """Codes of the unrolled network of a dictionary of three atoms."""
    variables = Variables(of_dictionary(jnp.eye(3, 4), 0.1, 2), {})
    return unrolled((2, 2, 1), 3, 3, 2).encode(variables, images, True)


PROGRAMS = {
    "divergence": lambda: nmf.divergence(X, U, V),
    "u": lambda: nmf.updated_u(X, U, V, W),
    "v": lambda: nmf.updated_v(X, U, V, W, None, 0.0),
    "deep": lambda: semi_nmf.updated(X, V, (U.T,)),
    "unrolled": lambda: encoded(jnp.ones((6, 2, 2, 1))),
    "codes": lambda: sparse_coding.ista(X, jnp.eye(3, 4), 0.1, 3),
    "denoising": lambda: denoising.mapped(X, denoising.marginalized(X, 0.2)),
    "partitions": lambda: consensus.basic(jax.random.key(0), X, 2, (2, 3)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_products_have_the_highest_precision(name):
    program = str(jax.make_jaxpr(PROGRAMS[name])())
    count = program.count("dot_general[")
    assert count > 0
    assert program.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") == count


def test_a_product_is_that_of_matrices():
    a = np.random.default_rng(0).normal(size=(3, 5))
    np.testing.assert_allclose(products.dot(jnp.asarray(a), jnp.asarray(a.T)), a @ a.T, rtol=1e-5)
