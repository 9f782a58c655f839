"""The merge loop against a slow float64 transcription that computes each affinity by definition."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits

import linkage_reference as reference
from jaxclust.ops import graph_linkage, neighbor_graph
from jaxclust.ops.graph_linkage import Criterion

PLAIN = Criterion()
JULE = Criterion(local_weight=1.0)

digraph = jax.jit(neighbor_graph.knn_digraph, static_argnums=1)


@functools.partial(jax.jit, static_argnames="criterion")
def run(graph, labels, n_clusters, history, local_weight, criterion):
    """``merge`` compiled, with lambda as an argument: another lambda compiles nothing."""
    criterion = criterion._replace(local_weight=local_weight)
    return graph_linkage.merge(graph, labels, n_clusters, history, criterion)


def merged(graph, labels, n_clusters, criterion):
    """Labels and pairs of merged clusters."""
    labels, history = run(
        graph,
        labels,
        n_clusters,
        graph_linkage.no_merges(len(labels)),
        criterion.local_weight,
        criterion._replace(local_weight=0.0),
    )
    return np.asarray(labels), np.asarray(history.pairs)[: int(history.count)]


def same_merges(graph, labels, n_clusters, criterion):
    """How many merges are the reference's, pair for pair.

    The first that differs may do so only where the criteria agree to 1e-6.
    """
    _, pairs = merged(graph, labels, n_clusters, criterion)
    expected, values = reference.linkage(
        reference.dense(graph),
        np.asarray(labels),
        n_clusters,
        criterion.local_weight,
        criterion.n_local,
    )
    assert len(pairs) == len(expected)
    for step, (pair, expected_pair) in enumerate(zip(pairs.tolist(), expected, strict=True)):
        if tuple(pair) != expected_pair:
            best = max(values[step].values())
            value = max(values[step][cluster] for cluster in pair)
            assert value > best - 1e-6 * max(best, 1), (step, pair, expected_pair)
            return step
    return len(pairs)


@pytest.mark.parametrize("criterion", [PLAIN, JULE], ids=["plain", "jule"])
@pytest.mark.parametrize("seed", range(5))
def test_merges_of_random_graphs(seed, criterion):
    graph = digraph(reference.points(seed), 6)
    labels = neighbor_graph.initial_clusters(graph)
    assert same_merges(graph, labels, 2, criterion) == int(labels.max()) - 1


@pytest.mark.parametrize("criterion", [PLAIN, JULE], ids=["plain", "jule"])
def test_merges_of_digits(criterion):
    graph = digraph(reference.unit(load_digits().data[:300]), 20)
    labels = neighbor_graph.initial_clusters(graph)
    assert same_merges(graph, labels, 3, criterion) == int(labels.max()) - 2


def toy():
    """The graph of figure 3, and its first clusters.

    b is nearest to a neighbor of all clusters, but lies amid others; e and d are nearly as near,
    and alone.
    """
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
    neighbors = np.zeros((12, 5), np.int32)
    weights = np.zeros((12, 5), np.float32)
    for i in range(12):
        ties = [
            (links.get((min(i // 2, c), max(i // 2, c)), 0.0), 2 * c + i % 2)
            for c in range(6)
            if c != i // 2
        ]
        for place, (weight, j) in enumerate(sorted(ties, reverse=True)):
            neighbors[i, place] = j
            weights[i, place] = weight
    graph = neighbor_graph.Graph(jnp.asarray(neighbors), jnp.asarray(weights), jnp.float32(1))
    return graph, np.repeat(np.arange(6, dtype=np.int32), 2)


def test_figure_3_separates_the_two_criteria():
    graph, labels = toy()
    assert merged(graph, labels, 5, PLAIN)[1].tolist() == [[0, 1]]
    assert merged(graph, labels, 5, JULE)[1].tolist() == [[3, 4]]
    for criterion in (PLAIN, JULE):
        assert same_merges(graph, labels, 1, criterion) == 5


def test_the_local_term_counts_only_above_a_number_of_clusters():
    graph, labels = toy()
    at_five = JULE._replace(local_above=5)
    at_six = JULE._replace(local_above=6)
    assert merged(graph, labels, 5, at_five)[1].tolist() == [[3, 4]]
    assert merged(graph, labels, 5, at_six)[1].tolist() == [[0, 1]]


def test_the_fast_affinity_adds_those_of_the_parts():
    """S of merged clusters is the sum over the first clusters in them.

    No path between two first clusters counts.
    """
    graph = digraph(reference.points(3), 6)
    labels = np.asarray(neighbor_graph.initial_clusters(graph))
    first = labels.copy()

    def fast(w, i, j):
        def flow(i, j):
            return sum(affinity_sum(w, i[first[i] == c], j) for c in np.unique(first[i]))

        return flow(i, j) / len(i) ** 2 + flow(j, i) / len(j) ** 2

    def affinity_sum(w, i, j):
        return w[np.ix_(i, j)].sum(axis=0) @ w[np.ix_(j, i)].sum(axis=1)

    w = reference.dense(graph)
    expected, _ = reference.linkage(w, labels, 2, 1.0, 5, affinity=fast)
    exact, _ = reference.linkage(w, labels, 2, 1.0, 5)
    pairs = merged(graph, labels, 2, JULE._replace(affinity="fast"))[1]
    assert pairs.tolist() == [list(pair) for pair in expected]
    assert expected != exact


def test_lanes_of_vmap_are_the_solo_runs():
    graphs = [digraph(reference.points(seed), 6) for seed in (0, 1)]
    labels = [neighbor_graph.initial_clusters(graph) for graph in graphs]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *graphs)
    history = graph_linkage.no_merges(80)

    @jax.jit
    @jax.vmap
    def lanes(graph, labels):
        return graph_linkage.merge(graph, labels, 3, history, JULE)

    lane_labels, histories = lanes(stacked, jnp.stack(labels))
    for lane in (0, 1):
        alone, pairs = merged(graphs[lane], labels[lane], 3, JULE)
        np.testing.assert_array_equal(lane_labels[lane], alone)
        np.testing.assert_array_equal(histories.pairs[lane][: int(histories.count[lane])], pairs)


def test_merging_in_parts_goes_on_with_the_history():
    graph = digraph(reference.points(2), 6)
    labels = neighbor_graph.initial_clusters(graph)
    whole, pairs = merged(graph, labels, 2, JULE)
    half, history = run(graph, labels, 6, graph_linkage.no_merges(80), 1.0, PLAIN)
    half, history = run(graph, half, 2, history, 1.0, PLAIN)
    np.testing.assert_array_equal(half, whole)
    np.testing.assert_array_equal(history.pairs[: int(history.count)], pairs)


def test_isolated_clusters_join_the_nearest_mean():
    """There are two far blobs, and two pairs to which no edge leads, each nearer to one blob."""
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [
            rng.standard_normal((30, 2)),
            rng.standard_normal((30, 2)) + 50,
            [[9, -9], [9, -8], [90, 40], [90, 41]],
        ]
    ).astype(np.float32)
    graph = digraph(x, 5)
    labels = neighbor_graph.initial_clusters(graph)
    initial = int(labels.max()) + 1
    join = jax.jit(graph_linkage.join_isolated)
    joined, history = join(graph, x, labels, 2, graph_linkage.no_merges(64))
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
    final, _ = run(graph, joined, 2, history, 0.0, PLAIN)
    np.testing.assert_array_equal(
        neighbor_graph.first_numbered(final), np.repeat([0, 1, 0, 1], [30, 30, 2, 2])
    )
    # No more clusters join than their number allows.
    fewer, history = join(graph, x, labels, initial - 1, graph_linkage.no_merges(64))
    assert (int(history.count), len(np.unique(fewer))) == (1, initial - 1)
    fewer = np.asarray(fewer)
    assert set(fewer[:30]) >= set(fewer[60:62])
    assert not set(fewer[30:60]) & set(fewer[62:])


def test_wrong_shapes_are_refused():
    graph, labels = toy()
    history = graph_linkage.no_merges(12)
    with pytest.raises(AssertionError, match="different shape prefixes"):
        graph_linkage.merge(graph, labels[:11], 2, history)
    with pytest.raises(AssertionError, match="different shapes"):
        graph_linkage.merge(graph._replace(weights=graph.weights[:, :3]), labels, 2, history)
    with pytest.raises(AssertionError, match="different shape prefixes"):
        graph_linkage.join_isolated(graph, jnp.zeros((11, 2)), labels, 2, history)
