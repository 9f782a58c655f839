"""Blocks of images and their scaling."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from jaxclust.networks import pixels
from jaxclust.ops.batches import batch_size, encoded, in_blocks, scaled
from jaxclust.types import Variables


class JittedAndEager(chex.TestCase):
    """The functions give the same whether they are compiled or not."""

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(1, 4, 5, 8, 11)
    def test_blocks_give_the_whole(self, n):
        x = jnp.arange(n * 3, dtype=jnp.float32).reshape(n, 3)
        doubled = self.variant(lambda x: in_blocks(lambda rows: rows * 2, x, block=4))(x)
        np.testing.assert_array_equal(doubled, x * 2)

    @chex.variants(with_jit=True, without_jit=True)
    def test_scaled(self):
        scale = self.variant(scaled)
        np.testing.assert_allclose(
            scale(jnp.array([0, 51, 255], jnp.uint8)), [0, 0.2, 1], rtol=1e-6
        )
        assert scale(jnp.array([0.25])).tolist() == [0.25]


@pytest.mark.parametrize(
    ("n", "least_steps", "size"),
    [
        (9298, None, 256),
        (100, None, 100),
        (9298, 32, 256),  # 37 steps are enough.
        (1797, 32, 56),
        (420, 32, 32),
        (20, 32, 20),
    ],
)
def test_few_images_come_in_smaller_batches(n, least_steps, size):
    assert batch_size(n, 256, least_steps) == size


def test_no_call_sees_more_than_a_block():
    sizes = []

    def record(rows):
        sizes.append(rows.shape[0])
        return rows

    jax.eval_shape(lambda x: in_blocks(record, x, block=4), jnp.ones((11, 2)))
    assert max(sizes) <= 4


@pytest.mark.parametrize("block", [4, 11])
def test_a_function_that_drops_rows_is_refused(block):
    with pytest.raises(AssertionError, match="axis '0' but got|different shape prefixes"):
        in_blocks(lambda rows: rows[1:], jnp.ones((11, 2)), block)


def test_images_must_have_rank_four():
    network = pixels((2, 3, 1))
    assert encoded(network, Variables({}, {}), jnp.ones((5, 2, 3, 1))).shape == (5, 6)
    with pytest.raises(AssertionError, match="input 0 has rank 3"):
        encoded(network, Variables({}, {}), jnp.ones((2, 3, 1)))
