"""Self-training on soft assignments, shared by DEC, IDEC, DCEC and DBC: centroids, and a target over all images."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.ops.assignment import fraction_changed, nearest, nearest_centroid
from jaxclust.ops.batches import encoded
from jaxclust.ops.kmeans import kmeans
from jaxclust.ops.optimizers import gradient_step
from jaxclust.types import Key, Network, Prediction, Variables

Soften = Callable[[jax.Array, jax.Array], jax.Array]
"""Soft assignments (n, k) of features (n, d) to centroids (k, d)."""
Sharpen = Callable[[jax.Array], jax.Array]
"""The target (n, k) of the soft assignments of all images."""
Loss = Callable[[Any, jax.Array], tuple[jax.Array, tuple[dict[str, jax.Array], dict]]]
"""``loss(params, centroids) -> (total, (means by name, stats))``."""


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      centroids: float32, (clusters, d).
      target: P, float32, (n, clusters), from the last refresh.
      labels: int32, (n,), at the last refresh.
      opt_state: of params and centroids together.
    """

    variables: Variables
    centroids: jax.Array
    target: jax.Array
    labels: jax.Array
    opt_state: optax.OptState


class RefreshInfo(NamedTuple):
    """Scalars of an update of the target: fraction of changed labels (float32), clusters without a point (int32), and
    the largest cluster's share of the points (float32)."""

    changed: jax.Array
    empty_clusters: jax.Array
    largest_cluster: jax.Array


class Start(NamedTuple):
    """How a run's first state is made.

    Attributes:
      optimizer: of params and centroids together.
      clusters: number of clusters k.
      restarts: k-means runs for the centroids, of which the best is kept.
      soften: the soft assignments.
      sharpen: their target.
    """

    optimizer: optax.GradientTransformation
    clusters: int
    restarts: int
    soften: Soften
    sharpen: Sharpen


def init(
    start: Start, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """k-means on the embedding of all images gives the centroids, and the first target follows."""
    network_key, kmeans_key = jax.random.split(key)
    variables = network.init(network_key) if variables is None else variables
    features = encoded(network, variables, images)
    centroids = kmeans(kmeans_key, features, start.clusters, restarts=start.restarts).centroids
    return State(
        variables=variables,
        centroids=centroids,
        target=start.sharpen(start.soften(features, centroids)),
        labels=nearest_centroid(features, centroids),
        opt_state=start.optimizer.init((variables.params, centroids)),
    )


def refresh(
    network: Network, state: State, images: jax.Array, soften: Soften, sharpen: Sharpen
) -> tuple[State, jax.Array, RefreshInfo]:
    """New target and labels from all images; with them the soft assignments, float32 (n, clusters)."""
    features = encoded(network, state.variables, images)
    soft, labels = soften(features, state.centroids), nearest_centroid(features, state.centroids)
    info = change(state.labels, labels, soft.shape[1])
    return state._replace(target=sharpen(soft), labels=labels), soft, info


def change(old: jax.Array, new: jax.Array, clusters: int) -> RefreshInfo:
    """What became of the labels, int32 (n,) each."""
    sizes = jnp.zeros(clusters, jnp.int32).at[new].add(1)
    return RefreshInfo(
        fraction_changed(old, new),
        jnp.sum(sizes == 0, dtype=jnp.int32),
        jnp.max(sizes).astype(jnp.float32) / jnp.float32(new.size),
    )


def update(
    optimizer: optax.GradientTransformation, state: Any, loss: Loss
) -> tuple[Any, jax.Array, dict[str, jax.Array]]:
    """One gradient step on params and centroids; the total loss and its terms' means before it.

    ``state`` has ``variables``, ``centroids`` and ``opt_state``, as ``State`` has, and DKM's.
    """
    trained = (state.variables.params, state.centroids)
    trained, opt_state, total, (means, stats) = gradient_step(
        optimizer, lambda both: loss(*both), trained, state.opt_state
    )
    params, centroids = trained
    state = state._replace(
        variables=Variables(params, stats), centroids=centroids, opt_state=opt_state
    )
    return state, total, means


def predict(network: Network, state: State, images: jax.Array, soften: Soften) -> Prediction:
    """The nearest centroid in the embedding, which is argmax of the soft assignments, with its soft assignment."""
    return nearest(encoded(network, state.variables, images), state.centroids, soften)
