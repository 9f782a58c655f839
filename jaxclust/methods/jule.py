"""JULE: agglomerative clustering and a CNN, in turns (Yang, Parikh, Batra: Joint Unsupervised Learning, CVPR 2016).

A period trains the network for some epochs on the clusters there are, takes the features of all images, and merges
clusters on their graph; the last merges end the run (algorithm 1). A window of the driver is one epoch, so that a run
can stop and go on inside a period. Seeds differ in their number of clusters on the way: labels have fixed shapes, and
the clusters' numbers, below n // 2, have gaps.

``sf`` are the labels when the recurrence ends; ``rc`` those of clustering the final features again from scratch
(section 4.1.3).
"""

import dataclasses
import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.custom_batching import sequential_vmap

from jaxclust import networks
from jaxclust.errors import UsageError
from jaxclust.ops import losses
from jaxclust.ops.assignment import cluster_means, fraction_changed, nearest, squared_distances
from jaxclust.ops.batches import encoded, in_blocks, scaled
from jaxclust.ops.graph_linkage import Affinity, History, join_isolated, merge, no_merges
from jaxclust.ops.neighbor_graph import Graph, first_numbered, initial_clusters, knn_digraph, unit
from jaxclust.types import Algorithm, Key, Method, Network, Prediction, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Defaults: the paper's (table 2, section 4.1.2); where it is silent, as said."""

    clusters: int = 10
    """Number of clusters to end with, n_c* (section 3.6)."""
    n_neighbors: int = 20
    """K_s, nearest neighbours of a sample (table 2)."""
    a: float = 1.0
    """Scale of sigma^2 in eq. (4) (table 2)."""
    n_local: int = 5
    """K_c, nearest clusters in eq. (7), and nearest negatives in eq. (11) (table 2)."""
    local_weight: float = 1.0
    """lambda of eq. (7) (table 2)."""
    local_above: int = 0
    """lambda counts only above this number of clusters; the authors' Torch code has 100."""
    unrolling_rate: float = 0.9
    """eta: the share of the clusters that a period merges away (table 2); 0.2 for faces. To three decimals."""
    affinity: Affinity = "exact"
    """fast: the approximation that the authors' Torch code takes by default."""
    join_isolated: bool = True
    """Above 20 times the final number, clusters without any affinity first join the nearest mean (Torch code)."""
    center_features: bool = False
    """The graph is of the features less their mean, of unit length again; the Torch code's flag caps lengths at 1."""
    first_merge: Literal["features", "pixels"] = "features"
    """The first merges work on features, after a period on the first clusters (code), or on pixels (algorithm 1)."""
    epochs: int = 20
    """Passes over the images in a period ("about 20", section 3.6)."""
    batch: int = 100
    """Images per step (Torch code; 128 in the published Caffe networks)."""
    gamma: float = 2.0
    """Weight of the pairs of one cluster in eq. (11) (table 2); the Torch code has 1, Caffe's network file 0.1."""
    negatives: Literal["nearest", "random"] = "nearest"
    """The n_local nearest of other clusters in the batch (section 3.5.2), or n_random drawn (authors' codes)."""
    n_random: int = 20
    """Random negatives of each image (authors' Torch code, 10 in Caffe's; there of each pair)."""
    margin: float | None = None
    """None for eq. (11), which has no margin; the authors' codes have max(0, . + 0.2) (Torch) and 0.1 (Caffe)."""
    hinge: Literal["weighted", "plain"] = "weighted"
    """What the margin is held against: gamma d_ij - d_ik (Torch), or d_ij - d_ik, gamma in the gradient alone (Caffe);
    d are squared distances."""
    sample_affinity: Literal["distance", "exponential"] = "distance"
    """A of two samples in eq. (11), which the paper leaves open: -|x - y|^2, or exp(-|x - y|^2 / sigma^2)
    with the sigma of the last graph, which in the first period is that of the pixels."""
    learning_rate: float = 0.01
    """Base rate of SGD (section 4.1.2)."""
    momentum: float = 0.9
    """Section 4.1.2."""
    dampening: float = 0.0
    """The gradient counts 1 - dampening: 0 in Caffe, which made the paper's tables; the momentum in the Torch code."""
    weight_decay: float = 5e-5
    """Section 4.1.2."""
    rate_decay: float = 1e-4
    """Rate * (1 + rate_decay * steps) ** -rate_power (section 4.1.2)."""
    rate_power: float = 0.75
    """Section 4.1.2."""
    restart_rate: bool = True
    """Steps count from the beginning of each period (section 4.1.2), not of the run (authors' codes)."""

    def __post_init__(self):
        if self.clusters < 2:
            raise UsageError(f"clusters: must be at least 2, got {self.clusters}")
        for name, least in (
            ("n_neighbors", 1),
            ("n_local", 2),
            ("epochs", 1),
            ("batch", 2),
            ("n_random", 1),
        ):
            if getattr(self, name) < least:
                raise UsageError(f"{name}: must be at least {least}, got {getattr(self, name)}")
        for name in ("a", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name}: must be above 0 and finite, got {getattr(self, name)}")
        for name in (
            "local_weight",
            "local_above",
            "gamma",
            "weight_decay",
            "rate_decay",
            "rate_power",
        ):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(
                    f"{name}: must be at least 0 and finite, got {getattr(self, name)}"
                )
        if self.margin is not None and not 0 <= self.margin < math.inf:
            raise UsageError(f"margin: must be None, or at least 0 and finite, got {self.margin}")
        if self.margin is None and self.hinge == "plain":
            raise UsageError("hinge: must be weighted where margin is None, got 'plain'")
        for name in ("momentum", "dampening"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name}: must be in [0, 1), got {getattr(self, name)}")
        if not 0.001 <= self.unrolling_rate <= 1:
            raise UsageError(f"unrolling_rate: must be in [0.001, 1], got {self.unrolling_rate}")
        for name, names in (
            ("affinity", ("exact", "fast")),
            ("first_merge", ("features", "pixels")),
            ("negatives", ("nearest", "random")),
            ("sample_affinity", ("distance", "exponential")),
            ("hinge", ("weighted", "plain")),
        ):
            if getattr(self, name) not in names:
                raise UsageError(
                    f"{name}: must be {' or '.join(names)}, got {getattr(self, name)!r}"
                )


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      opt_state: SGD's.
      labels: clusters so far, int32 (n,), in 0..n//2-1, with gaps.
      initial: the first clusters, int32 (n,); with ``history`` they give the labels at any number of clusters.
      history: all merges.
      sigma: width of the last graph's affinities, float32.
      epoch: epochs done in this period, int32.
      steps: steps that the learning rate counts, int32.
      rc: labels of clustering the final features again, int32 (n,); -1 before the end.
      means: of the clusters ``rc`` in the embedding, float32 (k, 160); zero before the end.
    """

    variables: Variables
    opt_state: optax.OptState
    labels: jax.Array
    initial: jax.Array
    history: History
    sigma: jax.Array
    epoch: jax.Array
    steps: jax.Array
    rc: jax.Array
    means: jax.Array


class Info(NamedTuple):
    """float32 scalars of a batch: the mean loss of its triplets, 0 without any, and the number of its ordered pairs
    (i, j) of one cluster."""

    loss: jax.Array
    pairs: jax.Array


class RefreshInfo(NamedTuple):
    """After an epoch: clusters, int32; the largest one's share of the images, that of the images which merges gave
    another cluster, and sigma, float32."""

    n_clusters: jax.Array
    largest_cluster: jax.Array
    changed: jax.Array
    sigma: jax.Array


def _optimizer(config: Config) -> optax.GradientTransformation:
    """SGD without its rate."""
    return optax.chain(
        optax.add_decayed_weights(config.weight_decay),
        optax.scale(1 - config.dampening),
        optax.trace(config.momentum),
    )


def after_period(config: Config, clusters: int | jax.Array) -> int | jax.Array:
    """Clusters left of ``clusters`` by a period's merges, ceil(eta * clusters) of them (section 3.6), or the target."""
    left = clusters * (1000 - round(1000 * config.unrolling_rate)) // 1000
    return (
        max(left, config.clusters) if isinstance(left, int) else jnp.maximum(left, config.clusters)
    )


def schedule(config: Config, n: int) -> Schedule:
    """A window is an epoch. As many periods as n // 2 first clusters would need: a run has fewer, and stops."""
    batch = min(config.batch, n)
    clusters, periods = n // 2, 1
    while (clusters := after_period(config, clusters)) > config.clusters:
        periods += 1
    return Schedule(batch, -(-n // batch), periods * config.epochs, "shuffled")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """First clusters: the components of the one-nearest-neighbour graph of the pixels, scaled to unit length.

    Where there are no more of them than ``config.clusters``, they stay, and the run ends after one period.

    Raises:
      ValueError: fewer than n_neighbors + 1 images.
    """
    n = images.shape[0]
    variables = network.init(key) if variables is None else variables
    pixels = unit(scaled(images).reshape(n, -1))
    graph = knn_digraph(pixels, config.n_neighbors, config.a)
    initial = initial_clusters(graph)
    state = State(
        variables=variables,
        opt_state=_optimizer(config).init(variables.params),
        labels=initial,
        initial=initial,
        history=no_merges(n),
        sigma=graph.sigma,
        epoch=jnp.int32(0),
        steps=jnp.int32(0),
        rc=jnp.full(n, -1, jnp.int32),
        means=jnp.zeros((config.clusters, _width(network, variables, images)), jnp.float32),
    )
    return _merged(config, state, graph, pixels) if config.first_merge == "pixels" else state


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """One step of SGD on the weighted triplet loss (eq. 11), averaged over the batch's triplets."""
    labels = state.labels[rows]

    def loss(params):
        features, stats = network.encode(Variables(params, state.variables.stats), batch, True)
        affinity = -squared_distances(features, features)
        if config.sample_affinity == "exponential":
            # 0 among duplicates alone, whose affinity stays 1.
            affinity = jnp.exp(affinity / jnp.maximum(state.sigma**2, jnp.finfo(jnp.float32).tiny))
        if config.negatives == "nearest":
            negatives = losses.nearest_negatives(
                lax.stop_gradient(affinity), labels, min(config.n_local, len(rows))
            )
        else:
            negatives = losses.random_negatives(key, labels, min(config.n_random, len(rows)))
        values, counts = losses.weighted_triplet(
            affinity, labels, negatives, config.gamma, config.margin, config.hinge
        )
        # A batch without a pair of one cluster has no triplet, and leaves the network to the weight decay.
        total = jnp.sum(jnp.where(counts, values, 0)) / jnp.maximum(jnp.sum(counts), 1)
        return total, (stats, jnp.sum(jnp.any(counts, axis=2)).astype(jnp.float32))

    params = state.variables.params
    (value, (stats, pairs)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    updates, opt_state = _optimizer(config).update(gradient, state.opt_state, params)
    rate = (
        config.learning_rate
        * (1 + config.rate_decay * state.steps.astype(jnp.float32)) ** -config.rate_power
    )
    params = jax.tree.map(lambda param, update: param - rate * update, params, updates)
    state = state._replace(
        variables=Variables(params, stats), opt_state=opt_state, steps=state.steps + 1
    )
    return state, Info(value, pairs)


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """At the end of a period its merges, on the features; after the last, the clustering from scratch (RC)."""
    state = state._replace(epoch=state.epoch + 1)
    ends = state.epoch >= config.epochs

    # Lanes differ in when they end a period and how many clusters they have: under vmap one after the other.
    @sequential_vmap
    def merges(key, state, images):
        return lax.cond(
            state.epoch >= config.epochs,
            lambda state: _period_end(config, network, key, state, images),
            lambda state: state,
            state,
        )

    before, state = state.labels, merges(key, state, images)
    count = _count(state.labels)
    largest = jnp.max(_sizes(state.labels)).astype(jnp.float32) / jnp.float32(images.shape[0])
    changed = fraction_changed(before, state.labels)
    return (
        state,
        ends & (count <= config.clusters),
        RefreshInfo(count, largest, changed, state.sigma),
    )


def finish(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> dict[str, jax.Array]:
    """Both labelings of the paper's tables, int32 (n,): ``rc``, which ``predict`` goes by, and ``sf``."""
    del config, network, key, images
    return {"rc": state.rc, "sf": first_numbered(state.labels)}


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """Features of unit length, with the running statistics; float32 (n, 160)."""
    return encoded(network, state.variables, images, config.batch)


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The nearest cluster mean of ``rc`` in the embedding (ours: the paper has no new images).

    Images that the run was fitted on may get another cluster than theirs. The probability is Student's t similarity to
    the means (DEC's eq. 1), as for the other methods.
    """
    return nearest(embed(config, network, state, images), state.means)


def _period_end(config: Config, network: Network, key: Key, state: State, images) -> State:
    # Features by batch statistics, as in the Torch code, but of mixed batches: an ordered data set has batches of
    # one class.
    order = jax.random.permutation(key, images.shape[0])
    drawn = in_blocks(
        lambda block: network.encode(state.variables, block, True)[0], images[order], config.batch
    )
    features = _for_graph(config, jnp.zeros_like(drawn).at[order].set(drawn))
    graph = knn_digraph(features, config.n_neighbors, config.a)
    state = _merged(config, state, graph, features)
    state = state._replace(
        epoch=jnp.int32(0),
        sigma=graph.sigma,
        steps=jnp.int32(0) if config.restart_rate else state.steps,
    )
    return lax.cond(
        _count(state.labels) <= config.clusters,
        lambda state: _again(config, network, state, images),
        lambda state: state,
        state,
    )


def _merged(config: Config, state: State, graph: Graph, features: jax.Array) -> State:
    """A period's merges."""
    labels, history = _joined(config, graph, features, state.labels, state.history)
    labels, history = _merge(config, graph, labels, after_period(config, _count(labels)), history)
    return state._replace(labels=labels, history=history)


def _again(config: Config, network: Network, state: State, images: jax.Array) -> State:
    """RC: clustering the final features from scratch, and the clusters' means."""
    features = embed(config, network, state, images)
    points = _for_graph(config, features)
    graph = knn_digraph(points, config.n_neighbors, config.a)
    labels, history = _joined(
        config, graph, points, initial_clusters(graph), no_merges(images.shape[0])
    )
    labels = first_numbered(_merge(config, graph, labels, config.clusters, history)[0])
    return state._replace(rc=labels, means=cluster_means(features, labels, config.clusters))


def _for_graph(config: Config, features: jax.Array) -> jax.Array:
    """What the clusters are merged on: the features, or their directions from the mean."""
    return unit(features - jnp.mean(features, axis=0)) if config.center_features else features


def _merge(config: Config, graph: Graph, labels, n_clusters, history: History):
    return merge(
        graph,
        labels,
        n_clusters,
        history,
        config.local_weight,
        config.n_local,
        local_above=config.local_above,
        affinity=config.affinity,
    )


def _joined(config: Config, graph: Graph, features, labels, history: History):
    """Isolated clusters joined, where that applies."""
    if not config.join_isolated:
        return labels, history
    return lax.cond(
        _count(labels) > 20 * config.clusters,
        lambda: join_isolated(graph, features, labels, config.clusters, history),
        lambda: (labels, history),
    )


def _sizes(labels: jax.Array) -> jax.Array:
    """Images in each cluster, int32 (n // 2,)."""
    return jnp.zeros(labels.shape[0] // 2, jnp.int32).at[labels].add(1)


def _count(labels: jax.Array) -> jax.Array:
    """Clusters there are, int32."""
    return jnp.sum(_sizes(labels) > 0, dtype=jnp.int32)


def _width(network: Network, variables: Variables, images: jax.Array) -> int:
    """Number of features."""
    return jax.eval_shape(lambda: network.encode(variables, images[:1], False)[0]).shape[1]


# "rc" clusters the final features again from scratch, and predict goes by it; "sf" are the labels
# when the recurrence ends.
ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    step,
    embed,
    predict,
    refresh=refresh,
    finish=finish,
    name="jule",
    labelings=("rc", "sf"),
)

_TORCH = {
    "negatives": "random",
    "margin": 0.2,
    "gamma": 1.0,
    "local_above": 100,
    "restart_rate": False,
}
# Caffe's loss is half of ours: half the rate and twice the decay give the same steps.
_CAFFE = {
    "negatives": "random",
    "n_random": 10,
    "margin": 0.1,
    "hinge": "plain",
    "restart_rate": False,
    "learning_rate": 0.005,
    "weight_decay": 1e-4,
}

METHODS = (
    Method(
        "jule",
        "Joint Unsupervised Learning (Yang et al. 2016)",
        "Yang, Parikh, Batra 2016",
        ALGORITHM,
        networks.jule,
        Config(),
        presets={"paper": {}, "quick": {"epochs": 5}, "code": _TORCH, "caffe": _CAFFE},
    ),
)
