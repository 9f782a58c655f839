"""Spectral clustering by landmarks, for many images (Chen, Cai 2011): SC-LS of JULE's tables.

The whole run is compiled: k-means picks landmarks, each image is a mixture of its nearest ones, and
k-means clusters the singular vectors of the mixtures. Time grows with the number of images, and a
new image gets its place by the same landmarks.
"""

import dataclasses
from typing import NamedTuple

import jax

from jaxclust.errors import UsageError
from jaxclust.methods import checks, self_training
from jaxclust.methods.agglomerative import schedule, unit_features
from jaxclust.networks.autoencoders import pixels
from jaxclust.ops import landmarks
from jaxclust.ops.assignment import nearest
from jaxclust.ops.kmeans import kmeans
from jaxclust.ops.landmarks import Landmarks
from jaxclust.ops.spectral import MOST_FULL
from jaxclust.types import Algorithm, Key, Method, Network, Prediction, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; but for ``nearest`` the defaults are those of the authors' code."""

    clusters: int = 10
    """Number of clusters, and of singular vectors."""
    landmarks: int = 1000
    """p; at most half as many as there are images."""
    nearest: int = 3
    """r, the landmarks that an image is a mixture of (5 in the authors' code)."""
    a: float = 1.0
    """sigma is this times the mean squared distance of the images to the landmarks."""
    iterations: int = 5
    """Iterations of the k-means that picks landmarks; with 0 they are images drawn at random."""
    restarts: int = 10
    """Starts of the k-means that makes the clusters; the best counts."""

    def __post_init__(self):
        checks.at_least(self, 2, "clusters")
        checks.at_least(self, 1, "landmarks", "nearest", "restarts")
        checks.at_least(self, 0, "iterations")
        checks.positive(self, "a")
        if self.landmarks > MOST_FULL:
            rule = f"landmarks: must be at most {MOST_FULL}, since all pairs of them are held"
            raise UsageError(f"{rule}, got {self.landmarks}")
        if self.landmarks <= self.clusters:
            rule = f"landmarks: must be above the number of clusters, {self.clusters}"
            raise UsageError(f"{rule}, got {self.landmarks}")


class State(NamedTuple):
    """The result of a run.

    Attributes:
      variables: the network's arrays.
      labels: int32, (n,).
      landmarks: what embeds an image.
      centroids: of the clusters in the embedding, float32, (k, k).
    """

    variables: Variables
    labels: jax.Array
    landmarks: Landmarks
    centroids: jax.Array


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Clusters the embedding, scaled to unit length.

    Raises:
      UsageError: there are too few images for more landmarks than clusters.
    """
    network_key, landmark_key, kmeans_key = jax.random.split(key, 3)
    arrays = network.init(network_key) if variables is None else variables
    features = unit_features(network, arrays, images)
    n = features.shape[0]
    count = min(config.landmarks, n // 2)
    if count <= config.clusters:
        rule = f"images: must be at least {2 * config.clusters + 2}, for two images a landmark"
        raise UsageError(f"{rule} and more landmarks than clusters, got {n}")
    r = min(config.nearest, count)
    points = landmarks.selected(landmark_key, features, count, config.iterations)
    found = landmarks.fitted(features, points, config.clusters, r, config.a)
    rows = landmarks.embedded(found, features, r)
    result = kmeans(kmeans_key, rows, config.clusters, config.restarts)
    return State(arrays, result.labels, found, result.centroids)


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """Singular vectors by the landmarks, rows of unit length; float32 (n, k)."""
    features = unit_features(network, state.variables, images)
    r = min(config.nearest, state.landmarks.points.shape[0])
    return landmarks.embedded(state.landmarks, features, r)


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The nearest centroid in the embedding by landmarks, for images of the run and others."""
    return nearest(embed(config, network, state, images), state.centroids)


ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    None,  # There are no windows, and so no steps.
    embed,
    predict,
    finish=self_training.kept_labels,
    name="landmarks",
    centers="centroids",
    soft=self_training.student_t,
)

METHODS = (
    Method(
        name="sc-ls",
        kind="spectral",
        about="spectral clustering of pixels by landmarks, for many images",
        reference="Chen, Cai 2011",
        algorithm=ALGORITHM,
        network=pixels,
        config=Config(),
        presets={"default": {}, "paper": {"landmarks": 500, "nearest": 5}, "quick": {}},
    ),
)
