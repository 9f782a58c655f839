"""The whole face of jaxclust as one program: ``python -m examples.tour``.

The lines below "The tour" are those of docs/developer/architecture.md, section 1; what they leave
open stands above them. The program takes about ten minutes on two cores. It writes the folder
runs/dcec, which must not be there yet.
"""

# The lines of the page are kept as they are there.
# ruff: noqa: B018, E501, E702
# pyright: reportUnusedExpression=false

import math

import jax
from flax import nnx

import jaxclust as jc
from jaxclust.methods import dcec, self_training
from jaxclust.ops import losses, optimizers
from jaxclust.ops.batches import scaled


def my_step(config, network, key, state, batch, rows):
    """DCEC's step with the loss of soft k-means in the place of the Kullback-Leibler divergence."""
    images = scaled(batch)

    def loss(params, centroids):
        variables = state.variables._replace(params=params)
        reconstruction, features, stats = network.reconstruct(variables, images, True)
        terms = {
            "reconstruction": losses.squared_error(reconstruction, images),
            "clustering": losses.soft_kmeans(features, centroids, alpha=1.0),
        }
        weights = {"reconstruction": config.reconstruction_weight, "clustering": config.gamma}
        total, means = losses.weighted(weights, terms)
        return total, (means, stats)

    optimizer = optimizers.make(config.optimizer, config.learning_rate, config.momentum)
    state, total, means = self_training.update(optimizer, state, loss)
    return state, dcec.Info(total, **means)


class MyAutoencoder(nnx.Module):
    """A fully connected autoencoder with one hidden layer on either side."""

    def __init__(self, shape, embedding, *, rngs):
        self.shape = shape
        pixels = math.prod(shape)
        self.encoder = nnx.Linear(pixels, 128, rngs=rngs)
        self.embedding = nnx.Linear(128, embedding, rngs=rngs)
        self.decoder = nnx.Linear(embedding, 128, rngs=rngs)
        self.pixels = nnx.Linear(128, pixels, rngs=rngs)

    def encode(self, images):
        hidden = self.encoder(images.reshape(len(images), -1))
        return self.embedding(jax.nn.relu(hidden))

    def reconstruct(self, images):
        features = self.encode(images)
        pixels = self.pixels(jax.nn.relu(self.decoder(features)))
        return pixels.reshape(-1, *self.shape), features


X = jc.load("digits").images  # uint8, (1797, 8, 8, 1)
new_images = X[:5]

# The tour
# fmt: off
data = jc.load("digits")                               # a named set, a folder, an .npz/.npy path; or use your own array
run = jc.fit("dcec", data.images, clusters=10, seeds=10)
run.labels                                             # int32 (seeds, n)
run.consensus()                                        # labels (n,) and the share of seeds that agree (n,)
run.scores(data.labels)                                # a row a seed; prints as a table with mean, sd, 95 % interval
run.predict(new_images); run.embed(new_images)
run.save("runs/dcec"); run = jc.open_run("runs/dcec")  # the folder that the command writes, too

runs = {name: jc.fit(name, data.images, clusters=10, seeds=10) for name in ("kmeans", "cae-kmeans", "dcec")}
print(jc.compare(runs, data.labels))                   # intervals, corrected tests, what these seeds cannot show

mine = jc.method("dcec", gamma=0.2, pretraining=dict(epochs=50))      # settings, by name
mine = mine.replace(name="mine", step=my_step)                        # an own update step
mine = mine.replace(network=jc.networks.from_flax(MyAutoencoder))     # an own flax.nnx network
jc.fit(mine, data.images, clusters=10, seeds=10)

jc.DeepClustering("dcec", n_clusters=10).fit_predict(X)               # scikit-learn's face
