"""The fine-tuning of CCNN's network on its own most reliable assignments (table I).

Hsu, Lin: CNN-Based Joint Clustering and Representation Learning with Feature Drift Compensation for
Large-Scale Image Data, IEEE Transactions on Multimedia 2018.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.methods import ccnn_head
from jaxclust.methods.ccnn_head import Head, Layer
from jaxclust.ops import losses, optimizers
from jaxclust.types import Network, Params, Variables


class FineTuning(NamedTuple):
    """The settings of the fine-tuning; ``ccnn.Config`` explains each of them.

    Attributes:
      clusters: number of clusters k.
      trainable: what is fine-tuned.
      gradient: whether the gradient is exact or as printed.
      batch_statistics: whether the network normalizes by the batch.
      optimizer: turns gradients into updates.
    """

    clusters: int
    trainable: Literal["all", "head", "nothing"]
    gradient: Literal["exact", "printed"]
    batch_statistics: bool
    optimizer: optax.GradientTransformation


class Arrays(NamedTuple):
    """What the fine-tuning changes.

    Attributes:
      variables: the network's arrays.
      head: FC9 and softmax.
      fc9_step: what the last fine-tuning added to FC9, with the structure of ``head["fc9"]``.
      opt_state: the optimizer's arrays.
    """

    variables: Variables
    head: Head
    fc9_step: Layer
    opt_state: optax.OptState


class Buffer(NamedTuple):
    """The images that fine-tune the network, M' of table I.

    Attributes:
      images: uint8 or float32 in [0, 1], (m, h, w, c).
      x: the inputs of FC9, float32, (m, d).
      labels: the pseudo-labels, int32, (m,).
    """

    images: jax.Array
    x: jax.Array
    labels: jax.Array


def most_reliable(
    labels: jax.Array, distances: jax.Array, batch: int, reliable: int, balanced: bool
) -> jax.Array:
    """Chooses the k_m most reliable images of each mini-batch (section III.E).

    Those are the images nearest to their centroids.

    Args:
      labels: the nearest centroids of the cycle's images, int32, (n,).
      distances: the squared distances to them, float32, (n,).
      batch: images in a mini-batch, N_m.
      reliable: k_m.
      balanced: whether each cluster's nearest image comes before any cluster's second nearest.

    Returns:
      M' of table I: the rows of the images, int32, (n * k_m / N_m,).
    """
    labels = labels.reshape(-1, batch)
    distances = distances.reshape(-1, batch)
    if balanced:
        same = labels[:, :, None] == labels[:, None]
        nearer = same & (distances[:, None] < distances[:, :, None])
        # The rank within the cluster decides; between equal ranks the distance decides, which is
        # mapped to a value below 1.
        distances = jnp.sum(nearer, axis=2).astype(jnp.float32) + distances / (1 + distances)
    places = jax.lax.top_k(-distances, reliable)[1].astype(jnp.int32)
    return (places + batch * jnp.arange(len(distances), dtype=jnp.int32)[:, None]).reshape(-1)


def trained(tuning: FineTuning, head: Head, params: Params) -> Params:
    """The arrays that the optimizer moves.

    Args:
      tuning: the settings.
      head: FC9 and softmax.
      params: the trainable arrays of the network.
    """
    parts = {"all": {"head": head, "network": params}, "head": {"head": head}, "nothing": {}}
    return parts[tuning.trainable]


def fine_tune(
    tuning: FineTuning, network: Network, arrays: Arrays, scale: jax.Array, buffer: Buffer
) -> tuple[Arrays, jax.Array]:
    """Makes one gradient step on the SSE between softmax and pseudo-labels (eq. 1).

    Args:
      tuning: the settings.
      network: the network.
      arrays: what the step changes.
      scale: factor between the network's features and FC9's inputs, float32, ().
      buffer: the images that fine-tune.

    Returns:
      The arrays after the step, and the SSE before it, the mean over images, float32 ().
    """
    target = jax.nn.one_hot(buffer.labels, tuning.clusters, dtype=jnp.float32)
    params, stats = arrays.variables

    def loss(parts):
        head = parts.get("head", arrays.head)
        new_stats = stats
        x = buffer.x
        if "network" in parts:
            features, batch_stats = network.encode(
                Variables(parts["network"], stats), buffer.images, tuning.batch_statistics
            )
            x = scale * features
            new_stats = batch_stats if tuning.batch_statistics else stats
        y = ccnn_head.softmax(head["softmax"], ccnn_head.fc9(head["fc9"], x))
        return tuning.clusters / 2 * jnp.mean(losses.squared_error(y, target)), new_stats

    parts = trained(tuning, arrays.head, params)
    (value, new_stats), gradient = jax.value_and_grad(loss, has_aux=True)(parts)
    if tuning.trainable == "nothing":
        return arrays, value
    if tuning.gradient == "printed":
        gradient = {"head": ccnn_head.printed_gradient(arrays.head, buffer.x, target)}
    parts, opt_state = optimizers.apply_gradient(
        tuning.optimizer, gradient, parts, arrays.opt_state
    )
    variables = Variables(parts.get("network", params), new_stats)
    head = parts["head"]
    fc9_step = jax.tree.map(jnp.subtract, head["fc9"], arrays.head["fc9"])
    return Arrays(variables, head, fc9_step, opt_state), value
