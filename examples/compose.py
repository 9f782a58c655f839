"""A new method from the package's parts: DEC on moved images, from the clusters of a graph.

``python -m examples.compose usps`` runs it with four seeds and lets them vote. The same parts are
settings of the methods that the package has: ``jc.method("dec-conv", augment="affine",
start="graph", pretraining={"augment": "affine"})``, of which ``best`` is made.
"""

import sys

import jax

import jaxclust as jc
from jaxclust.methods import dcec, pretraining
from jaxclust.ops.assignment import cluster_means, nearest_centroid
from jaxclust.ops.graph_start import graph_clusters
from jaxclust.ops.moved_images import augmented


def pretrain_step(config, network, key, state, batch, rows):
    """A step on the reconstruction of moved images."""
    batch = augmented("affine", key, batch)
    return pretraining.step(config, network, key, state, batch, rows)


def init(config, network, key, variables, images):
    """The clusters of a graph are the first target, and their means the first centroids."""
    state = dcec.init(config, network, key, variables, images)
    features = dcec.embed(config, network, state, images)
    labels = graph_clusters(features, config.clusters)
    centroids = cluster_means(features, labels, config.clusters)
    return state._replace(
        centroids=centroids,
        target=jax.nn.one_hot(labels, config.clusters),
        labels=nearest_centroid(features, centroids),
    )


def step(config, network, key, state, batch, rows):
    """DEC's step on moved images, towards the target of the images as they are."""
    batch = augmented("affine", key, batch)
    return dcec.step(config, network, key, state, batch, rows)


METHOD = jc.method("dec-conv").replace(
    name="composed",
    about="DEC on moved images, from the clusters of a graph",
    init=init,
    step=step,
    pretrainer=pretraining.ALGORITHM._replace(step=pretrain_step),
)


def main(data: str) -> None:
    """Fits four seeds on a data set, and prints each seed's scores and those of their vote."""
    images = jc.load(data)
    run = jc.fit(METHOD, images, seeds=4)
    print(run.scores(images.labels))
    if images.labels is not None:
        print("vote:", run.consensus().scores(images.labels))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "digits")
