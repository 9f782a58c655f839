"""DCEC and its family: DEC, IDEC, DEC-conv, DCEC, and k-means on features.

Guo, Liu, Zhu, Yin: Deep Clustering with Convolutional Autoencoders, ICONIP 2017. The methods share
one module because they are one loop under different settings:

    L = reconstruction_weight * L_r + gamma * L_c                                      (eq. 5)

    method                 network   reconstruction_weight   gamma   max_steps
    kmeans                 pixels    -                       -       0
    sae-kmeans/cae-kmeans  SAE/CAE   -                       -       0
    dec/dec-conv           SAE/CAE   0                       1       20,000
    idec/dcec              SAE/CAE   1                       0.1     20,000
"""

import dataclasses
import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.methods import checks, pretraining, renewals, self_training
from jaxclust.methods.self_training import RefreshInfo, State
from jaxclust.networks.autoencoders import cae, pixels, sae
from jaxclust.ops import losses, optimizers
from jaxclust.ops.assignment import sharpened_target, soft_assignment
from jaxclust.ops.batches import encoded, scaled
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
    """Settings of DCEC; the defaults are the paper's."""

    clusters: int = 10
    """Number of clusters k, which is also the width of the embedding (section 2)."""
    gamma: float = 0.1
    """Weight of the clustering loss (section 3.3)."""
    reconstruction_weight: float = 1.0
    """Weight of the reconstruction loss (eq. 5); 0 leaves the decoder out (DEC)."""
    reconstruction: Literal["mean", "sum"] = "mean"
    """The squared error is averaged over pixels (authors' code) or summed (eq. 4)."""
    update_interval: int = 140
    """Steps T between two updates of the target distribution (section 4.2)."""
    update_epochs: float | None = dataclasses.field(default=None, metadata=NEW)
    """Largest number of passes over the images between two updates (ours). At the sizes of the
    paper's sets 4 passes are more than its T steps and change nothing; None for no limit."""
    tolerance: float = 1e-3
    """Stop once less than this fraction of the labels changed between two updates of the target
    (delta, section 4.2)."""
    max_steps: int = 20_000
    """Largest number of steps (authors' code); 0 gives k-means on the features."""
    restarts: int = 20
    """k-means runs for the initial centroids; the best run counts (authors' code)."""
    batch: int = 256
    """Images per step (authors' code)."""
    optimizer: optimizers.Name = "adam"
    """Adam with its defaults for the CAE, SGD for the SAE (section 4.2)."""
    learning_rate: float = 1e-3
    """Step size (Adam's default)."""
    momentum: float = 0.9
    """Momentum of SGD."""
    augment: Augment = dataclasses.field(default="none", metadata=NEW)
    """How steps change their images at random: "affine" turns and shifts them, unless a side
    has fewer than 16 pixels (DEC-DA). The targets come from the images as they are."""
    start: renewals.Start = dataclasses.field(default="kmeans", metadata=NEW)
    """The initial centroids: k-means on the embedding (section 3.4), or graph degree linkage
    (ours)."""
    graph_windows: int | None = dataclasses.field(default=None, metadata=NEW)
    """Number of windows after which graph degree linkage makes the centroids anew (ours); None for
    never."""
    reset_epochs: int | None = dataclasses.field(default=None, metadata=NEW)
    """Passes over the images after which the weights are partly drawn anew (BRB has 20), at most a
    quarter of the run; None for never."""
    reset_share: float = dataclasses.field(default=0.2, metadata=NEW)
    """Share of the weights that a reset draws anew (BRB)."""

    def __post_init__(self):
        optimizers.check(self)
        checks.at_least(self, 2, "clusters")
        checks.choices(self)
        checks.at_least(self, 1, "update_interval", "restarts")
        checks.at_least(self, 0, "max_steps", "gamma", "reconstruction_weight")
        checks.in_range(self, 0, 1, "tolerance")
        if self.update_epochs is not None:
            checks.positive(self, "update_epochs")
        renewals.check(self, _windows(self))


class Info(NamedTuple):
    """Scalars of a batch, float32.

    Attributes:
      loss: the total loss.
      reconstruction: the reconstruction loss without its weight, the mean over images.
      clustering: the clustering loss without its weight, the mean over images.
    """

    loss: jax.Array
    reconstruction: jax.Array
    clustering: jax.Array


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optimizers.make(config.optimizer, config.learning_rate, config.momentum)


def _start(config: Config, images: jax.Array) -> self_training.Start:
    n = images.shape[0]
    renewal = renewals.renewal(config, _optimizer(config), schedule(config, n), n)
    return self_training.Start(renewal, soft_assignment, sharpened_target)


def schedule(config: Config, n: int) -> Schedule:
    """A window is the steps between two updates of the target.

    These are T steps, or fewer where so many would pass over few images again and again. There are
    as many windows as T steps make of ``max_steps``. Batches run through the images in their order.
    """
    batch = min(config.batch, n)
    steps = _window(config)
    if config.update_epochs is not None:
        steps = min(steps, math.ceil(config.update_epochs * n / batch))
    return Schedule(batch, steps, _windows(config), "sequential")


def _windows(config: Config) -> int:
    return config.max_steps // _window(config)


def _window(config: Config) -> int:
    """Steps of a window where there are many images."""
    return min(config.update_interval, max(config.max_steps, 1))


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Makes centroids from the embedding of all images (section 3.4), and a target."""
    return self_training.init(_start(config, images), network, key, variables, images)


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """Makes a new target from all images (eq. 8).

    The run stops when less than ``tolerance`` of the labels changed (section 3.4).
    """
    state, _, may_stop, info = self_training.refresh(
        _start(config, images), network, key, state, images
    )
    return state, may_stop & (info.changed < config.tolerance), info


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """Makes one gradient step on network and centroids (eq. 5 to 7)."""
    batch = augmented(config.augment, key, batch)
    target = scaled(batch)
    # Eq. (4) sums over pixels, the authors' code takes the mean.
    scale = target[0].size if config.reconstruction == "sum" else 1
    weights = {"reconstruction": config.reconstruction_weight * scale, "clustering": config.gamma}

    def loss(params, centroids):
        variables = Variables(params, state.variables.stats)
        if config.reconstruction_weight > 0:
            reconstruct = checks.decoder(network, "dcec")
            reconstruction, features, stats = reconstruct(variables, batch, True)
            error = losses.squared_error(reconstruction, target)
        else:
            features, stats = network.encode(variables, batch, True)
            error = jnp.zeros(batch.shape[0], jnp.float32)
        divergence = losses.kl_divergence(state.target[rows], soft_assignment(features, centroids))
        total, means = losses.weighted(weights, {"reconstruction": error, "clustering": divergence})
        return total, (means, stats)

    state, total, means = self_training.update(_optimizer(config), state, loss)
    return state, Info(total, **means)


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """The features z, float32 (n, d)."""
    del config
    return encoded(network, state.variables, images)


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The nearest centroid in the embedding, which is the argmax of q (eq. 6), and its q."""
    del config
    return self_training.predict(network, state, images, soft_assignment)


ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    step,
    embed,
    predict,
    refresh=refresh,
    name="dcec",
    centers="centroids",
    soft=self_training.student_t,
)
_OF_STEPS = ("max_steps", "augment", "start", "graph_windows", "reset_epochs", "reset_share")
KMEANS = ALGORITHM._replace(name="kmeans", fixed=_OF_STEPS, kmeans=True)
"""k-means on the features alone: ``max_steps`` is 0 and stays 0. Settings of steps stay, too."""

_TABLE_1 = "Guo et al. 2017, table 1"

_SAE = pretraining.Config(epochs=100, least_steps=32)
"""The default of the stacked autoencoder: Adam on the mean over pixels.

Its step does not grow with the number of pixels and their brightness. The step of the paper's SGD
does, since eq. (4) sums over pixels: it ends in NaN on COIL-20 at 32x32, and on MNIST-test it
leaves one seed of five with a decoder whose units are nearly all dead.
"""
_SAE_OF_THE_PAPER = pretraining.Config(
    # 400 epochs of SGD (section 4.2) on the sum over pixels of eq. (4): with the mean of the
    # authors' code this step size barely moves the weights (docs/methods/dcec.md has both).
    epochs=400,
    optimizer="sgd",
    learning_rate=0.01,
    reconstruction="sum",
)
_SAE_PRESETS = {
    "default": {},
    "paper": checks.changes(_SAE, _SAE_OF_THE_PAPER, PRETRAINING),
    "quick": {"pretraining.epochs": 50},
}
_CAE_PRESETS = {
    "default": {},
    "paper": {"pretraining.least_steps": None},
    "quick": {"pretraining.epochs": 50},
}
_CLUSTERING = {"default": {}, "paper": {"update_epochs": None}, "quick": {"max_steps": 1400}}
"""Presets of the phase that clusters; 1,400 steps are 10 updates of the target."""

_KMEANS = Method(
    name="kmeans",
    kind="features",
    about="k-means on pixels",
    reference="Lloyd 1982; k-means++ by Arthur and Vassilvitskii 2007",
    algorithm=KMEANS,
    network=pixels,
    config=Config(max_steps=0),
)
_IDEC = Method(
    name="idec",
    about="Improved DEC, with reconstruction (Guo et al. 2017)",
    reference="Guo, Gao, Liu, Yin 2017",
    algorithm=ALGORITHM,
    network=sae,
    config=Config(optimizer="sgd", learning_rate=0.01, update_epochs=4.0),
    pretrainer=pretraining.ALGORITHM,
    pretraining=_SAE,
    presets={name: _SAE_PRESETS[name] | _CLUSTERING[name] for name in _CLUSTERING},
)
_DCEC = Method(
    name="dcec",
    about="Deep Convolutional Embedded Clustering (Guo et al. 2017)",
    reference="Guo, Liu, Zhu, Yin 2017",
    algorithm=ALGORITHM,
    network=cae,
    config=Config(update_epochs=4.0),
    pretrainer=pretraining.ALGORITHM,
    pretraining=pretraining.Config(least_steps=32),
    presets={name: _CAE_PRESETS[name] | _CLUSTERING[name] for name in _CLUSTERING},
)

METHODS = (
    _KMEANS,
    _IDEC.replace(
        name="sae-kmeans",
        kind="features",
        about="k-means on a stacked autoencoder's features",
        reference=_TABLE_1,
        algorithm=KMEANS,
        config=Config(max_steps=0),
        presets=_SAE_PRESETS,
    ),
    _IDEC.replace(
        name="dec",
        about="Deep Embedded Clustering (Xie et al. 2016)",
        reference="Xie, Girshick, Farhadi 2016",
        config=Config(
            reconstruction_weight=0.0,
            gamma=1.0,
            optimizer="sgd",
            learning_rate=0.01,
            update_epochs=4.0,
        ),
    ),
    _IDEC,
    _DCEC.replace(
        name="cae-kmeans",
        kind="features",
        about="k-means on a convolutional autoencoder's features",
        reference=_TABLE_1,
        algorithm=KMEANS,
        config=Config(max_steps=0),
        presets=_CAE_PRESETS,
    ),
    _DCEC.replace(
        name="dec-conv",
        about="DEC on the convolutional autoencoder",
        reference=_TABLE_1,
        config=Config(reconstruction_weight=0.0, gamma=1.0, update_epochs=4.0),
    ),
    _DCEC,
)
