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
from jax.custom_batching import sequential_vmap

from jaxclust.errors import UsageError
from jaxclust.methods import checks
from jaxclust.ops.assignment import cluster_means
from jaxclust.ops.batches import encoded
from jaxclust.ops.graph_start import graph_clusters
from jaxclust.ops.kmeans import kmeans
from jaxclust.types import Key, Network, Schedule

Start = Literal["kmeans", "graph"]
"""How centroids are made from an embedding: by k-means, or by graph degree linkage."""


class Clusters(NamedTuple):
    """Clusters of all images.

    Attributes:
      centroids: float32, (k, d).
      labels: int32, (n,); those of a graph are not the nearest centroids.
    """

    centroids: jax.Array
    labels: jax.Array


class Renewal(NamedTuple):
    """How the centroids are made, and when they are made again.

    Attributes:
      start: how they are made.
      clusters: number of clusters k.
      restarts: number of k-means runs; the best run counts.
      optimizer: the optimizer of params and centroids together, whose momentum of the centroids is
        cleared with them; None where no optimizer trains centroids.
      graph_windows: number of windows between two renewals of the centroids by the graph, or None.
      reset_windows: number of windows between two resets of the weights, or None.
      reset_share: share of the weights that a reset draws anew.
      max_windows: number of windows of the run.
    """

    start: Start
    clusters: int
    restarts: int
    optimizer: optax.GradientTransformation | None
    graph_windows: int | None = None
    reset_windows: int | None = None
    reset_share: float = 0.0
    max_windows: int = 0

    @property
    def by_graph(self) -> bool:
        """Whether clusters during the run come from a graph."""
        return self.start == "graph" or self.graph_windows is not None

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


def renewal(
    config: Any, optimizer: optax.GradientTransformation | None, schedule: Schedule, n: int
) -> Renewal:
    """The renewals that a config asks for.

    Args:
      config: has ``start``, ``clusters``, ``restarts``, ``graph_windows``, ``reset_epochs`` and
        ``reset_share``.
      optimizer: as in ``Renewal``.
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
        optimizer,
        config.graph_windows,
        reset_windows,
        config.reset_share,
        schedule.max_windows,
    )


def clusters_of(renewal: Renewal, key: Key, features: jax.Array) -> Clusters:
    """Makes clusters of the embedding of all images.

    Args:
      renewal: how.
      key: a typed key, (); only k-means draws random numbers.
      features: float32, (n, d).
    """
    if renewal.start == "graph":
        labels = graph_clusters(features, renewal.clusters)
        return Clusters(cluster_means(features, labels, renewal.clusters), labels)
    result = kmeans(key, features, renewal.clusters, restarts=renewal.restarts)
    return Clusters(result.centroids, result.labels)


def renewed(
    renewal: Renewal,
    network: Network,
    key: Key,
    windows: jax.Array,
    state: Any,
    images: jax.Array,
) -> tuple[jax.Array, Any, jax.Array]:
    """Resets the weights or makes the centroids anew, where it is time for it.

    Every ``graph_windows`` windows a graph makes the centroids. Every ``reset_windows`` windows the
    weights move towards fresh ones, and the centroids are made as ``start`` says. As many windows
    follow as lie between two renewals, so that none comes at the end of a run.

    Args:
      renewal: what is made anew, and when.
      network: the network.
      key: a typed key, ().
      windows: number of windows so far, int32, ().
      state: the method's, with ``variables``, ``centroids`` and ``opt_state``.
      images: uint8 or float32 in [0, 1], (n, h, w, c).

    Returns:
      Whether anything is new, bool (); the state; and the new clusters of all images, int32 (n,),
      zeros where there are none.

    Raises:
      UsageError: there are resets, and the network does not say which layer gives its features.
    """
    maker = renewal._replace(start="graph" if renewal.by_graph else "kmeans")

    # Under vmap one lane runs after the other: a ``cond`` over all lanes at once would make new
    # clusters in every window.
    @sequential_vmap
    def where_due(key, windows, state, images):
        reset = _due(renewal.reset_windows, windows, renewal.max_windows)
        due = reset | _due(renewal.graph_windows, windows, renewal.max_windows)
        reset_key, centroid_key = jax.random.split(key)

        def new():
            variables = state.variables
            if renewal.reset_windows is not None:
                fresh = partly_fresh(network, reset_key, variables.params, renewal.reset_share)
                params = jax.tree.map(
                    lambda new, old: jnp.where(reset, new, old), fresh, variables.params
                )
                variables = variables._replace(params=params)
            means, labels = clusters_of(maker, centroid_key, encoded(network, variables, images))
            opt_state = state.opt_state
            if renewal.optimizer is not None:
                trained = (variables.params, means)
                opt_state = _without_momentum(renewal.optimizer, opt_state, trained)
            new_state = state._replace(variables=variables, centroids=means, opt_state=opt_state)
            return new_state, labels

        none = jnp.zeros(images.shape[0], jnp.int32)
        return due, *jax.lax.cond(due, new, lambda: (state, none))

    return where_due(key, windows, state, images)


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


def _without_momentum(
    optimizer: optax.GradientTransformation,
    opt_state: optax.OptState,
    trained: tuple[dict[str, Any], jax.Array],
) -> optax.OptState:
    """The optimizer's arrays, with zeros for the centroids."""
    params, means = trained
    kept = (jax.tree.map(jnp.ones_like, params), jnp.zeros_like(means))
    return optax.tree_map_params(optimizer, jnp.multiply, opt_state, kept)


def _due(every: int | None, windows: jax.Array, max_windows: int) -> jax.Array:
    if every is None:
        return jnp.asarray(False)
    return (windows % every == 0) & (windows + every <= max_windows)
