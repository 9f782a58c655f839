"""Max pooling that remembers where its maxima were, and the unpooling that puts values back there."""

import jax
import jax.numpy as jnp


def max_pool(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The largest of each 2x2 window, and its place.

    Args:
      x: float32, (n, h, w, c), h and w even.

    Returns:
      The maxima, float32 (n, h / 2, w / 2, c), and the switches, int8 of the same shape: 0 to 3 for upper left, upper
      right, lower left and lower right; the first of equals. A NaN is larger than any number.

    Raises:
      ValueError: an odd height or width.
    """
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise ValueError(f"x: must have an even height and width, got {x.shape[1]} x {x.shape[2]}")
    switches = _first_maximum(jax.lax.stop_gradient(x))
    return pick(x, switches), switches


@jax.custom_vjp
def pick(x: jax.Array, switches: jax.Array) -> jax.Array:
    """The entry of each 2x2 window that its switch names: (n, h, w, c) and (n, h / 2, w / 2, c) give the latter."""
    a, b, c, d = _places(x)
    return jnp.where(switches < 2, jnp.where(switches == 0, a, b), jnp.where(switches == 2, c, d))


@jax.custom_vjp
def unpool(y: jax.Array, switches: jax.Array) -> jax.Array:
    """Puts each value where its switch says and zeros elsewhere: the adjoint of ``pick``, as in Noh et al. 2015.

    Args:
      y: float32, (n, h, w, c).
      switches: int8, (n, h, w, c), of ``max_pool``.

    Returns:
      float32, (n, 2 h, 2 w, c).
    """
    n, h, w, c = y.shape
    # One write: columns of a window lie side by side with the channels, its rows above each other.
    places = [jnp.where(switches == place, y, 0) for place in range(4)]
    rows = [jnp.concatenate(places[i : i + 2], axis=3) for i in (0, 2)]
    return jnp.stack(rows, axis=2).reshape(n, 2 * h, 2 * w, c)


# Each is linear in its first argument, and the other's transpose; XLA would write the transposed slices as four sums.
pick.defvjp(lambda x, switches: (pick(x, switches), switches), lambda switches, g: (unpool(g, switches), None))
unpool.defvjp(lambda y, switches: (unpool(y, switches), switches), lambda switches, g: (pick(g, switches), None))


def _places(x):
    """The four entries of each window, row by row."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // 2, 2, w // 2, 2 * c)
    return x[:, :, 0, :, :c], x[:, :, 0, :, c:], x[:, :, 1, :, :c], x[:, :, 1, :, c:]


def _first_maximum(x):
    a, b, c, d = _places(x)
    right_above, right_below = _beats(b, a), _beats(d, c)
    below = _beats(jnp.where(right_below, d, c), jnp.where(right_above, b, a))
    return jnp.where(below, 2 + right_below.astype(jnp.int8), right_above.astype(jnp.int8))


def _beats(new, old):
    return (new > old) | (jnp.isnan(new) & ~jnp.isnan(old))
