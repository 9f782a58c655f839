"""Batches spread over two devices or two processes give one device's centroids to rounding."""

import json
import os
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import devices, driver, pieces
from jaxclust.engine.devices import Over
from jaxclust.engine.lanes import Going, Part
from jaxclust.engine.window import step_infos
from jaxclust.methods import ccnn
from jaxclust.types import Network, Variables

CONFIG = ccnn.Config(
    clusters=4,
    batch=12,
    reliable=4,
    sample=60,
    epochs=6,
    trainable="all",
    fc9="glorot",
    select="balanced",
)
# A trunk that compiles quickly.
NETWORK = Network(
    lambda key: Variables({"kernel": jax.random.normal(key, (64, 5), jnp.float32) / 8}, {}),
    lambda variables, images, train: (
        jnp.tanh(
            (images.astype(jnp.float32) / 255).reshape(len(images), -1) @ variables.params["kernel"]
        ),
        variables.stats,
    ),
)


def trained(over: Over, images: np.ndarray, seeds: tuple[int, ...], config=CONFIG) -> driver.Lanes:
    """The lanes of seeds at the end of their training."""
    program = driver.Program(ccnn.ALGORITHM, config, NETWORK, over)
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    pixels = jnp.asarray(images)
    return driver.train(program, driver.begin(program, keys, None, pixels), pixels).lanes


def centroids(over: Over, images: np.ndarray) -> np.ndarray:
    """The centroids of two seeds."""
    lanes = trained(over, images, (0, 1))
    assert (np.asarray(lanes.failed) < 0).all()
    return np.asarray(lanes.state.centroids)


@pytest.fixture(scope="module")
def alone(few_digits):
    return centroids("map", few_digits[0][:108])


def test_two_devices_give_the_centroids_of_one(alone, few_digits):
    assert jax.device_count() == 2
    spread = centroids("data", few_digits[0][:108])
    np.testing.assert_allclose(spread, alone, rtol=1e-3, atol=1e-4)


def test_each_device_computes_its_part_of_a_batch(few_digits):
    """In the compiled program a device has 18 of the cycle's 36 images.

    The gradients are summed over devices.
    """
    images = jnp.asarray(few_digits[0][:108])
    program = driver.Program(ccnn.ALGORITHM, CONFIG, NETWORK, "data")
    keys = jnp.stack([jax.random.key(seed) for seed in (0, 1)])
    lanes = driver.begin(program, keys, None, images).lanes
    everywhere = jax.sharding.NamedSharding(devices.mesh(36), jax.sharding.PartitionSpec())
    going = Going(lanes, Part(lanes.state, step_infos(program, lanes, images)))
    bounds = pieces.whole(1, program.schedule(len(images))).bounds
    arguments = [devices.placed(tree, everywhere) for tree in (going, images, bounds)]
    text = driver.chunk.__wrapped__.lower(program, *arguments).compile().as_text()
    assert "num_partitions=2" in text
    assert "all-reduce" in text
    assert "f32[18,64]" in text
    assert "f32[36,64]" not in text


def test_devices_that_do_not_divide_a_batch_are_left_out_or_refused(few_digits, monkeypatch):
    config = ccnn.Config(clusters=4, batch=15, reliable=15, sample=60, fc9="glorot", epochs=1)
    ends = [trained(over, few_digits[0], (0,), config) for over in ("map", "data")]
    np.testing.assert_allclose(*(lanes.state.centroids for lanes in ends), rtol=1e-4, atol=1e-5)
    assert [devices.mesh(batch).size for batch in (15, 36)] == [1, 2]
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(
        ValueError, match="over: data must have devices that divide a step's images, 15, got 2"
    ):
        trained("data", few_digits[0], (0,), config)


@pytest.mark.slow
def test_two_processes_give_the_centroids_of_one(alone, few_digits, tmp_path):
    np.save(tmp_path / "images.npy", few_digits[0][:108])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(port), str(number), str(tmp_path / "images.npy")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
        )
        for number in range(2)
    ]
    try:
        ends = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], [
        errors[-2000:] for _, errors in ends
    ]
    results = [np.array(json.loads(out.splitlines()[-1]), np.float32) for out, _ in ends]
    np.testing.assert_array_equal(*results)
    np.testing.assert_allclose(results[0], alone, rtol=1e-3, atol=1e-4)


def main() -> None:
    """One of two processes with a device each: prints the centroids as JSON."""
    port, number, path = sys.argv[1:]
    jax.config.update("jax_num_cpu_devices", 1)
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=int(number))
    assert (jax.device_count(), jax.local_device_count()) == (2, 1)
    if number == "1":
        driver.CHUNK_SECONDS = 1e-6  # As of a slower machine, which takes fewer windows at a time.
    print(json.dumps(centroids("data", np.load(path, allow_pickle=False)).tolist()))


if __name__ == "__main__":
    main()
