"""The training steps of ``benchmarks.step`` in PyTorch, eager: each builder returns step(batch of bytes, rows)."""

import numpy as np
import torch
from torch import nn


def images(batch):
    """uint8 (n, h, w, c) as floats in [0, 1], (n, c, h, w)."""
    return torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2))).float() / 255


def trained(optimizer, loss):
    """A step of an optimiser on ``loss(batch, rows)``."""

    def step(batch, rows):
        optimizer.zero_grad()
        loss(images(batch), rows).backward()
        optimizer.step()

    return step


def dcec(config, shape, target):
    """Reconstruction and clusters (Guo et al. 2017) on a target distribution (n, clusters); images of 28x28x1."""
    del shape
    width = config.clusters
    encode = nn.Sequential(
        *(nn.Conv2d(1, 32, 5, 2, 2), nn.ReLU(), nn.Conv2d(32, 64, 5, 2, 2), nn.ReLU()),
        *(nn.Conv2d(64, 128, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(1152, width)),
    )
    decode = nn.Sequential(
        *(nn.Linear(width, 1152), nn.ReLU(), nn.Unflatten(1, (128, 3, 3))),
        *(
            nn.ConvTranspose2d(128, 64, 3, 2),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 5, 2, 2, 1),
            nn.ReLU(),
        ),
        nn.ConvTranspose2d(32, 1, 5, 2, 2, 1),
    )
    centroids = nn.Parameter(torch.randn(width, width))
    target = torch.from_numpy(target)

    def loss(batch, rows):
        features, wanted = encode(batch), target[rows]
        weight = 1 / (1 + ((features[:, None] - centroids) ** 2).sum(2))
        soft = weight / weight.sum(1, keepdim=True)
        divergence = (wanted * torch.log(wanted / soft)).sum(1).mean()
        return ((decode(features) - batch) ** 2).mean() + config.gamma * divergence

    parameters = [*encode.parameters(), *decode.parameters(), centroids]
    return trained(torch.optim.Adam(parameters, config.learning_rate), loss)


def jule(config, shape, labels):
    """The weighted triplet loss with the nearest negatives (Yang et al. 2016, eq. 11) on labels (n,)."""
    from jaxclust.networks.jule import CHANNELS, FEATURES, KERNEL, blocks

    layers, size, channels = [], shape[0], shape[2]
    for pools in blocks(size):
        layers += [nn.Conv2d(channels, CHANNELS, KERNEL), nn.BatchNorm2d(CHANNELS), nn.ReLU()]
        size, channels = size - KERNEL + 1, CHANNELS
        if pools:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
            size = -(-size // 2)
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(size * size * channels, FEATURES))
    labels = torch.from_numpy(labels)

    def loss(batch, rows):
        features = nn.functional.normalize(network(batch))
        distance = torch.clamp(2 - 2 * features @ features.T, min=0)
        same = labels[rows][:, None] == labels[rows][None]
        negatives = torch.topk(
            distance.masked_fill(same, torch.inf), config.n_local, largest=False
        ).values
        pairs = same & ~torch.eye(len(rows), dtype=torch.bool)
        triplets = config.gamma * distance[:, :, None] - negatives[:, None]
        return (
            triplets[pairs[:, :, None] & torch.isfinite(triplets)].sum()
            / max(int(pairs.sum()), 1)
            / config.n_local
        )

    settings = {"momentum": config.momentum, "weight_decay": config.weight_decay}
    return trained(torch.optim.SGD(network.parameters(), config.learning_rate, **settings), loss)


def dbc(config, shape, given):
    """Reconstruction by the fully convolutional autoencoder (Li et al. 2017)."""
    from jaxclust.networks.fcae import fitted

    del given
    encoder, _ = fitted(*shape[:2])
    channels = [shape[2], *(block.filters for block in encoder.blocks)]
    down, up = nn.ModuleList(), nn.ModuleList()
    for i, block in enumerate(encoder.blocks):
        pad = block.kernel // 2 if block.padding == "SAME" else 0
        convolution = nn.Conv2d(channels[i], channels[i + 1], block.kernel, padding=pad, bias=False)
        down.append(nn.Sequential(convolution, nn.BatchNorm2d(channels[i + 1]), nn.ReLU()))
        back = nn.ConvTranspose2d(
            channels[i + 1], channels[i], block.kernel, padding=pad, bias=i == 0
        )
        up.append(back if i == 0 else nn.Sequential(back, nn.BatchNorm2d(channels[i]), nn.ReLU()))
    ends = [
        nn.Sequential(layer(a, b, encoder.kernel, bias=False), nn.BatchNorm2d(b), nn.ReLU())
        for layer, a, b in (
            (nn.Conv2d, channels[-1], encoder.features),
            (nn.ConvTranspose2d, encoder.features, channels[-1]),
        )
    ]
    pool, unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)

    def loss(batch, rows):
        x, switches = batch, []
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
