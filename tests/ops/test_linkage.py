"""The merge loop against a slow float64 transcription that computes every affinity from its definition."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits

import linkage_reference as reference
from jaxclust.evaluation import metrics
from jaxclust.ops import graph_linkage, linkage, neighbor_graph


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def points(seed, n=80):
    """Blobs of unequal density."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((6, 4)) * 3
    which = rng.integers(0, 6, n)
    return (
        centers[which] + rng.standard_normal((n, 4)) * rng.uniform(0.2, 1.5, 6)[which, None]
    ).astype(np.float32)


def dense(found):
    w = np.zeros((len(found.neighbors),) * 2)
    np.put_along_axis(w, np.asarray(found.neighbors), np.asarray(found.weights, np.float64), axis=1)
    return w


@functools.partial(jax.jit, static_argnames=("n_local", "local_above", "affinity"))
def run(found, labels, n_clusters, history, local_weight, n_local, **options):
    return graph_linkage.merge(found, labels, n_clusters, history, local_weight, n_local, **options)


digraph = jax.jit(neighbor_graph.knn_digraph, static_argnums=1)


def merged(found, labels, n_clusters, local_weight, n_local=5, **options):
    labels, history = run(
        found,
        labels,
        n_clusters,
        graph_linkage.no_merges(len(labels)),
        local_weight,
        n_local,
        **options,
    )
    return np.asarray(labels), np.asarray(history.pairs)[: int(history.count)]


def same_merges(found, labels, n_clusters, local_weight, n_local=5):
    """Pair for pair, up to the first that differs, which it may only where the criteria agree to 1e-6."""
    _, pairs = merged(found, labels, n_clusters, local_weight, n_local)
    expected, values = reference.linkage(
        dense(found), np.asarray(labels), n_clusters, local_weight, n_local
    )
    assert len(pairs) == len(expected)
    for step, (ours, theirs) in enumerate(zip(pairs.tolist(), expected, strict=True)):
        if tuple(ours) != theirs:
            best = max(values[step].values())
            assert max(values[step][c] for c in ours) > best - 1e-6 * max(best, 1), (
                step,
                ours,
                theirs,
            )
            return step
    return len(pairs)


@pytest.mark.parametrize("local_weight", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_merges_of_random_graphs(seed, local_weight):
    found = digraph(points(seed), 6)
    labels = neighbor_graph.initial_clusters(found)
    assert same_merges(found, labels, 2, local_weight) == int(labels.max()) - 1


@pytest.mark.parametrize("local_weight", [0.0, 1.0])
def test_merges_of_digits(local_weight):
    found = digraph(unit(load_digits().data[:300]), 20)
    labels = neighbor_graph.initial_clusters(found)
    assert same_merges(found, labels, 3, local_weight) == int(labels.max()) - 2


def toy():
    """Figure 3: b is nearest to a neighbour of all, but amid others; e and d are nearly as near, and alone."""
    links = {
        (0, 1): 0.95,
        (0, 2): 0.9,
        (1, 2): 0.9,
        (1, 5): 0.9,
        (2, 5): 0.85,
        (0, 5): 0.85,
        (3, 4): 0.9,
    }
    # Each of the six clusters is a pair of samples, since every first cluster has at least two.
    neighbors, weights = np.zeros((12, 5), np.int32), np.zeros((12, 5), np.float32)
    for i in range(12):
        ties = [
            (links.get((min(i // 2, c), max(i // 2, c)), 0.0), 2 * c + i % 2)
            for c in range(6)
            if c != i // 2
        ]
        for place, (weight, j) in enumerate(sorted(ties, reverse=True)):
            neighbors[i, place], weights[i, place] = j, weight
    found = neighbor_graph.Graph(jnp.asarray(neighbors), jnp.asarray(weights), jnp.float32(1))
    return found, np.repeat(np.arange(6, dtype=np.int32), 2)


def test_figure_3_separates_the_two_criteria():
    found, labels = toy()
    assert merged(found, labels, 5, 0.0)[1].tolist() == [[0, 1]]
    assert merged(found, labels, 5, 1.0)[1].tolist() == [[3, 4]]
    for local_weight in (0.0, 1.0):
        assert same_merges(found, labels, 1, local_weight) == 5


def test_the_local_term_counts_only_above_a_number_of_clusters():
    found, labels = toy()
    assert merged(found, labels, 5, 1.0, local_above=5)[1].tolist() == [[3, 4]]
    assert merged(found, labels, 5, 1.0, local_above=6)[1].tolist() == [[0, 1]]


def test_the_fast_affinity_adds_those_of_the_parts():
    """S of merged clusters is the sum over the first clusters in them: no path between two first clusters counts."""
    found = digraph(points(3), 6)
    labels = np.asarray(neighbor_graph.initial_clusters(found))
    first = labels.copy()

    def fast(w, i, j):
        def flow(i, j):
            return sum(affinity_sum(w, i[first[i] == c], j) for c in np.unique(first[i]))

        return flow(i, j) / len(i) ** 2 + flow(j, i) / len(j) ** 2

    def affinity_sum(w, i, j):
        return w[np.ix_(i, j)].sum(axis=0) @ w[np.ix_(j, i)].sum(axis=1)

    expected, _ = reference.linkage(dense(found), labels, 2, 1.0, 5, affinity=fast)
    exact, _ = reference.linkage(dense(found), labels, 2, 1.0, 5)
    assert merged(found, labels, 2, 1.0, affinity="fast")[1].tolist() == [
        list(pair) for pair in expected
    ]
    assert expected != exact


def test_lanes_of_vmap_are_the_solo_runs():
    graphs = [digraph(points(seed), 6) for seed in (0, 1)]
    labels = [neighbor_graph.initial_clusters(found) for found in graphs]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *graphs)
    history = graph_linkage.no_merges(80)

    @jax.jit
    @jax.vmap
    def lanes(found, labels):
        return graph_linkage.merge(found, labels, 3, history, 1.0)

    got, histories = lanes(stacked, jnp.stack(labels))
    for lane in (0, 1):
        alone, pairs = merged(graphs[lane], labels[lane], 3, 1.0)
        np.testing.assert_array_equal(got[lane], alone)
        np.testing.assert_array_equal(histories.pairs[lane][: int(histories.count[lane])], pairs)


def test_merging_in_parts_goes_on_with_the_history():
    found = digraph(points(2), 6)
    labels = neighbor_graph.initial_clusters(found)
    whole, pairs = merged(found, labels, 2, 1.0)
    half, history = run(found, labels, 6, graph_linkage.no_merges(80), 1.0, 5)
    half, history = run(found, half, 2, history, 1.0, 5)
    np.testing.assert_array_equal(half, whole)
    np.testing.assert_array_equal(history.pairs[: int(history.count)], pairs)


@pytest.fixture(scope="module")
def digits_unit():
    digits = load_digits()
    return unit(digits.data), digits.target


def test_plain_gdl_on_digits(digits_unit):
    x, truth = digits_unit
    labels, merges = linkage.graph_degree_linkage(x, 10)
    assert f"{metrics.nmi(truth, labels, 'sqrt'):.3f}" == "0.907"
    assert (labels.dtype, merges.dtype, merges.shape) == (np.int32, np.int32, (1787, 2))
    np.testing.assert_array_equal(linkage.replay(merges, 1797, 10), labels)
    assert (merges[:, 0] < merges[:, 1]).all()
    # Clusters at any number: one more is one of these split in two.
    eleven = linkage.replay(merges, 1797, 11)
    assert len(np.unique(eleven)) == len(np.unique(eleven * 10 + labels)) == 11
    np.testing.assert_array_equal(linkage.replay(merges, 1797, 1797), np.arange(1797))


def test_isolated_clusters_are_left_to_the_last():
    """Two far blobs and a far pair: no edge leads to the pair, so that nothing has affinity to it."""
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [rng.standard_normal((30, 2)), rng.standard_normal((30, 2)) + 50, [[1e3, 0], [1e3, 1]]]
    )
    labels, _ = linkage.graph_degree_linkage(x.astype(np.float32), 3, n_neighbors=5)
    np.testing.assert_array_equal(labels, np.repeat([0, 1, 2], [30, 30, 2]))
    # Without affinity left the two of the lowest numbers merge.
    labels, _ = linkage.graph_degree_linkage(x.astype(np.float32), 2, n_neighbors=5)
    np.testing.assert_array_equal(labels, np.repeat([0, 0, 1], [30, 30, 2]))


def test_duplicate_images_cluster():
    x = np.repeat(np.eye(4, dtype=np.float32), 10, axis=0)
    labels = [
        linkage.graph_degree_linkage(x, 4, n_neighbors=5, local_weight=weight)[0]
        for weight in (0.0, 1.0)
    ]
    labels += [linkage.path_linkage(x, 4, kind, n_neighbors=5) for kind in ("path", "zeta")]
    labels += [linkage.average_linkage(x, 4)]
    for one in labels:
        np.testing.assert_array_equal(one, np.repeat(np.arange(4), 10))


@pytest.mark.parametrize(
    ("n", "clusters", "options", "message"),
    [
        (5, 2, {}, r"features: must be at least n_neighbors \+ 1 = 21 samples, got 5"),
        (30, 16, {}, "n_clusters: must be from 1 to the [0-9]+ initial clusters, got 16"),
        (30, 0, {}, "n_clusters: must be from 1 to the [0-9]+ initial clusters, got 0"),
        (30, 2, {"n_neighbors": 0}, "n_neighbors: must be at least 1, got 0"),
        (30, 2, {"n_neighbors": 5.5}, "n_neighbors: must be an integer, got 5.5"),
        (30, 2.5, {}, "n_clusters: must be an integer, got 2.5"),
        (30, 2, {"a": 0.0}, "a: must be above 0 and finite, got 0.0"),
        (30, 2, {"local_weight": -1.0}, "local_weight: must be at least 0 and finite, got -1.0"),
        (
            30,
            2,
            {"local_weight": float("nan")},
            "local_weight: must be at least 0 and finite, got nan",
        ),
        (
            30,
            2,
            {"local_weight": float("inf")},
            "local_weight: must be at least 0 and finite, got inf",
        ),
        (30, 2, {"n_local": 1}, "n_local: must be at least 2, got 1"),
        (30, 2, {"affinity": "slow"}, "affinity: must be exact or fast, got 'slow'"),
    ],
)
def test_arguments_that_cannot_work_are_refused(n, clusters, options, message):
    x = np.random.default_rng(0).standard_normal((n, 3)).astype(np.float32)
    with pytest.raises(ValueError, match=message):
        linkage.graph_degree_linkage(x, clusters, **options)


def test_features_that_are_not_finite_are_refused():
    x = np.zeros((30, 3), np.float32)
    x[3, 1] = np.nan
    with pytest.raises(ValueError, match="features: must be finite, got NaN or inf in 1 values"):
        linkage.graph_degree_linkage(x, 2)
    with pytest.raises(ValueError, match="features: must be finite, got NaN or inf in 1 values"):
        linkage.average_linkage(x, 2)
    with pytest.raises(
        ValueError, match=r"features: must be of rank 2 \(n, d\), got shape \(30,\)"
    ):
        linkage.graph_degree_linkage(x[:, 0], 2)


def test_replay_at_a_number_that_was_not_reached():
    with pytest.raises(ValueError, match="n_clusters: must be from 2 to 3, got 1"):
        linkage.replay(np.array([[0, 2]]), 3, 1)


def dense_paths(found, labels, n_clusters, descriptor, z=0.01):
    """Merges by the gain in the descriptor, each from a dense solve of the whole."""
    w = dense(found) + np.eye(len(labels))
    p = w / w.sum(axis=1, keepdims=True)

    def parts(i, j):
        rows = np.concatenate([i, j])
        inverse = np.linalg.inv(np.eye(len(rows)) - z * p[np.ix_(rows, rows)])
        here, there = slice(0, len(i)), slice(len(i), None)
        if descriptor == "path":
            return (
                inverse[here, here].sum() / len(i) ** 2
                + inverse[there, there].sum() / max(len(j), 1) ** 2
            )
        logs = np.log(np.diag(inverse))
        return logs[here].sum() / len(i) + logs[there].sum() / max(len(j), 1)

    clusters = {c: np.flatnonzero(labels == c) for c in np.unique(labels)}
    nothing = np.array([], int)
    while len(clusters) > n_clusters:
        names = sorted(clusters)
        gains = {
            (i, j): parts(clusters[i], clusters[j])
            - parts(clusters[i], nothing)
            - parts(clusters[j], nothing)
            for i in names
            for j in names
            if i < j
        }
        i, j = max(gains, key=lambda pair: gains[pair] * (gains[pair] > 1e-14))
        clusters[i] = np.concatenate([clusters[i], clusters.pop(j)])
    for number, c in enumerate(sorted(clusters, key=lambda c: clusters[c].min())):
        labels = np.where(np.isin(np.arange(len(labels)), clusters[c]), 1000 + number, labels)
    return labels - 1000


# The zeta function's gains as of small clusters, as of large ones at small borders, and as of large ones at large.
@pytest.mark.parametrize(
    ("descriptor", "dense_below"), [("path", 256), ("zeta", 256), ("zeta", 24), ("zeta", 0)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_path_linkage_is_that_of_a_dense_solve(seed, descriptor, dense_below, monkeypatch):
    monkeypatch.setattr(linkage, "_DENSE", dense_below)
    x = points(seed)
    found = digraph(x, 6)
    labels = np.asarray(neighbor_graph.initial_clusters(found))
    for n_clusters in (2, 5, 9):
        np.testing.assert_array_equal(
            linkage.path_linkage(x, n_clusters, descriptor, n_neighbors=6),
            dense_paths(found, labels, n_clusters, descriptor),
        )


@pytest.mark.parametrize("dense_below", [256, 60, 0])
def test_zeta_gains_at_a_border_are_those_of_the_whole(dense_below, monkeypatch):
    """From closed walks of up to four steps within the union, less those within each cluster; also once some merged."""
    monkeypatch.setattr(linkage, "_DENSE", dense_below)
    rng = np.random.default_rng(2)
    p = 0.2 * np.where(rng.random((200, 200)) < 0.02, rng.random((200, 200)), 0) + 0.2 * np.eye(200)
    labels = np.repeat(np.arange(4), 50)
    members = {c: np.flatnonzero(labels == c) for c in range(4)}

    def described(rows, mine):
        inside = p[np.ix_(rows, rows)]
        loops = np.diag(sum(np.linalg.matrix_power(inside, power) for power in range(5)))
        return np.log(loops[np.isin(rows, mine)]).sum() / len(mine)

    def expected(i, j):
        both = np.concatenate([members[i], members[j]])
        return sum(described(both, members[c]) - described(members[c], members[c]) for c in (i, j))

    edges = sparse.csr_array(p)
    gain, join = linkage._zeta_function(edges, sparse.csr_array(p.T), labels, members)
    assert gain(1, 3) == pytest.approx(expected(1, 3), rel=1e-12)
    join(0, 2)
    members[0] = np.concatenate([members[0], members.pop(2)])
    labels[members[0]] = 0
    for other in (1, 3):
        assert gain(0, other) == pytest.approx(expected(0, other), rel=1e-12)


def test_average_linkage_is_scikit_learns():
    from sklearn.cluster import AgglomerativeClustering

    x = points(1)
    expected = AgglomerativeClustering(5, linkage="average").fit_predict(x)
    assert metrics.ari(expected, linkage.average_linkage(x, 5)) == 1


def test_other_linkages_refuse_what_cannot_work():
    x = points(0)
    with pytest.raises(ValueError, match="descriptor: must be path or zeta, got 'flow'"):
        linkage.path_linkage(x, 2, "flow")
    with pytest.raises(
        ValueError, match="features: must be at most 20000 samples for average linkage, got 20001"
    ):
        linkage.average_linkage(np.zeros((20_001, 1)), 2)
    with pytest.raises(ValueError, match="n_clusters: must be from 1 to 80, got 81"):
        linkage.average_linkage(x, 81)


def test_isolated_clusters_join_the_nearest_mean():
    """Two far blobs, and two pairs to which no edge leads, each nearer to one of the blobs."""
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [
            rng.standard_normal((30, 2)),
            rng.standard_normal((30, 2)) + 50,
            [[9, -9], [9, -8], [90, 40]],
        ]
    )
    x = np.concatenate([x, [[90, 41]]]).astype(np.float32)
    found = digraph(x, 5)
    labels = neighbor_graph.initial_clusters(found)
    initial = int(labels.max()) + 1
    joined, history = jax.jit(graph_linkage.join_isolated)(
        found, x, labels, 2, graph_linkage.no_merges(64)
    )
    assert int(history.count) == 2
    assert len(np.unique(joined)) == initial - 2
    joined = np.asarray(joined)
    assert set(joined[:30]) >= set(joined[60:62])
    assert set(joined[30:60]) >= set(joined[62:])
    # The history leads from the first clusters to these.
    replayed = np.asarray(labels)
    for keep, gone in np.asarray(history.pairs)[:2]:
        replayed = np.where(replayed == gone, keep, replayed)
    np.testing.assert_array_equal(replayed, joined)
    final, _ = run(found, joined, 2, history, 0.0, 5)
    np.testing.assert_array_equal(
        neighbor_graph.first_numbered(final), np.repeat([0, 1, 0, 1], [30, 30, 2, 2])
    )
    # Not more than the number of clusters allows.
    fewer, history = jax.jit(graph_linkage.join_isolated)(
        found, x, labels, initial - 1, graph_linkage.no_merges(64)
    )
    assert (int(history.count), len(np.unique(fewer))) == (1, initial - 1)
    fewer = np.asarray(fewer)
    assert set(fewer[:30]) >= set(fewer[60:62])
    assert not set(fewer[30:60]) & set(fewer[62:])
