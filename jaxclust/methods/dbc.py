"""DBC: discriminatively boosted clustering on a fully convolutional autoencoder.

Li, Qiao, Zhang, Xi: Discriminatively Boosted Image Clustering with Fully Convolutional Auto-Encoders, 2017. Algorithms
1 and 2: centroids by k-means on the pretrained encoder's features; then, epoch after epoch, soft scores of all images,
their boosted distribution as the target, and mini-batches that pull the scores to it.
"""

import dataclasses
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxclust.errors import UsageError
from jaxclust.methods import dcec, pretraining, self_training
from jaxclust.methods.self_training import State
from jaxclust.networks.fcae import fcae
from jaxclust.ops import losses, optimizers
from jaxclust.ops.assignment import sharpened_target, soft_assignment
from jaxclust.ops.batches import encoded
from jaxclust.types import Algorithm, Key, Method, Network, Prediction, Schedule, Variables

SURE, EXCLUDED = 0.8, 0.02
"""Scores above and below which an image is said to belong, or not to belong, to a cluster (section 4.2.2)."""
LARGEST = 1e30
"""Of ``alpha`` and ``v``, and the inverse of the smallest ``v``: float32 has some room above."""
FORGOTTEN = 1e-6
"""What is left of a new network's running statistics when k-means begins: a variance may be far below the 1 it was."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Defaults: the paper where it gives a number."""

    clusters: int = 10
    """Number of clusters k."""
    alpha: float = 2.0
    """Boosting factor, above 1 (section 4.3.1)."""
    normalization: Literal["boosted", "scores", "constant"] = "boosted"
    """n_j, what a cluster's boosted scores are divided by: sum_i s_ij^alpha (Algorithm 2), sum_i s_ij (DEC), or 1
    (section 4.3.2)."""
    v: float = 1.0
    """Degrees of freedom of Student's t (section 3.2.1)."""
    max_epochs: int = 100
    """Epochs T at the most (ours; the paper gives none)."""
    tolerance: float = 0.0
    """Stop once no more than this fraction of the hard assignments changed in an epoch; 0: none did (Algorithm 2)."""
    restarts: int = 20
    """k-means runs for the initial centroids, the best kept (ours)."""
    batch: int = 100
    """Images per step (ours)."""
    optimizer: optimizers.Name = "sgd"
    """Algorithm 2 updates "with the gradients"."""
    learning_rate: float = 0.01
    """Step size, of the batch's mean (ours)."""
    momentum: float = 0.9
    """Momentum of SGD (ours)."""
    batch_norm: Literal["running", "batch"] = "batch"
    """Statistics in the gradient steps: each batch's own, as batch normalization is trained (section 3.1, its reference
    33); or those of the pretraining, kept, so that a step sees the features that its target was made of. Ours: of
    stage II the paper does not say."""

    def __post_init__(self):
        optimizers.check(self)
        if self.clusters < 2:
            raise UsageError(f"clusters: must be at least 2, got {self.clusters}")
        if not 1 < self.alpha <= LARGEST:
            raise UsageError(f"alpha: must be above 1 and at most {LARGEST:g}, got {self.alpha}")
        if not 1 / LARGEST <= self.v <= LARGEST:
            raise UsageError(
                f"v: must be above 0, from {1 / LARGEST:g} to {LARGEST:g}, got {self.v}"
            )
        if self.normalization not in ("boosted", "scores", "constant"):
            raise UsageError(
                f"normalization: must be boosted, scores or constant, got {self.normalization!r}"
            )
        if self.batch_norm not in ("running", "batch"):
            raise UsageError(f"batch_norm: must be running or batch, got {self.batch_norm!r}")
        if self.batch_norm == "batch" and self.batch < 2:
            raise UsageError(f"batch: must be at least 2 with batch_norm batch, got {self.batch}")
        for name, least in (("max_epochs", 0), ("restarts", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"{name}: must be at least {least}, got {getattr(self, name)}")
        if not 0 <= self.tolerance <= 1:
            raise UsageError(f"tolerance: must be in [0, 1], got {self.tolerance}")


class Info(NamedTuple):
    """float32 scalars: KL(R || S) of a batch, its mean over images (eq. 3)."""

    loss: jax.Array


class RefreshInfo(NamedTuple):
    """As ``selftraining.RefreshInfo``, and the share of all scores above ``SURE`` or below ``EXCLUDED``, float32."""

    changed: jax.Array
    empty_clusters: jax.Array
    largest_cluster: jax.Array
    polarized: jax.Array


def scores(config: Config, features: jax.Array, centroids: jax.Array) -> jax.Array:
    """Soft scores s (eq. 1).

    Args:
      config: for ``v``.
      features: z, float32, (n, d).
      centroids: mu, float32, (clusters, d).

    Returns:
      float32, (n, clusters), rows sum to 1.
    """
    return soft_assignment(features, centroids, config.v)


def boosted(config: Config, soft: jax.Array) -> jax.Array:
    """The target r, proportional to s^alpha / n_j (eq. 2, Algorithm 2).

    Args:
      config: for ``alpha`` and ``normalization``.
      soft: scores of all images, float32, (n, clusters).

    Returns:
      float32, (n, clusters), rows sum to 1.
    """
    # sum_i s^0 is n, the same for all clusters.
    frequency = {"boosted": config.alpha, "scores": 1.0, "constant": 0.0}[config.normalization]
    return sharpened_target(soft, config.alpha, frequency)


def schedule(config: Config, n: int) -> Schedule:
    """A window is an epoch."""
    batch = min(config.batch, n)
    return Schedule(batch, -(-n // batch), config.max_epochs, "shuffled")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Centroids by k-means on the features of all images, and the first target.

    Where steps take their batch's own statistics and the running ones are still those of ``network.init``, as without
    pretraining, batches' enter first: by 0 and 1 the features would lie elsewhere than where the first steps see them.
    """
    if variables is None:
        variables = network.init(jax.random.split(key)[0])
    if config.batch_norm == "batch" and jax.tree.leaves(variables.stats):
        variables = variables._replace(stats=_entered(config, network, key, variables, images))
    start = self_training.Start(
        _optimizer(config),
        config.clusters,
        config.restarts,
        partial(scores, config),
        partial(boosted, config),
    )
    return self_training.init(start, network, key, variables, images)


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """New scores and target of all images; stop when the hard assignments stay (Algorithm 2)."""
    del key
    state, soft, info = self_training.refresh(
        network, state, images, partial(scores, config), partial(boosted, config)
    )
    polarized = jnp.mean((soft > SURE) | (soft < EXCLUDED), dtype=jnp.float32)
    return state, info.changed <= config.tolerance, RefreshInfo(*info, polarized)


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """One gradient step on encoder and centroids: eq. (4) and (5), averaged over the batch."""
    del key

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
    """Features z, float32 (n, d)."""
    del config
    return encoded(network, state.variables, images)


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The cluster of the highest score, and that score."""
    return self_training.predict(network, state, images, partial(scores, config))


def _entered(config, network, key, variables, images):
    """The running statistics, those of a new network after as many random batches as make it forget what they were."""
    kept, batch = variables.stats, schedule(config, len(images)).batch
    rows_key = jax.random.fold_in(key, 2)  # 0 and 1 are those of split.

    def enter(i, stats):
        rows = jax.random.randint(jax.random.fold_in(rows_key, i), (batch,), 0, len(images))
        return network.encode(variables._replace(stats=stats), images[rows], True)[1]

    def momentum(one, zero):
        left = one - zero
        # All of it is left in the decoder, which no image has passed.
        return jnp.max(left, where=left < 1, initial=0.0)

    ones, zeros = (
        enter(0, jax.tree.map(lambda leaf, fill=fill: jnp.full_like(leaf, fill), kept))
        for fill in (1, 0)
    )
    largest = jnp.stack(jax.tree.leaves(jax.tree.map(momentum, ones, zeros))).max()
    batches = jnp.ceil(jnp.log(FORGOTTEN) / jnp.log(largest)).astype(jnp.int32)
    new = jnp.stack(
        jax.tree.leaves(jax.tree.map(jnp.array_equal, kept, network.init(key).stats))
    ).all()
    return jax.lax.fori_loop(0, jnp.where(new, batches, 0), enter, kept)


def _optimizer(config: Config):
    return optimizers.make(config.optimizer, config.learning_rate, config.momentum)


ALGORITHM = Algorithm(Config, schedule, init, step, embed, predict, refresh=refresh, name="dbc")

# The paper has "traditional error back-propagation" and neither rates nor epochs nor batch:
# docs/deviations.md has what was tried.
_FCAE = {
    "pretrainer": pretraining.ALGORITHM,
    "pretraining": pretraining.Config(epochs=50, optimizer="sgd", learning_rate=0.05, batch=100),
    "presets": {"paper": {}, "quick": {"pretraining.epochs": 10}},
}

METHODS = (
    Method(
        "fcae-kmeans",
        "k-means on a fully convolutional autoencoder's features",
        "Li, Qiao, Zhang, Xi 2017, tables 3 to 6",
        dcec.KMEANS,
        fcae,
        dcec.Config(max_steps=0),
        **_FCAE,
    ),
    Method(
        "dbc",
        "Discriminatively Boosted Clustering (Li et al. 2017)",
        "Li, Qiao, Zhang, Xi 2017",
        ALGORITHM,
        fcae,
        Config(),
        **_FCAE,
    ),
)
