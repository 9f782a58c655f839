"""Blocks and scaling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.ops.batches import in_blocks, scaled


@pytest.mark.parametrize("n", [1, 4, 5, 8, 11])
def test_blocks_give_the_whole(n):
    x = jnp.arange(n * 3, dtype=jnp.float32).reshape(n, 3)
    np.testing.assert_array_equal(in_blocks(lambda rows: rows * 2, x, block=4), x * 2)


def test_no_call_sees_more_than_a_block():
    seen = []
    jax.eval_shape(
        lambda x: in_blocks(lambda rows: seen.append(rows.shape[0]) or rows, x, block=4),
        jnp.ones((11, 2)),
    )
    assert max(seen) <= 4


def test_scaled():
    np.testing.assert_allclose(scaled(jnp.array([0, 51, 255], jnp.uint8)), [0, 0.2, 1], rtol=1e-6)
    assert scaled(jnp.array([0.25])).tolist() == [0.25]
