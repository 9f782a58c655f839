"""The pretraining on reconstruction."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import fit
from jaxclust.methods import pretraining, registry
from jaxclust.networks import pixels, sae

NETWORK = sae((8, 8, 1), 5, (16,))
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def images(few_digits):
    return jnp.asarray(few_digits[0][:120])


def test_steps_lower_the_reconstruction_error(images):
    config = pretraining.Config(batch=32)
    state = pretraining.init(config, NETWORK, KEY, None, images)
    rows = jnp.arange(32, dtype=jnp.int32)

    def body(state, _):
        state, info = pretraining.step(config, NETWORK, KEY, state, images[rows], rows)
        return state, info.loss

    _, losses = jax.jit(lambda state: jax.lax.scan(body, state, length=30))(state)
    assert losses[-1] < 0.7 * losses[0]


def test_the_papers_schedule():
    assert pretraining.schedule(pretraining.Config(), 9298) == (256, 37, 200, "shuffled")


def test_few_images_have_as_many_steps_as_are_asked_for():
    config = pretraining.Config(least_steps=32)
    assert pretraining.schedule(config, 1797) == (56, 33, 200, "shuffled")
    assert pretraining.schedule(config, 9298) == pretraining.schedule(pretraining.Config(), 9298)
    with pytest.raises(ValueError, match="least_steps: must be at least 1, got 0"):
        pretraining.Config(least_steps=0)


def test_a_network_without_a_decoder_is_refused(images):
    with pytest.raises(ValueError, match="network: pretraining needs a decoder"):
        pretraining.init(pretraining.Config(), pixels((8, 8, 1)), KEY, None, images)


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="epochs: must be at least 0, got -1"):
        pretraining.Config(epochs=-1)


@pytest.mark.parametrize(
    ("preset", "epochs", "fails"),
    [("default", 5, False), ("paper", 10, True)],
)
def test_the_default_step_does_not_grow_with_size_and_brightness(few_digits, preset, epochs, fails):
    """On large and bright images the paper's SGD ends in NaN; both have 10 steps here."""
    images = 255 - np.repeat(np.repeat(few_digits[0][:64], 4, axis=1), 4, axis=2)
    settings = {"pretraining.epochs": epochs, "clusters": 4}
    method = registry.method("sae-kmeans", preset).with_settings(settings)
    done = fit.fit(method, images, (0,), fit.Options(over="map"))
    assert [failure is not None for failure in done.failed] == [fails]
