"""DEN: an autoencoder whose features keep neighbors together and use few groups; then k-means.

Huang, Huang, Wang, Wang: Deep Embedding Network for Clustering, ICPR 2014. Beside the
reconstruction the loss has two constraints on the features. An image should be near to its
neighbors among the images (locality), and its features should be zero but for one group of them,
of as many groups as there are clusters (group sparsity).
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxclust.errors import UsageError
from jaxclust.methods import checks, pretraining, self_training, start_values
from jaxclust.methods.self_training import RefreshInfo
from jaxclust.networks.autoencoders import grouped_sae
from jaxclust.ops import losses, optimizers
from jaxclust.ops.batches import batch_size, encoded, scaled
from jaxclust.ops.kmeans import kmeans, lloyd
from jaxclust.ops.moved_images import Augment, augmented
from jaxclust.ops.neighbor_graph import Graph, knn_digraph
from jaxclust.ops.products import dot
from jaxclust.types import (
    Algorithm,
    Key,
    Method,
    Network,
    Schedule,
    Variables,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; we could not get the paper, and what is not said to be its is ours."""

    clusters: int = 10
    """Number of clusters k, which is also the number of groups of features (paper)."""
    group_size: int | None = None
    """Features in a group; None for the network's own number, 2."""
    n_neighbors: int = 2
    """Nearest neighbors of an image, by its pixels."""
    a: float = 1.0
    """The weight of a neighbor at distance d is exp(-d^2 / t), the heat kernel (paper). t is this
    times the mean of d^2 over all neighbors."""
    locality_weight: float = 0.5
    """Weight of the squared distance to the features of the neighbors (alpha)."""
    sparsity_weight: float = 1.0
    """Weight of the group sparsity (beta)."""
    terms: start_values.Terms = "relative"
    """Each term is divided by its value at the start, or is the sum that the paper has."""
    epochs: int = 30
    """Passes over the images."""
    restarts: int = 10
    """Runs of the k-means on the features, at the start and at the end; the best run counts."""
    batch: int = 256
    """Images per step."""
    least_steps: int | None = 32
    """Steps that a pass over few images has at least: their batch is smaller, down to 32 images.
    None for the batch as it is."""
    optimizer: optimizers.Name = "adam"
    """Adam, or SGD."""
    learning_rate: float = 1e-3
    """Step size."""
    momentum: float = 0.9
    """Momentum of SGD."""
    augment: Augment = "none"
    """How steps change their images at random: "affine" turns and shifts them, unless a side
    has fewer than 16 pixels (DEC-DA). Neighbors are images as they are."""

    def __post_init__(self):
        optimizers.check(self)
        checks.at_least(self, 2, "clusters")
        checks.choices(self)
        checks.at_least(self, 0, "epochs")
        checks.at_least(self, 1, "restarts", "n_neighbors")
        checks.positive(self, "a")
        checks.nonnegative(self, "locality_weight", "sparsity_weight")
        for name in ("group_size", "least_steps"):
            if getattr(self, name) is not None:
                checks.at_least(self, 1, name)


class Units(NamedTuple):
    """What each term of the loss is divided by: its value at the start, or 1; float32, ()."""

    reconstruction: jax.Array
    locality: jax.Array
    sparsity: jax.Array


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      centroids: of the k-means on the features, float32, (clusters, d).
      labels: the nearest centroids at the end of the last epoch, int32, (n,).
      graph: the neighbors of each image and their weights.
      features: of each image when it was last in a step, float32, (n, d).
      units: what each term of the loss is divided by.
      epochs: number of epochs done, int32.
      opt_state: the optimizer's arrays for the params.
    """

    variables: Variables
    centroids: jax.Array
    labels: jax.Array
    graph: Graph
    features: jax.Array
    units: Units
    epochs: jax.Array
    opt_state: optax.OptState


class Info(NamedTuple):
    """Scalars of a batch, float32, the terms without weights, means over images.

    Attributes:
      loss: the total loss.
      reconstruction: the squared error, summed over pixels.
      locality: the weighted squared distances to the features of the neighbors.
      sparsity: the lengths of the groups.
    """

    loss: jax.Array
    reconstruction: jax.Array
    locality: jax.Array
    sparsity: jax.Array


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optimizers.make(config.optimizer, config.learning_rate, config.momentum)


def network_settings(config: Config) -> dict[str, object]:
    """The settings that the network takes from the config."""
    return {} if config.group_size is None else {"group_size": config.group_size}


def schedule(config: Config, n: int) -> Schedule:
    """A window is an epoch."""
    batch = batch_size(n, config.batch, config.least_steps)
    return Schedule(batch, -(-n // batch), config.epochs, "shuffled")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Finds the neighbors of each image, and makes centroids from the features.

    Raises:
      UsageError: the network has no decoder, it has fewer features than there are clusters, or
        there are too few images for the clusters or the neighbors.
    """
    reconstruct = checks.decoder(network, "den")
    network_key, kmeans_key = jax.random.split(key)
    variables = network.init(network_key) if variables is None else variables
    features = encoded(network, variables, images)
    if features.shape[1] < config.clusters:
        rule = f"network: must have at least {config.clusters} features, one for each cluster"
        raise UsageError(f"{rule}, got {features.shape[1]}")
    pixels = scaled(images).reshape(images.shape[0], -1)
    graph = knn_digraph(pixels, config.n_neighbors, config.a)
    found = kmeans(kmeans_key, features, config.clusters, config.restarts)
    units = Units(jnp.float32(1), jnp.float32(1), jnp.float32(1))
    if config.terms == "relative":
        near = locality(features, features[graph.neighbors], graph.weights)
        lengths = group_lengths(features, config.clusters)
        units = Units(
            start_values.reconstruction(reconstruct, variables, images),
            start_values.positive(jnp.mean(near)),
            start_values.positive(jnp.mean(lengths)),
        )
    return State(
        variables=variables,
        centroids=found.centroids,
        labels=found.labels,
        graph=graph,
        features=features,
        units=units,
        epochs=jnp.int32(0),
        opt_state=_optimizer(config).init(variables.params),
    )


def locality(features: jax.Array, neighbors: jax.Array, weights: jax.Array) -> jax.Array:
    """The squared distances of features to those of their neighbors, weighted and summed.

    Args:
      features: float32, (n, d).
      neighbors: the features of the neighbors, float32, (n, K, d).
      weights: the heat kernel of the neighbors, float32, (n, K).

    Returns:
      float32, (n,).
    """
    squared = jnp.sum(jnp.square(features[:, None] - neighbors), axis=2)
    return jnp.sum(weights * squared, axis=1)


def group_lengths(features: jax.Array, groups: int) -> jax.Array:
    """The group lasso: the length of each group times the root of its size, summed over groups.

    Groups are neighboring features. Where the number of groups does not divide that of features,
    the first groups have one more.

    Args:
      features: float32, (n, d), with d at least ``groups``.
      groups: number of groups.

    Returns:
      float32, (n,). The gradient of a group of length 0 is 0.
    """
    member = jnp.sort(jnp.arange(features.shape[1]) % groups)
    of_groups = jax.nn.one_hot(member, groups, dtype=jnp.float32)
    squares = dot(jnp.square(features), of_groups)
    lengths = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)
    return jnp.sum(jnp.sqrt(jnp.sum(of_groups, axis=0)) * lengths, axis=1)


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """Makes one gradient step on the network, and keeps the new features of the batch.

    The neighbors are not in the batch: their features are those that a step last kept.
    """
    reconstruct = checks.decoder(network, "den")
    inputs = augmented(config.augment, key, batch)
    target = scaled(inputs)
    neighbors = state.features[state.graph.neighbors[rows]]
    weights = {
        "reconstruction": 1 / state.units.reconstruction,
        "locality": config.locality_weight / state.units.locality,
        "sparsity": config.sparsity_weight / state.units.sparsity,
    }

    def loss(params):
        variables = Variables(params, state.variables.stats)
        output, features, stats = reconstruct(variables, inputs, True)
        terms = {
            "reconstruction": start_values.summed_error(output, target),
            "locality": locality(features, neighbors, state.graph.weights[rows]),
            "sparsity": group_lengths(features, config.clusters),
        }
        total, means = losses.weighted(weights, terms)
        return total, (means, stats)

    params, opt_state, total, (means, stats) = optimizers.gradient_step(
        _optimizer(config), loss, state.variables.params, state.opt_state
    )
    variables = Variables(params, stats)
    features, _ = network.encode(variables, batch, False)
    kept = state.features.at[rows].set(features)
    state = state._replace(variables=variables, features=kept, opt_state=opt_state)
    return state, Info(total, **means)


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """Moves the centroids along with the features; the last epoch ends with k-means anew."""
    epochs = state.epochs + 1
    features = self_training.embed(config, network, state, images)
    moved = lloyd(features, state.centroids)

    # A cond would always run both branches under vmap; this loop of at most one turn does not.
    def anew(carry):
        del carry
        found = kmeans(key, features, config.clusters, config.restarts)
        return jnp.bool_(False), found.centroids, found.labels

    last = epochs == config.epochs
    _, centroids, labels = lax.while_loop(
        lambda carry: carry[0], anew, (last, moved.centroids, moved.labels)
    )
    info = self_training.change(state.labels, labels, config.clusters)
    state = state._replace(centroids=centroids, labels=labels, epochs=epochs)
    return state, jnp.bool_(False), info


ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    step,
    self_training.embed,
    self_training.nearest_centroids,
    refresh=refresh,
    name="den",
    centers="centroids",
    soft=self_training.student_t,
    network_settings=network_settings,
)

METHODS = (
    Method(
        name="den",
        about="Deep Embedding Network: neighbors and groups of features (Huang et al. 2014)",
        reference="Huang, Huang, Wang, Wang 2014",
        algorithm=ALGORITHM,
        network=grouped_sae,
        config=Config(),
        pretrainer=pretraining.ALGORITHM,
        pretraining=pretraining.Config(epochs=50, least_steps=32),
        presets={
            "default": {},
            "paper": {"terms": "plain"},
            "quick": {"epochs": 10, "pretraining.epochs": 20},
        },
    ),
)
