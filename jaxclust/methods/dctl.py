"""DCTL: k-means on deep convolutional transform learning, without a decoder.

Goel, Majumdar, Chouzenoux, Chierchia: Deep Convolutional K-Means Clustering. Filters T and codes Z
of all images solve

    min ||F - Z||^2 + psi(Z) + lambda sum_i (||T_i||^2 - logdet T_i)
        + mu ||Z - Z H' (H H')^-1 H||^2                                                     (eq. 5)

with the outputs F of the filters and the clusters H. P1 (eq. 6) trains T and Z by Adam with H
fixed; P2 (eq. 7) is k-means on Z with T and Z fixed. They take turns until the centroids settle. A
window of the driver is one round of both.
"""

import dataclasses
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust import networks
from jaxclust.errors import UsageError
from jaxclust.methods import checks, self_training
from jaxclust.methods.dctl_codes import (
    better,
    centroids_of,
    exact_codes,
    filter_matrices,
    least_singular,
)
from jaxclust.networks.dctl import Architecture, Layout, Mixing, Pooling, Single, Start
from jaxclust.ops import losses, optimizers
from jaxclust.ops.assignment import nearest
from jaxclust.ops.batches import encoded
from jaxclust.ops.kmeans import kmeans, lloyd
from jaxclust.ops.moved_images import Augment, augmented
from jaxclust.types import NEW, Algorithm, Key, Method, Network, Prediction, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; the defaults are those of section 4.

    "Open" marks what the paper leaves open; those defaults are ours.
    """

    clusters: int = 10
    """Number of clusters k."""
    layers: int = 2
    """Layers of filters, 1 or 2 (sections 3 and 4.1)."""
    filters: int = 3
    """Filters of each layer (section 4)."""
    kernel: int = 9
    """Rows and columns of a filter (section 4)."""
    penalty_weight: float = 1e-3
    """lambda, the weight of the penalty on the filters (section 4)."""
    mu: float = 1.0
    """Weight of the k-means term (section 4)."""
    joint: bool = True
    """Whether P1 has the k-means term. Without it features come first and k-means comes last
    (section 4.1, piecewise)."""
    residual: Literal["sum", "mean"] = "sum"
    """Squared norms are summed over images and features (eq. 5), or averaged; this decides the
    relative weight of lambda."""
    psi: Literal["none", "l1", "nonnegative"] = "none"
    """The penalty on codes: none, the sum of absolute values, or a projection to codes of at least
    0 (open)."""
    psi_weight: float = 0.1
    """Weight of psi = l1 (open)."""
    z_update: Literal["adam", "exact"] = "exact"
    """Codes are trained by Adam like the filters (section 3), or set to their closed form, which
    exists for psi = none."""
    inner_steps: int = 1
    """Steps of Adam in the P1 of a round (open)."""
    learning_rate: float = 1e-2
    """Step size of Adam (open)."""
    moments: Literal["kept", "fresh"] = "kept"
    """The moments of Adam are kept from round to round, or start anew in each round (open)."""
    rounds: int = 50
    """Largest number of rounds of P1 and P2 ("converges within 50 iterations", section 4.1)."""
    tolerance: float = 1e-3
    """Stop once a round moves the centroids by less than this part of their spread (open)."""
    restarts: int = 20
    """k-means runs for the first clusters, and in a piecewise run for the last ones; the best run
    counts (open)."""
    p2_restarts: int = 0
    """k-means runs from scratch in each P2, beside the one from the present clusters (open)."""
    mixing: Mixing = "mixed"
    """A filter of the second layer reads all maps (T_2 is 243 x 3), or one map, "separate" (T_2 is
    81 x 3) (open)."""
    layout: Layout = dataclasses.field(default="grid", metadata={"flag": "filter_layout"})
    """Filters of 9 x 9 on a grid of features, or of 1 x 9 on a line of features (open)."""
    pooling: Pooling = "ceil"
    """An odd last row is pooled with itself, or dropped, "floor" (open)."""
    start: Start = "glorot"
    """The first filters are Glorot-uniform, or "orthonormal", where the penalty is least (open)."""
    single: Single = "selu"
    """What follows the pooling of a network of one layer (open)."""
    augment: Augment = dataclasses.field(default="none", metadata=NEW)
    """How steps change their images at random: "affine" turns and shifts them, unless a side
    has fewer than 16 pixels (DEC-DA)."""

    def __post_init__(self):
        checks.at_least(self, 2, "clusters")
        if self.layers not in (1, 2):
            raise UsageError(f"layers: must be 1 or 2, got {self.layers}")
        checks.at_least(self, 1, "filters", "kernel", "inner_steps", "rounds", "restarts")
        checks.at_least(self, 0, "p2_restarts")
        # Without the penalty, filters and codes that are all zero are the best solution.
        checks.positive(self, "penalty_weight", "mu", "learning_rate")
        checks.nonnegative(self, "psi_weight", "tolerance")
        checks.choices(self, " or ".join)
        if self.z_update == "exact" and self.psi != "none":
            raise UsageError(f"z_update: exact must have psi none, got {self.psi}")


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the filters.
      codes: Z, float32, (n, d).
      labels: the clusters H, int32, (n,).
      centroids: mean codes of the clusters, float32, (clusters, d); that of an empty cluster stays
        where it was.
      opt_state: the arrays of Adam for filters and codes, or for the filters alone where the codes
        have their closed form.
      rounds: number of rounds done, int32.
    """

    variables: Variables
    codes: jax.Array
    labels: jax.Array
    centroids: jax.Array
    opt_state: optax.OptState
    rounds: jax.Array


class Info(NamedTuple):
    """Scalars of a step of P1, float32; the terms are without their weights.

    Attributes:
      loss: the objective (eq. 6) before the step.
      residual: the mean over images.
      penalty: the sum over layers.
      scatter: the mean squared distance of a code to the mean of its cluster.
      psi: the mean over images.
    """

    loss: jax.Array
    residual: jax.Array
    penalty: jax.Array
    scatter: jax.Array
    psi: jax.Array


class RoundInfo(NamedTuple):
    """Scalars at the end of a round.

    Attributes:
      changed: as in ``self_training.RefreshInfo``.
      empty_clusters: as there.
      largest_cluster: as there.
      movement: how far the centroids moved, as a part of their spread, float32.
      least_singular: smallest singular value of a layer's filters, float32; 0 for the trivial
        solution.
    """

    changed: jax.Array
    empty_clusters: jax.Array
    largest_cluster: jax.Array
    movement: jax.Array
    least_singular: jax.Array


def network_settings(config: Config) -> dict[str, Architecture]:
    """What ``networks.dctl`` takes from the config: its architecture."""
    fields = {name: getattr(config, name) for name in Architecture._fields}
    return {"architecture": Architecture(**fields)}


def schedule(config: Config, n: int) -> Schedule:
    """A window is a round; every step takes all images in their order.

    Raises:
      UsageError: images times steps are more than an int32 can count.
    """
    if n * config.inner_steps * config.rounds >= 2**31:
        rule = "rounds: times inner_steps and images must be below 2^31"
        raise UsageError(f"{rule}, got {config.rounds}")
    return Schedule(n, config.inner_steps, config.rounds, "sequential")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Makes random filters, codes equal to their outputs, and clusters by k-means on the codes."""
    network_key, kmeans_key = jax.random.split(key)
    variables = network.init(network_key) if variables is None else variables
    codes = _constrained(config, encoded(network, variables, images))
    start = kmeans(kmeans_key, codes, config.clusters, restarts=config.restarts)
    centroids = centroids_of(codes, start.labels, start.centroids)
    opt_state = _fresh_moments(config, variables, codes)
    return State(variables, codes, start.labels, centroids, opt_state, jnp.int32(0))


def objective(
    config: Config, outputs: jax.Array, codes: jax.Array, labels: jax.Array, params: Any
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The objective of P1 (eq. 6); without the k-means term where features come first.

    Args:
      config: the settings.
      outputs: F, float32, (n, d).
      codes: Z, float32, (n, d).
      labels: int32, (n,).
      params: one array of filters for each layer, float32, (..., filters).

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
    terms = {
        "residual": d * losses.squared_error(outputs, codes),
        "penalty": sum(losses.filter_penalty(layer) for layer in filter_matrices(params)),
        "scatter": losses.cluster_scatter(codes, labels, config.clusters),
        "psi": jnp.sum(jnp.abs(codes), axis=1),
    }
    return losses.weighted(weights, terms)


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """Makes one step of P1 on filters and codes (eq. 6).

    ``batch`` holds all images in their order, as ``schedule`` says.
    """
    del rows
    batch = augmented(config.augment, key, batch)

    def loss(trained):
        params, codes = trained if config.z_update == "adam" else (trained, None)
        outputs, _ = network.encode(Variables(params, state.variables.stats), batch, True)
        if codes is None:
            # At the minimum over the codes, the gradient with respect to them is zero.
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
    """Makes P2, k-means on the codes from the present clusters (eq. 7).

    The run stops once the centroids have settled. Codes follow the filters one step late, so that
    the first round never counts as settled. At the end, codes in closed form are computed anew from
    the last filters.
    """
    p2_key, last_key = jax.random.split(key)
    start = centroids_of(state.codes, state.labels, state.centroids)
    clustering = lloyd(state.codes, start)
    if config.p2_restarts:
        restarted = kmeans(p2_key, state.codes, config.clusters, restarts=config.p2_restarts)
        better_restart = restarted.inertia < clustering.inertia
        clustering = jax.tree.map(
            lambda new, old: jnp.where(better_restart, new, old), restarted, clustering
        )
    labels = better(state.codes, state.labels, clustering.labels, config.clusters)
    centroids = centroids_of(state.codes, labels, start)
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
            return codes, labels, centroids_of(codes, labels, centroids)
        # Features come first and k-means comes last: from scratch, unless the present clusters are
        # better.
        last = kmeans(last_key, codes, config.clusters, restarts=config.restarts)
        final = better(codes, labels, last.labels, config.clusters)
        otherwise = jnp.where(jnp.all(final == labels), centroids, last.centroids)
        return codes, final, centroids_of(codes, final, otherwise)

    changed = self_training.fraction_changed(state.labels, labels)
    # Under vmap both branches run in every round; a lane of "map" or "shard" runs one of them.
    present = (state.codes, labels, centroids)
    codes, labels, centroids = jax.lax.cond(stop | (rounds >= config.rounds), end, lambda: present)
    # A last k-means from scratch numbers the clusters anew, which is no change.
    info = self_training.change(state.labels, labels, config.clusters)._replace(changed=changed)
    opt_state = state.opt_state
    if config.moments == "fresh":
        opt_state = _fresh_moments(config, state.variables, codes)
    singular = least_singular(state.variables.params)
    state = State(state.variables, codes, labels, centroids, opt_state, rounds)
    return state, stop, RoundInfo(*info, movement, singular)


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """The outputs F of the filters, float32 (n, d)."""
    del config
    return encoded(network, state.variables, images)


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The centroid nearest to F.

    Only the images of the run have codes. Their clusters are those of the codes, and may differ.
    """
    return nearest(embed(config, network, state, images), state.centroids)


def _mu(config: Config) -> float:
    """The weight of the k-means term in P1."""
    return config.mu if config.joint else 0.0


def _trained(config: Config, variables: Variables, codes: jax.Array) -> Any:
    """The arrays that Adam moves."""
    return (variables.params, codes) if config.z_update == "adam" else variables.params


def _fresh_moments(config: Config, variables: Variables, codes: jax.Array) -> optax.OptState:
    return optax.adam(config.learning_rate).init(_trained(config, variables, codes))


def _constrained(config: Config, codes: jax.Array) -> jax.Array:
    return jnp.maximum(codes, 0) if config.psi == "nonnegative" else codes


ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    step,
    embed,
    predict,
    refresh=refresh,
    finish=self_training.kept_labels,  # The clusters H of the codes.
    name="dctl",
    centers="centroids",
    soft=self_training.student_t,
    network_settings=network_settings,
)

_DEFAULT = Config(layers=1, filters=8, kernel=3)

METHODS = (
    Method(
        name="dctl",
        about="Deep convolutional transform learning with k-means (Goel et al. 2022)",
        reference="Goel, Majumdar, Chouzenoux, Chierchia 2022",
        algorithm=ALGORITHM,
        network=networks.dctl,
        config=_DEFAULT,
        presets={
            "default": {},
            "paper": checks.changes(_DEFAULT, Config()),
            "quick": {"rounds": 20},
        },
        caution="on digits dctl scores below k-means on pixels",
    ),
)
