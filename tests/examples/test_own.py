"""The examples of steps, losses and networks of one's own run, and a run keeps what they are."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxclust as jc
from examples import own_loss, own_network, own_step
from jaxclust.data.datasets import Dataset
from jaxclust.engine import devices
from jaxclust.errors import UsageError

SMALL = {
    "batch": 64,
    "update_interval": 2,
    "max_steps": 4,
    "restarts": 1,
    "pretraining.batch": 64,
    "pretraining.epochs": 1,
}
small_network = functools.partial(jc.networks.sae, hidden=(32,))


@pytest.fixture
def short_main(few_digits, monkeypatch):
    """Runs an example's ``main`` with small settings on 300 digits, and gives its runs.

    Methods named in ``small`` have a small network too.
    """

    def main(example, small):
        fit = jc.fit
        runs = []

        def small_fit(method, data, seeds):
            assert seeds == 10
            if method.name in small:
                method = method.replace(network=small_network)
            runs.append(fit(method.with_settings(SMALL), data, seeds=2, progress=False))
            return runs[-1]

        monkeypatch.setattr(jc, "load", lambda name: Dataset(name, *few_digits))
        monkeypatch.setattr(jc, "fit", small_fit)
        # One program serves both seeds: "shard" would compile one for each device.
        monkeypatch.setattr(devices, "fastest", lambda lanes: "map")
        example.main()
        return runs

    return main


def check(runs, names, table):
    """Every run is whole, and the printed comparison names it."""
    assert [run.settings.method for run in runs] == names
    for run in runs:
        assert run.labels.shape == (2, 300)
        assert not run.failed
        assert run.settings.method in table


def test_a_step_of_ones_own(short_main, capsys, tmp_path):
    names = ["dcec", "restoring-dcec"]
    usual, own = short_main(own_step, small=names)
    check((usual, own), names, capsys.readouterr().out)
    step = f"{own_step.__name__}.step"
    assert own.settings.extra["own"]["step"] == step
    assert "step" not in usual.settings.extra["own"]
    assert own.phases["cluster"].history.keys() == usual.phases["cluster"].history.keys()
    assert not np.array_equal(
        own.phases["cluster"].history["loss"], usual.phases["cluster"].history["loss"]
    )
    own.save(tmp_path / "own")
    with pytest.raises(UsageError, match="method: must be given for"):
        jc.open_run(tmp_path / "own").embed(np.zeros((1, 8, 8), np.uint8))
    read = jc.open_run(tmp_path / "own", own.method)
    np.testing.assert_array_equal(read.labels, own.labels)
    images = np.zeros((1, 8, 8), np.uint8)
    np.testing.assert_array_equal(read.embed(images), own.embed(images))


def test_a_loss_of_ones_own(short_main, capsys):
    names = ["dcec", "sure-dcec"]
    usual, own = short_main(own_loss, small=names)
    check((usual, own), names, capsys.readouterr().out)
    history = own.phases["cluster"].history
    config = own.method.config
    total = (
        history["reconstruction"]
        + config.gamma * history["clustering"]
        + own_loss.ENTROPY_WEIGHT * history["entropy"]
    )
    np.testing.assert_allclose(history["loss"], total, rtol=1e-5)
    assert np.all((history["entropy"] > 0) & (history["entropy"] <= np.log(10) + 1e-6))


def test_the_entropy_is_of_each_image():
    soft = jnp.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25, 0.25, 0.25, 0.25]], jnp.float32)
    np.testing.assert_allclose(own_loss.entropy(soft), np.log([1, 2, 4]), rtol=1e-6)


@pytest.mark.slow
def test_networks_of_ones_own(short_main, capsys, monkeypatch):
    usual, *own = own_network.METHODS
    assert (usual.name, usual.network) == ("idec", jc.networks.sae)
    monkeypatch.setattr(own_network, "METHODS", own)  # IDEC itself has its tests elsewhere.
    runs = short_main(own_network, small=[])
    check(runs, ["idec-conv", "idec-small"], capsys.readouterr().out)
    networks = [run.settings.extra["own"]["network"] for run in runs]
    assert networks == ["ConvolutionalAutoencoder", "sae(hidden=(128, 64))"]
    # Batch normalization's statistics have moved from 0.
    stats = runs[0].phases["cluster"].lanes.state.variables.stats
    assert all(np.any(np.asarray(stats[name]["mean"]) != 0) for name in ("norm1", "norm2"))


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (9, 10, 3)])
def test_a_reconstruction_has_the_images_shape(shape):
    network = own_network.METHODS[1].build(shape)
    assert network is own_network.METHODS[1].build(shape)
    variables = jax.eval_shape(network.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct((2, *shape), np.uint8)
    reconstruct = functools.partial(network.reconstruct, train=False)
    reconstruction, features, _ = jax.eval_shape(reconstruct, variables, images)
    assert (reconstruction.shape, features.shape) == (images.shape, (2, 10))
