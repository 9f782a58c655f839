"""A loss of one's own: DCEC that is also rewarded for sure assignments.

A loss is a function of arrays with one value for each image, without weight and without mean.
``losses.weighted`` takes the means and adds them up. The numbers of ``Info`` become columns of the
run's history.

``python -m examples.own_loss`` compares the method with DCEC on scikit-learn's digits.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

import jaxclust as jc
from jaxclust.methods import self_training
from jaxclust.ops import losses, optimizers
from jaxclust.ops.assignment import soft_assignment
from jaxclust.ops.batches import scaled

ENTROPY_WEIGHT = 0.01


def entropy(soft: jax.Array) -> jax.Array:
    """Entropy of each image's soft assignment, -sum_j q_ij log(q_ij), in nats.

    Args:
      soft: q, float32 (n, k), rows sum to 1.

    Returns:
      float32 (n,); 0 where an image belongs to one cluster alone.
    """
    return -jnp.sum(xlogy(soft, soft), axis=1)


class Info(NamedTuple):
    """float32 scalars of a batch: the total loss and the mean of each term, unweighted."""

    loss: jax.Array
    reconstruction: jax.Array
    clustering: jax.Array
    entropy: jax.Array


def step(config, network, key, state, batch, rows):
    """DCEC's step (eq. 5 to 7) with one more term."""
    del key
    images = scaled(batch)
    weights = {
        "reconstruction": config.reconstruction_weight,
        "clustering": config.gamma,
        "entropy": ENTROPY_WEIGHT,
    }

    def loss(params, centroids):
        variables = state.variables._replace(params=params)
        reconstruction, features, stats = network.reconstruct(variables, images, True)
        soft = soft_assignment(features, centroids)
        terms = {
            "reconstruction": losses.squared_error(reconstruction, images),
            "clustering": losses.kl_divergence(state.target[rows], soft),
            "entropy": entropy(soft),
        }
        total, means = losses.weighted(weights, terms)
        return total, (means, stats)

    optimizer = optimizers.make(config.optimizer, config.learning_rate, config.momentum)
    state, total, means = self_training.update(optimizer, state, loss)
    return state, Info(total, **means)


DCEC = jc.method("dcec", preset="quick")
METHODS = (DCEC, DCEC.replace(name="sure-dcec", step=step))


def main() -> None:
    """Prints the comparison of both methods, ten seeds each: five could show nothing."""
    data = jc.load("digits")
    runs = {method.name: jc.fit(method, data, seeds=10) for method in METHODS}
    print(jc.compare(runs, data.labels))


if __name__ == "__main__":
    main()
