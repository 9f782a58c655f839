"""Networks of one's own: IDEC on a flax module, and on a network of the package with other widths.

``from_flax`` makes a network of a module with ``encode`` and, for pretraining, ``reconstruct``.
Everything else may come from flax: here convolutions with batch normalization, whose running
statistics the run keeps. ``functools.partial`` changes the settings of a network of the package.

``python -m examples.own_network`` compares the networks on scikit-learn's digits.
"""

import functools

import jax
from flax import nnx

import jaxclust as jc


class ConvolutionalAutoencoder(nnx.Module):
    """Two convolutions of stride 2 with batch normalization, and their mirror image."""

    def __init__(self, shape, embedding, *, rngs):
        height, width, channels = shape
        self.size = (-(-height // 4), -(-width // 4), 32)
        self.shape = shape
        flat = self.size[0] * self.size[1] * self.size[2]
        self.conv1 = nnx.Conv(channels, 16, (3, 3), strides=2, rngs=rngs)
        self.norm1 = nnx.BatchNorm(16, rngs=rngs)
        self.conv2 = nnx.Conv(16, 32, (3, 3), strides=2, rngs=rngs)
        self.norm2 = nnx.BatchNorm(32, rngs=rngs)
        self.embedding = nnx.Linear(flat, embedding, rngs=rngs)
        self.dense = nnx.Linear(embedding, flat, rngs=rngs)
        self.deconv2 = nnx.ConvTranspose(32, 16, (3, 3), strides=(2, 2), rngs=rngs)
        self.deconv1 = nnx.ConvTranspose(16, channels, (3, 3), strides=(2, 2), rngs=rngs)

    def encode(self, images):
        """Features, float32 (n, embedding), of images, float32 (n, h, w, c) in [0, 1]."""
        x = jax.nn.relu(self.norm1(self.conv1(images)))
        x = jax.nn.relu(self.norm2(self.conv2(x)))
        return self.embedding(x.reshape(len(x), -1))

    def reconstruct(self, images):
        """The reconstruction, of the images' shape, and the features."""
        features = self.encode(images)
        x = jax.nn.relu(self.dense(features)).reshape(-1, *self.size)
        x = self.deconv1(jax.nn.relu(self.deconv2(x)))
        height, width, _ = self.shape
        return x[:, :height, :width], features


IDEC = jc.method("idec", preset="quick", optimizer="adam", learning_rate=1e-3)
METHODS = (
    IDEC,
    IDEC.replace(name="idec-conv", network=jc.networks.from_flax(ConvolutionalAutoencoder)),
    IDEC.replace(name="idec-small", network=functools.partial(jc.networks.sae, hidden=(128, 64))),
)


def main() -> None:
    """Prints the comparison of the networks, ten seeds each: five could show nothing."""
    data = jc.load("digits")
    runs = {method.name: jc.fit(method, data, seeds=10) for method in METHODS}
    print(jc.compare(runs, data.labels))


if __name__ == "__main__":
    main()
