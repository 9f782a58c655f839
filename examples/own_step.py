"""A step of one's own: DCEC that restores pixels which its network does not see.

A run calls ``step`` for each batch. It gets the method's settings, the network, a random key, the
state, the batch and the batch's places in the data set. It returns the next state and numbers to
look at, which become columns of the run's history. Everything else stays DCEC's: how the state
begins, how the target is renewed, when a run ends.

``python -m examples.own_step`` compares the method with DCEC on scikit-learn's digits.
"""

import jax

import jaxclust as jc
from jaxclust.methods import dcec, self_training
from jaxclust.ops import losses, optimizers
from jaxclust.ops.assignment import soft_assignment
from jaxclust.ops.batches import scaled

SEEN = 0.75
"""Share of the pixels that the network sees."""


def step(config, network, key, state, batch, rows):
    """DCEC's step (eq. 5 to 7) on images with a quarter of their pixels blackened."""
    images = scaled(batch)
    seen = images * jax.random.bernoulli(key, SEEN, images.shape)

    def loss(params, centroids):
        variables = state.variables._replace(params=params)
        reconstruction, features, stats = network.reconstruct(variables, seen, True)
        soft = soft_assignment(features, centroids)
        terms = {
            "reconstruction": losses.squared_error(reconstruction, images),
            "clustering": losses.kl_divergence(state.target[rows], soft),
        }
        weights = {"reconstruction": config.reconstruction_weight, "clustering": config.gamma}
        total, means = losses.weighted(weights, terms)
        return total, (means, stats)

    optimizer = optimizers.make(config.optimizer, config.learning_rate, config.momentum)
    state, total, means = self_training.update(optimizer, state, loss)
    return state, dcec.Info(total, **means)


DCEC = jc.method("dcec", preset="quick")
METHODS = (DCEC, DCEC.replace(name="restoring-dcec", step=step))


def main() -> None:
    """Prints the comparison of both methods, ten seeds each: five could show nothing."""
    data = jc.load("digits")
    runs = {method.name: jc.fit(method, data, seeds=10) for method in METHODS}
    print(jc.compare(runs, data.labels))


if __name__ == "__main__":
    main()
