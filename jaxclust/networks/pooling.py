"""Max pooling, with or without switches that say where the maxima were, and unpooling by them."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxclust.errors import UsageError


def max_pool(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The maximum of each 2x2 window, and its place.

    Args:
      x: float32, (n, h, w, c), h and w even.

    Returns:
      The maxima, float32, (n, h / 2, w / 2, c), NaN where a window has a NaN. The switches,
      int32, of the same shape: 0 to 3 for upper left, upper right, lower left and lower right. Of
      equal maxima the first counts.

    Raises:
      UsageError: the height or the width is odd.
    """
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise UsageError(f"x: must have an even height and width, got {x.shape[1]} x {x.shape[2]}")
    return _max_pool(x)


@jax.custom_vjp
def _max_pool(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    a, b, c, d = _places(x)
    maxima = jnp.maximum(jnp.maximum(a, b), jnp.maximum(c, d))
    # The switches are as wide as the floats that they are compared with: bytes would not use the
    # CPU's vector units.
    switches = jnp.where(a == maxima, 0, jnp.where(b == maxima, 1, jnp.where(c == maxima, 2, 3)))
    return maxima, switches.astype(jnp.int32)


@jax.custom_vjp
def pick(x: jax.Array, switches: jax.Array) -> jax.Array:
    """The entry of each 2x2 window that its switch names.

    Args:
      x: float32, (n, h, w, c), h and w even.
      switches: as ``max_pool`` gives them, int32, (n, h / 2, w / 2, c).

    Returns:
      float32, (n, h / 2, w / 2, c).
    """
    a, b, c, d = _places(x)
    return jnp.where(switches < 2, jnp.where(switches == 0, a, b), jnp.where(switches == 2, c, d))


@jax.custom_vjp
def unpool(y: jax.Array, switches: jax.Array) -> jax.Array:
    """Puts each value where its switch says and zeros elsewhere (Noh et al. 2015).

    This is the adjoint of ``pick``.

    Args:
      y: float32, (n, h, w, c).
      switches: as ``max_pool`` gives them, int32, (n, h, w, c).

    Returns:
      float32, (n, 2 h, 2 w, c).
    """
    n, h, w, c = y.shape
    # One comparison is made for each entry that is written. Putting four maps together would take
    # five times as long on a CPU.
    here = switches[:, :, None, :, None] == jnp.arange(4, dtype=jnp.int32).reshape(2, 1, 2, 1)
    return jnp.where(here, y[:, :, None, :, None], 0).reshape(n, 2 * h, 2 * w, c)


def max_pool_any(x: jax.Array) -> jax.Array:
    """The maximum of each 2x2 window of maps of any size.

    An odd last row or column is a window of its own (ceil). The gradient goes to the first of equal
    maxima, as in Torch.

    Args:
      x: float32, (n, h, w, c).

    Returns:
      float32, (n, ceil(h / 2), ceil(w / 2), c).
    """
    height, width = x.shape[1:3]
    below = jnp.array(-jnp.inf, x.dtype)
    return _max_pool(
        lax.pad(x, below, [(0, 0, 0), (0, height % 2, 0), (0, width % 2, 0), (0, 0, 0)])
    )[0]


def _pooled(x):
    maxima, switches = _max_pool(x)
    return (maxima, switches), switches


# Once the switches are known, all three are linear in their first argument, and their gradients
# are each other.
_max_pool.defvjp(_pooled, lambda switches, g: (unpool(g[0], switches),))
pick.defvjp(
    lambda x, switches: (pick(x, switches), switches),
    lambda switches, g: (unpool(g, switches), None),
)
unpool.defvjp(
    lambda y, switches: (unpool(y, switches), switches),
    lambda switches, g: (pick(g, switches), None),
)


def _places(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """The four entries of each window, row by row."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // 2, 2, w // 2, 2 * c)
    return x[:, :, 0, :, :c], x[:, :, 0, :, c:], x[:, :, 1, :, :c], x[:, :, 1, :, c:]
