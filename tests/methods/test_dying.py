"""UNSEEN's rule of dying clusters and its loss against slow NumPy, and a run in which they die."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine.fit import fit
from jaxclust.errors import UsageError
from jaxclust.methods import dying
from jaxclust.networks import sae

CONFIG = dying.Config(clusters=6, batch=32, restarts=2, epochs=4)
NETWORK = sae((8, 8, 1), 5, (16,))
KEY = jax.random.key(0)
DEATHS = jax.jit(dying.deaths)
NEIGHBOR_LOSS = jax.jit(dying.neighbor_loss)


def deaths_one_by_one(threshold, features, centroids, first):
    """The rule of the paper with a list of clusters that gets shorter, one image at a time.

    Returns the clusters that live, and how many images each of them counts as its first ones.
    """

    def nearest(living):
        return [min(living, key=lambda k: ((x - centroids[k]) ** 2).sum()) for x in features]

    living = sorted(set(first))
    labels = nearest(living)
    kept = [k for k in living if labels.count(k) >= threshold * list(first).count(k)]
    kept = [k for k in kept if labels.count(k)]
    labels = nearest(kept)
    first = [k if k in kept else label for k, label in zip(first, labels, strict=True)]
    return kept, first


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
def test_clusters_die_as_in_the_paper(threshold):
    generator = np.random.default_rng(1)
    features = generator.normal(size=(60, 3)).astype(np.float32)
    centroids = generator.normal(size=(8, 3)).astype(np.float32)
    first = generator.integers(0, 8, 60)
    alive = jnp.asarray(np.isin(np.arange(8), first))
    rounds = []
    for _ in range(4):
        kept, expected = deaths_one_by_one(threshold, features, centroids, first)
        alive, found = DEATHS(threshold, features, centroids, alive, jnp.asarray(first))
        assert np.flatnonzero(alive).tolist() == kept
        np.testing.assert_array_equal(found, expected)
        rounds.append(len(kept))
        first = np.asarray(expected)
        centroids = centroids + generator.normal(size=(8, 3)).astype(np.float32) / 2
    assert rounds[-1] < 8  # Something died, or nothing was tested.


@pytest.mark.parametrize("living", [3, 5, 40])
def test_the_loss_of_neighbors_is_the_papers(living):
    features = np.random.default_rng(2).normal(size=(20, 4))
    near = max(20 // living, 1)
    squares = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    nearest = np.mean([np.sort(row)[1 : 1 + near].mean() for row in squares])
    expected = nearest / (squares.sum() / (20 * 19))
    found = NEIGHBOR_LOSS(features.astype(np.float32), np.int32(living))
    assert float(found.mean()) == pytest.approx(expected, rel=1e-5)


def test_two_clusters_have_no_loss_of_neighbors_and_equal_images_a_finite_gradient():
    features = np.ones((6, 2), np.float32)
    gradient = jax.jit(jax.grad(lambda x, living: dying.neighbor_loss(x, living).mean()))
    assert np.isfinite(gradient(features, np.int32(3))).all()
    features[0] = 3
    assert not NEIGHBOR_LOSS(features, np.int32(2)).any()


def test_dead_clusters_take_part_in_nothing(few_digits):
    images = jnp.asarray(few_digits[0][:64])
    state = jax.jit(dying.init, static_argnums=(0, 1))(CONFIG, NETWORK, KEY, None, images)
    rows = jnp.arange(32, dtype=jnp.int32)
    alive = jnp.arange(6) % 2 == 0
    first = jnp.zeros(64, jnp.int32)
    step = jax.jit(dying.step, static_argnums=(0, 1))
    half = state._replace(alive=alive, first=first)
    after, info = step(CONFIG, NETWORK, KEY, half, images[rows], rows)
    chex.assert_trees_all_equal_shapes_and_dtypes(half, after)
    np.testing.assert_array_equal(after.centroids[1::2], state.centroids[1::2])
    assert (np.asarray(after.centroids[::2]) != np.asarray(state.centroids[::2])).all()
    far = half._replace(centroids=state.centroids.at[1::2].add(100.0))
    other, other_info = step(CONFIG, NETWORK, KEY, far, images[rows], rows)
    assert float(other_info.loss) == pytest.approx(float(info.loss), rel=1e-3)
    finish = jax.jit(dying.finish, static_argnums=(0, 1))
    labels = finish(CONFIG, NETWORK, KEY, other, images)[""]
    assert set(np.unique(labels)) <= {0, 2, 4}


def test_a_run_ends_with_the_clusters_that_live(few_digits):
    method = dying.METHOD.replace(network=lambda shape, embedding: sae(shape, 5, (16,)))
    settings = {"clusters": 12, "epochs": 20, "threshold": 0.9, "learning_rate": 0.01}
    method = method.with_settings(settings | {"batch": 64, "pretraining.epochs": 2})
    done = fit(method, few_digits[0][:128], (0, 1))
    alive = np.asarray(done.phases["cluster"].lanes.state.alive)
    assert done.failed == [None, None]
    assert (alive.sum(axis=1) < 12).all()
    for lane, labels in enumerate(done.labels):
        assert set(np.unique(labels)) <= set(np.flatnonzero(alive[lane]))
        living = done.phases["cluster"].history["living"]
        living = living[done.phases["cluster"].history["lane"] == lane]
        assert living[-1] == alive[lane].sum()
        assert (np.diff(living) <= 0).all()


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(UsageError, match="threshold: must be in"):
        dying.Config(threshold=1.5)
