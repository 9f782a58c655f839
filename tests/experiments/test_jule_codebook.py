"""JULE's table 8: each step of the codebook's pipeline against plain loops in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from experiments.papers.jule import codebook, tables
from experiments.papers.jule.codebook import SIZE


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (3, 9, 11, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def whitening(pictures):
    patches = codebook.drawn(pictures, 400, 0)
    return codebook.whitening_of(codebook.normalized(jnp.asarray(patches)))


def one_white(patch, whitening):
    """A patch, normalized and whitened."""
    flat = patch.reshape(-1).astype(np.float64)
    flat = (flat - flat.mean()) / np.sqrt(flat.var(ddof=1) + 10)
    return np.asarray(whitening.matrix, np.float64) @ (flat - np.asarray(whitening.mean))


def test_patches_are_parts_of_the_pictures(pictures):
    patches = codebook.drawn(pictures, 20, 3)
    assert patches.shape == (20, SIZE, SIZE, 3)
    everywhere = [
        picture[y : y + SIZE, x : x + SIZE]
        for picture in pictures
        for y in range(9 - SIZE + 1)
        for x in range(11 - SIZE + 1)
    ]
    assert all(any(np.array_equal(patch, part) for part in everywhere) for patch in patches)
    assert not np.array_equal(patches, codebook.drawn(pictures, 20, 4))


def test_whitened_patches_have_a_covariance_near_one(pictures, whitening):
    patches = codebook.drawn(pictures, 400, 0)
    normal = np.asarray(codebook.normalized(jnp.asarray(patches)), np.float64)
    white = np.asarray(codebook.whitened(jnp.asarray(patches), whitening)).reshape(400, -1)
    # With the ridge, an eigenvalue v becomes v / (v + ridge).
    values = np.linalg.eigvalsh(np.cov(normal, rowvar=False))
    expected = values / (values + codebook.RIDGE)
    measured = np.linalg.eigvalsh(np.cov(white, rowvar=False))
    np.testing.assert_allclose(measured, expected, atol=2e-3)
    np.testing.assert_allclose(white[7], one_white(patches[7], whitening), atol=1e-3)


def test_a_picture_has_the_activations_of_its_quarters(pictures, whitening):
    codes = np.random.default_rng(1).normal(size=(5, SIZE * SIZE * 3)).astype(np.float32)
    represent = functools.partial(codebook.representation, None, "kmeans", None)
    measured = codebook.coded(represent, jnp.asarray(codes), whitening, pictures)
    down, across = 9 - SIZE + 1, 11 - SIZE + 1
    expected = np.zeros((3, 2, 2, 5))
    for number, picture in enumerate(pictures):
        for y in range(down):
            for x in range(across):
                z = one_white(picture[y : y + SIZE, x : x + SIZE], whitening)
                distances = np.sqrt(((z - codes) ** 2).sum(axis=1))
                active = np.maximum(distances.mean() - distances, 0)
                expected[number, int(y >= down / 2), int(x >= across / 2)] += active
    np.testing.assert_allclose(measured, expected.reshape(3, -1), rtol=1e-3, atol=1e-3)


def test_layers_of_the_network_stand_side_by_side(pictures, whitening):
    network = codebook.NETWORK((SIZE, SIZE, 3), codebook.FEATURES)
    variables = network.init(jax.random.key(0))
    white = codebook.whitened(jnp.asarray(codebook.drawn(pictures, 4, 0)), whitening)
    sizes = {"conv1": 3 * 3 * 50, "conv2": 2 * 2 * 50, "conv1&2": 3 * 3 * 50 + 2 * 2 * 50}
    parts = {
        layer: np.asarray(codebook.representation(network, layer, variables, white))
        for layer in sizes
    }
    assert {layer: part.shape for layer, part in parts.items()} == {
        layer: (4, size) for layer, size in sizes.items()
    }
    both = np.concatenate([parts["conv1"], parts["conv2"]], axis=1)
    np.testing.assert_array_equal(parts["conv1&2"], both)


def test_classes_that_a_line_divides_are_learned():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(90, 4)).astype(np.float32)
    classes = (features[:, 0] > 0).astype(int)
    accuracy = codebook.classified((features[:60], classes[:60]), (features[60:], classes[60:]))
    assert accuracy > 0.9
    other = codebook.classified((features[:60], classes[:60]), (features[60:], 1 - classes[60:]))
    assert other == pytest.approx(1 - accuracy)


def test_the_machine_minimizes_the_objective_of_coatess_code():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(30, 3))
    classes = rng.integers(0, 3, 30)
    extended = np.concatenate([features, np.ones((30, 1))], axis=1)

    def objective(w, y):
        hinge = np.maximum(0, 1 - y * (extended @ w))
        return w @ w / 2 + 100 * np.mean(hinge**2)

    learned = codebook.machine(features, classes)
    for number in range(3):
        y = np.where(classes == number, 1, -1)
        best = minimize(objective, np.zeros(4), args=(y,), tol=1e-10).x
        own = np.append(learned.coef_[number], learned.intercept_[number])
        np.testing.assert_allclose(own, best, atol=2e-3)


def test_a_table_without_rows_is_left_out(monkeypatch, tmp_path):
    monkeypatch.setattr(codebook, "RESULTS", tmp_path / "none.jsonl")
    assert codebook.text() == ""
    assert "Table 8" not in tables.text()
