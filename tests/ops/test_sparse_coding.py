"""Sparse codes against scikit-learn's lasso, and dictionaries."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.decomposition import sparse_encode

from jaxclust.networks.sparse import of_dictionary, unrolled
from jaxclust.ops import sparse_coding
from jaxclust.ops.neighbor_graph import unit

RNG = np.random.default_rng(6)
ATOMS = np.float32(RNG.normal(size=(7, 16)))
ATOMS /= np.linalg.norm(ATOMS, axis=1, keepdims=True)
TRUE = np.float32((RNG.random((60, 7)) < 0.3) * RNG.uniform(1, 2, (60, 7)))
TRUE[:, 0] += 0.1
X = TRUE @ ATOMS


def test_codes_are_those_of_the_lasso_and_the_objective_does_not_rise():
    penalty = 0.2
    codes = sparse_coding.ista(X, jnp.asarray(ATOMS), penalty, 500)
    exact = (X.astype(np.float64), ATOMS.astype(np.float64))
    expected = sparse_encode(*exact, algorithm="lasso_cd", alpha=penalty, max_iter=5000)
    np.testing.assert_allclose(codes, expected, atol=2e-3)
    losses = []
    for steps in (0, 1, 2, 5, 20):
        few = sparse_coding.ista(X, jnp.asarray(ATOMS), penalty, steps)
        losses.append(float(jnp.sum(sparse_coding.objective(X, ATOMS, few, penalty))))
    assert np.all(np.diff(losses) <= 1e-4 * losses[0])
    slow = ((X - codes @ ATOMS) ** 2).sum(axis=1) / 2 + penalty * np.abs(codes).sum(axis=1)
    np.testing.assert_allclose(
        sparse_coding.objective(X, ATOMS, codes, penalty), slow, rtol=1e-4, atol=1e-5
    )


def test_a_learned_dictionary_restores_samples_better_than_samples_do():
    key = jax.random.key(1)
    penalty = 0.05

    def error(rounds):
        atoms = sparse_coding.dictionary(key, X, 7, penalty, (rounds, 50))
        np.testing.assert_allclose(np.linalg.norm(atoms, axis=1), 1, rtol=1e-4)
        codes = sparse_coding.ista(X, atoms, penalty, 200)
        return float(jnp.mean(sparse_coding.objective(X, atoms, codes, penalty)))

    assert error(30) < 0.8 * error(0)


def test_the_network_starts_as_the_first_steps_of_sparse_coding():
    network = unrolled((4, 4, 1), 3, 7, 2)
    images = jnp.asarray(RNG.random((5, 4, 4, 1)), jnp.float32)
    params = of_dictionary(jnp.asarray(ATOMS), 0.1, 2)
    variables = network.init(jax.random.key(0))
    assert jax.tree.structure(variables.params) == jax.tree.structure(params)
    features, _ = network.encode(variables._replace(params=params), images, True)
    codes = sparse_coding.ista(unit(images.reshape(5, 16)), jnp.asarray(ATOMS), 0.1, 3)
    np.testing.assert_allclose(features, codes, atol=1e-6)
    assert float(jnp.mean(features == 0)) > 0.1


def test_a_dictionary_may_have_more_atoms_than_there_are_samples():
    atoms = sparse_coding.dictionary(jax.random.key(0), jnp.asarray(X[:4]), 7, 0.1, (3, 10))
    assert np.isfinite(atoms).all()
