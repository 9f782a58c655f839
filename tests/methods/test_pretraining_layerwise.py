"""DCN's pretraining: each layer on its own, then all layers together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import driver
from jaxclust.methods import pretraining_layerwise as layerwise
from jaxclust.networks import pixels, sae, tied_sae
from sae_reference import forward, weights

KEY = jax.random.key(0)
NETWORK = tied_sae((8, 8, 1), 4, (12, 9))


@pytest.fixture(scope="module")
def images(few_digits):
    return jnp.asarray(few_digits[0][:120])


def jitted_step(config, images):
    """A jitted step on the first 40 images."""
    return jax.jit(lambda state: layerwise.step(config, NETWORK, KEY, state, images[:40], None))


def layer_loss(params, layer, x):
    """Half the squared error of one layer's reconstruction of its own inputs, for images x."""
    inputs = x
    for i in range(1, layer):
        encoder = params[f"encoder{i}"]
        inputs = np.maximum(inputs @ np.asarray(encoder["kernel"]) + np.asarray(encoder["bias"]), 0)
    encoder = params[f"encoder{layer}"]
    hidden = inputs @ np.asarray(encoder["kernel"]) + np.asarray(encoder["bias"])
    hidden = hidden if layer == 3 else np.maximum(hidden, 0)
    bias = np.asarray(params[f"decoder{layer}"]["bias"])
    output = hidden @ weights(params, f"decoder{layer}") + bias
    output = output if layer == 1 else np.maximum(output, 0)
    return np.mean(np.sum((output - inputs) ** 2, axis=1) / 2)


def test_layers_are_pretrained_one_after_the_other_and_then_together(images):
    config = layerwise.Config(epochs=3, batch=40, layers=3, burn_in=0)
    assert layerwise.schedule(config, 120) == (40, 3, 12, "shuffled")
    state = layerwise.init(config, NETWORK, KEY, None, images)
    step = jitted_step(config, images)
    x = np.asarray(images[:40], np.float64).reshape(40, 64) / 255
    for epoch in range(0, 12, 3):
        state = state._replace(epochs=jnp.int32(epoch))
        before = state.variables.params
        after, info = step(state)
        now = after.variables.params
        differs = {
            name: [np.any(now[name][part] != before[name][part]) for part in now[name]]
            for name in now
        }
        moved = {name for name, parts in differs.items() if all(parts)}
        still = {name for name, parts in differs.items() if not any(parts)}
        layer = epoch // 3 + 1
        assert moved == ({f"encoder{layer}", f"decoder{layer}"} if layer <= 3 else set(now))
        assert still == now.keys() - moved
        if layer == 4:
            expected = np.mean([np.sum((forward(before, image)[1] - image) ** 2) for image in x])
        else:
            expected = layer_loss(before, layer, x)
        np.testing.assert_allclose(info.loss, expected, rtol=1e-4)
        # The next layer starts without momentum; another epoch of the same layer keeps it.
        for done, momentum_is_zero in ((epoch + 1, False), (epoch + 2, True)):
            state, _, _ = layerwise.refresh(
                config, NETWORK, KEY, after._replace(epochs=jnp.int32(done)), images
            )
            zero = not any(np.any(leaf) for leaf in jax.tree.leaves(state.opt_state))
            assert zero is momentum_is_zero


def test_a_layers_momentum_sets_in_late_and_its_steps_shrink(images):
    config = layerwise.Config(
        epochs=5,
        batch=40,
        layers=3,
        burn_in=2,
        decay_steps=5,
        learning_rate=1e-3,
        together_rate=0.5,
    )
    step = jitted_step(config, images)

    @jax.jit
    def gradient(state):
        def loss(params):
            variables = state.variables._replace(params=params)
            return step(state._replace(variables=variables))[1].loss

        return jax.grad(loss)(state.variables.params)["encoder1"]

    def assert_moved(after, before, steps):
        # Biases have a step size of their own.
        for part, rate in (("kernel", 1.0), ("bias", config.bias_rate)):
            old = before.variables.params["encoder1"][part]
            moved = after.variables.params["encoder1"][part] - old
            np.testing.assert_allclose(moved, -rate * steps[part], rtol=1e-3, atol=1e-7)

    state = layerwise.init(config, NETWORK, KEY, None, images)
    velocity = {"kernel": 0.0, "bias": 0.0}
    for number in range(7):
        slope = gradient(state)
        before = state
        momentum = 0.9 if number >= 2 else 0.0
        velocity = {part: slope[part] + momentum * velocity[part] for part in slope}
        state, _ = step(state)
        rate = 1e-3 if number < 4 else 1e-4
        assert_moved(state, before, {part: rate * velocity[part] for part in velocity})
    assert int(state.steps) == 7
    # All layers together have Nesterov's momentum, and a step size of their own.
    together = state._replace(epochs=jnp.int32(15))
    slope = gradient(together)
    rate = 1e-3 * config.together_rate
    ahead = {
        part: rate * (slope[part] + 0.9 * (slope[part] + 0.9 * velocity[part])) for part in slope
    }
    assert_moved(step(together)[0], together, ahead)
    for epochs, steps in ((3, 7), (4, 0)):
        state, _, _ = layerwise.refresh(
            config, NETWORK, KEY, state._replace(epochs=jnp.int32(epochs)), images
        )
        assert int(state.steps) == steps


def test_a_run_through_the_driver_lowers_the_error(images):
    config = layerwise.Config(epochs=4, batch=40, layers=2)
    network = tied_sae((8, 8, 1), 4, (12,))
    program = driver.Program(layerwise.ALGORITHM, config, network, "map")
    begun = driver.begin(program, jax.random.split(KEY, 1), None, images)
    training = driver.train(program, begun, images)
    assert training.finished
    assert training.history["loss"].shape == (12,)
    assert (training.lanes.failed < 0).all()
    for first in (0, 4, 8):
        assert training.history["loss"][first + 3] < training.history["loss"][first]


def test_a_network_that_is_no_tied_autoencoder_is_refused(images):
    untied = sae((8, 8, 1), 4, (12, 9))
    for network, layers in ((NETWORK, 4), (untied, 3), (pixels((8, 8, 1)), 3)):
        message = f"layers: the network must be tied_sae with {layers} layers, got "
        with pytest.raises(ValueError, match=message):
            layerwise.init(layerwise.Config(layers=layers), network, KEY, None, images)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("bias_rate", float("nan"), "bias_rate: must be above 0, got nan"),
        ("together_rate", 0.0, "together_rate: must be above 0 and finite, got 0.0"),
        ("layers", 0, "layers: must be at least 1, got 0"),
        ("burn_in", -1, "burn_in: must be at least 0, got -1"),
        ("decay_steps", 0, "decay_steps: must be at least 1, got 0"),
        ("epochs", -1, "epochs: must be at least 0, got -1"),
    ],
)
def test_settings_that_cannot_work_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        layerwise.Config(**{field: value})
