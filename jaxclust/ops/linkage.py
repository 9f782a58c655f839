"""Agglomerative clustering of points, called from the host.

These are the AC- methods of JULE's tables 3 and 4: graph degree linkage and JULE's criterion
(``graph_linkage`` has their loop), path integral and zeta function on the same graph
(``path_linkage``), and average linkage.
"""

from functools import partial

import chex
import jax
import numpy as np

from jaxclust.errors import UsageError
from jaxclust.ops.graph_linkage import PLAIN, Criterion, History, merge, no_merges
from jaxclust.ops.neighbor_graph import Graph, first_numbered, initial_clusters, knn_digraph
from jaxclust.ops.path_linkage import Descriptor, merge_paths

MOST_SAMPLES = 20_000
"""The largest number of samples for average linkage.

It holds a distance for each pair, 1.6 GB for so many samples.
"""


def graph_degree_linkage(
    features: np.ndarray,
    n_clusters: int,
    *,
    n_neighbors: int = 20,
    a: float = 1.0,
    criterion: Criterion = PLAIN,
) -> tuple[np.ndarray, np.ndarray]:
    """Graph degree linkage, from the components of the nearest neighbors down to ``n_clusters``.

    Clusters are numbered by their first sample, and a merged cluster keeps the lower number.

    Args:
      features: float, (n, d), finite; scale them to unit length for the papers' results.
      n_clusters: from 1 to the number of initial clusters.
      n_neighbors: K_s, edges from each sample.
      a: scale of sigma^2.
      criterion: which clusters merge. The default is plain graph degree linkage (AC-GDL);
        ``Criterion(local_weight=1.0)`` is JULE's.

    Returns:
      Labels, int32, (n,), numbered by their first samples; and merges, int32,
      (n - n_clusters, 2), from which ``replay`` makes the labels at any number of clusters. Each
      row has the first samples of the two clusters that became one, the lower first. The merges
      within the initial components come first.

    Raises:
      UsageError: ``features`` are not finite or fewer than n_neighbors + 1, ``n_clusters`` or
        ``n_neighbors`` is no integer in its range, ``a`` is not above 0 and finite, or a field of
        ``criterion`` breaks its rule.
    """
    if not 0 <= criterion.local_weight < np.inf:
        rule = "local_weight: must be at least 0 and finite"
        raise UsageError(f"{rule}, got {criterion.local_weight}")
    if criterion.n_local < 2:
        raise UsageError(f"n_local: must be at least 2, got {criterion.n_local}")
    if criterion.affinity not in ("exact", "fast"):
        raise UsageError(f"affinity: must be exact or fast, got {criterion.affinity!r}")
    graph, labels = _start(features, n_clusters, n_neighbors, a)
    n = len(labels)
    # The weight is an argument of the compiled function, so that another one compiles nothing.
    settings = criterion._replace(local_weight=0.0)
    final, history = _jitted_merge(graph, labels, n_clusters, criterion.local_weight, settings)
    _, first = np.unique(labels, return_index=True)
    # Within a component every sample joins the first one.
    samples = np.arange(n)
    inner = np.stack([first[labels], samples], axis=1)[first[labels] != samples]
    outer = first[np.asarray(history.pairs)[: int(history.count)]]
    return np.asarray(final), np.concatenate([inner, outer.reshape(-1, 2)]).astype(np.int32)


def path_linkage(
    features: np.ndarray,
    n_clusters: int,
    descriptor: Descriptor,
    *,
    n_neighbors: int = 20,
    a: float = 1.0,
) -> np.ndarray:
    """Merges the pair of clusters whose union gains most in a descriptor of the graph's paths.

    These are AC-PIC and AC-Zell; see ``path_linkage.merge_paths``.

    Args:
      features: float, (n, d), finite.
      n_clusters: from 1 to the number of initial clusters.
      descriptor: "path", the path integral (Zhang, Zhao, Wang, Pattern Recognition 2013), or
        "zeta", the zeta function (Zhao, Tang, NIPS 2008).
      n_neighbors: edges from each sample.
      a: scale of sigma^2.

    Returns:
      Labels, int32, (n,), numbered by their first samples.

    Raises:
      UsageError: ``descriptor`` is neither "path" nor "zeta", or another argument breaks a rule of
        ``graph_degree_linkage``.
    """
    if descriptor not in ("path", "zeta"):
        raise UsageError(f"descriptor: must be path or zeta, got {descriptor!r}")
    graph, labels = _start(features, n_clusters, n_neighbors, a)
    return merge_paths(
        np.asarray(graph.neighbors), np.asarray(graph.weights), labels, n_clusters, descriptor
    )


def average_linkage(features: np.ndarray, n_clusters: int) -> np.ndarray:
    """Average linkage on Euclidean distances (AC-Link), computed by SciPy.

    Args:
      features: float, (n, d), finite, at most ``MOST_SAMPLES`` samples.
      n_clusters: from 1 to n.

    Returns:
      Labels, int32, (n,), in 0..n_clusters-1.

    Raises:
      UsageError: ``features`` are not finite or too many, or ``n_clusters`` is not in 1..n.
    """
    from scipy.cluster import hierarchy

    features = _points(features)
    if len(features) > MOST_SAMPLES:
        rule = f"features: must be at most {MOST_SAMPLES} samples for average linkage"
        raise UsageError(f"{rule}, got {len(features)}")
    if not 1 <= n_clusters <= len(features):
        raise UsageError(f"n_clusters: must be from 1 to {len(features)}, got {n_clusters}")
    tree = hierarchy.linkage(features, "average")
    return hierarchy.cut_tree(tree, n_clusters)[:, 0].astype(np.int32)


def replay(merges: np.ndarray, n: int, n_clusters: int) -> np.ndarray:
    """The labels at another number of clusters.

    Args:
      merges: as ``graph_degree_linkage`` returns them, int32, (merges, 2).
      n: number of samples.
      n_clusters: number of clusters, from n - len(merges) to n.

    Returns:
      int32, (n,), in 0..n_clusters-1, numbered by their first samples.

    Raises:
      UsageError: ``n_clusters`` is not in n - len(merges)..n.
    """
    chex.assert_shape(merges, (None, 2))
    if not n - len(merges) <= n_clusters <= n:
        raise UsageError(f"n_clusters: must be from {n - len(merges)} to {n}, got {n_clusters}")
    into = np.arange(n)
    for keep, gone in merges[: n - n_clusters]:
        into[gone] = keep
    # A sample points to a lower number, whose cluster is already known.
    for sample in range(n):
        into[sample] = into[into[sample]]
    return np.unique(into, return_inverse=True)[1].astype(np.int32)


def _points(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, np.float32)
    chex.assert_rank(features, 2)
    if not np.isfinite(features).all():
        unusable = int((~np.isfinite(features)).sum())
        raise UsageError(f"features: must be finite, got NaN or inf in {unusable} values")
    return features


def _start(
    features: np.ndarray, n_clusters: int, n_neighbors: int, a: float
) -> tuple[Graph, np.ndarray]:
    """Checks the arguments; gives the graph and the initial clusters."""
    features = _points(features)
    for name, value in (("n_clusters", n_clusters), ("n_neighbors", n_neighbors)):
        if not isinstance(value, (int, np.integer)):
            raise UsageError(f"{name}: must be an integer, got {value!r}")
    if n_neighbors < 1:
        raise UsageError(f"n_neighbors: must be at least 1, got {n_neighbors}")
    if not 0 < a < np.inf:
        raise UsageError(f"a: must be above 0 and finite, got {a}")
    if len(features) < n_neighbors + 1:
        rule = f"features: must be at least n_neighbors + 1 = {n_neighbors + 1} samples"
        raise UsageError(f"{rule}, got {len(features)}")
    graph = _jitted_digraph(features, n_neighbors, a)
    labels = np.asarray(_jitted_initial(graph))
    clusters = int(labels.max()) + 1
    if not 1 <= n_clusters <= clusters:
        rule = f"n_clusters: must be from 1 to the {clusters} initial clusters"
        raise UsageError(f"{rule}, got {n_clusters}")
    return graph, labels


@partial(jax.jit, static_argnames="criterion")
def _jitted_merge(
    graph: Graph,
    labels: jax.Array,
    n_clusters: jax.Array,
    local_weight: jax.Array,
    criterion: Criterion,
) -> tuple[jax.Array, History]:
    history = no_merges(labels.shape[0])
    criterion = criterion._replace(local_weight=local_weight)
    labels, history = merge(graph, labels, n_clusters, history, criterion)
    return first_numbered(labels), history


_jitted_digraph = jax.jit(knn_digraph, static_argnums=1)
_jitted_initial = jax.jit(initial_clusters)
