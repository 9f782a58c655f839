"""The short list of nearest clusters that each cluster keeps during graph degree linkage."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.ops.graph_linkage_state import Clusters, Edges, affinities


def with_list(clusters: Clusters, cluster: jax.Array, to_all: jax.Array) -> Clusters:
    """Makes a cluster's list anew.

    Args:
      clusters: are changed in this list alone.
      cluster: its number, int32, ().
      to_all: its affinities to all clusters, float32, (c,).
    """
    c, width = clusters.affinity.shape
    affinity, nearest = lax.top_k(to_all, width)
    nearest = jnp.where(affinity > 0, nearest.astype(jnp.int32), c)
    known = jnp.sum(affinity > 0, dtype=jnp.int32)
    return clusters._replace(
        affinity=clusters.affinity.at[cluster].set(affinity),
        nearest=clusters.nearest.at[cluster].set(nearest),
        known=clusters.known.at[cluster].set(known),
        complete=clusters.complete.at[cluster].set(known < width),
    )


def with_known(edges: Edges, clusters: Clusters, needed: jax.Array) -> Clusters:
    """Makes each list anew that has fewer than ``needed`` known entries and may lack some."""

    def short(clusters: Clusters) -> jax.Array:
        return clusters.live & ~clusters.complete & (clusters.known < needed)

    def fill(clusters: Clusters) -> Clusters:
        cluster = jnp.argmax(short(clusters))
        return with_list(clusters, cluster, affinities(edges, clusters, cluster))

    return lax.while_loop(lambda clusters: jnp.any(short(clusters)), fill, clusters)


def after_merge(
    clusters: Clusters, keep: jax.Array, gone: jax.Array, to_all: jax.Array
) -> Clusters:
    """Takes the two old clusters out of every list, and inserts the merged one where it is near.

    Args:
      clusters: are changed in their lists alone.
      keep: the number of the merged cluster, int32, ().
      gone: the number that is no longer in use, int32, ().
      to_all: the affinities of the merged cluster to all clusters, float32, (c,).
    """
    width = clusters.affinity.shape[1]
    place = jnp.arange(width, dtype=jnp.int32)
    affinity = clusters.affinity
    nearest = clusters.nearest
    known = clusters.known
    for old in (keep, gone):
        matches = (nearest == old) & (place < known[:, None])
        listed = jnp.any(matches, axis=1)
        after = listed[:, None] & (place >= jnp.argmax(matches, axis=1).astype(jnp.int32)[:, None])
        affinity = jnp.where(after, _from_right(affinity), affinity)
        nearest = jnp.where(after, _from_right(nearest), nearest)
        known = known - listed.astype(jnp.int32)
    new = to_all[:, None]
    before = (place < known[:, None]) & ((affinity > new) | ((affinity == new) & (nearest < keep)))
    position = jnp.sum(before, axis=1, dtype=jnp.int32)
    # Clusters that are not listed may come after the last known entry, unless the list is complete.
    enters = (to_all > 0) & (position < jnp.where(clusters.complete, width, known))
    here = enters[:, None] & (place == position[:, None])
    behind = enters[:, None] & (place > position[:, None])
    affinity = jnp.where(here, new, jnp.where(behind, _from_left(affinity), affinity))
    nearest = jnp.where(here, keep, jnp.where(behind, _from_left(nearest), nearest))
    grown = known + enters.astype(jnp.int32)
    lost = ((to_all > 0) & ~enters) | (grown > width)
    return clusters._replace(
        affinity=affinity,
        nearest=nearest,
        known=jnp.minimum(grown, width),
        complete=clusters.complete & ~lost,
    )


def _from_right(lists: jax.Array) -> jax.Array:
    """Each entry is the one to its right; the last stays."""
    return jnp.concatenate([lists[:, 1:], lists[:, -1:]], axis=1)


def _from_left(lists: jax.Array) -> jax.Array:
    """Each entry is the one to its left; the first stays."""
    return jnp.concatenate([lists[:, :1], lists[:, :-1]], axis=1)
