"""The head of CCNN: FC9 and softmax, its first weights, and its gradient as the paper prints it.

Hsu, Lin: CNN-Based Joint Clustering and Representation Learning with Feature Drift Compensation for
Large-Scale Image Data, IEEE Transactions on Multimedia 2018.
"""

from typing import Literal

import jax
import jax.numpy as jnp

from jaxclust.errors import UsageError
from jaxclust.types import Key

Layer = dict[str, jax.Array]
"""A dense layer, {"kernel" (d, k), "bias" (k,)}, float32."""
Head = dict[str, Layer]
"""FC9 and softmax, {"fc9": layer (d, k), "softmax": layer (k, k)}."""
First = Literal["glorot", "identity"]
"""First weights of FC9."""


def fc9(layer: Layer, x: jax.Array) -> jax.Array:
    """The features h = ReLU(W_FC9 x + b) of figure 3.

    Args:
      layer: FC9.
      x: the network's features, scaled, float32, (n, d).

    Returns:
      float32, (n, k).
    """
    return jax.nn.relu(_dense(layer, x))


def softmax(layer: Layer, h: jax.Array) -> jax.Array:
    """The outputs y = softmax(W_SMax h + b') of figure 3.

    Args:
      layer: the softmax's weights.
      h: features of FC9, float32, (n, k).

    Returns:
      float32, (n, k); each row sums to 1.
    """
    return jax.nn.softmax(_dense(layer, h))


def _dense(layer: Layer, x: jax.Array) -> jax.Array:
    return x @ layer["kernel"] + layer["bias"]


def tracked_back(layer: Layer, change: Layer) -> Layer:
    """The weights before a fine-tuning, W(t) + eta * Delta W(t-1) of eq. 13.

    Args:
      layer: the weights after it.
      change: what the fine-tuning added to the weights.
    """
    return jax.tree.map(jnp.subtract, layer, change)


def new_head(key: Key, x: jax.Array, clusters: int, first: First) -> tuple[Head, jax.Array]:
    """Makes a fresh head, and scales the network's features to it.

    The length of features differs by orders of magnitude between networks and pretrainings. Long
    features saturate the softmax and stop the learning; short ones are carried away by the biases
    of FC9.

    Args:
      key: a typed key, ().
      x: the network's features, float32, (n, d).
      clusters: number of clusters k.
      first: FC9's first weights, the identity or random.

    Returns:
      The head, and the factor on x that makes the mean square of FC9's features 1, float32 ().

    Raises:
      UsageError: FC9 cannot be the identity, because the features are not k wide.
    """
    width = x.shape[1]
    if first == "identity" and width != clusters:
        rule = f"fc9: must be glorot for {width} features and {clusters} clusters"
        raise UsageError(f"{rule}, got 'identity'")
    fc9_key, softmax_key = jax.random.split(key)
    glorot = jax.nn.initializers.glorot_uniform()
    if first == "glorot":
        kernel = glorot(fc9_key, (width, clusters), jnp.float32)
    else:
        kernel = jnp.eye(clusters, dtype=jnp.float32)
    square = jnp.mean(jax.nn.relu(x @ kernel) ** 2)
    head = {
        "fc9": {"kernel": kernel, "bias": jnp.zeros(clusters, jnp.float32)},
        "softmax": {
            "kernel": glorot(softmax_key, (clusters, clusters), jnp.float32),
            "bias": jnp.zeros(clusters, jnp.float32),
        },
    }
    return head, jnp.where(square > 0, jax.lax.rsqrt(square), jnp.float32(1))


def printed_gradient(head: Head, x: jax.Array, target: jax.Array) -> Head:
    """The gradient of eq. 2 to 10 as printed.

    The derivative of ReLU is taken as max(., 0), for the outputs y and for h. Biases are treated
    like weights.

    Args:
      head: FC9 and softmax.
      x: the inputs of FC9, float32, (n, d).
      target: the pseudo-labels as rows of the identity, float32, (n, k).

    Returns:
      The mean over images, with the structure of ``head``.
    """
    h = fc9(head["fc9"], x)
    y = softmax(head["softmax"], h)
    outer = (y - target) * jnp.maximum(y, 0) / len(x)
    inner = (outer @ head["softmax"]["kernel"].T) * jnp.maximum(h, 0)
    return {
        "fc9": {"kernel": x.T @ inner, "bias": jnp.sum(inner, axis=0)},
        "softmax": {"kernel": h.T @ outer, "bias": jnp.sum(outer, axis=0)},
    }
