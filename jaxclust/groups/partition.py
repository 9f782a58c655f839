"""Groups of pictures from a run of many seeds: sizes, centers, doubts, neighbors and levels."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.data.features import grid
from jaxclust.ops.graph_linkage import merge, no_merges
from jaxclust.ops.neighbor_graph import initial_clusters, knn_digraph, nearest_neighbors
from jaxclust.runs.run import Run

CLEAR = 0.1
"""A picture lies clearly in its group if the center is nearer than the next one by this share of
the next one's distance."""
LEAST_SURE = 0.75
"""A picture is certain only if it is this sure. On scikit-learn's digits more than half of the
pictures below are in a wrong group, of all pictures a fifth."""
FENCE = 1.5
"""A picture is certain only if its distance from the group's center is at most the third quartile
of the group's distances plus this many times the range between the quartiles (Tukey's fence)."""
NEIGHBORS = 8
"""Most similar pictures that are kept of each picture."""
GRAPH_NEIGHBORS = 20
"""Neighbors of each picture in the graph that the levels are merged on."""
FINER = 3
"""The fine level has this many times as many groups, the coarse one this many times fewer."""


class Partition(NamedTuple):
    """Groups of n pictures.

    Attributes:
      groups: the group of each picture, int32 (n,), 0 is the largest; -1 fits no group.
      sure: share of the seeds' votes for the group; times one half for a picture half way between
        its group's center and the next, rising to one where it lies clearly in its group. float64
        (n,), in [0, 1].
      distance: from the group's center, float64 (n,), in [0, 2] for vectors of unit length.
      certain: whether it is sure and near enough to its group's center, bool (n,).
    """

    groups: np.ndarray
    sure: np.ndarray
    distance: np.ndarray
    certain: np.ndarray


class Shape(NamedTuple):
    """What decides the group of another picture.

    Attributes:
      numbers: the group of each of the run's clusters, int32 (k,).
      centers: mean vector of each group, float32 (k, p); inf for a group without pictures.
      fences: the largest distance from the center of a certain picture, float64 (k,).
    """

    numbers: np.ndarray
    centers: np.ndarray
    fences: np.ndarray


def make_partition(run: Run, vectors: np.ndarray) -> tuple[Partition, Shape]:
    """The groups that a run's seeds vote for, the largest first.

    Args:
      run: finished, on the vectors.
      vectors: float32 (n, p), of unit length.
    """
    votes = run.consensus()
    clusters = run.settings.clusters
    sizes = np.bincount(votes.labels, minlength=clusters)
    order = np.argsort(-sizes, kind="stable")
    sizes = sizes[order]
    numbers = np.empty(clusters, np.int32)
    numbers[order] = np.arange(clusters, dtype=np.int32)
    groups = numbers[votes.labels]
    centers = np.zeros((clusters, vectors.shape[1]))
    np.add.at(centers, groups, vectors)
    centers /= np.maximum(sizes, 1)[:, None]
    centers[sizes == 0] = np.inf
    centers = centers.astype(np.float32)
    distance = np.linalg.norm(vectors - centers[groups], axis=1)
    fences = np.full(clusters, np.inf)
    for group in range(clusters):
        own = distance[groups == group]
        if own.size:
            low, high = np.quantile(own, [0.25, 0.75])
            fences[group] = high + FENCE * (high - low)
    shape = Shape(numbers, centers, fences)
    return _partition(shape, groups, votes.share, vectors), shape


def assign(run: Run, shape: Shape, vectors: np.ndarray) -> Partition:
    """The groups of other pictures, by the votes of the run's seeds.

    Args:
      run: finished, with its checkpoint.
      shape: of the groups.
      vectors: of the other pictures, float32 (m, p).
    """
    votes = run.consensus()
    each = run.apply_to_inputs(as_grid(vectors), list(votes.seeds), "predict")
    voted = votes.vote(votes.numbered(each, votes.seeds))
    groups = shape.numbers[np.asarray(voted.cluster)]
    return _partition(shape, groups, np.asarray(voted.probability, np.float64), vectors)


def _partition(
    shape: Shape, groups: np.ndarray, share: np.ndarray, vectors: np.ndarray
) -> Partition:
    """The groups, with how sure they are by the votes' share, float (n,), and by distance."""
    rows = np.arange(len(vectors))
    to_all = np.empty((len(vectors), len(shape.centers)))
    for group, center in enumerate(shape.centers):
        to_all[:, group] = np.linalg.norm(vectors - center, axis=1)
    distance = to_all[rows, groups]
    to_all[rows, groups] = np.inf
    following = to_all.min(axis=1)
    margin = np.full(len(vectors), -1.0)
    near = np.isfinite(distance)  # Not of a group that no picture of the run is in.
    margin[near] = 1 - distance[near] / np.where(following[near] > 0, following[near], 1)
    sure = share * np.clip(0.5 + 0.5 * margin / CLEAR, 0, 1)
    certain = (sure >= LEAST_SURE) & (distance <= shape.fences[groups])
    return Partition(groups.astype(np.int32), sure, distance, certain)


def distance_to_centers(
    vectors: np.ndarray, groups: np.ndarray, k: int, others: np.ndarray
) -> np.ndarray:
    """The distance of each picture from the mean of its group.

    Args:
      vectors: float32 (n, p).
      groups: int (n,), in -1..k-1.
      k: number of groups.
      others: the distances of pictures that are in no group, float (n,).

    Returns:
      float64 (n,).
    """
    distance = others.astype(np.float64)
    for group in range(k):
        own = groups == group
        if own.any():
            distance[own] = np.linalg.norm(vectors[own] - vectors[own].mean(axis=0), axis=1)
    return distance


def as_grid(vectors: np.ndarray) -> np.ndarray:
    """Vectors in the shape of images of one channel, as methods take them.

    Args:
      vectors: float32 (n, p).

    Returns:
      float32 (n, h, p / h, 1), where h is the largest divisor of p up to its root.
    """
    return vectors.reshape(-1, *grid(vectors.shape[1]), 1)


def most_typical_first(groups: np.ndarray, distance: np.ndarray, k: int) -> list[np.ndarray]:
    """The pictures of each group, those nearest to its center first.

    Args:
      groups: int (n,), in -1..k-1.
      distance: float (n,).
      k: number of groups.

    Returns:
      k arrays of places, int64.
    """
    order = np.lexsort((distance, groups))
    bounds = np.searchsorted(groups[order], np.arange(k + 1))
    return [order[bounds[group] : bounds[group + 1]] for group in range(k)]


def most_similar(vectors: np.ndarray) -> np.ndarray:
    """The most similar other pictures of each picture, the nearest first.

    Args:
      vectors: float32 (n, p), n at least 2.

    Returns:
      int32 (n, m), m is NEIGHBORS or n - 1.
    """
    count = min(NEIGHBORS, len(vectors) - 1)
    return np.asarray(jax.jit(nearest_neighbors, static_argnums=1)(vectors, count)[1])


def levels(vectors: np.ndarray, groups: np.ndarray) -> dict[str, np.ndarray]:
    """Coarser and finer groups, from the merges of graph degree linkage (Zhang et al. 2012).

    The groups go on merging for the coarse level. For the fine one each picture's neighbors are
    those in its own group, and the merges stop early, so that no fine group is part of two.

    Args:
      vectors: float32 (n, p).
      groups: int (n,), 0..k-1, each with two pictures or more.

    Returns:
      "coarse" and "fine", int32 (n,), numbered from the largest; n at least 3 k.
    """
    k = int(groups.max()) + 1
    n_neighbors = min(GRAPH_NEIGHBORS, len(vectors) - 1)
    graph = knn_digraph(jnp.asarray(vectors), n_neighbors, 1.0)
    start = jnp.asarray(groups, jnp.int32)
    history = no_merges(len(vectors))
    coarse, _ = jax.jit(merge)(graph, start, max(2, math.ceil(k / FINER)), history)
    # Vectors are at most twice the longest apart: those of other groups are now farther away.
    far = 4 * np.float32(np.linalg.norm(vectors, axis=1).max())
    apart = np.concatenate([vectors, far * np.eye(k, dtype=np.float32)[groups]], axis=1)
    within = knn_digraph(jnp.asarray(apart), n_neighbors, 1.0)
    first = initial_clusters(within)
    fine, _ = jax.jit(merge)(within, first, FINER * k, history)
    # A group with fewer pictures than the graph has neighbors may have merged with another.
    pairs = np.asarray(fine).astype(np.int64) * k + groups
    return {"coarse": largest_first(np.asarray(coarse)), "fine": largest_first(pairs)}


def largest_first(labels: np.ndarray) -> np.ndarray:
    """Any labels renumbered from 0 in the order of their groups' sizes; int32 (n,)."""
    _, inverse, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    ranks = np.empty(len(sizes), np.int32)
    ranks[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes), dtype=np.int32)
    return ranks[inverse]


def names_by_labels(groups: np.ndarray, known: Sequence[str | None], k: int) -> list[str]:
    """A name for each group from pictures of known kind: the kind that most of them have.

    Args:
      groups: int (n,), in -1..k-1.
      known: the kind of each picture, None where it is not known.
      k: number of groups.

    Returns:
      k names; "" for a group with no picture of known kind.
    """
    counts: list[dict[str, int]] = [{} for _ in range(k)]
    for group, kind in zip(groups.tolist(), known, strict=True):
        if group >= 0 and kind:
            counts[group][kind] = counts[group].get(kind, 0) + 1
    return [max(own, key=lambda kind: (own[kind], kind)) if own else "" for own in counts]
