"""DBC: discriminatively boosted clustering on a fully convolutional autoencoder.

Li, Qiao, Zhang, Xi: Discriminatively Boosted Image Clustering with Fully Convolutional
Auto-Encoders, 2017. Algorithms 1 and 2: k-means on the pretrained encoder's features gives the
centroids. Then each epoch computes the soft scores of all images, boosts them into a target
distribution, and draws the scores towards the target on mini-batches.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.errors import UsageError
from jaxclust.methods import checks, dcec, pretraining, renewals, self_training
from jaxclust.methods.self_training import State
from jaxclust.networks.fcae import fcae
from jaxclust.ops import losses, optimizers
from jaxclust.ops.assignment import sharpened_target, soft_assignment
from jaxclust.ops.batches import encoded
from jaxclust.ops.moved_images import Augment, augmented
from jaxclust.types import NEW, Algorithm, Key, Method, Network, Prediction, Schedule, Variables

SURE = 0.8
"""Score above which an image is said to belong to a cluster (section 4.2.2)."""
EXCLUDED = 0.02
"""Score below which an image is said not to belong to a cluster (section 4.2.2)."""
LARGEST = 1e30
"""Largest ``alpha`` and ``v``; the smallest ``v`` is its inverse. float32 has some room above."""
FORGOTTEN = 1e-6
"""Share of a new network's running statistics that is left after the warm-up.

It is small because a variance may be far below its first value of 1.
"""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; the defaults are the paper's where it gives a number."""

    clusters: int = 10
    """Number of clusters k."""
    alpha: float = 2.0
    """Boosting factor, above 1 (section 4.3.1)."""
    normalization: Literal["boosted", "scores", "constant"] = "boosted"
    """What a cluster's boosted scores are divided by, n_j: sum_i s_ij^alpha (Algorithm 2),
    sum_i s_ij (DEC), or 1 (section 4.3.2)."""
    v: float = 1.0
    """Degrees of freedom of Student's t (section 3.2.1)."""
    max_epochs: int = 100
    """Largest number of epochs T (ours; the paper gives none)."""
    tolerance: float = 0.0
    """Stop once at most this fraction of the hard assignments changed in an epoch; 0 stops when
    none changed (Algorithm 2)."""
    restarts: int = 20
    """k-means runs for the initial centroids; the best run counts (ours)."""
    batch: int = 100
    """Images per step (ours)."""
    optimizer: optimizers.Name = "sgd"
    """Algorithm 2 updates "with the gradients"."""
    learning_rate: float = 0.01
    """Step size for the mean over a batch (ours)."""
    momentum: float = 0.9
    """Momentum of SGD (ours)."""
    batch_norm: Literal["running", "batch"] = "batch"
    """Batch-norm statistics in the gradient steps: each batch's own, as batch normalization is
    trained (section 3.1, its reference 33), or the running statistics of the pretraining. These
    stay, so that a step sees the features that its target was made from. The choice is ours; for
    stage II the paper does not say."""

    augment: Augment = dataclasses.field(default="none", metadata=NEW)
    """How steps change their images at random: "affine" turns and shifts them, unless a side
    has fewer than 16 pixels (DEC-DA). The targets come from the images as they are."""
    start: renewals.Start = dataclasses.field(default="kmeans", metadata=NEW)
    """The initial centroids: k-means on the embedding, or graph degree linkage (ours)."""
    graph_windows: int | None = dataclasses.field(default=None, metadata=NEW)
    """Number of epochs after which graph degree linkage makes the centroids anew (ours); None for
    never."""
    reset_epochs: int | None = dataclasses.field(default=None, metadata=NEW)
    """Epochs after which the weights are partly drawn anew (BRB has 20), at most a quarter of the
    run; None for never."""
    reset_share: float = dataclasses.field(default=0.2, metadata=NEW)
    """Share of the weights that a reset draws anew (BRB)."""

    def __post_init__(self):
        optimizers.check(self)
        renewals.check(self, self.max_epochs)
        checks.at_least(self, 2, "clusters")
        if not 1 < self.alpha <= LARGEST:
            raise UsageError(f"alpha: must be above 1 and at most {LARGEST:g}, got {self.alpha}")
        if not 1 / LARGEST <= self.v <= LARGEST:
            rule = f"v: must be above 0, from {1 / LARGEST:g} to {LARGEST:g}"
            raise UsageError(f"{rule}, got {self.v}")
        checks.choices(self)
        if self.batch_norm == "batch" and self.batch < 2:
            raise UsageError(f"batch: must be at least 2 with batch_norm batch, got {self.batch}")
        checks.at_least(self, 0, "max_epochs")
        checks.at_least(self, 1, "restarts")
        checks.in_range(self, 0, 1, "tolerance")


class Info(NamedTuple):
    """Scalars of a batch.

    Attributes:
      loss: KL(R || S), the mean over images (eq. 3), float32.
    """

    loss: jax.Array


class RefreshInfo(NamedTuple):
    """Scalars at the end of an epoch.

    Attributes:
      changed: as in ``self_training.RefreshInfo``.
      empty_clusters: as there.
      largest_cluster: as there.
      polarized: share of all scores that are above ``SURE`` or below ``EXCLUDED``, float32.
    """

    changed: jax.Array
    empty_clusters: jax.Array
    largest_cluster: jax.Array
    polarized: jax.Array


def scores(config: Config, features: jax.Array, centroids: jax.Array) -> jax.Array:
    """Soft scores s (eq. 1).

    Args:
      config: gives ``v``.
      features: z, float32, (n, d).
      centroids: mu, float32, (clusters, d).

    Returns:
      float32, (n, clusters); each row sums to 1.
    """
    return soft_assignment(features, centroids, config.v)


def boosted(config: Config, soft: jax.Array) -> jax.Array:
    """The target r, proportional to s^alpha / n_j (eq. 2, Algorithm 2).

    Args:
      config: gives ``alpha`` and ``normalization``.
      soft: the scores of all images, float32, (n, clusters).

    Returns:
      float32, (n, clusters); each row sums to 1.
    """
    # sum_i s^0 is n, which is the same for all clusters.
    frequency = {"boosted": config.alpha, "scores": 1.0, "constant": 0.0}[config.normalization]
    return sharpened_target(soft, config.alpha, frequency)


def schedule(config: Config, n: int) -> Schedule:
    """A window is an epoch."""
    batch = min(config.batch, n)
    return Schedule(batch, -(-n // batch), config.max_epochs, "shuffled")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Makes centroids from the features of all images, and the first target.

    Steps that use their batch's own statistics see other features than a new network's running
    statistics of 0 and 1 give. In that case the running statistics are warmed up first.
    """
    if variables is None:
        variables = network.init(jax.random.split(key)[0])
    if config.batch_norm == "batch" and jax.tree.leaves(variables.stats):
        variables = variables._replace(stats=_warmed_up(config, network, key, variables, images))
    return self_training.init(_start(config, images, network), network, key, variables, images)


def _start(config: Config, images: jax.Array, network: Network) -> self_training.Start:
    n = images.shape[0]
    renewal = renewals.renewal(config, _optimizer(config), schedule(config, n), n)
    if config.batch_norm == "batch":
        renewal = renewal._replace(settle=partial(_settled, config, network))
    return self_training.Start(renewal, partial(scores, config), partial(boosted, config))


def _settled(
    config: Config, network: Network, key: Key, variables: Variables, images: jax.Array
) -> Variables:
    """The network after a reset of its weights, with statistics that belong to them."""
    if not jax.tree.leaves(variables.stats):
        return variables
    enter, batches = _passes(config, network, key, variables, images)
    return variables._replace(stats=jax.lax.fori_loop(0, batches, enter, variables.stats))


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """Makes new scores and a new target from all images.

    The run stops when the hard assignments stay as they are (Algorithm 2).
    """
    state, soft, may_stop, info = self_training.refresh(
        _start(config, images, network), network, key, state, images
    )
    polarized = jnp.mean((soft > SURE) | (soft < EXCLUDED), dtype=jnp.float32)
    return state, may_stop & (info.changed <= config.tolerance), RefreshInfo(*info, polarized)


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """Makes one gradient step on encoder and centroids (eq. 4 and 5, the mean over the batch)."""
    batch = augmented(config.augment, key, batch)

    def loss(params, centroids):
        variables = Variables(params, state.variables.stats)
        features, stats = network.encode(variables, batch, config.batch_norm == "batch")
        divergence = jnp.mean(
            losses.kl_divergence(state.target[rows], scores(config, features, centroids))
        )
        return divergence, ({}, stats)

    state, divergence, _ = self_training.update(_optimizer(config), state, loss)
    return state, Info(divergence)


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """The features z, float32 (n, d)."""
    del config
    return encoded(network, state.variables, images)


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The cluster with the highest score, and that score."""
    return self_training.predict(network, state, images, partial(scores, config))


def _warmed_up(
    config: Config, network: Network, key: Key, variables: Variables, images: jax.Array
) -> dict:
    """Warms up a new network's batch-norm statistics on random batches.

    Statistics that are no longer those of ``network.init`` are returned as they are.
    """
    enter, batches = _passes(config, network, key, variables, images)
    first = variables.stats
    unchanged = jax.tree.map(jnp.array_equal, first, network.init(key).stats)
    new = jnp.stack(jax.tree.leaves(unchanged)).all()
    return jax.lax.fori_loop(0, jnp.where(new, batches, 0), enter, first)


def _passes(
    config: Config, network: Network, key: Key, variables: Variables, images: jax.Array
) -> tuple[Callable[[Any, dict], dict], jax.Array]:
    """Random batches that renew the batch-norm statistics.

    Returns:
      ``enter(number, stats)``, the statistics after one more batch; and how many batches leave
      ``FORGOTTEN`` of the first statistics, int32, ().
    """
    first = variables.stats
    batch = schedule(config, len(images)).batch
    rows_key = jax.random.fold_in(key, 2)  # 0 and 1 would give the keys of ``split``.

    def enter(number, stats):
        rows = jax.random.randint(jax.random.fold_in(rows_key, number), (batch,), 0, len(images))
        return network.encode(variables._replace(stats=stats), images[rows], True)[1]

    def after_a_batch(value):
        """The statistics after one batch, where all of them were ``value``."""
        return enter(0, jax.tree.map(lambda leaf: jnp.full_like(leaf, value), first))

    def momentum(from_one, from_zero):
        """The share of the old statistics that one batch leaves, the largest of a layer."""
        left = from_one - from_zero
        # In the decoder, which no image has passed, all of it is left.
        return jnp.max(left, where=left < 1, initial=0.0)

    from_one = after_a_batch(1)
    from_zero = after_a_batch(0)
    largest = jnp.stack(jax.tree.leaves(jax.tree.map(momentum, from_one, from_zero))).max()
    return enter, jnp.ceil(jnp.log(FORGOTTEN) / jnp.log(largest)).astype(jnp.int32)


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optimizers.make(config.optimizer, config.learning_rate, config.momentum)


ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    step,
    embed,
    predict,
    refresh=refresh,
    name="dbc",
    centers="centroids",
    soft=scores,
)

_DBC = Method(
    name="dbc",
    about="Discriminatively Boosted Clustering (Li et al. 2017)",
    reference="Li, Qiao, Zhang, Xi 2017",
    algorithm=ALGORITHM,
    network=fcae,
    config=Config(),
    pretrainer=pretraining.ALGORITHM,
    # The paper says "traditional error back-propagation" and gives no rates, epochs or batches:
    # docs/methods/dbc.md lists what was tried.
    pretraining=pretraining.Config(epochs=50, optimizer="sgd", learning_rate=0.05, batch=100),
    presets={"default": {}, "paper": {}, "quick": {"pretraining.epochs": 10, "max_epochs": 20}},
)

METHODS = (
    _DBC.replace(
        name="fcae-kmeans",
        kind="features",
        about="k-means on a fully convolutional autoencoder's features",
        reference="Li, Qiao, Zhang, Xi 2017, tables 3 to 6",
        algorithm=dcec.KMEANS,
        config=dcec.Config(max_steps=0),
        presets={"default": {}, "paper": {}, "quick": {"pretraining.epochs": 10}},
    ),
    _DBC,
)
