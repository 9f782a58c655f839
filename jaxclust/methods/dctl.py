"""DCTL: k-means on deep convolutional transform learning, without a decoder.

Goel, Majumdar, Chouzenoux, Chierchia: Deep Convolutional K-Means Clustering. Filters T and codes Z of all images solve

  min ||F - Z||^2 + psi(Z) + lambda sum_i (||T_i||^2 - logdet T_i) + mu ||Z - Z H' (H H')^-1 H||^2      (eq. 5)

with F the outputs of the filters and H the clusters. P1 (eq. 6): Adam on T and Z with H fixed. P2 (eq. 7): k-means on Z
with T and Z fixed. They take turns until the centroids settle. A window of the driver is a round of both.
"""

import dataclasses
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust import networks
from jaxclust.errors import UsageError
from jaxclust.methods import self_training
from jaxclust.networks.dctl import Layout, Mixing, Pooling, Single, Start
from jaxclust.ops import losses, optimizers
from jaxclust.ops.assignment import cluster_means, nearest
from jaxclust.ops.batches import encoded
from jaxclust.ops.kmeans import kmeans, lloyd
from jaxclust.types import Algorithm, Key, Method, Network, Prediction, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Defaults: section 4 where it gives a number; the rest is open there, and ours."""

    clusters: int = 10
    """Number of clusters k."""
    layers: int = 2
    """Layers of filters, 1 or 2 (sections 3 and 4.1)."""
    filters: int = 3
    """Filters of each layer (section 4)."""
    kernel: int = 9
    """Rows and columns of a filter (section 4)."""
    penalty_weight: float = 1e-3
    """lambda, of the penalty on the filters (section 4)."""
    mu: float = 1.0
    """Weight of the k-means term (section 4)."""
    joint: bool = True
    """Whether P1 has the k-means term; without it features come first and k-means after (section 4.1, piecewise)."""
    residual: Literal["sum", "mean"] = "sum"
    """Squared norms summed over images and features (eq. 5), or averaged: that decides what lambda weighs."""
    psi: Literal["none", "l1", "nonnegative"] = "none"
    """The penalty on codes: none, the sum of absolute values, or codes of at least 0 by projection (open)."""
    psi_weight: float = 0.1
    """Weight of psi = l1 (open)."""
    z_update: Literal["adam", "exact"] = "exact"
    """Codes by their closed form, which only psi = none has, or by Adam as the filters are (section 3)."""
    inner_steps: int = 1
    """Steps of Adam in a round's P1 (open)."""
    learning_rate: float = 1e-2
    """Adam's step size (open)."""
    moments: Literal["kept", "fresh"] = "kept"
    """Adam's moments: kept from round to round, or of each round alone (open)."""
    rounds: int = 50
    """Rounds of P1 and P2 at most ("converges within 50 iterations", section 4.1)."""
    tolerance: float = 1e-3
    """Stop once a round moves the centroids by less than this part of their spread (open)."""
    restarts: int = 20
    """k-means runs for the first clusters, the best kept; in a piecewise run also for the last ones (open)."""
    p2_restarts: int = 0
    """k-means runs from scratch in each P2, beside the one from the clusters there are (open)."""
    mixing: Mixing = "mixed"
    """Whether a filter of the second layer reads all maps (T_2 is 243 x 3) or one, "separate" (81 x 3) (open)."""
    layout: Layout = "grid"
    """How filters meet the features: 9 x 9 filters on a grid, or 1 x 9 filters on a line (open)."""
    pooling: Pooling = "ceil"
    """An odd last row is pooled with itself, or dropped, "floor" (open)."""
    start: Start = "glorot"
    """The first filters: Glorot-uniform, or "orthonormal" where the penalty is least (open)."""
    single: Single = "selu"
    """What follows the pooling of a network of one layer (open)."""

    def __post_init__(self):
        if self.clusters < 2:
            raise UsageError(f"clusters: must be at least 2, got {self.clusters}")
        if self.layers not in (1, 2):
            raise UsageError(f"layers: must be 1 or 2, got {self.layers}")
        for name, least in (
            ("filters", 1),
            ("kernel", 1),
            ("inner_steps", 1),
            ("rounds", 1),
            ("restarts", 1),
        ):
            if getattr(self, name) < least:
                raise UsageError(f"{name}: must be at least {least}, got {getattr(self, name)}")
        if self.p2_restarts < 0:
            raise UsageError(f"p2_restarts: must be at least 0, got {self.p2_restarts}")
        # Without the penalty all-zero filters and codes are a solution, and the best one.
        for name in ("penalty_weight", "mu", "learning_rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"{name}: must be above 0 and finite, got {getattr(self, name)}")
        for name in ("psi_weight", "tolerance"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UsageError(
                    f"{name}: must be at least 0 and finite, got {getattr(self, name)}"
                )
        for name, known in (
            ("residual", ("sum", "mean")),
            ("psi", ("none", "l1", "nonnegative")),
            ("z_update", ("adam", "exact")),
            ("moments", ("kept", "fresh")),
            ("mixing", ("mixed", "separate")),
            ("layout", ("grid", "line")),
            ("pooling", ("ceil", "floor")),
            ("start", ("glorot", "orthonormal")),
            ("single", ("selu", "linear")),
        ):
            if getattr(self, name) not in known:
                raise UsageError(
                    f"{name}: must be {' or '.join(known)}, got {getattr(self, name)!r}"
                )
        if self.z_update == "exact" and self.psi != "none":
            raise UsageError(f"z_update: exact must have psi none, got {self.psi}")


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the filters.
      codes: Z, float32, (n, d).
      labels: the clusters H, int32, (n,).
      centroids: mean codes of the clusters, float32, (clusters, d); an empty one's is where it was.
      opt_state: Adam's, of filters and codes, or with the closed form of the filters alone.
      rounds: done, int32.
    """

    variables: Variables
    codes: jax.Array
    labels: jax.Array
    centroids: jax.Array
    opt_state: optax.OptState
    rounds: jax.Array


class Info(NamedTuple):
    """float32 scalars of P1: its objective (eq. 6) before the step, and each term without its weight.

    ``residual`` and ``psi`` are the means over images, ``penalty`` the sum over layers, ``scatter`` the mean squared
    distance of a code to its cluster's mean.
    """

    loss: jax.Array
    residual: jax.Array
    penalty: jax.Array
    scatter: jax.Array
    psi: jax.Array


class RoundInfo(NamedTuple):
    """Scalars of P2: those of ``selftraining.RefreshInfo``, and how the round went.

    ``movement`` is the centroids', as a part of their spread; ``least_singular`` the smallest singular value of a
    layer's filters, 0 for the trivial solution.
    """

    changed: jax.Array
    empty_clusters: jax.Array
    largest_cluster: jax.Array
    movement: jax.Array
    least_singular: jax.Array


def network_settings(config: Config) -> dict[str, Any]:
    """What ``networks.dctl`` takes from the config."""
    names = ("layers", "filters", "kernel", "mixing", "layout", "pooling", "start", "single")
    return {name: getattr(config, name) for name in names}


def schedule(config: Config, n: int) -> Schedule:
    """A window is a round; every step takes all images, in their order.

    Raises:
      ValueError: more images times steps than an int32 counts.
    """
    if n * config.inner_steps * config.rounds >= 2**31:
        raise UsageError(
            f"rounds: times inner_steps and images must be below 2^31, got {config.rounds}"
        )
    return Schedule(n, config.inner_steps, config.rounds, "sequential")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Random filters, codes equal to their outputs, and k-means on the codes."""
    network_key, kmeans_key = jax.random.split(key)
    variables = network.init(network_key) if variables is None else variables
    codes = _constrained(config, encoded(network, variables, images))
    found = kmeans(kmeans_key, codes, config.clusters, restarts=config.restarts)
    centroids = _centroids(codes, found.labels, found.centroids)
    opt_state = _fresh(config, variables, codes)
    return State(variables, codes, found.labels, centroids, opt_state, jnp.int32(0))


def objective(
    config: Config, outputs: jax.Array, codes: jax.Array, labels: jax.Array, params: Any
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """P1's objective, eq. (6), or without the k-means term where features come first.

    Args:
      config: the settings.
      outputs: F, float32, (n, d).
      codes: Z, float32, (n, d).
      labels: int32, (n,).
      params: a layer's filters an array, (..., filters).

    Returns:
      The objective, float32 (), and the terms as in ``Info``.
    """
    n, d = codes.shape
    # Eq. (5) has sums over images and features; the terms below are means over images.
    scale = float(n) if config.residual == "sum" else 1 / d
    weights = {
        "residual": scale,
        "penalty": config.penalty_weight,
        "scatter": scale * _mu(config),
        "psi": scale * config.psi_weight if config.psi == "l1" else 0.0,
    }
    layers = [
        losses.filter_penalty(each.reshape(-1, each.shape[-1])) for each in jax.tree.leaves(params)
    ]
    terms = {
        "residual": d * losses.squared_error(outputs, codes),
        "penalty": sum(layers),
        "scatter": losses.cluster_scatter(codes, labels, config.clusters),
        "psi": jnp.sum(jnp.abs(codes), axis=1),
    }
    return losses.weighted(weights, terms)


def exact_codes(outputs: jax.Array, labels: jax.Array, clusters: int, mu: float) -> jax.Array:
    """The codes that minimise P1 for given filters where psi is none: Z = m + (F - m) / (1 + mu).

    m are the cluster means of F, which are those of Z too. What is left of residual and k-means term is mu / (1 + mu)
    times the scatter of F.

    Args:
      outputs: F, float32, (n, d).
      labels: int32, (n,).
      clusters: how many.
      mu: weight of the k-means term; 0 gives F.
    """
    means = cluster_means(outputs, labels, clusters)[labels]
    return means + (outputs - means) / (1 + mu)


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """One step of P1 on filters and codes (eq. 6). ``batch`` is all images in order, as ``schedule`` says."""
    del key, rows

    def loss(trained):
        params, codes = trained if config.z_update == "adam" else (trained, None)
        outputs, _ = network.encode(Variables(params, state.variables.stats), batch, True)
        if codes is None:
            # At the least value over the codes their own gradient is zero.
            codes = exact_codes(
                jax.lax.stop_gradient(outputs), state.labels, config.clusters, _mu(config)
            )
        total, means = objective(config, outputs, codes, state.labels, params)
        return total, (means, codes)

    trained = _trained(config, state.variables, state.codes)
    trained, opt_state, total, (means, codes) = optimizers.gradient_step(
        optax.adam(config.learning_rate), loss, trained, state.opt_state
    )
    params, codes = trained if config.z_update == "adam" else (trained, codes)
    variables = Variables(params, state.variables.stats)
    state = state._replace(
        variables=variables, codes=_constrained(config, codes), opt_state=opt_state
    )
    return state, Info(total, **means)


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RoundInfo]:
    """P2, eq. (7): k-means on the codes from the clusters there are; stop once the centroids have settled.

    Codes answer to the filters one step late, so that the first round does not count as settled; the closed form's are
    taken anew at the end, of the last filters.
    """
    p2_key, last_key = jax.random.split(key)
    start = _centroids(state.codes, state.labels, state.centroids)
    found = lloyd(state.codes, start)
    if config.p2_restarts:
        other = kmeans(p2_key, state.codes, config.clusters, restarts=config.p2_restarts)
        found = jax.tree.map(
            lambda a, b: jnp.where(other.inertia < found.inertia, a, b), other, found
        )
    labels = better(state.codes, state.labels, found.labels, config.clusters)
    centroids = _centroids(state.codes, labels, start)
    spread = jnp.linalg.norm(state.centroids - jnp.mean(state.centroids, axis=0))
    movement = jnp.linalg.norm(centroids - state.centroids) / jnp.maximum(
        spread, jnp.finfo(jnp.float32).tiny
    )
    rounds = state.rounds + 1
    stop = (movement < config.tolerance) & (rounds > 1)

    def end():
        codes = state.codes
        if config.z_update == "exact":
            outputs = encoded(network, state.variables, images)
            codes = exact_codes(outputs, labels, config.clusters, _mu(config))
        if config.joint:
            return codes, labels, _centroids(codes, labels, centroids)
        # Features first, k-means after: from scratch, unless the clusters there are are better.
        last = kmeans(last_key, codes, config.clusters, restarts=config.restarts)
        final = better(codes, labels, last.labels, config.clusters)
        otherwise = jnp.where(jnp.all(final == labels), centroids, last.centroids)
        return codes, final, _centroids(codes, final, otherwise)

    changed = self_training.fraction_changed(state.labels, labels)
    # Under vmap both branches run in every round, where a lane of map or shard runs one.
    now = (state.codes, labels, centroids)
    codes, labels, centroids = jax.lax.cond(stop | (rounds >= config.rounds), end, lambda: now)
    # A last k-means from scratch numbers the clusters anew.
    info = self_training.change(state.labels, labels, config.clusters)._replace(changed=changed)
    opt_state = (
        _fresh(config, state.variables, codes) if config.moments == "fresh" else state.opt_state
    )
    state = State(state.variables, codes, labels, centroids, opt_state, rounds)
    return state, stop, RoundInfo(*info, movement, _least_singular(state.variables.params))


def better(codes: jax.Array, old: jax.Array, new: jax.Array, clusters: int) -> jax.Array:
    """Those of two labelings of the codes with the smaller k-means term; the old ones of equals."""
    old_term, new_term = (
        jnp.sum(losses.cluster_scatter(codes, labels, clusters)) for labels in (old, new)
    )
    return jnp.where(new_term < old_term, new, old)


def finish(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> dict[str, jax.Array]:
    """The clusters H, of the codes."""
    del config, network, key, images
    return {"": state.labels}


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """Outputs F of the filters, float32 (n, d)."""
    del config
    return encoded(network, state.variables, images)


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The centroid nearest to F. Codes, and so the clusters of a run's own images, are of those images alone."""
    return nearest(embed(config, network, state, images), state.centroids)


def _least_singular(params):
    layers = [each.reshape(-1, each.shape[-1]) for each in jax.tree.leaves(params)]
    return jnp.min(jnp.stack([jnp.linalg.svd(each, compute_uv=False)[-1] for each in layers]))


def _mu(config):
    return config.mu if config.joint else 0.0


def _trained(config, variables, codes):
    return (variables.params, codes) if config.z_update == "adam" else variables.params


def _fresh(config, variables, codes):
    return optax.adam(config.learning_rate).init(_trained(config, variables, codes))


def _constrained(config, codes):
    return jnp.maximum(codes, 0) if config.psi == "nonnegative" else codes


def _centroids(codes, labels, otherwise):
    """Means of the clusters; those of empty ones as given."""
    clusters = otherwise.shape[0]
    sizes = jnp.zeros(clusters, jnp.int32).at[labels].add(1)
    return jnp.where(sizes[:, None] > 0, cluster_means(codes, labels, clusters), otherwise)


ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    step,
    embed,
    predict,
    refresh=refresh,
    finish=finish,
    name="dctl",
    network_settings=network_settings,
)

METHODS = (
    Method(
        "dctl",
        "Deep convolutional transform learning with k-means (Goel et al. 2022)",
        "Goel, Majumdar, Chouzenoux, Chierchia 2022",
        ALGORITHM,
        networks.dctl,
        Config(),
    ),
)
