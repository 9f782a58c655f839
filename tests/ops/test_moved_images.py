"""Moved images against a slow NumPy interpolation."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.ops.moved_images import LEAST_SIDE, SHIFT, TURN, augmented, moved

KEY = jax.random.key(3)
MOVED = jax.jit(moved)


def images_of(shape):
    return np.random.default_rng(0).random(shape, np.float32)


def by_loops(key, images):
    """Each pixel from its four neighbors, one after the other."""
    n, height, width, _ = images.shape
    turn, down, right = np.asarray(jax.random.uniform(key, (3, n, 1, 1), minval=-1, maxval=1))
    result = np.zeros(images.shape)
    for i in range(n):
        angle = float(turn[i, 0, 0]) * TURN
        for row in range(height):
            for column in range(width):
                y = row - (height - 1) / 2
                x = column - (width - 1) / 2
                source_row = np.cos(angle) * y - np.sin(angle) * x + (height - 1) / 2
                source_row += SHIFT * float(down[i, 0, 0]) * height
                source_column = np.sin(angle) * y + np.cos(angle) * x + (width - 1) / 2
                source_column += SHIFT * float(right[i, 0, 0]) * width
                top = int(np.floor(source_row))
                left = int(np.floor(source_column))
                for r in (top, top + 1):
                    for c in (left, left + 1):
                        if 0 <= r < height and 0 <= c < width:
                            weight = (1 - abs(source_row - r)) * (1 - abs(source_column - c))
                            result[i, row, column] += weight * images[i, r, c]
    return result


def test_moved_images_are_the_slow_interpolation():
    images = images_of((5, 7, 10, 3))
    np.testing.assert_allclose(MOVED(KEY, images), by_loops(KEY, images), atol=1e-5)


def test_each_image_moves_in_its_own_way():
    images = np.broadcast_to(images_of((1, 12, 12, 1)), (4, 12, 12, 1))
    result = np.asarray(MOVED(KEY, images))
    assert len(np.unique(result.reshape(4, -1).round(4), axis=0)) == 4
    assert result.min() >= 0
    assert result.max() <= 1


def test_bytes_are_scaled_as_floats_are(few_digits):
    images = jnp.asarray(few_digits[0][:8])
    assert images.dtype == jnp.uint8
    np.testing.assert_array_equal(MOVED(KEY, images), MOVED(KEY, images / np.float32(255)))


def test_without_augmentation_the_images_stay_as_they_are():
    images = images_of((3, LEAST_SIDE, LEAST_SIDE + 3, 1))
    assert augmented("none", KEY, images) is images
    changed = jax.jit(augmented, static_argnums=0)("affine", KEY, images)
    np.testing.assert_array_equal(changed, MOVED(KEY, images))


def test_small_images_stay_as_they_are():
    images = images_of((3, 40, LEAST_SIDE - 1, 1))
    assert augmented("affine", KEY, images) is images
