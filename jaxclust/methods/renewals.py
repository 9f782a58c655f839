"""Centroids from k-means or a graph, and what is made anew while a run goes on.

A graph (``ops.graph_start``) may make the centroids again every few windows. A reset moves the
weights a part of the way to fresh ones, and then the centroids are made anew.
Miklautz, Klein, Sidak, Leiber, Lang, Shkabrii, Tschiatschek, Plant: Breaking the Reclustering
Barrier in Centroid-based Deep Clustering, ICLR 2025 (BRB).
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.custom_batching import sequential_vmap

from jaxclust.errors import UsageError
from jaxclust.methods import checks
from jaxclust.ops.assignment import means_or
from jaxclust.ops.batches import encoded
from jaxclust.ops.graph_start import graph_clusters
from jaxclust.ops.kmeans import kmeans
from jaxclust.types import Key, Network, Params, Schedule, Variables

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
      optimizer: the optimizer of params and centroids together, whose moments of the centroids are
        set to zero with them; None where no optimizer trains centroids.
      graph_windows: number of windows between two renewals of the centroids by the graph, or None.
      reset_windows: number of windows between two resets of the weights, or None.
      reset_share: share of the weights that a reset draws anew.
      max_windows: number of windows of the run.
      settle: ``settle(key, variables, images) -> variables`` brings running statistics to the
        weights that a reset has changed; None where there are none.
    """

    start: Start
    clusters: int
    restarts: int
    optimizer: optax.GradientTransformation | None
    graph_windows: int | None = None
    reset_windows: int | None = None
    reset_share: float = 0.0
    max_windows: int = 0
    settle: Callable[[Key, Variables, jax.Array], Variables] | None = None

    @property
    def by_graph(self) -> bool:
        """Whether clusters during the run come from a graph."""
        return self.start == "graph" or self.graph_windows is not None

    @property
    def repeats(self) -> bool:
        """Whether anything is made anew during the run."""
        return self.last > 0

    @property
    def last(self) -> int:
        """The window after which something is made anew for the last time; 0 for never."""
        gaps = [gap for gap in (self.graph_windows, self.reset_windows) if gap is not None]
        return max((_last(gap, self.max_windows) for gap in gaps), default=0)


def check(config: Any, max_windows: int) -> None:
    """Refuses settings of renewals that cannot work.

    Args:
      config: has ``graph_windows``, ``reset_epochs`` and ``reset_share``.
      max_windows: the largest number of windows of a run.

    Raises:
      UsageError: a number is below 1, the share is not in [0, 1], or the graph would never make
        clusters anew.
    """
    for name in ("graph_windows", "reset_epochs"):
        if getattr(config, name) is not None:
            checks.at_least(config, 1, name)
    checks.in_range(config, 0, 1, "reset_share")
    if config.graph_windows is not None and 2 * config.graph_windows > max_windows:
        rule = f"graph_windows: must be at most half of the {max_windows} windows"
        raise UsageError(f"{rule}, got {config.graph_windows}")


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
    if config.reset_epochs is not None and schedule.max_windows > 1:
        steps = config.reset_epochs * -(-n // schedule.batch)
        # A run on a large set has few epochs, and three resets all the same from four windows on.
        most = schedule.max_windows // 4
        reset_windows = max(min(round(steps / schedule.steps_per_window), most), 1)
    return Renewal(
        "graph" if config.start == "graph" else "kmeans",
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
        # Where merging starts with fewer clusters, images stand in for the means that are missing.
        numbers = jnp.arange(renewal.clusters)
        images = features[numbers * features.shape[0] // renewal.clusters]
        return Clusters(means_or(features, labels, images), labels)
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

    Every ``graph_windows`` windows the centroids are made anew. Every ``reset_windows`` windows the
    weights move towards fresh ones first. A graph makes the centroids where ``start`` is "graph" or
    ``graph_windows`` is set, k-means otherwise.

    Args:
      renewal: what is made anew, and when.
      network: the network.
      key: a typed key, ().
      windows: number of windows so far, int32, ().
      state: the method's, with ``variables``, ``centroids`` and ``opt_state``.
      images: uint8 or float32 in [0, 1], (n, h, w, c).

    Returns:
      Whether the centroids are new, bool (); the state; and the new clusters of all images, int32
      (n,), zeros where there are none.

    Raises:
      UsageError: there are resets, and the network does not say which layer gives its features.
    """
    check_network(renewal, network)
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
                fresh = variables._replace(params=fresh)
                if renewal.settle is not None:
                    fresh = renewal.settle(reset_key, fresh, images)
                variables = jax.tree.map(
                    lambda new, old: jnp.where(reset, new, old), fresh, variables
                )
            means, labels = clusters_of(maker, centroid_key, encoded(network, variables, images))
            opt_state = state.opt_state
            if renewal.optimizer is not None:
                trained = (variables.params, means)
                opt_state = _without_moments(renewal.optimizer, opt_state, trained)
            new_state = state._replace(variables=variables, centroids=means, opt_state=opt_state)
            return new_state, labels

        none = jnp.zeros(images.shape[0], jnp.int32)
        return due, *jax.lax.cond(due, new, lambda: (state, none))

    return where_due(key, windows, state, images)


def partly_fresh(network: Network, key: Key, params: Params, share: float) -> dict:
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
        rule = f"network: must have its embedding_layer among {', '.join(params)}"
        raise UsageError(f"{rule}, got {network.embedding_layer!r}")
    fresh = network.init(key).params
    mixed = jax.tree.map(lambda old, new: (1 - share) * old + share * new, params, fresh)
    return mixed | {network.embedding_layer: params[network.embedding_layer]}


def _without_moments(
    optimizer: optax.GradientTransformation,
    opt_state: optax.OptState,
    trained: tuple[Params, jax.Array],
) -> optax.OptState:
    """The optimizer's arrays, with zeros for the centroids."""
    params, means = trained
    kept = (jax.tree.map(jnp.ones_like, params), jnp.zeros_like(means))
    return optax.tree_map_params(optimizer, jnp.multiply, opt_state, kept)


def may_stop(renewal: Renewal, windows: jax.Array) -> jax.Array:
    """Whether a run may stop: nothing was made anew in this window, or will be later; bool ().

    Args:
      renewal: what is made anew, and when.
      windows: number of windows so far, int32, ().
    """
    return windows > renewal.last


def check_network(renewal: Renewal, network: Network) -> None:
    """Refuses a network that cannot be reset: UsageError."""
    if renewal.reset_windows is not None and not network.embedding_layer:
        rule = "network: must name its embedding_layer, which resets leave as it is"
        raise UsageError(f"{rule}, got {network.embedding_layer!r}")


def _due(every: int | None, windows: jax.Array, max_windows: int) -> jax.Array:
    if every is None:
        return jnp.asarray(False)
    return (windows % every == 0) & (windows <= _last(every, max_windows))


def _last(every: int, max_windows: int) -> int:
    """The last window of one kind of renewal.

    A renewal is left out if fewer windows than lie between two of them would follow it.
    """
    return (max_windows - every) // every * every
