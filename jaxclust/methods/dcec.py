"""DCEC and its family: DEC, IDEC, DEC-conv, DCEC, and k-means on a feature space.

Guo, Liu, Zhu, Yin: Deep Clustering with Convolutional Autoencoders, ICONIP 2017. One module, because the
methods are one loop under different settings:

  L = reconstruction_weight * L_r + gamma * L_c                                      (eq. 5)

  method                 network   reconstruction_weight   gamma   max_steps
  kmeans                 pixels    -                       -       0
  sae-kmeans/cae-kmeans  SAE/CAE   -                       -       0
  dec/dec-conv           SAE/CAE   0                       1       20,000
  idec/dcec              SAE/CAE   1                       0.1     20,000
"""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.errors import UsageError
from jaxclust.methods import pretraining, self_training
from jaxclust.methods.self_training import RefreshInfo, State
from jaxclust.networks.autoencoders import cae, pixels, sae
from jaxclust.ops import losses, optimizers
from jaxclust.ops.assignment import sharpened_target, soft_assignment
from jaxclust.ops.batches import encoded, scaled
from jaxclust.types import Algorithm, Key, Method, Network, Prediction, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Defaults: DCEC at the paper's settings."""

    clusters: int = 10
    """Number of clusters k; also the width of the embedding (section 2)."""
    gamma: float = 0.1
    """Weight of the clustering loss (section 3.3)."""
    reconstruction_weight: float = 1.0
    """Weight of the reconstruction loss (eq. 5); 0 leaves the decoder out (DEC)."""
    reconstruction: Literal["mean", "sum"] = "mean"
    """Squared error averaged over pixels (authors' code) or summed (eq. 4)."""
    update_interval: int = 140
    """Steps T between two updates of the target distribution (section 4.2)."""
    tolerance: float = 1e-3
    """Stop once fewer than this fraction of labels changed between two updates (delta, section 4.2)."""
    max_steps: int = 20_000
    """Steps at the most (authors' code); 0 gives k-means on the features."""
    restarts: int = 20
    """k-means runs for the initial centroids, the best kept (authors' code)."""
    batch: int = 256
    """Images per step (authors' code)."""
    optimizer: optimizers.Name = "adam"
    """Adam with its defaults for the CAE (section 4.2); SGD for the SAE."""
    learning_rate: float = 1e-3
    """Step size (Adam's default)."""
    momentum: float = 0.9
    """Momentum of SGD."""

    def __post_init__(self):
        optimizers.check(self)
        if self.clusters < 2:
            raise UsageError(f"clusters: must be at least 2, got {self.clusters}")
        if self.reconstruction not in ("mean", "sum"):
            raise UsageError(f"reconstruction: must be mean or sum, got {self.reconstruction!r}")
        for name, least in (("update_interval", 1), ("max_steps", 0), ("restarts", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"{name}: must be at least {least}, got {getattr(self, name)}")
        for name in ("gamma", "reconstruction_weight"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name}: must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.tolerance <= 1:
            raise UsageError(f"tolerance: must be in [0, 1], got {self.tolerance}")


class Info(NamedTuple):
    """float32 scalars of a batch: the total loss, and the mean over images of each term, unweighted."""

    loss: jax.Array
    reconstruction: jax.Array
    clustering: jax.Array


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optimizers.make(config.optimizer, config.learning_rate, config.momentum)


def schedule(config: Config, n: int) -> Schedule:
    """A window is the T steps between two updates of the target; batches run through the images in order."""
    steps = min(config.update_interval, max(config.max_steps, 1))
    return Schedule(min(config.batch, n), steps, config.max_steps // steps, "sequential")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """k-means on the embedding of all images gives the centroids (section 3.4), and the first target follows."""
    start = self_training.Start(
        _optimizer(config), config.clusters, config.restarts, soft_assignment, sharpened_target
    )
    return self_training.init(start, network, key, variables, images)


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """New target from all images (eq. 8); stop when fewer than ``tolerance`` of the labels changed (section 3.4)."""
    del key
    state, _, info = self_training.refresh(
        network, state, images, soft_assignment, sharpened_target
    )
    return state, info.changed < config.tolerance, info


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """One gradient step on network and centroids (eq. 5 to 7)."""
    del key
    pixels = scaled(batch)
    # Eq. (4) sums over pixels, the authors' code takes the mean.
    scale = pixels[0].size if config.reconstruction == "sum" else 1
    weights = {"reconstruction": config.reconstruction_weight * scale, "clustering": config.gamma}

    def loss(params, centroids):
        variables = Variables(params, state.variables.stats)
        if config.reconstruction_weight > 0:
            reconstruction, features, stats = network.reconstruct(variables, batch, True)
            error = losses.squared_error(reconstruction, pixels)
        else:
            features, stats = network.encode(variables, batch, True)
            error = jnp.zeros(batch.shape[0], jnp.float32)
        divergence = losses.kl_divergence(state.target[rows], soft_assignment(features, centroids))
        total, means = losses.weighted(weights, {"reconstruction": error, "clustering": divergence})
        return total, (means, stats)

    state, total, means = self_training.update(_optimizer(config), state, loss)
    return state, Info(total, **means)


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """Features z, float32 (n, d)."""
    del config
    return encoded(network, state.variables, images)


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The nearest centroid in the embedding, which is argmax of q (eq. 6), with its q."""
    del config
    return self_training.predict(network, state, images, soft_assignment)


ALGORITHM = Algorithm(Config, schedule, init, step, embed, predict, refresh=refresh, name="dcec")
KMEANS = ALGORITHM._replace(name="kmeans", fixed=("max_steps",))
"""k-means on the features alone: ``max_steps`` is 0 and stays so."""

_SAE_STEP = {"optimizer": "sgd", "learning_rate": 0.01}
_DEC = {"reconstruction_weight": 0.0, "gamma": 1.0}
_CAE = {"pretrainer": pretraining.ALGORITHM, "pretraining": pretraining.Config()}
# 400 epochs of SGD (section 4.2) on the sum over pixels of eq. (4): with the mean of the authors'
# code this step size barely moves the weights. docs/deviations.md has both, measured.
_SAE = {
    "pretrainer": pretraining.ALGORITHM,
    "pretraining": pretraining.Config(
        epochs=400, optimizer="sgd", learning_rate=0.01, reconstruction="sum"
    ),
}
_CAE_PRESETS = {"paper": {}, "quick": {"pretraining.epochs": 100}}
_SAE_PRESETS = {"paper": {}, "quick": {"pretraining.epochs": 200}}

METHODS = (
    Method(
        "kmeans",
        "k-means on pixels",
        "Lloyd 1982; k-means++ by Arthur and Vassilvitskii 2007",
        KMEANS,
        pixels,
        Config(max_steps=0),
    ),
    Method(
        "sae-kmeans",
        "k-means on a stacked autoencoder's features",
        "Guo et al. 2017, table 1",
        KMEANS,
        sae,
        Config(max_steps=0),
        **_SAE,
        presets=_SAE_PRESETS,
    ),
    Method(
        "dec",
        "Deep Embedded Clustering (Xie et al. 2016)",
        "Xie, Girshick, Farhadi 2016",
        ALGORITHM,
        sae,
        Config(**_DEC, **_SAE_STEP),
        **_SAE,
        presets=_SAE_PRESETS,
    ),
    Method(
        "idec",
        "Improved DEC, with reconstruction (Guo et al. 2017)",
        "Guo, Gao, Liu, Yin 2017",
        ALGORITHM,
        sae,
        Config(**_SAE_STEP),
        **_SAE,
        presets=_SAE_PRESETS,
    ),
    Method(
        "cae-kmeans",
        "k-means on a convolutional autoencoder's features",
        "Guo et al. 2017, table 1",
        KMEANS,
        cae,
        Config(max_steps=0),
        **_CAE,
        presets=_CAE_PRESETS,
    ),
    Method(
        "dec-conv",
        "DEC on the convolutional autoencoder",
        "Guo et al. 2017, table 1",
        ALGORITHM,
        cae,
        Config(**_DEC),
        **_CAE,
        presets=_CAE_PRESETS,
    ),
    Method(
        "dcec",
        "Deep Convolutional Embedded Clustering (Guo et al. 2017)",
        "Guo, Liu, Zhu, Yin 2017",
        ALGORITHM,
        cae,
        Config(),
        **_CAE,
        presets=_CAE_PRESETS,
    ),
)
