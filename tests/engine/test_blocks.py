"""Images read block by block: their orders, the size of a block, and what a block trains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.data import sources
from jaxclust.engine import blocks, driver, fit
from jaxclust.methods import pretraining, registry


@pytest.fixture(scope="module")
def file(tmp_path_factory, few_digits):
    """200 images in an .npy file."""
    path = tmp_path_factory.mktemp("blocks") / "images.npy"
    np.save(path, few_digits[0][:200, ..., 0])
    return path


def taken(reader, count):
    return [next(reader) for _ in range(count)]


def test_every_epoch_has_every_image_once_in_a_new_order(file, few_digits):
    source = sources.open_source(str(file))
    assert source.shape == (200, 8, 8, 1)
    assert source.dtype == np.uint8
    read = taken(source.blocks(50, seed=3), 8)
    assert read[0].shape == (50, 8, 8, 1)
    expected = sorted(image.tobytes() for image in few_digits[0][:200])
    epochs = [[image.tobytes() for block in read[i : i + 4] for image in block] for i in (0, 4)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == expected
    assert epochs[0] != epochs[1] != expected


def test_blocks_depend_on_the_seed_alone_and_begin_anywhere(file):
    source = sources.open_source(str(file))
    read = taken(source.blocks(30, seed=3), 9)  # Beyond the end of the first epoch.
    again = taken(sources.open_source(str(file)).blocks(30, seed=3), 9)
    np.testing.assert_array_equal(read, again)
    np.testing.assert_array_equal(read[5:], taken(source.blocks(30, seed=3, first=5), 4))
    assert (read[0] != next(source.blocks(30, seed=4))).any()


def test_a_stream_of_one_block_trains_as_the_driver_does(file, tmp_path):
    """The same steps on the same images: in memory the driver makes an epoch of the block, too."""
    settings = {"batch": 20, "reliable": 20, "epochs": 2, "trainable": "nothing", "sample": 200}
    method = registry.method("ccnn-ii", clusters=4, **settings).replace(
        pretrainer=None, pretraining=None
    )
    source = sources.open_source(str(file))
    assert blocks.block_size(method, source) == 200
    options = fit.Options(over="map", directory=tmp_path, labels=tmp_path / "labels.npy")
    done = fit.fit(method, source, (0,), options)
    assert done.unreadable == {}
    program = driver.Program(method.algorithm, method.config, method.build((8, 8, 1)), "map")
    order = blocks.order_of(0, 0)
    first = jnp.asarray(next(source.blocks(200, order)))
    keys = fit.lane_keys((0,))["cluster"]
    begun = driver.begin(program, keys, None, first)
    expected = driver.train(program, begun, first, blocks=source.blocks(200, order))
    states = done.phases["cluster"].lanes.state
    np.testing.assert_array_equal(states.centroids, expected.lanes.state.centroids)
    images = jnp.asarray(np.load(file)[..., None])
    predicted = driver.apply(program, states, images, "predict").cluster
    np.testing.assert_array_equal(done.labels, predicted)


def test_the_clustering_key_of_a_lane_is_the_second_half_of_its_seeds():
    keys = fit.lane_keys((0, 3))["cluster"]
    expected = [jax.random.split(jax.random.key(seed))[1] for seed in (0, 3)]
    for key, other in zip(keys, expected, strict=True):
        np.testing.assert_array_equal(jax.random.key_data(key), jax.random.key_data(other))


def test_a_block_holds_the_images_that_the_first_centroids_are_chosen_from():
    class Large:
        shape = (5000, 224, 224, 3)
        dtype = np.dtype(np.uint8)

        def __len__(self):
            return 5000

    ccnn = registry.method("ccnn", "paper")
    for settings, size in (
        ({"clusters": 365}, 1000),
        ({"clusters": 365, "sample": 1001}, 1250),
        ({"clusters": 10, "sample": 9000}, 5000),
    ):
        assert blocks.block_size(ccnn.with_settings(settings), Large()) == size


def test_phases_and_seeds_have_orders_of_their_own():
    orders = [blocks.order_of(seed, phase) for seed in range(50) for phase in range(2)]
    apart = np.diff(np.sort(orders))
    assert apart.min() > 100  # Grain counts up from an order with each epoch.


def test_the_batch_of_a_large_set_does_not_shrink_with_its_blocks():
    config = pretraining.Config(epochs=2, least_steps=32)
    large = blocks.in_blocks(config, 1_000_000, 2000)
    assert (large.batch, large.least_steps, large.epochs) == (256, None, 1000)
    few = blocks.in_blocks(config, 1797, 1797)
    assert (few.batch, few.least_steps, few.epochs) == (56, None, 2)
