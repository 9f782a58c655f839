"""k-means against scikit-learn and against loops transcribed from the papers."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans as Reference
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from jaxclust.errors import UsageError
from jaxclust.ops.kmeans import Stopping, kmeans, lloyd
from jaxclust.ops.kmeans_minibatch import minibatch_kmeans, minibatch_update, running_means
from jaxclust.ops.kmeans_seeding import kmeans_plus_plus

DATA = Path(os.environ.get("JAXCLUST_DATA", Path(__file__).parents[2] / "shared" / "data"))
RNG = np.random.default_rng(0)
FOUR = np.array([[0, 0], [0, 1], [10, 0], [10, 1]], np.float32)
BLOBS = (RNG.normal(size=(5, 3))[RNG.integers(0, 5, 101)] * 4 + RNG.normal(size=(101, 3))).astype(
    np.float32
)


def digits():
    return load_digits().data.astype(np.float32) / 16


def loop_distances(x, centroids):
    return np.array([[((a - b) ** 2).sum() for b in centroids] for a in x.astype(np.float64)])


def loop_step(x, centroids):
    """One update, with scikit-learn's rule for empty clusters."""
    k = len(centroids)
    distances = loop_distances(x, centroids)
    labels = distances.argmin(axis=1)
    farthest = iter(np.argsort(-distances.min(axis=1)))
    for j in range(k):
        if not (distances.argmin(axis=1) == j).any():
            labels[next(farthest)] = j
    return np.array(
        [x[labels == j].mean(axis=0) if (labels == j).any() else centroids[j] for j in range(k)]
    )


def loop_plus_plus(key, x, k):
    """Greedy k-means++ with the same draws, summed one by one in float64."""
    x = x.astype(np.float64)
    key_first, key_next = jax.random.split(key)
    chosen = [int(jax.random.randint(key_first, (1,), 0, len(x), jnp.int32)[0])]
    for i in range(1, k):
        nearest = loop_distances(x, x[chosen]).min(axis=1)
        cumulative = np.cumsum(nearest)
        draws = np.asarray(
            jax.random.uniform(jax.random.fold_in(key_next, i), (2 + int(np.log(k)),))
        )
        candidates = [
            next(m for m in range(len(x)) if cumulative[m] > u * cumulative[-1]) for u in draws
        ]
        totals = [np.minimum(nearest, loop_distances(x, x[[c]])[:, 0]).sum() for c in candidates]
        chosen.append(candidates[int(np.argmin(totals))])
    return x[chosen]


def loop_minibatch(centroids, counts, x):
    """Sculley's algorithm 1, sample by sample."""
    centroids = centroids.astype(np.float64)
    counts = counts.copy()
    for label, sample in zip(loop_distances(x, centroids).argmin(axis=1), x, strict=True):
        counts[label] += 1
        centroids[label] = (1 - 1 / counts[label]) * centroids[label] + sample / counts[label]
    return centroids, counts


def assert_same(actual, expected):
    """The two clusterings are equal up to rounding."""
    for name in actual._fields:
        np.testing.assert_allclose(
            getattr(actual, name), getattr(expected, name), rtol=1e-5, atol=1e-5, err_msg=name
        )


def assert_inertia_of_scikit_learn(x, seeds):
    # Several threads would wait for each other where the cores are busy.
    with threadpool_limits(1):
        expected = [Reference(10, n_init=10, random_state=seed).fit(x).inertia_ for seed in seeds]
    actual = [float(kmeans(jax.random.key(seed), x, 10, restarts=10).inertia) for seed in seeds]
    np.testing.assert_allclose(actual, expected, rtol=0.01)


def test_inertia_on_digits():
    assert_inertia_of_scikit_learn(digits(), range(5))


@pytest.mark.slow
def test_inertia_on_usps():
    path = DATA / "usps_9298.npz"
    if not path.exists():
        pytest.skip(f"{path.name} is not in the data folder; JAXCLUST_DATA names another")
    images = np.load(path, allow_pickle=False)["images"]
    images = images[::3]
    assert_inertia_of_scikit_learn(
        images.reshape(len(images), -1).astype(np.float32) / 255, range(5)
    )


def test_four_points():
    result = kmeans(jax.random.key(0), FOUR, 2, restarts=4)
    assert result.inertia == 1
    assert result.labels[0] == result.labels[1] != result.labels[2] == result.labels[3]
    np.testing.assert_array_equal(np.sort(result.centroids, axis=0), [[0, 0.5], [10, 0.5]])
    assert result.empty == 0
    assert [leaf.dtype for leaf in result] == [
        jnp.float32,
        jnp.int32,
        jnp.float32,
        jnp.int32,
        jnp.int32,
    ]


def test_lloyd_stays_in_a_local_minimum_and_kmeans_does_not():
    result = lloyd(FOUR, FOUR[:2])
    np.testing.assert_array_equal(result.centroids, [[5, 0], [5, 1]])
    assert result.labels.tolist() == [0, 1, 0, 1]
    assert (result.inertia, result.iterations) == (100, 2)


def test_no_iteration_only_assigns():
    result = lloyd(FOUR, FOUR[:2], Stopping(max_iterations=0))
    np.testing.assert_array_equal(result.centroids, FOUR[:2])
    assert (result.labels.tolist(), result.inertia, result.iterations) == ([0, 1, 0, 1], 200, 0)


@pytest.mark.parametrize("block", [7, 4096])
@pytest.mark.parametrize("empty", [0, 1, 3])
def test_one_step_is_that_of_the_loop(block, empty):
    centroids = BLOBS[:6].copy()
    centroids[1 : 1 + empty] = 1000 + np.arange(empty)[:, None]
    result = lloyd(BLOBS, centroids, Stopping(max_iterations=1), block=block)
    expected = loop_step(BLOBS, centroids)
    np.testing.assert_allclose(result.centroids, expected, rtol=1e-5, atol=1e-5)
    distances = loop_distances(BLOBS, expected)
    np.testing.assert_array_equal(result.labels, distances.argmin(axis=1))
    np.testing.assert_allclose(result.inertia, distances.min(axis=1).sum(), rtol=1e-5)


def test_several_empty_clusters_take_distinct_points():
    x = np.concatenate([FOUR, [[100, 0], [200, 0]]]).astype(np.float32)
    result = lloyd(x, np.array([[0, 0], [-900, 0], [-901, 0]], np.float32))
    assert result.empty == 0
    np.testing.assert_allclose(np.sort(result.centroids[:, 0]), [5, 100, 200], atol=1e-4)


def test_converged_labels_are_scikit_learns():
    x = digits()
    expected = Reference(10, init=x[:10], n_init=1, tol=0).fit(x)
    result = lloyd(x, x[:10], Stopping(tolerance=0.0))
    np.testing.assert_array_equal(result.labels, expected.labels_)
    np.testing.assert_allclose(result.centroids, expected.cluster_centers_, atol=1e-5)


def test_more_clusters_than_distinct_points():
    same = jnp.full((50, 3), 0.1, jnp.float32)
    result = kmeans(jax.random.key(0), same, 4, restarts=2)
    np.testing.assert_array_equal(result.centroids, same[:4])
    assert (result.inertia, result.empty, result.iterations) == (0, 3, 1)

    result = kmeans(jax.random.key(0), np.resize(BLOBS[:3], (50, 3)), 4, restarts=2)
    assert jnp.isfinite(result.centroids).all()
    assert result.inertia < 1e-6
    assert result.iterations < 5


def test_one_cluster_of_many_points_far_from_the_origin():
    x = RNG.normal(size=(70_000, 2)).astype(np.float32) + np.float32(1000)
    result = lloyd(x, x[:1])
    exact = x.astype(np.float64)
    np.testing.assert_allclose(result.centroids[0], exact.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(result.inertia, ((exact - exact.mean(axis=0)) ** 2).sum(), rtol=1e-5)


def test_plus_plus_is_that_of_the_loop():
    for seed in range(5):
        key = jax.random.key(seed)
        np.testing.assert_array_equal(
            kmeans_plus_plus(key, BLOBS, 8), loop_plus_plus(key, BLOBS, 8).astype(np.float32)
        )


def test_plus_plus_never_takes_a_duplicate_while_others_are_left():
    x = np.repeat(FOUR, 25, axis=0)
    for seed in range(5):
        assert len(np.unique(kmeans_plus_plus(jax.random.key(seed), x, 4), axis=0)) == 4


def lane(lanes, i):
    return jax.tree.map(lambda leaf: leaf[i], lanes)


def test_a_lane_is_its_solo_run():
    keys = jax.random.split(jax.random.key(1), 2)
    data = jnp.stack([BLOBS[:50], BLOBS[50:100] ** 2])
    lanes = jax.vmap(lambda key, x: kmeans(key, x, 4, restarts=2))(keys, data)
    for i in range(2):
        assert_same(lane(lanes, i), kmeans(keys[i], data[i], 4, restarts=2))


def test_an_empty_cluster_in_one_lane_leaves_the_others():
    starts = np.stack([BLOBS[:6], BLOBS[:6]])
    starts[0, 2] = 1000
    lanes = jax.vmap(lambda start: lloyd(BLOBS, start, block=7))(starts)
    for i in range(2):
        assert_same(lane(lanes, i), lloyd(BLOBS, starts[i], block=7))


def test_compiled_is_eager():
    compiled = lloyd(FOUR, FOUR[:2])
    with jax.disable_jit():
        assert_same(lloyd(FOUR, FOUR[:2]), compiled)


def test_memory_beside_the_data_does_not_grow_with_k():
    n, d, k = 20_000, 8, 64
    shapes = jax.ShapeDtypeStruct((n, d), jnp.float32), jax.ShapeDtypeStruct((k, d), jnp.float32)
    compiled = jax.jit(lambda x, centroids: lloyd(x, centroids, block=256)).lower(*shapes).compile()
    # These are the centered points and a few vectors of n; k distances for each point take 5 MB.
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * n * (d + 12)


def test_minibatch_update_is_that_of_the_loop():
    counts = np.array([0, 3, 0, 100, 1], np.int32)
    # No sample of this batch is near the last centroid: it stays.
    centroids = np.concatenate([BLOBS[:4], [[1000, 1000, 1000]]]).astype(np.float32)
    for batch in (BLOBS[10:60], BLOBS[10:60][::-1]):
        new, new_counts = minibatch_update(
            jnp.asarray(centroids), jnp.asarray(counts), jnp.asarray(batch)
        )
        expected, expected_counts = loop_minibatch(centroids, counts, batch)
        np.testing.assert_allclose(new, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(new_counts, expected_counts)
        assert (new.dtype, new_counts.dtype) == (jnp.float32, jnp.int32)


def test_minibatch_kmeans_comes_near_to_kmeans():
    x = digits()
    full = kmeans(jax.random.key(0), x, 10)
    mini = minibatch_kmeans(jax.random.key(0), x, 10, batch=256, steps=100)
    assert full.inertia < mini.inertia < 1.1 * full.inertia
    assert mini.iterations == 100
    np.testing.assert_allclose(
        loop_distances(x, np.asarray(mini.centroids)).min(axis=1).sum(), mini.inertia, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda key: kmeans(key, FOUR, 5), "k: must be from 1 to n, got 5 for n = 4"),
        (lambda key: kmeans_plus_plus(key, FOUR, 0), "k: must be from 1 to n, got 0"),
        (lambda key: kmeans(key, FOUR, 2, restarts=0), "restarts: must be at least 1, got 0"),
        (
            lambda key: kmeans(key, FOUR, 2, 1, Stopping(max_iterations=-1)),
            "max_iterations: must be at least 0, got -1",
        ),
        (
            lambda key: kmeans(key, FOUR, 2, 1, Stopping(tolerance=-1.0)),
            "tolerance: must be at least 0, got -1.0",
        ),
        (lambda key: kmeans(key, FOUR, 2, block=0), "block: must be at least 1, got 0"),
        (lambda key: lloyd(FOUR[:1], FOUR), "k: must be from 1 to n, got 4 for n = 1"),
        (
            lambda key: minibatch_kmeans(key, FOUR, 4, batch=1),
            "batch: must be at least k / 3, got 1",
        ),
        (
            lambda key: minibatch_kmeans(key, FOUR, 2, steps=-1),
            "steps: must be at least 0, got -1",
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(UsageError, match=message):
        call(jax.random.key(0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda key: kmeans(key, FOUR[0], 1),
            r"input 0 has rank 1 \(shape \(2,\)\) but expected 2",
        ),
        (lambda key: kmeans_plus_plus(key, FOUR[0], 1), "input 0 has rank 1"),
        (lambda key: minibatch_kmeans(key, FOUR[0], 1), "input 0 has rank 1"),
        (lambda key: lloyd(FOUR, FOUR[:2, :1]), r"different shape suffixes: \[\(2,\), \(1,\)\]"),
        (
            lambda key: running_means(FOUR, np.zeros(3, np.int32), FOUR, np.zeros(4, np.int32)),
            "different shape prefixes",
        ),
    ],
)
def test_wrong_shapes_are_refused(call, message):
    with pytest.raises(AssertionError, match=message):
        call(jax.random.key(0))
