"""What predictions need of a run: the voting seeds' networks and centers, and nothing else."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.estimators import tables
from jaxclust.ops.kmeans_minibatch import minibatch_update
from jaxclust.runs.run import Run
from jaxclust.types import Method

LEAD = 1e-6
"""What the share of the chosen cluster is above that of others with as many votes."""


def of_voters(run: Run) -> Any:
    """The states of the seeds that vote, with a leading axis.

    The optimizer's arrays are among them only where ``partial_fit`` can make further steps.
    """
    states = run.states(run.kept_lanes())
    if run.method.algorithm.streams or "opt_state" not in states._fields:
        return states
    return states._replace(opt_state=())


def at(states: Any, place: int) -> Any:
    """The states of one seed, with their leading axis."""
    return jax.tree.map(lambda leaf: leaf[place : place + 1], states)


def on_host(states: Any) -> Any:
    """States as NumPy arrays."""
    return jax.tree.map(np.asarray, states)


def is_kmeans(method: Method) -> bool:
    """Whether a method is k-means on what it is given, so that its centers are points of it."""
    return method.algorithm.kmeans and tables.embeds_inputs(method.network)


def counts_of(run: Run) -> np.ndarray:
    """The images in each cluster of each voting seed, in its own numbering; int32 (seeds, k)."""
    k = run.settings.clusters
    counts = [np.bincount(run.labels[lane], minlength=k) for lane in run.kept_lanes()]
    return np.array(counts, np.int32)


def with_states(run: Run, moved: Any) -> Run:
    """A run with other states of the voting seeds.

    It has no folder, since the checkpoint there has the earlier ones.

    Args:
      run: the run.
      moved: states as ``of_voters`` gives them, with other values.
    """
    phases = dict(run.phases)
    if "cluster" in phases:
        lanes = phases["cluster"].lanes
        places = np.array(run.kept_lanes())
        if not run.method.algorithm.streams:
            own = jax.tree.map(lambda leaf: leaf[places], lanes.state.opt_state)
            moved = moved._replace(opt_state=own)
        state = jax.tree.map(lambda old, new: old.at[places].set(new), lanes.state, moved)
        lanes = lanes._replace(state=state)
        phases["cluster"] = phases["cluster"]._replace(lanes=lanes)
    return dataclasses.replace(run, phases=phases, directory=None)


def centers_of(method: Method, states: Any) -> np.ndarray | None:
    """The centers of all voting seeds, float32 (seeds, k, d); None where there are none."""
    name = method.algorithm.centers
    return np.asarray(getattr(states, name)) if name else None


def soft_assignments(method: Method, states: Any, embedding: np.ndarray) -> np.ndarray:
    """Soft assignments of each row to the clusters of the one seed that votes.

    Args:
      method: one that has ``Algorithm.soft``.
      states: that seed's, with its leading axis.
      embedding: float32 (n, d).

    Returns:
      float32 (n, k), rows sum to 1.
    """
    soft = method.algorithm.soft
    centers = centers_of(method, states)
    assert soft is not None
    assert centers is not None
    return np.asarray(soft(method.config, jnp.asarray(embedding), jnp.asarray(centers[0])))


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
      points: the batch in each seed's embedding, float32 (seeds, n, d).
    """
    move = jax.vmap(minibatch_update)
    moved, counted = move(jnp.asarray(centers), jnp.asarray(counts), jnp.asarray(points))
    return np.asarray(moved), np.asarray(counted)
