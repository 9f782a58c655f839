"""JULE: agglomerative clustering and the training of a CNN take turns.

Yang, Parikh, Batra: Joint Unsupervised Learning of Deep Representations and Image Clusters, CVPR
2016. A period trains the network for some epochs on the present clusters, computes the features of
all images, and merges clusters on the graph of the features; the last merges end the run
(algorithm 1). A window of the driver is one epoch, so that a run can stop and go on inside a
period.

There are two labelings. ``sf`` are the clusters at the end of the recurrence; ``rc`` are the
clusters that a clustering of the final features from scratch gives (section 4.1.3).
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
from jaxclust.methods import checks, jule_merging, self_training
from jaxclust.methods.jule_merging import Merging
from jaxclust.methods.jule_triplets import Triplets, triplet_loss
from jaxclust.ops.assignment import fraction_changed, nearest
from jaxclust.ops.batches import encoded, scaled
from jaxclust.ops.graph_linkage import Affinity, History, no_merges
from jaxclust.ops.moved_images import Augment, augmented
from jaxclust.ops.neighbor_graph import Graph, first_numbered, initial_clusters, unit
from jaxclust.types import NEW, Algorithm, Key, Method, Network, Prediction, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; where nothing else is said, defaults are the paper's (table 2, section 4.1.2)."""

    clusters: int = 10
    """Number of clusters at the end, n_c* (section 3.6)."""
    n_neighbors: int = 20
    """K_s, nearest neighbors of a sample (table 2)."""
    a: float = 1.0
    """Scale of sigma^2 in eq. (4) (table 2)."""
    n_local: int = 5
    """K_c, nearest clusters in eq. (7), and nearest negatives in eq. (11) (table 2)."""
    local_weight: float = 1.0
    """lambda of eq. (7) (table 2)."""
    local_above: int = 0
    """Number of clusters above which lambda counts; 100 in the authors' Torch code."""
    unrolling_rate: float = 0.9
    """eta, the share of the clusters that a period merges away, to three decimals (table 2); 0.2
    for faces."""
    affinity: Affinity = "exact"
    """Affinities of merged clusters; "fast" is the approximation of the authors' Torch code."""
    join_isolated: bool = True
    """Above 20 times the final number of clusters, clusters without any affinity first join the
    cluster with the nearest mean (authors' Torch code)."""
    center_features: bool = False
    """Whether the graph is made from the features minus their mean, scaled to unit length again;
    the flag of the Torch code caps lengths at 1 instead."""
    first_merge: Literal["features", "pixels"] = "features"
    """The first merges use features, after a period on the first clusters (authors' code), or
    pixels (algorithm 1)."""
    epochs: int = 20
    """Passes over the images in a period ("about 20", section 3.6)."""
    batch: int = 100
    """Images per step (authors' Torch code; 128 in the published Caffe networks)."""
    gamma: float = 2.0
    """Weight of the pairs of one cluster in eq. (11) (table 2); 1 in the Torch code, 0.1 in the
    network file of the Caffe code."""
    negatives: Literal["nearest", "random"] = "nearest"
    """The negatives of an image: the n_local nearest images of other clusters in the batch (section
    3.5.2), or n_random drawn ones (authors' codes)."""
    n_random: int = 20
    """Drawn negatives of each image (authors' Torch code; Caffe's draws 10 for each pair)."""
    margin: float | None = None
    """None for eq. (11), which has no margin; the authors' codes have max(0, . + 0.2) (Torch) and
    max(0, . + 0.1) (Caffe)."""
    hinge: Literal["weighted", "plain"] = "weighted"
    """What is compared with the margin: gamma d_ij - d_ik (Torch), or d_ij - d_ik with gamma in the
    gradient alone (Caffe); d are squared distances."""
    sample_affinity: Literal["distance", "exponential"] = "distance"
    """A of two samples in eq. (11), which the paper leaves open: -|x - y|^2, or
    exp(-|x - y|^2 / sigma^2) with the sigma of the last graph, at first that of the pixels."""
    learning_rate: float = 0.01
    """Base rate of SGD (section 4.1.2)."""
    momentum: float = 0.9
    """Momentum of SGD (section 4.1.2)."""
    dampening: float = 0.0
    """The gradient is multiplied by 1 - dampening: 0 in the Caffe code, which made the paper's
    tables; equal to the momentum in the Torch code."""
    weight_decay: float = 5e-5
    """Weight decay (section 4.1.2)."""
    rate_decay: float = 1e-4
    """The rate is multiplied by (1 + rate_decay * steps) ** -rate_power (section 4.1.2)."""
    rate_power: float = 0.75
    """The exponent in that factor (section 4.1.2)."""
    restart_rate: bool = True
    """Whether those steps count from the beginning of each period (section 4.1.2), or of the run
    (authors' codes)."""
    augment: Augment = dataclasses.field(default="none", metadata=NEW)
    """"affine" turns and shifts a step's images of 16 x 16 pixels and more (DEC-DA)."""

    def __post_init__(self):
        checks.at_least(self, 2, "clusters")
        checks.at_least(self, 1, "n_neighbors", "epochs", "n_random")
        checks.at_least(self, 2, "n_local", "batch")
        checks.positive(self, "a", "learning_rate")
        checks.nonnegative(self, "local_weight", "local_above", "gamma")
        checks.nonnegative(self, "weight_decay", "rate_decay", "rate_power")
        if self.margin is not None and not 0 <= self.margin < math.inf:
            raise UsageError(f"margin: must be None, or at least 0 and finite, got {self.margin}")
        if self.margin is None and self.hinge == "plain":
            raise UsageError("hinge: must be weighted where margin is None, got 'plain'")
        checks.below_one(self, "momentum", "dampening")
        checks.in_range(self, 0.001, 1, "unrolling_rate")
        checks.choices(self)


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      opt_state: the arrays of SGD.
      labels: the present clusters, int32 (n,), in 0..n//2-1, with gaps.
      initial: the first clusters, int32 (n,), which ``history`` merges to any smaller number.
      history: all merges.
      sigma: width of the last graph's affinities, float32.
      epoch: number of epochs done in this period, int32.
      steps: number of steps for the decay of the learning rate, int32.
      rc: labels of the clustering from scratch, int32 (n,); -1 before the end.
      means: means of ``rc`` in the embedding, float32 (k, 160); zero before the end.
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
    """Scalars of a batch, float32.

    Attributes:
      loss: the mean loss of its triplets; 0 where there are none.
      pairs: the number of ordered pairs (i, j) of one cluster.
    """

    loss: jax.Array
    pairs: jax.Array


class RefreshInfo(NamedTuple):
    """Scalars at the end of an epoch.

    Attributes:
      n_clusters: number of clusters, int32.
      largest_cluster: share of the images in the largest cluster, float32.
      changed: share of the images that merges put into another cluster, float32.
      sigma: width of the last graph's affinities, float32.
    """

    n_clusters: jax.Array
    largest_cluster: jax.Array
    changed: jax.Array
    sigma: jax.Array


def _optimizer(config: Config) -> optax.GradientTransformation:
    """SGD without its learning rate."""
    return optax.chain(
        optax.add_decayed_weights(config.weight_decay),
        optax.scale(1 - config.dampening),
        optax.trace(config.momentum),
    )


def merging_of(config: Config) -> Merging:
    """The settings of the graph and of the merges."""
    return Merging(**{name: getattr(config, name) for name in Merging._fields})


def triplets_of(config: Config) -> Triplets:
    """The settings of the loss."""
    return Triplets(**{name: getattr(config, name) for name in Triplets._fields})


def schedule(config: Config, n: int) -> Schedule:
    """A window is an epoch.

    There are as many periods as n // 2 first clusters would need. A run has fewer first clusters,
    and stops earlier.
    """
    batch = min(config.batch, n)
    periods = jule_merging.most_periods(merging_of(config), n // 2)
    return Schedule(batch, -(-n // batch), periods * config.epochs, "shuffled")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Makes the first clusters.

    They are the components of the one-nearest-neighbor graph of the pixels, scaled to unit length.
    Where there are at most ``config.clusters`` of them, they stay, and the run ends after one
    period.

    Raises:
      UsageError: there are fewer than n_neighbors + 1 images.
    """
    n = images.shape[0]
    arrays = network.init(key) if variables is None else variables
    pixels = unit(scaled(images).reshape(n, -1))
    graph = jule_merging.graph_of(merging_of(config), pixels)
    initial = initial_clusters(graph)
    features = jax.eval_shape(lambda: network.encode(arrays, images[:1], False)[0])
    state = State(
        variables=arrays,
        opt_state=_optimizer(config).init(arrays.params),
        labels=initial,
        initial=initial,
        history=no_merges(n),
        sigma=graph.sigma,
        epoch=jnp.int32(0),
        steps=jnp.int32(0),
        rc=jnp.full(n, -1, jnp.int32),
        means=jnp.zeros((config.clusters, features.shape[1]), jnp.float32),
    )
    return _merged(config, state, graph, pixels) if config.first_merge == "pixels" else state


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """Makes one step of SGD on the weighted triplet loss (eq. 11), the mean over the triplets."""
    batch = augmented(config.augment, jax.random.fold_in(key, 1), batch)
    labels = state.labels[rows]
    triplets = triplets_of(config)

    def loss(params):
        features, stats = network.encode(Variables(params, state.variables.stats), batch, True)
        total, pairs = triplet_loss(triplets, key, features, labels, state.sigma)
        return total, (stats, pairs)

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
    """Counts the epoch; at the end of a period, merges clusters on the features.

    The last period also clusters the final features from scratch (RC).
    """
    state = state._replace(epoch=state.epoch + 1)
    ends = state.epoch >= config.epochs

    # Lanes end their periods at different times, and have different numbers of clusters: under
    # vmap one lane runs after the other.
    @sequential_vmap
    def merges(key, state, images):
        return lax.cond(
            state.epoch >= config.epochs,
            lambda state: _period_end(config, network, key, state, images),
            lambda state: state,
            state,
        )

    before = state.labels
    state = merges(key, state, images)
    clusters = jule_merging.count(state.labels)
    share = jule_merging.largest_share(state.labels)
    changed = fraction_changed(before, state.labels)
    stop = ends & (clusters <= config.clusters)
    return state, stop, RefreshInfo(clusters, share, changed, state.sigma)


def finish(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> dict[str, jax.Array]:
    """The two labelings of the paper's tables, ``rc`` and ``sf``, int32 (n,)."""
    del config, network, key, images
    return {"rc": state.rc, "sf": first_numbered(state.labels)}


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """The features of unit length, with running statistics; float32 (n, 160)."""
    return encoded(network, state.variables, images, config.batch)


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The nearest mean of the clusters ``rc`` in the embedding.

    This is ours, because the paper has no new images. Images of the run may have been put into
    another cluster than the one with the nearest mean.
    """
    return nearest(embed(config, network, state, images), state.means)


def _period_end(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> State:
    """Merges clusters on the features of all images, and begins a new period."""
    merging = merging_of(config)
    features = jule_merging.batch_features(network, state.variables, key, images, config.batch)
    points = jule_merging.points_of(merging, features)
    graph = jule_merging.graph_of(merging, points)
    state = _merged(config, state, graph, points)
    state = state._replace(
        epoch=jnp.int32(0),
        sigma=graph.sigma,
        steps=jnp.int32(0) if config.restart_rate else state.steps,
    )

    def from_scratch(state):
        features = embed(config, network, state, images)
        rc, means = jule_merging.from_scratch(merging, features)
        return state._replace(rc=rc, means=means)

    last = jule_merging.count(state.labels) <= config.clusters
    return lax.cond(last, from_scratch, lambda state: state, state)


def _merged(config: Config, state: State, graph: Graph, points: jax.Array) -> State:
    """The state after the merges of a period."""
    labels, history = jule_merging.merge_period(
        merging_of(config), graph, points, state.labels, state.history
    )
    return state._replace(labels=labels, history=history)


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
    labelings=("rc", "sf"),  # ``predict`` goes by the first.
    centers="means",
    soft=self_training.student_t,
)

# The loss, negatives and criterion of the authors' Torch code.
_TORCH = Config(negatives="random", margin=0.2, gamma=1.0, local_above=100, restart_rate=False)
# The loss and negatives of the authors' Caffe code, which made the published numbers. Its loss is
# half of ours: half the rate and twice the decay give the same steps.
_CAFFE = Config(
    negatives="random",
    n_random=10,
    margin=0.1,
    hinge="plain",
    restart_rate=False,
    learning_rate=0.005,
    weight_decay=1e-4,
)
# The candidate of experiments/candidates.py with the highest NMI(sqrt) on digits and
# USPS; the paper reports that score.
_DEFAULT = dataclasses.replace(_TORCH, epochs=10)

METHODS = (
    Method(
        name="jule",
        about="Joint Unsupervised Learning (Yang et al. 2016)",
        reference="Yang, Parikh, Batra 2016",
        algorithm=ALGORITHM,
        network=networks.jule,
        config=_DEFAULT,
        presets={
            "default": {},
            "paper": checks.changes(_DEFAULT, _CAFFE),
            "printed": checks.changes(_DEFAULT, Config()),
            "torch": checks.changes(_DEFAULT, _TORCH),
            "quick": {"epochs": 5},
        },
    ),
)
