"""Pure functions of arrays: assignments, losses, k-means, linkage, optimizers, batches."""

from jaxclust.ops import (
    assignment,
    batches,
    graph_linkage,
    kmeans,
    linkage,
    losses,
    neighbor_graph,
    optimizers,
)

__all__ = [
    "assignment",
    "batches",
    "graph_linkage",
    "kmeans",
    "linkage",
    "losses",
    "neighbor_graph",
    "optimizers",
]
