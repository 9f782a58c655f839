"""A stacked autoencoder by loops over its layers, slow, in float64: what the tests compare with."""

import numpy as np


def weights(params, name):
    """A layer's weights; a decoder layer without its own has its encoder layer's, transposed.

    Args:
      params: the network's params.
      name: the layer's name, such as "decoder1".
    """
    encoder = params[name.replace("decoder", "encoder")]["kernel"]
    return params[name].get("kernel", np.asarray(encoder).T)


def forward(params, x):
    """The embedding and the reconstruction of one image.

    Args:
      params: the params of an autoencoder of three layers.
      x: the pixels in [0, 1], (64,).
    """
    layers = {
        name: (
            np.asarray(weights(params, name), np.float64),
            np.asarray(layer["bias"], np.float64),
        )
        for name, layer in params.items()
    }
    for i in (1, 2, 3):
        kernel, bias = layers[f"encoder{i}"]
        x = x @ kernel + bias
        x = x if i == 3 else np.maximum(x, 0)
    features = x
    for i in (3, 2, 1):
        kernel, bias = layers[f"decoder{i}"]
        x = x @ kernel + bias
        x = x if i == 1 else np.maximum(x, 0)
    return features, x
