"""Agglomerative clustering of points: graph degree linkage and JULE's criterion (``merging`` has the loop)."""

from functools import partial

import jax
import numpy as np

from jaxclust.graph import first_numbered, initial_clusters, knn_digraph
from jaxclust.merging import Affinity, merge, no_merges


def graph_degree_linkage(
    features: np.ndarray,
    n_clusters: int,
    *,
    n_neighbors: int = 20,
    a: float = 1.0,
    local_weight: float = 0.0,
    n_local: int = 5,
    affinity: Affinity = "exact",
) -> tuple[np.ndarray, np.ndarray]:
    """Graph degree linkage, from the one-nearest-neighbour components down to ``n_clusters``.

    Ties: among equal criteria the cluster with the lower number merges, with the lower-numbered of equally near
    clusters; clusters are numbered by their first sample, and a merged one keeps the lower number. When no two clusters
    have any affinity left, the two lowest merge.

    Args:
      features: float, (n, d), finite; scale them to unit length for the papers' results.
      n_clusters: from 1 to the number of initial clusters.
      n_neighbors: K_s, edges from each sample.
      a: scale of sigma^2.
      local_weight: lambda of JULE's eq. (7): 0 is plain GDL (AC-GDL), 1 the paper's.
      n_local: K_c of eq. (7), the nearest clusters that are looked at; at least 2.
      affinity: "exact", or "fast": the approximation of the authors' code, S(a u b; c) = S(a; c) + S(b; c).

    Returns:
      Labels, int32 (n,), numbered by their first samples; and merges, int32 (n - n_clusters, 2), of which ``replay``
      makes the labels at any number of clusters: each row names the first samples of the two clusters that
      became one, lower first. Those of the initial components come first.

    Raises:
      ValueError: an argument breaks its rule.
    """
    features = np.asarray(features, np.float32)
    if features.ndim != 2:
        raise ValueError(f"features: must be of rank 2 (n, d), got shape {features.shape}")
    if not np.isfinite(features).all():
        raise ValueError(f"features: must be finite, got NaN or inf in {int((~np.isfinite(features)).sum())} values")
    n = len(features)
    check(n, n_neighbors, a, local_weight, n_local, affinity)
    start = jax.jit(knn_digraph, static_argnums=1)(features, n_neighbors, a)
    labels = np.asarray(jax.jit(initial_clusters)(start))
    clusters = int(labels.max()) + 1
    if not 1 <= n_clusters <= clusters:
        raise ValueError(f"n_clusters: must be from 1 to the {clusters} initial clusters, got {n_clusters}")
    final, history = _jitted_merge(start, labels, n_clusters, local_weight, n_local, affinity)
    _, first = np.unique(labels, return_index=True)
    # Within a component every sample joins its first.
    samples = np.arange(n)
    inner = np.stack([first[labels], samples], axis=1)[first[labels] != samples]
    outer = first[np.asarray(history.pairs)[: int(history.count)]]
    return np.asarray(final), np.concatenate([inner, outer.reshape(-1, 2)]).astype(np.int32)


def check(n: int, n_neighbors: int, a: float, local_weight: float, n_local: int, affinity: str) -> None:
    """Refuses what cannot work for n samples: ValueError with name, rule and value."""
    if n < n_neighbors + 1:
        raise ValueError(f"features: must be at least n_neighbors + 1 = {n_neighbors + 1} samples, got {n}")
    if n_neighbors < 1:
        raise ValueError(f"n_neighbors: must be at least 1, got {n_neighbors}")
    if not a > 0:
        raise ValueError(f"a: must be above 0, got {a}")
    if not 0 <= local_weight < np.inf:
        raise ValueError(f"local_weight: must be at least 0, got {local_weight}")
    if n_local < 2:
        raise ValueError(f"n_local: must be at least 2, got {n_local}")
    if affinity not in ("exact", "fast"):
        raise ValueError(f"affinity: must be exact or fast, got {affinity!r}")


def replay(merges: np.ndarray, n: int, n_clusters: int) -> np.ndarray:
    """The labels at ``n_clusters`` clusters of the n samples that ``merges`` belong to.

    Returns:
      int32, (n,), in 0..n_clusters-1, numbered by their first samples.

    Raises:
      ValueError: n_clusters is not in n - len(merges)..n.
    """
    if not n - len(merges) <= n_clusters <= n:
        raise ValueError(f"n_clusters: must be from {n - len(merges)} to {n}, got {n_clusters}")
    into = np.arange(n)
    for keep, gone in merges[: n - n_clusters]:
        into[gone] = keep
    # Whatever a sample points to has a lower number, and is settled before it.
    for sample in range(n):
        into[sample] = into[into[sample]]
    return np.unique(into, return_inverse=True)[1].astype(np.int32)


@partial(jax.jit, static_argnames=("n_local", "affinity"))
def _jitted_merge(graph, labels, n_clusters, local_weight, n_local, affinity):
    history = no_merges(labels.shape[0])
    labels, history = merge(graph, labels, n_clusters, history, local_weight, n_local, affinity=affinity)
    return first_numbered(labels), history
