"""What predictions need of a run: the voting seeds' networks and centers, and nothing else."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.methods import agglomerative, dcec, dcn, dctl, dkm, jule
from jaxclust.networks.autoencoders import pixels
from jaxclust.ops.assignment import soft_assignment
from jaxclust.ops.kmeans_minibatch import minibatch_update
from jaxclust.runs.run import Run
from jaxclust.types import Algorithm, Method

CENTERS = ("centroids", "means")
"""The fields in which states have the centers of the clusters in the embedding."""
LEAD = 1e-6
"""What the share of the chosen cluster is above that of others with as many votes."""
_NEAREST = tuple(module.predict for module in (agglomerative, dcec, dcn, dctl, dkm, jule))


def has_similarities(algorithm: Algorithm) -> bool:
    """Whether the probabilities are Student's t similarities to the centers (DEC, eq. 1)."""
    return algorithm.predict in _NEAREST


def of_voters(run: Run) -> Any:
    """The states of the seeds that vote, with a leading axis, without the optimizer's arrays."""
    return without_optimizer(run.states(run.kept_lanes()))


def without_optimizer(states: Any) -> Any:
    """States without what only further steps would need."""
    return states._replace(opt_state=()) if "opt_state" in states._fields else states


def at(states: Any, place: int) -> Any:
    """The states of one seed, with their leading axis."""
    return jax.tree.map(lambda leaf: leaf[place : place + 1], states)


def on_host(states: Any) -> Any:
    """States as NumPy arrays."""
    return jax.tree.map(np.asarray, states)


def is_kmeans(method: Method) -> bool:
    """Whether a method is k-means on what it is given, so that its centers are points of it."""
    return method.algorithm.name == "kmeans" and method.network is pixels


def counts_of(run: Run) -> np.ndarray:
    """The images in each cluster of each voting seed, in its own numbering; int32 (seeds, k)."""
    k = run.settings.clusters
    counts = [np.bincount(run.labels[lane], minlength=k) for lane in run.kept_lanes()]
    return np.array(counts, np.int32)


def with_centroids(run: Run, centroids: np.ndarray) -> Run:
    """A run of k-means with other centroids of the voting seeds, float32 (seeds, k, d).

    It has no folder, since the checkpoint there has other ones.
    """
    phases = dict(run.phases)
    if "cluster" in phases:
        lanes = phases["cluster"].lanes
        places = np.array(run.kept_lanes())
        state = lanes.state._replace(centroids=lanes.state.centroids.at[places].set(centroids))
        phases["cluster"] = phases["cluster"]._replace(lanes=lanes._replace(state=state))
    return dataclasses.replace(run, phases=phases, directory=None)


def centers_of(states: Any) -> np.ndarray | None:
    """The centers of all voting seeds, float32 (seeds, k, d); None where there are none."""
    for name in CENTERS:
        if name in states._fields:
            return np.asarray(getattr(states, name))
    return None


def similarities(embedding: np.ndarray, states: Any) -> np.ndarray:
    """Student's t similarity of each row to each center of the one seed that votes.

    Args:
      embedding: float32 (n, d).
      states: that seed's, with its leading axis, of a method with ``has_similarities``.

    Returns:
      float32 (n, k), rows sum to 1.
    """
    centers = centers_of(states)
    assert centers is not None
    return np.asarray(soft_assignment(jnp.asarray(embedding), jnp.asarray(centers[0])))


def shares(cluster: np.ndarray, chosen: np.ndarray, clusters: int) -> np.ndarray:
    """Each cluster's share of the votes; of equal ones the chosen cluster's is a little larger.

    Args:
      cluster: the cluster that each seed gives each row, int (seeds, n).
      chosen: the one of the most votes that is chosen, int (n,).
      clusters: number of clusters.

    Returns:
      float32 (n, clusters), rows sum to 1.
    """
    share = (cluster[..., None] == np.arange(clusters)).mean(axis=0, dtype=np.float32)
    tied = (share == share.max(axis=1, keepdims=True)).sum(axis=1) > 1
    share[tied, chosen[tied]] += LEAD
    return share / share.sum(axis=1, keepdims=True)


def moved_centers(
    centers: np.ndarray, counts: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Centers of all seeds after one mini-batch of k-means, and what they have counted.

    Args:
      centers: float32 (seeds, k, d).
      counts: points that each has seen, int32 (seeds, k).
      points: the batch, float32 (n, d).
    """
    move = jax.vmap(minibatch_update, in_axes=(0, 0, None))
    moved, counted = move(jnp.asarray(centers), jnp.asarray(counts), jnp.asarray(points))
    return np.asarray(moved), np.asarray(counted)
