"""Pure functions of arrays: assignments, losses, k-means, linkage, optimizers, batches."""

from jaxclust.ops import (
    assignment,
    batches,
    graph_linkage,
    kmeans,
    kmeans_minibatch,
    kmeans_seeding,
    linkage,
    losses,
    neighbor_graph,
    optimizers,
    path_linkage,
)

__all__ = [
    "assignment",
    "batches",
    "graph_linkage",
    "kmeans",
    "kmeans_minibatch",
    "kmeans_seeding",
    "linkage",
    "losses",
    "neighbor_graph",
    "optimizers",
    "path_linkage",
]
