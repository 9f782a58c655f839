"""Centroids from k-means or a graph, and what is made anew while a run goes on.

A graph (``ops.graph_start``) may make the centroids again every few windows. A reset moves the
weights a part of the way to fresh ones, and then the centroids are made anew.
Miklautz, Klein, Sidak, Leiber, Lang, Shkabrii, Tschiatschek, Plant: Breaking the Reclustering
Barrier in Centroid-based Deep Clustering, ICLR 2025 (BRB).
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.errors import UsageError
from jaxclust.methods import checks
from jaxclust.ops.batches import encoded
from jaxclust.ops.graph_start import graph_centroids
from jaxclust.ops.kmeans import kmeans
from jaxclust.types import Key, Network, Schedule, Variables

Centroids = Literal["kmeans", "graph"]
"""How centroids are made from an embedding: by k-means, or by graph degree linkage."""


class Renewal(NamedTuple):
    """How the centroids are made, and when they are made again.

    Attributes:
      start: how they are made.
      clusters: number of clusters k.
      restarts: number of k-means runs; the best run counts.
      graph_windows: number of windows between two renewals of the centroids by the graph, or None.
      reset_windows: number of windows between two resets of the weights, or None.
      reset_share: share of the weights that a reset draws anew.
      max_windows: number of windows of the run.
    """

    start: Centroids
    clusters: int
    restarts: int
    graph_windows: int | None = None
    reset_windows: int | None = None
    reset_share: float = 0.0
    max_windows: int = 0

    @property
    def repeats(self) -> bool:
        """Whether anything is made anew during the run."""
        return self.graph_windows is not None or self.reset_windows is not None


def check(config: Any) -> None:
    """Refuses settings of renewals that cannot work.

    Args:
      config: has ``graph_windows``, ``reset_epochs`` and ``reset_share``.

    Raises:
      UsageError: a number is below 1, or the share is not in [0, 1].
    """
    for name in ("graph_windows", "reset_epochs"):
        if getattr(config, name) is not None:
            checks.at_least(config, 1, name)
    checks.in_range(config, 0, 1, "reset_share")


def renewal(config: Any, schedule: Schedule, n: int) -> Renewal:
    """The renewals that a config asks for.

    Args:
      config: has ``start``, ``clusters``, ``restarts``, ``graph_windows``, ``reset_epochs`` and
        ``reset_share``.
      schedule: of the run.
      n: number of images.
    """
    reset_windows = None
    if config.reset_epochs is not None:
        window = schedule.batch * schedule.steps_per_window
        reset_windows = max(round(config.reset_epochs * n / window), 1)
    return Renewal(
        config.start,
        config.clusters,
        config.restarts,
        config.graph_windows,
        reset_windows,
        config.reset_share,
        schedule.max_windows,
    )


def centroids(renewal: Renewal, key: Key, features: jax.Array) -> jax.Array:
    """Makes centroids from the embedding of all images.

    Args:
      renewal: how.
      key: a typed key, (); the graph draws no random number.
      features: float32, (n, d).

    Returns:
      float32, (k, d).
    """
    if renewal.start == "graph":
        return graph_centroids(features, renewal.clusters)
    return kmeans(key, features, renewal.clusters, restarts=renewal.restarts).centroids


def renewed(
    renewal: Renewal,
    network: Network,
    key: Key,
    windows: jax.Array,
    before: tuple[Variables, jax.Array],
    images: jax.Array,
) -> tuple[jax.Array, Variables, jax.Array]:
    """Resets the weights or makes the centroids anew, where it is time for it.

    As many windows follow as lie between two renewals, so that none comes at the end of a run.

    Args:
      renewal: what is made anew, and when.
      network: the network.
      key: a typed key, ().
      windows: number of windows so far, int32, ().
      before: the network's arrays, and the centroids, float32 (k, d).
      images: uint8 or float32 in [0, 1], (n, h, w, c).

    Returns:
      Whether anything is new, bool (); the network's arrays; and the centroids.

    Raises:
      UsageError: the network does not say which layer gives its features, and there are resets.
    """
    reset = _due(renewal.reset_windows, windows, renewal.max_windows)
    due = reset | _due(renewal.graph_windows, windows, renewal.max_windows)
    reset_key, centroid_key = jax.random.split(key)

    def new():
        variables = before[0]
        if renewal.reset_windows is not None:
            weights = partly_fresh(network, reset_key, variables.params, renewal.reset_share)
            weights = jax.tree.map(
                lambda new, old: jnp.where(reset, new, old), weights, variables.params
            )
            variables = variables._replace(params=weights)
        features = encoded(network, variables, images)
        return variables, centroids(renewal, centroid_key, features)

    variables, means = jax.lax.cond(due, new, lambda: before)
    return due, variables, means


def partly_fresh(network: Network, key: Key, params: dict[str, Any], share: float) -> dict:
    """Weights that are moved towards fresh ones, except those of the embedding layer (BRB).

    Args:
      network: the network.
      key: a typed key, ().
      params: the weights.
      share: the share that is fresh, in [0, 1]; the paper has 0.2.

    Raises:
      UsageError: the network does not say which layer gives its features.
    """
    if network.embedding_layer not in params:
        rule = "network: must name its embedding_layer, which resets leave as it is"
        raise UsageError(f"{rule}, got {network.embedding_layer!r}")
    fresh = network.init(key).params
    mixed = jax.tree.map(lambda old, new: (1 - share) * old + share * new, params, fresh)
    return mixed | {network.embedding_layer: params[network.embedding_layer]}


def without_momentum(
    optimizer: optax.GradientTransformation,
    opt_state: optax.OptState,
    trained: tuple[dict[str, Any], jax.Array],
) -> optax.OptState:
    """The optimizer's arrays with zeros for the centroids.

    Args:
      optimizer: the optimizer of params and centroids together.
      opt_state: its arrays.
      trained: the params and the centroids.
    """
    params, means = trained
    kept = (jax.tree.map(jnp.ones_like, params), jnp.zeros_like(means))
    return optax.tree_map_params(optimizer, jnp.multiply, opt_state, kept)


def _due(every: int | None, windows: jax.Array, max_windows: int) -> jax.Array:
    if every is None:
        return jnp.asarray(False)
    return (windows % every == 0) & (windows + every <= max_windows)
