"""Matrix products in full float32, which GPUs round to fewer digits unless they are told not to."""

import jax
import jax.numpy as jnp


def dot(a: jax.Array, b: jax.Array) -> jax.Array:
    """``a @ b`` with ``Precision.HIGHEST``."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
