"""CCNN: mini-batch k-means and a CNN teach each other; the memory does not grow with the images.

Hsu, Lin: CNN-Based Joint Clustering and Representation Learning with Feature Drift Compensation for
Large-Scale Image Data, IEEE Transactions on Multimedia 2018. One step is one cycle of table I:
N_m / k_m mini-batches are assigned to their nearest centroids, the k_m most reliable images of
each mini-batch fine-tune the network, and the centroids move.

The paper's baselines I to III and its larger networks are in ``ccnn_variants.py``.
"""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust import networks
from jaxclust.errors import UsageError
from jaxclust.methods import ccnn_fine_tuning, ccnn_head, checks, pretraining
from jaxclust.methods.ccnn_fine_tuning import Arrays, Buffer, FineTuning
from jaxclust.methods.ccnn_head import Head, Layer, fc9
from jaxclust.ops import optimizers
from jaxclust.ops.assignment import hard_assignment, squared_distances
from jaxclust.ops.batches import encoded
from jaxclust.ops.kmeans import kmeans
from jaxclust.ops.kmeans_minibatch import running_means
from jaxclust.ops.kmeans_seeding import kmeans_plus_plus
from jaxclust.ops.moved_images import Augment, augmented
from jaxclust.types import (
    NEW,
    PRETRAINING,
    Algorithm,
    Key,
    Method,
    Network,
    Prediction,
    Schedule,
    Variables,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; the defaults are CCNN's in the paper, and ours where it is silent."""

    clusters: int = 10
    """Number of clusters k, which is also the width of FC9 and softmax (figure 1)."""
    batch: int = 50
    """Images in a mini-batch, N_m (section IV.B)."""
    reliable: int = 10
    """Images of a mini-batch that fine-tune the network, k_m (section III.E)."""
    select: Literal["nearest", "balanced"] = "nearest"
    """Which images those are: the nearest to their centroids (section III.E), or each cluster's
    nearest before any cluster's second nearest, so that no cluster fills the buffer (ours)."""
    epochs: int = 10
    """Passes over the images: 10 from pretrained, 30 from random weights (section IV.C)."""
    trainable: Literal["all", "head", "nothing"] = "head"
    """What is fine-tuned: everything, FC9 and softmax alone (eq. 2 to 10), or nothing (Baselines
    II, III)."""
    compensation: Literal["fc9", "all", "none"] = "fc9"
    """The weights that are tracked back for the update of the centroids: those of FC9 (eq. 14),
    all, or none (Baseline I, eq. 11)."""
    backtrack: Literal["fine-tune", "previous"] = "fine-tune"
    """How far FC9 is tracked back: to the weights that assigned the labels, before the cycle's own
    fine-tuning; or one fine-tuning more, as the superscripts of eq. 10 and 13 say."""
    update_with: Literal["last", "reliable", "all"] = "last"
    """Images that move the centroids: the last mini-batch M (table I), the images that fine-tuned,
    or all images of the cycle."""
    gradient: Literal["exact", "printed"] = "exact"
    """The gradient of the SSE: exact; or eq. 6 and 10 as printed, with max(y, 0) as a derivative,
    for the head alone."""
    start: Literal["seeds", "sample", "kmeans"] = "seeds"
    """First centroids: k-means++ seeds from a sample (section III.C), k-means on that sample
    (ours), or k-means on all images (Baseline III)."""
    count: Literal["moved", "assigned"] = "moved"
    """What a centroid counts (eq. 12): the images that move it, or all images of the cycle that are
    assigned to it."""
    start_count: int = 0
    """What a centroid has counted before its first image, v in table I; at 0 that image replaces
    the seed."""
    sample: int = 1000
    """Number of images in the sample that the first centroids come from (ours)."""
    fc9: ccnn_head.First = "identity"
    """First weights of FC9 (ours): the identity, for features that are k wide, or random."""
    batch_statistics: bool = False
    """Whether fine-tuning uses the batch's own statistics in batch normalization, and updates the
    running statistics (ours). The assignment always uses the running ones."""
    tolerance: float = 0.0
    """Stop once an epoch moves the centroids by less than this part of their scatter, both squared
    (ours); 0 never stops."""
    optimizer: optimizers.Name = "sgd"
    """SGD (section III.B)."""
    learning_rate: float = 0.01
    """Step size eta (ours)."""
    momentum: float = 0.0
    """Momentum of SGD; eq. 6 and 10 have none."""
    filters: tuple[int, ...] | None = None
    """Channels of the first convolutions, the backbone; None for the network's own (section II)."""
    adaptation: tuple[int, ...] | None = None
    """Channels of conv6 and conv7; None for the network's own (section II)."""

    augment: Augment = dataclasses.field(default="none", metadata=NEW)
    """How steps change their images at random: "affine" turns and shifts them, unless a side
    has fewer than 16 pixels (DEC-DA)."""

    def __post_init__(self):
        optimizers.check(self)
        checks.at_least(self, 2, "clusters")
        checks.at_least(self, 1, "reliable", "sample")
        checks.at_least(self, 0, "epochs", "start_count")
        checks.choices(self, checks.as_list)
        if self.batch % self.reliable:
            raise UsageError(f"reliable: must divide batch, {self.batch}, got {self.reliable}")
        if self.sample < self.clusters:
            rule = f"sample: must be at least clusters, {self.clusters}"
            raise UsageError(f"{rule}, got {self.sample}")
        if not 0 <= self.tolerance < float("inf"):
            raise UsageError(f"tolerance: must be at least 0, got {self.tolerance}")
        if self.batch_statistics:
            checks.only(self, "trainable", "all", "with batch statistics")
        if self.gradient == "printed":
            checks.only(self, "trainable", "head", "with gradient printed")
        if self.backtrack == "previous":
            checks.only(self, "compensation", "fc9", "with backtrack previous")


class State(NamedTuple):
    """The variables of table I; none of them grows with the images.

    Attributes:
      variables: the network's arrays.
      scale: factor between the network's features and FC9's inputs x, the same throughout a run;
        float32, ().
      head: FC9 and softmax.
      fc9_step: what the last fine-tuning added to FC9, -eta * Delta W of eq. 10, with the structure
        of ``head["fc9"]``.
      centroids: float32, (k, k).
      counts: number of images that each centroid has counted (eq. 12), int32, (k,).
      before: the centroids at the beginning of the epoch, or of the block in a stream.
      opt_state: the optimizer's arrays.
    """

    variables: Variables
    scale: jax.Array
    head: Head
    fc9_step: Layer
    centroids: jax.Array
    counts: jax.Array
    before: jax.Array
    opt_state: optax.OptState


class Info(NamedTuple):
    """Scalars of a cycle, float32.

    Attributes:
      loss: E of eq. 1, the mean over the images that fine-tune.
      distance: mean Euclidean distance of all images to their centroids.
      drift: mean of ||h(W_t) - h(W_t-1)|| over the images that move the centroids.
      length: mean of ||h(W_t-1)|| over the same images, for comparison.
    """

    loss: jax.Array
    distance: jax.Array
    drift: jax.Array
    length: jax.Array


class RefreshInfo(NamedTuple):
    """Scalars at the end of an epoch, or of a block in a stream.

    Attributes:
      moved: squared movement of the centroids, divided by their squared scatter, float32.
      unseen: number of centroids that never got an image, int32.
    """

    moved: jax.Array
    unseen: jax.Array


def fine_tuning(config: Config) -> FineTuning:
    """The settings of the fine-tuning."""
    optimizer = optimizers.make(config.optimizer, config.learning_rate, config.momentum)
    return FineTuning(
        config.clusters, config.trainable, config.gradient, config.batch_statistics, optimizer
    )


def network_settings(config: Config) -> dict[str, object]:
    """The settings that the networks take from the config."""
    widths = {"filters": config.filters, "adaptation": config.adaptation}
    return {name: value for name, value in widths.items() if value is not None}


def schedule(config: Config, n: int) -> Schedule:
    """A step is a cycle of N_m / k_m mini-batches, and a window is an epoch.

    Where n is smaller than a cycle, a cycle uses images more than once.
    """
    cycle = config.batch * (config.batch // config.reliable)
    return Schedule(cycle, -(-n // cycle), config.epochs, "shuffled")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Makes a fresh head, and centroids on the features (table I, lines 2 and 3).

    Raises:
      UsageError: there are fewer images than clusters, FC9 cannot be the identity, or the network
        has no batch normalization for ``batch_statistics``.
    """
    n = images.shape[0]
    if n < config.clusters:
        rule = f"clusters: must be at most the number of images, {n}"
        raise UsageError(f"{rule}, got {config.clusters}")
    network_key, head_key, sample_key, seeds_key = jax.random.split(key, 4)
    variables = network.init(network_key) if variables is None else variables
    if config.batch_statistics and not variables.stats:
        raise UsageError("batch_statistics: must be with a network that has batch normalization")
    if config.start != "kmeans" and config.sample < n:
        order = jax.random.permutation(sample_key, jnp.arange(n, dtype=jnp.int32))
        images = images[order[: config.sample]]
    x = encoded(network, variables, images)
    head, scale = ccnn_head.new_head(head_key, x, config.clusters, config.fc9)
    h = fc9(head["fc9"], scale * x)
    if config.start == "seeds":
        centroids = kmeans_plus_plus(seeds_key, h, config.clusters)
    else:
        centroids = kmeans(seeds_key, h, config.clusters).centroids
    tuning = fine_tuning(config)
    trained = ccnn_fine_tuning.trained(tuning, head, variables.params)
    return State(
        variables=variables,
        scale=scale,
        head=head,
        fc9_step=jax.tree.map(jnp.zeros_like, head["fc9"]),
        centroids=centroids,
        counts=jnp.full(config.clusters, config.start_count, jnp.int32),
        before=centroids,
        opt_state=tuning.optimizer.init(trained),
    )


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """Measures how far the epoch moved the centroids, without looking at the images."""
    del network, key, images
    scatter = jnp.sum((state.centroids - jnp.mean(state.centroids, axis=0)) ** 2)
    moved = jnp.sum((state.centroids - state.before) ** 2) / jnp.maximum(
        scatter, jnp.finfo(jnp.float32).tiny
    )
    unseen = jnp.sum(state.counts == config.start_count, dtype=jnp.int32)
    state = state._replace(before=state.centroids)
    return state, moved < config.tolerance, RefreshInfo(moved, unseen)


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """Makes one cycle of table I (lines 5 to 20) on its N_m / k_m mini-batches."""
    del rows
    batch = augmented(config.augment, key, batch)
    x = state.scale * encoded(network, state.variables, batch)
    h = fc9(state.head["fc9"], x)
    distances = squared_distances(h, state.centroids)
    labels = hard_assignment(distances)
    nearest = jnp.min(distances, axis=1)

    balanced = config.select == "balanced"
    reliable = ccnn_fine_tuning.most_reliable(
        labels, nearest, config.batch, config.reliable, balanced
    )
    arrays = Arrays(state.variables, state.head, state.fc9_step, state.opt_state)
    buffer = Buffer(batch[reliable], x[reliable], labels[reliable])
    arrays, loss = ccnn_fine_tuning.fine_tune(
        fine_tuning(config), network, arrays, state.scale, buffer
    )

    moving = {
        "last": slice(batch.shape[0] - config.batch, None),
        "reliable": reliable,
        "all": slice(None),
    }[config.update_with]
    before = h[moving]
    if config.trainable == "all":
        # A network that moved has to see the images again.
        x = state.scale * encoded(network, arrays.variables, batch[moving])
    else:
        x = x[moving]
    after = fc9(arrays.head["fc9"], x)
    if config.compensation == "none":
        features = after
    elif config.compensation == "all":
        features = before
    elif config.backtrack == "previous":
        features = fc9(ccnn_head.tracked_back(state.head["fc9"], state.fc9_step), x)
    else:
        features = fc9(ccnn_head.tracked_back(arrays.head["fc9"], arrays.fc9_step), x)
    counts = state.counts
    if config.count == "assigned":
        counts = counts.at[labels].add(1).at[labels[moving]].add(-1)
    centroids, counts = running_means(state.centroids, counts, features, labels[moving])
    info = Info(
        loss=loss,
        distance=jnp.mean(jnp.sqrt(nearest)),
        drift=jnp.mean(jnp.linalg.norm(after - before, axis=1)),
        length=jnp.mean(jnp.linalg.norm(before, axis=1)),
    )
    return state._replace(**arrays._asdict(), centroids=centroids, counts=counts), info


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """The features h of FC9, float32 (n, k)."""
    del config
    return fc9(state.head["fc9"], state.scale * encoded(network, state.variables, images))


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The nearest centroid, and the softmax's output for that cluster."""
    h = embed(config, network, state, images)
    distances = squared_distances(h, state.centroids)
    labels = hard_assignment(distances)
    y = ccnn_head.softmax(state.head["softmax"], h)
    probability = jnp.take_along_axis(y, labels[:, None], axis=1)[:, 0]
    return Prediction(labels, probability, jnp.sqrt(jnp.min(distances, axis=1)))


ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    step,
    embed,
    predict,
    refresh=refresh,
    name="ccnn",
    # The state does not grow with the images, and refresh does not look at them.
    streams=True,
    centers="centroids",  # The probabilities are the softmax's.
    network_settings=network_settings,
)

DEFAULT = Config(learning_rate=1e-3, select="balanced", start="sample", sample=2000, start_count=10)
PRETRAINING_DEFAULT = pretraining.Config(epochs=100, least_steps=32)
"""Pretraining on reconstruction replaces the paper's weights from ImageNet."""
_PAPER = {
    **checks.changes(DEFAULT, Config()),
    **checks.changes(PRETRAINING_DEFAULT, pretraining.Config(epochs=30), PRETRAINING),
}

METHODS = (
    Method(
        name="ccnn",
        about="Clustering CNN, drift-compensated (Hsu and Lin 2018)",
        reference="Hsu, Lin 2018",
        algorithm=ALGORITHM,
        network=networks.ccnn,
        config=DEFAULT,
        pretrainer=pretraining.ALGORITHM,
        pretraining=PRETRAINING_DEFAULT,
        presets={
            "default": {},
            "paper": _PAPER,
            "quick": {"epochs": 5, "pretraining.epochs": 20},
            "random": _PAPER | {"epochs": 30, "pretraining.epochs": 0},
        },
    ),
)
