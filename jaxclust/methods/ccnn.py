"""CCNN: mini-batch k-means and a CNN, each teaching the other, at a memory that does not grow with the images.

Hsu, Lin: CNN-Based Joint Clustering and Representation Learning with Feature Drift Compensation for Large-Scale Image
Data, IEEE Transactions on Multimedia 2018. One step is one cycle of table I: N_m / k_m mini-batches are assigned
to their nearest centroids, the k_m surest of each fine-tune the network, and the centroids move. The features are

  h = ReLU(W_FC9 x + b),  y = softmax(W_SMax h + b'),  x the network's features, scaled                  (figure 3)

The baselines are settings:

  method     compensation  trainable  reliable  start   epochs
  CCNN       fc9           head       10        seeds   10
  Baseline I none          head       10        seeds   10     eq. (11) in place of (14)
  Baseline II              nothing    N_m       seeds   10     mini-batch k-means on fixed features
  Baseline III             nothing              kmeans  0      k-means on fixed features
"""

import dataclasses
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust import networks
from jaxclust.errors import UsageError
from jaxclust.methods import pretraining
from jaxclust.ops import losses, optimizers
from jaxclust.ops.assignment import hard_assignment, squared_distances
from jaxclust.ops.batches import encoded
from jaxclust.ops.kmeans import kmeans, kmeans_plus_plus, running_means
from jaxclust.types import Algorithm, Key, Method, Network, Prediction, Schedule, Variables

Head = dict[str, dict[str, jax.Array]]
"""FC9 and softmax: {"fc9": {"kernel" (d, k), "bias" (k,)}, "softmax": {"kernel" (k, k), "bias" (k,)}}, float32."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Defaults: CCNN at the paper's settings, and ours where it is silent."""

    clusters: int = 10
    """Number of clusters k; also the width of FC9 and softmax (figure 1)."""
    batch: int = 50
    """Images in a mini-batch, N_m (section IV.B)."""
    reliable: int = 10
    """Images of a mini-batch that fine-tune the network, those nearest to their centroids: k_m (section III.E)."""
    select: Literal["nearest", "balanced"] = "nearest"
    """Which k_m: the nearest of the mini-batch (section III.E); or each cluster's nearest before any cluster's second
    nearest (ours), so that one cluster cannot fill the buffer."""
    epochs: int = 10
    """Passes over the images: 10 from pretrained, 30 from random weights (section IV.C)."""
    trainable: Literal["all", "head", "nothing"] = "head"
    """What is fine-tuned: FC9 and softmax alone (equations 2 to 10), everything, or nothing (Baselines II, III)."""
    compensation: Literal["fc9", "all", "none"] = "fc9"
    """The weights tracked back for the centroids' update: FC9's (eq. 14), all, or none (Baseline I, eq. 11)."""
    backtrack: Literal["fine-tune", "previous"] = "fine-tune"
    """How far FC9 is tracked back: before the cycle's own fine-tuning, to the weights that assigned the labels; or, as
    the superscripts of eq. 10 and 13 say, one fine-tuning more."""
    update_with: Literal["last", "reliable", "all"] = "last"
    """Images that move the centroids: the last mini-batch M (table I), those that fine-tuned, or the whole cycle."""
    gradient: Literal["exact", "printed"] = "exact"
    """Of the SSE: its own, or eq. 6 and 10 as printed, with max(y, 0) for a derivative; that one for the head alone."""
    start: Literal["seeds", "kmeans"] = "seeds"
    """First centroids: k-means++ seeds from a sample (section III.C), or k-means on all images (Baseline III)."""
    count: Literal["moved", "assigned"] = "moved"
    """What a centroid counts (eq. 12): the images that move it, or all of the cycle that it is assigned."""
    start_count: int = 0
    """What a centroid has counted before its first image (v in table I): at 0 that image takes the seed's place."""
    sample: int = 1000
    """Images of which the seeds are chosen (ours)."""
    fc9: Literal["identity", "glorot"] = "identity"
    """FC9's first weights (ours): the identity, for features that are k wide, or random."""
    batch_statistics: bool = False
    """Whether fine-tuning normalises by the batch in a network with batch normalisation, and renews the running
    statistics (ours); it uses these otherwise, as assignment always does."""
    tolerance: float = 0.0
    """Stop once an epoch moves the centroids by less than this part of their scatter, both squared (ours; 0: never)."""
    optimizer: optimizers.Name = "sgd"
    """SGD (section III.B)."""
    learning_rate: float = 0.01
    """Step size eta (ours)."""
    momentum: float = 0.0
    """Momentum of SGD; eq. 6 and 10 have none."""
    filters: tuple[int, ...] | None = None
    """Channels of the network's first convolutions, the backbone; None for the network's own (section II)."""
    adaptation: tuple[int, ...] | None = None
    """Channels of conv6 and conv7; None for the network's own (section II)."""

    def __post_init__(self):
        optimizers.check(self)
        for name in ("filters", "adaptation"):
            if getattr(self, name) is not None:  # A run's settings have lists.
                object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, least in (
            ("clusters", 2),
            ("reliable", 1),
            ("epochs", 0),
            ("start_count", 0),
            ("sample", 1),
        ):
            if getattr(self, name) < least:
                raise UsageError(f"{name}: must be at least {least}, got {getattr(self, name)}")
        for name, known in (
            ("trainable", ("all", "head", "nothing")),
            ("compensation", ("fc9", "all", "none")),
            ("backtrack", ("fine-tune", "previous")),
            ("update_with", ("last", "reliable", "all")),
            ("gradient", ("exact", "printed")),
            ("start", ("seeds", "kmeans")),
            ("select", ("nearest", "balanced")),
            ("fc9", ("glorot", "identity")),
            ("count", ("moved", "assigned")),
        ):
            if getattr(self, name) not in known:
                raise UsageError(
                    f"{name}: must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        if self.batch % self.reliable:
            raise UsageError(f"reliable: must divide batch, {self.batch}, got {self.reliable}")
        if self.sample < self.clusters:
            raise UsageError(
                f"sample: must be at least clusters, {self.clusters}, got {self.sample}"
            )
        if not 0 <= self.tolerance < float("inf"):
            raise UsageError(f"tolerance: must be at least 0, got {self.tolerance}")
        if self.batch_statistics and self.trainable != "all":
            raise UsageError(
                f"trainable: must be all with batch statistics, got {self.trainable!r}"
            )
        if self.gradient == "printed" and self.trainable != "head":
            raise UsageError(
                f"trainable: must be head with gradient printed, got {self.trainable!r}"
            )
        if self.backtrack == "previous" and self.compensation != "fc9":
            raise UsageError(
                f"compensation: must be fc9 with backtrack previous, got {self.compensation!r}"
            )


class State(NamedTuple):
    """Table I as arrays, none of which grows with the images.

    Attributes:
      variables: the network's arrays.
      scale: factor between the network's features and FC9's inputs x, fixed from the start; float32, ().
      head: FC9 and softmax.
      fc9_step: what the last fine-tuning added to FC9, -eta * Delta W of eq. 10, as ``head["fc9"]``.
      centroids: float32, (k, k).
      counts: images each centroid has counted (eq. 12), int32, (k,).
      before: the centroids when the epoch, in a stream the block, began.
      opt_state: the optimiser's arrays.
    """

    variables: Variables
    scale: jax.Array
    head: Head
    fc9_step: dict[str, jax.Array]
    centroids: jax.Array
    counts: jax.Array
    before: jax.Array
    opt_state: optax.OptState


class Info(NamedTuple):
    """float32 scalars of a cycle.

    Attributes:
      loss: E of eq. 1, the mean over the images that fine-tune.
      distance: mean Euclidean distance of all images to their centroids.
      drift: mean of ||h(W_t) - h(W_t-1)|| over the images that move the centroids.
      length: mean of ||h(W_t-1)|| over the same, for comparison.
    """

    loss: jax.Array
    distance: jax.Array
    drift: jax.Array
    length: jax.Array


class RefreshInfo(NamedTuple):
    """At the end of an epoch, in a stream of a block: squared movement of the centroids as a part of their scatter,
    float32, and centroids that never got an image, int32."""

    moved: jax.Array
    unseen: jax.Array


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optimizers.make(config.optimizer, config.learning_rate, config.momentum)


def network_settings(config: Config) -> dict[str, Any]:
    """What the networks take from the config."""
    widths = {"filters": config.filters, "adaptation": config.adaptation}
    return {name: value for name, value in widths.items() if value is not None}


def schedule(config: Config, n: int) -> Schedule:
    """A step is a cycle of N_m / k_m mini-batches, a window an epoch; where n is smaller than a cycle, images recur."""
    cycle = config.batch * (config.batch // config.reliable)
    return Schedule(cycle, -(-n // cycle), config.epochs, "shuffled")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Fresh FC9 and softmax; centroids by k-means++ on the features of a sample (table I, lines 2 and 3).

    Raises:
      ValueError: fewer images than clusters, FC9 cannot be the identity, or there is no batch normalisation for
        ``batch_statistics``.
    """
    n = images.shape[0]
    if n < config.clusters:
        raise UsageError(
            f"clusters: must be at most the number of images, {n}, got {config.clusters}"
        )
    network_key, head_key, sample_key, seeds_key = jax.random.split(key, 4)
    variables = network.init(network_key) if variables is None else variables
    if config.batch_statistics and not variables.stats:
        raise UsageError("batch_statistics: must be with a network that has batch normalisation")
    if config.start == "seeds" and config.sample < n:
        images = images[
            jax.random.permutation(sample_key, jnp.arange(n, dtype=jnp.int32))[: config.sample]
        ]
    x = _encoded(network, variables, jnp.float32(1), images)
    head, scale = _head(config, head_key, x)
    h = fc9(head["fc9"], scale * x)
    if config.start == "kmeans":
        centroids = kmeans(seeds_key, h, config.clusters).centroids
    else:
        centroids = kmeans_plus_plus(seeds_key, h, config.clusters)
    trained = _trained(config, head, variables.params)
    return State(
        variables,
        scale,
        head,
        jax.tree.map(jnp.zeros_like, head["fc9"]),
        centroids,
        jnp.full(config.clusters, config.start_count, jnp.int32),
        centroids,
        _optimizer(config).init(trained),
    )


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """How far the epoch moved the centroids; looks at no image."""
    del network, key, images
    scatter = jnp.sum((state.centroids - jnp.mean(state.centroids, axis=0)) ** 2)
    moved = jnp.sum((state.centroids - state.before) ** 2) / jnp.maximum(
        scatter, jnp.finfo(jnp.float32).tiny
    )
    unseen = jnp.sum(state.counts == config.start_count, dtype=jnp.int32)
    return (
        state._replace(before=state.centroids),
        moved < config.tolerance,
        RefreshInfo(moved, unseen),
    )


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """One cycle of table I (lines 5 to 20) on its N_m / k_m mini-batches."""
    del key, rows
    x = _encoded(network, state.variables, state.scale, batch)
    h = fc9(state.head["fc9"], x)
    distances = squared_distances(h, state.centroids)
    labels, nearest = hard_assignment(distances), jnp.min(distances, axis=1)

    sure = _surest(config, labels, nearest)
    tuned, loss = _fine_tuned(config, network, state, batch[sure], x[sure], labels[sure])

    moving = {
        "last": slice(batch.shape[0] - config.batch, None),
        "reliable": sure,
        "all": slice(None),
    }[config.update_with]
    before = h[moving]
    # The head alone moves the features of x, which are there; a network that moved has to see the images again.
    x = (
        _encoded(network, tuned.variables, state.scale, batch[moving])
        if config.trainable == "all"
        else x[moving]
    )
    after = fc9(tuned.head["fc9"], x)
    if config.compensation == "none":
        features = after
    elif config.compensation == "all":
        features = before
    elif config.backtrack == "previous":
        features = fc9(_tracked_back(state.head["fc9"], state.fc9_step), x)
    else:
        features = fc9(_tracked_back(tuned.head["fc9"], tuned.fc9_step), x)
    counts = state.counts
    if config.count == "assigned":
        counts = counts.at[labels].add(1).at[labels[moving]].add(-1)
    centroids, counts = running_means(state.centroids, counts, features, labels[moving])
    info = Info(
        loss,
        jnp.mean(jnp.sqrt(nearest)),
        jnp.mean(jnp.linalg.norm(after - before, axis=1)),
        jnp.mean(jnp.linalg.norm(before, axis=1)),
    )
    return tuned._replace(centroids=centroids, counts=counts), info


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """FC9's features h, float32 (n, k)."""
    del config
    return fc9(state.head["fc9"], _encoded(network, state.variables, state.scale, images))


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The nearest centroid, and what the softmax gives that cluster."""
    h = embed(config, network, state, images)
    distances = squared_distances(h, state.centroids)
    labels = hard_assignment(distances)
    y = jax.nn.softmax(_dense(state.head["softmax"], h))
    probability = jnp.take_along_axis(y, labels[:, None], axis=1)[:, 0]
    return Prediction(labels, probability, jnp.sqrt(jnp.min(distances, axis=1)))


def fc9(weights: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """h = ReLU(W_FC9 x + b): (n, d) to (n, k), float32."""
    return jax.nn.relu(_dense(weights, x))


def _dense(weights, x):
    return x @ weights["kernel"] + weights["bias"]


def _tracked_back(weights, step):
    """W(t) + eta * Delta W(t-1) of eq. 13; ``step`` is what was added."""
    return jax.tree.map(jnp.subtract, weights, step)


def _head(config: Config, key: Key, x: jax.Array) -> tuple[Head, jax.Array]:
    """Fresh FC9 and softmax, and the factor that brings the mean square of FC9's features of x, (n, d), to 1.

    How long features are differs by orders of magnitude between networks and pretrainings. Long ones saturate the
    softmax and stop the learning, short ones are carried away by FC9's biases.
    """
    k, width = config.clusters, x.shape[1]
    if config.fc9 == "identity" and width != k:
        raise UsageError(
            f"fc9: must be glorot for {width} features and {k} clusters, got 'identity'"
        )
    fc9_key, softmax_key = jax.random.split(key)
    glorot = jax.nn.initializers.glorot_uniform()
    first = (
        glorot(fc9_key, (width, k), jnp.float32)
        if config.fc9 == "glorot"
        else jnp.eye(k, dtype=jnp.float32)
    )
    square = jnp.mean(jax.nn.relu(x @ first) ** 2)
    head = {
        "fc9": {"kernel": first, "bias": jnp.zeros(k, jnp.float32)},
        "softmax": {
            "kernel": glorot(softmax_key, (k, k), jnp.float32),
            "bias": jnp.zeros(k, jnp.float32),
        },
    }
    return head, jnp.where(square > 0, jax.lax.rsqrt(square), jnp.float32(1))


def _trained(config: Config, head: Head, params: dict[str, Any]) -> dict[str, Any]:
    """What the optimiser moves."""
    return {"all": {"head": head, "network": params}, "head": {"head": head}, "nothing": {}}[
        config.trainable
    ]


def _encoded(
    network: Network, variables: Variables, scale: jax.Array, images: jax.Array
) -> jax.Array:
    """FC9's inputs x, float32 (n, d)."""
    return scale * encoded(network, variables, images)


def _surest(config: Config, labels: jax.Array, distances: jax.Array) -> jax.Array:
    """M' of table I: rows of the k_m surest images of each mini-batch, together N_m; int32."""
    labels, distances = labels.reshape(-1, config.batch), distances.reshape(-1, config.batch)
    if config.select == "balanced":
        nearer = (labels[:, :, None] == labels[:, None]) & (
            distances[:, None] < distances[:, :, None]
        )
        # The rank within the cluster decides, among equals the distance, which is brought below 1.
        distances = jnp.sum(nearer, axis=2).astype(jnp.float32) + distances / (1 + distances)
    sure = jax.lax.top_k(-distances, config.reliable)[1].astype(jnp.int32)
    return (sure + config.batch * jnp.arange(len(distances), dtype=jnp.int32)[:, None]).reshape(-1)


def _fine_tuned(
    config: Config,
    network: Network,
    state: State,
    images: jax.Array,
    x: jax.Array,
    labels: jax.Array,
) -> tuple[State, jax.Array]:
    """One step on the SSE between softmax and pseudo-labels (eq. 1), the mean over images; and its value before."""
    target = jax.nn.one_hot(labels, config.clusters, dtype=jnp.float32)

    def loss(trained):
        head, stats, features = trained.get("head", state.head), state.variables.stats, x
        if "network" in trained:
            variables = Variables(trained["network"], stats)
            features, new = network.encode(variables, images, config.batch_statistics)
            features = state.scale * features
            stats = new if config.batch_statistics else stats
        y = jax.nn.softmax(_dense(head["softmax"], fc9(head["fc9"], features)))
        return config.clusters / 2 * jnp.mean(losses.squared_error(y, target)), stats

    trained = _trained(config, state.head, state.variables.params)
    (value, stats), gradient = jax.value_and_grad(loss, has_aux=True)(trained)
    if config.trainable == "nothing":
        return state, value
    if config.gradient == "printed":
        gradient = {"head": printed_gradient(state.head, x, target)}
    trained, opt_state = optimizers.apply_gradient(
        _optimizer(config), gradient, trained, state.opt_state
    )
    variables = Variables(trained.get("network", state.variables.params), stats)
    head = trained["head"]
    fc9_step = jax.tree.map(jnp.subtract, head["fc9"], state.head["fc9"])
    return state._replace(
        variables=variables, head=head, fc9_step=fc9_step, opt_state=opt_state
    ), value


def printed_gradient(head: Head, x: jax.Array, target: jax.Array) -> Head:
    """Eq. 2 to 10 as printed: the derivative of ReLU taken as max(., 0), for the outputs y and for h; biases alike.

    Args:
      head: FC9 and softmax.
      x: inputs of FC9, float32, (n, d).
      target: pseudo-labels as rows of the identity, float32, (n, k).

    Returns:
      As ``head``, the mean over images.
    """
    h = fc9(head["fc9"], x)
    y = jax.nn.softmax(_dense(head["softmax"], h))
    outer = (y - target) * jnp.maximum(y, 0) / len(x)
    inner = (outer @ head["softmax"]["kernel"].T) * jnp.maximum(h, 0)
    return {
        "fc9": {"kernel": x.T @ inner, "bias": jnp.sum(inner, axis=0)},
        "softmax": {"kernel": h.T @ outer, "bias": jnp.sum(outer, axis=0)},
    }


# The state does not grow with the images, and refresh looks at none: they may come in blocks.
ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    step,
    embed,
    predict,
    refresh=refresh,
    name="ccnn",
    streams=True,
    network_settings=network_settings,
)

_PAPER = "Hsu, Lin 2018"
# Reconstruction stands where the paper has ImageNet; the preset "random" leaves it out.
_RECONSTRUCTION = {
    "pretrainer": pretraining.ALGORITHM,
    "pretraining": pretraining.Config(epochs=30),
}
_PRESETS = {
    "paper": {},
    "quick": {"pretraining.epochs": 10},
    "random": {"epochs": 30, "pretraining.epochs": 0},
}
_WITHOUT_EPOCHS = _PRESETS | {"random": {"pretraining.epochs": 0}}
# The paper's epochs are those from pretrained weights, which a file has to bring here.
_FROM_FILE = {
    "presets": {"paper": {}, "quick": {}, "random": {"epochs": 30}},
    "needs_weights": True,
}

METHODS = (
    Method(
        "ccnn",
        "Clustering CNN, drift-compensated (Hsu and Lin 2018)",
        _PAPER,
        ALGORITHM,
        networks.ccnn,
        Config(),
        **_RECONSTRUCTION,
        presets=_PRESETS,
    ),
    Method(
        "ccnn-i",
        "CCNN without drift compensation, its Baseline I",
        _PAPER,
        ALGORITHM,
        networks.ccnn,
        Config(compensation="none"),
        **_RECONSTRUCTION,
        presets=_PRESETS,
    ),
    Method(
        "ccnn-ii",
        "mini-batch k-means on CCNN's first features, its Baseline II",
        _PAPER,
        ALGORITHM,
        networks.ccnn,
        Config(trainable="nothing", reliable=50),
        **_RECONSTRUCTION,
        presets=_PRESETS,
    ),
    Method(
        "ccnn-iii",
        "k-means on CCNN's first features, its Baseline III",
        _PAPER,
        ALGORITHM,
        networks.ccnn,
        Config(trainable="nothing", start="kmeans", epochs=0),
        **_RECONSTRUCTION,
        presets=_WITHOUT_EPOCHS,
    ),
    Method(
        "ccnn-norm",
        "CCNN with batch normalization",
        _PAPER,
        ALGORITHM,
        networks.ccnn_norm,
        Config(),
        **_RECONSTRUCTION,
        presets=_PRESETS,
    ),
    Method(
        "ccnn-alexnet",
        "CCNN on AlexNet, for images of 63 pixels or more",
        _PAPER,
        ALGORITHM,
        networks.ccnn_alexnet,
        Config(),
        **_FROM_FILE,
    ),
    Method(
        "ccnn-alexnet-plain",
        "CCNN on AlexNet without adaptation layers",
        _PAPER,
        ALGORITHM,
        networks.ccnn_alexnet_plain,
        Config(fc9="glorot"),
        **_FROM_FILE,
    ),
    Method(
        "ccnn-resnet18",
        "CCNN on ResNet-18, for images of 32 pixels or more",
        _PAPER,
        ALGORITHM,
        networks.ccnn_resnet18,
        Config(),
        **_FROM_FILE,
    ),
)
