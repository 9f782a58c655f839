"""The training steps of ``benchmarks.step`` in PyTorch, eager.

Each builder takes a method's config, the shape of an image and what the step reads of the run's
state, and returns ``step(batch, rows)``: ``batch`` is uint8 (n, h, w, c), ``rows`` its places in
the data set, int64 (n,).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]

from jaxclust.types import Shape

Step = Callable[[np.ndarray, Any], None]


def images(batch: np.ndarray) -> Any:
    """uint8 (n, h, w, c) as floats in [0, 1], (n, c, h, w)."""
    return torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2))).float() / 255


def trained(optimizer: Any, loss: Callable[[Any, Any], Any]) -> Step:
    """A step of an optimizer on ``loss(batch, rows)``."""

    def step(batch, rows):
        optimizer.zero_grad()
        loss(images(batch), rows).backward()
        optimizer.step()

    return step


def dcec(config: Any, shape: Shape, target: np.ndarray) -> Step:
    """Reconstruction and clusters (Guo et al. 2017) of images of 28x28x1.

    ``target`` is the target distribution, float32 (n, clusters).
    """
    del shape
    width = config.clusters
    encode = nn.Sequential(
        *(nn.Conv2d(1, 32, 5, 2, 2), nn.ReLU(), nn.Conv2d(32, 64, 5, 2, 2), nn.ReLU()),
        *(nn.Conv2d(64, 128, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(1152, width)),
    )
    decode = nn.Sequential(
        *(nn.Linear(width, 1152), nn.ReLU(), nn.Unflatten(1, (128, 3, 3))),
        *(nn.ConvTranspose2d(128, 64, 3, 2), nn.ReLU()),
        *(nn.ConvTranspose2d(64, 32, 5, 2, 2, 1), nn.ReLU()),
        nn.ConvTranspose2d(32, 1, 5, 2, 2, 1),
    )
    centroids = nn.Parameter(torch.randn(width, width))
    targets = torch.from_numpy(target)

    def loss(batch, rows):
        features = encode(batch)
        weight = 1 / (1 + ((features[:, None] - centroids) ** 2).sum(2))
        soft = weight / weight.sum(1, keepdim=True)
        divergence = (targets[rows] * torch.log(targets[rows] / soft)).sum(1).mean()
        return ((decode(features) - batch) ** 2).mean() + config.gamma * divergence

    parameters = [*encode.parameters(), *decode.parameters(), centroids]
    return trained(torch.optim.Adam(parameters, config.learning_rate), loss)


def jule(config: Any, shape: Shape, labels: np.ndarray) -> Step:
    """The weighted triplet loss with the nearest negatives (Yang et al. 2016, eq. 11).

    ``labels`` are the clusters, int32 (n,).
    """
    from jaxclust.networks.jule import CHANNELS, FEATURES, KERNEL, blocks

    layers = []
    size = shape[0]
    channels = shape[2]
    for pools in blocks(size):
        layers += [nn.Conv2d(channels, CHANNELS, KERNEL), nn.BatchNorm2d(CHANNELS), nn.ReLU()]
        size = size - KERNEL + 1
        channels = CHANNELS
        if pools:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
            size = -(-size // 2)
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(size * size * channels, FEATURES))
    clusters = torch.from_numpy(labels)

    def loss(batch, rows):
        features = nn.functional.normalize(network(batch))
        distance = torch.clamp(2 - 2 * features @ features.T, min=0)
        same = clusters[rows][:, None] == clusters[rows][None]
        others = distance.masked_fill(same, torch.inf)
        negatives = torch.topk(others, config.n_local, largest=False).values
        pairs = same & ~torch.eye(len(rows), dtype=torch.bool)
        triplets = config.gamma * distance[:, :, None] - negatives[:, None]
        values = triplets[pairs[:, :, None] & torch.isfinite(triplets)]
        return values.sum() / max(int(pairs.sum()), 1) / config.n_local

    settings = {"momentum": config.momentum, "weight_decay": config.weight_decay}
    return trained(torch.optim.SGD(network.parameters(), config.learning_rate, **settings), loss)


def dbc(config: Any, shape: Shape, memory: np.ndarray) -> Step:
    """Reconstruction by the fully convolutional autoencoder (Li et al. 2017)."""
    from jaxclust.networks.fcae import fitted

    del memory
    encoder, _ = fitted(*shape[:2])
    channels = [shape[2], *(block.filters for block in encoder.blocks)]
    down = nn.ModuleList()
    up = nn.ModuleList()
    for i, block in enumerate(encoder.blocks):
        pad = block.kernel // 2 if block.padding == "SAME" else 0
        inner = channels[i + 1]
        convolution = nn.Conv2d(channels[i], inner, block.kernel, padding=pad, bias=False)
        down.append(nn.Sequential(convolution, nn.BatchNorm2d(inner), nn.ReLU()))
        back = nn.ConvTranspose2d(inner, channels[i], block.kernel, padding=pad, bias=i == 0)
        up.append(back if i == 0 else nn.Sequential(back, nn.BatchNorm2d(channels[i]), nn.ReLU()))
    ends = [
        nn.Sequential(layer(a, b, encoder.kernel, bias=False), nn.BatchNorm2d(b), nn.ReLU())
        for layer, a, b in (
            (nn.Conv2d, channels[-1], encoder.features),
            (nn.ConvTranspose2d, encoder.features, channels[-1]),
        )
    ]
    pool = nn.MaxPool2d(2, return_indices=True)
    unpool = nn.MaxUnpool2d(2)

    def loss(batch, rows):
        x = batch
        switches = []
        for block in down:
            x, places = pool(block(x))
            switches.append(places)
        x = ends[1](ends[0](x))
        for block, places in zip(reversed(up), reversed(switches), strict=True):
            x = block(unpool(x, places))
        return ((x - batch) ** 2).mean()

    parameters = [p for part in (down, up, *ends) for p in part.parameters()]
    return trained(
        torch.optim.SGD(parameters, config.learning_rate, momentum=config.momentum), loss
    )


STEPS = {"dcec": dcec, "jule": jule, "dbc": dbc}
"""The builders by the method's name."""
