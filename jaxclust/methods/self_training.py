"""Clustering by self-training, which DEC, IDEC, DCEC and DBC share.

k-means on the embedding gives the first centroids. A target distribution is made from the soft
assignments of all images, gradient steps draw the soft assignments towards it, and it is made anew.
DCN, DKM and DCTL use some of these functions, too.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.methods import renewals
from jaxclust.ops.assignment import (
    fraction_changed,
    nearest,
    nearest_centroid,
    soft_assignment,
)
from jaxclust.ops.batches import encoded
from jaxclust.ops.optimizers import gradient_step
from jaxclust.types import Key, Network, Prediction, Variables

Soften = Callable[[jax.Array, jax.Array], jax.Array]
"""Soft assignments (n, k) of features (n, d) to centroids (k, d)."""
Sharpen = Callable[[jax.Array], jax.Array]
"""The target (n, k) for the soft assignments (n, k) of all images."""
Loss = Callable[[Any, jax.Array], tuple[jax.Array, tuple[dict[str, jax.Array], dict]]]
"""``loss(params, centroids) -> (total, (means by name, stats))``."""


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      centroids: float32, (clusters, d).
      target: the target distribution P of the last refresh, float32, (n, clusters).
      labels: the labels at the last refresh, int32, (n,).
      opt_state: the optimizer's arrays for params and centroids together.
      windows: number of refreshes so far, int32; None where nothing depends on it.
    """

    variables: Variables
    centroids: jax.Array
    target: jax.Array
    labels: jax.Array
    opt_state: optax.OptState
    windows: jax.Array | None = None


class RefreshInfo(NamedTuple):
    """Scalars that describe how the labels changed.

    Attributes:
      changed: fraction of images whose label changed, float32.
      empty_clusters: number of clusters without an image, int32.
      largest_cluster: share of the images in the largest cluster, float32.
    """

    changed: jax.Array
    empty_clusters: jax.Array
    largest_cluster: jax.Array


class Start(NamedTuple):
    """How the first state of a run is made.

    Attributes:
      renewal: how the centroids are made, at the start and later; it has an optimizer.
      soften: makes the soft assignments.
      sharpen: makes the target from the soft assignments.
    """

    renewal: renewals.Renewal
    soften: Soften
    sharpen: Sharpen


def init(
    start: Start, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """The first state: centroids from the embedding of all images, and the first target.

    Args:
      start: how the state is made.
      network: the network.
      key: a typed key, ().
      variables: the network's arrays, or None for fresh ones.
      images: uint8 or float32 in [0, 1], (n, h, w, c).
    """
    optimizer = start.renewal.optimizer
    assert optimizer is not None
    renewals.check_network(start.renewal, network)
    network_key, centroid_key = jax.random.split(key)
    variables = network.init(network_key) if variables is None else variables
    features = encoded(network, variables, images)
    centroids, clusters = renewals.clusters_of(start.renewal, centroid_key, features)
    target = start.sharpen(start.soften(features, centroids))
    if start.renewal.start == "graph":
        target = jax.nn.one_hot(clusters, start.renewal.clusters, dtype=jnp.float32)
    return State(
        variables=variables,
        centroids=centroids,
        target=target,
        labels=nearest_centroid(features, centroids),
        opt_state=optimizer.init((variables.params, centroids)),
        windows=jnp.int32(0) if start.renewal.repeats else None,
    )


def refresh(
    start: Start, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, jax.Array, RefreshInfo]:
    """Makes the target and the labels anew from all images, and what else is due.

    The target is sharpened from the soft assignments. After a graph has made the clusters, these
    are the target of the next window: the means of a graph's clusters are a worse clustering than
    the graph's.

    Returns:
      The state; the soft assignments, float32 (n, clusters); whether the run may stop now, bool
      (), which it may not before the last renewal; and how the labels changed.
    """
    due = jnp.asarray(False)
    may_stop = jnp.asarray(True)
    clusters = state.labels
    if state.windows is not None:
        windows = state.windows + 1
        due, state, clusters = renewals.renewed(start.renewal, network, key, windows, state, images)
        state = state._replace(windows=windows)
        may_stop = renewals.may_stop(start.renewal, windows)
    features = encoded(network, state.variables, images)
    soft = start.soften(features, state.centroids)
    target = start.sharpen(soft)
    if start.renewal.repeats and start.renewal.by_graph:
        own = jax.nn.one_hot(clusters, soft.shape[1], dtype=jnp.float32)
        target = jnp.where(due, own, target)
    labels = nearest_centroid(features, state.centroids)
    info = change(state.labels, labels, soft.shape[1])
    return state._replace(target=target, labels=labels), soft, may_stop, info


def change(old: jax.Array, new: jax.Array, clusters: int) -> RefreshInfo:
    """Fraction of changed labels, number of empty clusters, share of the largest cluster.

    Args:
      old: the labels before, int32, (n,).
      new: the labels now, int32, (n,).
      clusters: number of clusters k.
    """
    sizes = jnp.zeros(clusters, jnp.int32).at[new].add(1)
    return RefreshInfo(
        fraction_changed(old, new),
        jnp.sum(sizes == 0, dtype=jnp.int32),
        jnp.max(sizes).astype(jnp.float32) / jnp.float32(new.size),
    )


def update(
    optimizer: optax.GradientTransformation, state: Any, loss: Loss
) -> tuple[Any, jax.Array, dict[str, jax.Array]]:
    """Makes one gradient step on params and centroids.

    Args:
      optimizer: turns gradients into updates.
      state: a state with ``variables``, ``centroids`` and ``opt_state``, such as ``State``.
      loss: the loss of params and centroids.

    Returns:
      The state after the step, and the total loss and the means of its terms before it.
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


def kept_labels(
    config: Any, network: Network, key: Key, state: Any, images: jax.Array
) -> dict[str, jax.Array]:
    """The labels in the state, int32 (n,): the ``finish`` of methods that keep them there."""
    del config, network, key, images
    return {"": state.labels}


def student_t(config: Any, features: jax.Array, centers: jax.Array) -> jax.Array:
    """Student's t similarities to the centers (DEC, eq. 1), the ``soft`` of most methods.

    Args:
      config: not looked at.
      features: float32, (n, d).
      centers: float32, (clusters, d).

    Returns:
      float32, (n, clusters); each row sums to 1.
    """
    del config
    return soft_assignment(features, centers)


def embed(config: Any, network: Network, state: Any, images: jax.Array) -> jax.Array:
    """The features, float32 (n, d), of a method whose state has ``variables``."""
    del config
    return encoded(network, state.variables, images)


def nearest_centroids(config: Any, network: Network, state: Any, images: jax.Array) -> Prediction:
    """The nearest of the state's ``centroids`` in the embedding."""
    return nearest(embed(config, network, state, images), state.centroids)


def predict(network: Network, state: State, images: jax.Array, soften: Soften) -> Prediction:
    """The nearest centroid in the embedding, and the soft assignment to it.

    The nearest centroid is also the one with the largest soft assignment.
    """
    return nearest(encoded(network, state.variables, images), state.centroids, soften)
