"""DCN and DKM: a step against the papers' formulas one after the other, and DCN's layer-wise pretraining."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxclust.engine import driver
from jaxclust.methods import dcn, dkm, pretraining_layerwise
from jaxclust.networks import pixels, sae, tied_sae
from jaxclust.ops import optimizers

KEY = jax.random.key(0)
NETWORKS = {dcn: tied_sae((8, 8, 1), 4, (12, 9)), dkm: sae((8, 8, 1), 4, (12, 9))}
TIED = NETWORKS[dcn]
DCN = dcn.Config(clusters=4, batch=32, restarts=2, counts=3, learning_rate=1e-3)
DKM = dkm.Config(
    clusters=4, batch=32, alpha=0.3, annealing=True, clustering_weight=0.7, start="uniform"
)
ROWS = np.arange(20, 52)


@pytest.fixture(scope="module")
def images(few_digits):
    return jnp.asarray(few_digits[0][:120])


def begun(algorithm, config, images):
    return jax.jit(algorithm.init, static_argnums=(0, 1))(
        config, NETWORKS[algorithm], KEY, None, images
    )


def step(algorithm, config, state, images):
    rows = jnp.asarray(ROWS, jnp.int32)
    return jax.jit(
        lambda state: algorithm.step(config, NETWORKS[algorithm], KEY, state, images[rows], rows)
    )(state)


@pytest.fixture(scope="module")
def dcn_state(images):
    return begun(dcn, DCN, images)


@pytest.fixture(scope="module")
def dkm_state(images):
    return begun(dkm, DKM, images)


def weights(params, name):
    """A layer's weights; a decoder without its own has its encoder's, the other way round."""
    encoder = params[name.replace("decoder", "encoder")]["kernel"]
    return params[name].get("kernel", np.asarray(encoder).T)


def forward(params, x):
    """The embedding and the reconstruction of one image (64,), by loops over layers, float64."""
    layers = {
        name: (np.asarray(weights(params, name), np.float64), np.asarray(p["bias"], np.float64))
        for name, p in params.items()
    }
    for i in (1, 2, 3):
        kernel, bias = layers[f"encoder{i}"]
        x = x @ kernel + bias
        x = x if i == 3 else np.maximum(x, 0)
    features = x
    for i in (3, 2, 1):
        kernel, bias = layers[f"decoder{i}"]
        x = x @ kernel + bias
        x = x if i == 1 else np.maximum(x, 0)
    return features, x


def test_dcns_sgd_is_that_of_the_authors_on_pixels_times_5():
    # Their updates, where ``pull`` is the gradient on pixels times 5.1: 5.1^2 of a loss, biases and outputs 5.1 fold.
    slopes = np.random.default_rng(0).normal(size=(4, 2))
    (kernel, bias), (delta, bias_delta) = (1.0, 5.1), (0.0, 0.0)
    optimizer = optimizers.make("sgd", 1e-4 * 5.1**2, 0.9, nesterov=True, bias_rate=2 / 5.1**2)
    params = {"layer": {"kernel": jnp.float32(1), "bias": jnp.float32(1)}}
    state = optimizer.init(params)
    for slope, bias_slope in slopes:
        pull, bias_pull = 5.1**2 * slope, 5.1 * bias_slope
        kernel += 0.9**2 * delta - 1.9 * 1e-4 * pull
        bias += 0.9**2 * bias_delta - 1.9 * 2e-4 * bias_pull
        delta, bias_delta = 0.9 * delta - 1e-4 * pull, 0.9 * bias_delta - 2e-4 * bias_pull
        gradient = {"layer": {"kernel": jnp.float32(slope), "bias": jnp.float32(bias_slope)}}
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        np.testing.assert_allclose(params["layer"]["kernel"], kernel, rtol=1e-6)
        np.testing.assert_allclose(params["layer"]["bias"], bias / 5.1, rtol=1e-6)
    adams = [optimizers.make("adam", 1e-3, 0.9, *more) for more in ((True, 0.1), ())]
    chex.assert_trees_all_equal(*(adam.update(gradient, adam.init(params))[0] for adam in adams))


def test_dcns_centroids_are_those_of_the_sequential_updates(dcn_state, images):
    # Labels of before decide the network's step; they are not the nearest here, so that this shows.
    state = dcn_state._replace(labels=(dcn_state.labels + 1) % 4)
    after, info = step(dcn, DCN, state, images)
    x = np.asarray(images, np.float64).reshape(120, 64) / 255
    before, now = ([forward(p.variables.params, one) for one in x[ROWS]] for p in (state, after))
    reconstruction = np.mean(
        [np.sum((y - one) ** 2) for (_, y), one in zip(before, x[ROWS], strict=True)]
    )
    centres = np.asarray(state.centroids, np.float64)
    clustering = np.mean(
        [
            np.sum((h - centres[state.labels[row]]) ** 2)
            for (h, _), row in zip(before, ROWS, strict=True)
        ]
    )
    np.testing.assert_allclose(
        info.loss, reconstruction + clustering, rtol=1e-4
    )  # eq. 9, authors' weights

    # The network takes one step of SGD down that loss, its first, with momentum ahead of it; slopes by differences.
    def loss(params):
        found = [forward(params, one) for one in x[ROWS]]
        pulls = [h - centres[state.labels[row]] for (h, _), row in zip(found, ROWS, strict=True)]
        errors = [y - one for (_, y), one in zip(found, x[ROWS], strict=True)]
        return np.mean(
            [np.sum(pull**2) + np.sum(error**2) for pull, error in zip(pulls, errors, strict=True)]
        )

    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), state.variables.params)
    for layer, part in (
        ("encoder1", "kernel"),
        ("encoder3", "kernel"),
        ("encoder2", "bias"),
        ("decoder1", "bias"),
    ):
        values, moved = params[layer][part], after.variables.params[layer][part]
        for place in np.random.default_rng(0).integers(0, values.shape, (3, values.ndim)):
            place, ends = tuple(place), []
            for side in (1e-5, -1e-5):
                values[place] += side
                ends.append(loss(params))
                values[place] -= side
            slope = (ends[0] - ends[1]) / 2e-5
            rate = 1.9 * DCN.learning_rate * (DCN.bias_rate if part == "bias" else 1)
            np.testing.assert_allclose(
                moved[place] - values[place], -rate * slope, rtol=1e-2, atol=1e-7
            )
    # Eq. 8 with the new network and the batch's first centroids, then eq. 12 for one sample after the other.
    labels = [int(np.argmin(np.sum((centres - h) ** 2, axis=1))) for h, _ in now]
    centres, counts = centres.copy(), [3] * 4
    for (h, _), label in zip(now, labels, strict=True):
        counts[label] += 1
        centres[label] -= (centres[label] - h) / counts[label]
    np.testing.assert_array_equal(after.labels[ROWS], labels)
    np.testing.assert_array_equal(after.counts, counts)
    np.testing.assert_allclose(after.centroids, centres, rtol=1e-4, atol=1e-5)
    others = np.setdiff1d(np.arange(120), ROWS)
    np.testing.assert_array_equal(after.labels[others], state.labels[others])


def test_dkms_loss_is_the_papers(dkm_state, images):
    state = dkm_state._replace(epochs=jnp.int32(5))
    alpha = 0.3 * 2 ** (1 / np.log(2) ** 2)  # The second value.
    after, info = step(dkm, DKM, state, images)
    x = np.asarray(images, np.float64).reshape(120, 64)[ROWS] / 255
    total = 0.0
    for one in x:
        h, y = forward(state.variables.params, one)
        f = [np.sum((h - r) ** 2) for r in np.asarray(state.centroids, np.float64)]
        g = np.exp(-alpha * np.array(f))
        total += (np.sum((one - y) ** 2) + 0.7 * sum(f * g / g.sum())) / 32
    np.testing.assert_allclose(info.loss, total, rtol=1e-4)
    # Network and centroids move together.
    assert np.any(np.asarray(after.centroids) != np.asarray(state.centroids))
    assert np.any(
        np.asarray(after.variables.params["encoder1"]["kernel"])
        != state.variables.params["encoder1"]["kernel"]
    )


def test_dkms_temperatures_are_the_papers():
    assert dkm.temperatures(dkm.Config()) == (1000.0,) * 20
    found = dkm.temperatures(dkm.Config(annealing=True, alpha=0.1, alphas=40))
    assert len(found) == 40
    value = 0.1
    for i, alpha in enumerate(found, 1):
        assert alpha == pytest.approx(value)
        value *= 2 ** (1 / np.log(i + 1) ** 2)
    assert dkm.schedule(dkm.Config(), 1000) == (256, 4, 100, "shuffled")


def test_dkms_first_centroids_are_uniform_where_it_is_not_pretrained(dkm_state, images):
    assert 0.5 < np.abs(dkm_state.centroids).max() <= 1
    assert float(dkm_state.centroids.min()) < 0
    np.testing.assert_array_equal(
        dkm_state.labels, dkm.predict(DKM, NETWORKS[dkm], dkm_state, images).cluster
    )


@pytest.mark.parametrize(
    ("algorithm", "config", "name"), [(dcn, DCN, "dcn_state"), (dkm, DKM, "dkm_state")]
)
def test_an_epoch_ends_in_counts_that_are_the_labels(algorithm, config, name, images, request):
    begun = request.getfixturevalue(name)
    # A third of the images had another label at the last epoch's end.
    field = "before" if algorithm is dcn else "labels"
    moved = getattr(begun, field).at[:40].set((begun.labels[:40] + 1) % 4)
    state, stop, info = algorithm.refresh(
        config, NETWORKS[algorithm], KEY, begun._replace(**{field: moved}), images
    )
    np.testing.assert_array_equal(state.labels, begun.labels)
    np.testing.assert_array_equal(getattr(state, field), begun.labels)
    sizes = np.bincount(np.asarray(state.labels), minlength=4)
    assert not bool(stop)
    assert float(info.changed) == pytest.approx(1 / 3)
    assert int(info.empty_clusters) == (sizes == 0).sum()
    assert float(info.largest_cluster) == pytest.approx(sizes.max() / 120)
    assert algorithm is dcn or int(state.epochs) == 1


def test_dcn_takes_the_images_in_a_new_order_each_epoch():
    assert dcn.schedule(DCN, 120) == (32, 4, 50, "shuffled")


def test_dkms_first_centroids_are_k_meanss_where_it_is_pretrained(dkm_state, images):
    config = dataclasses.replace(DKM, start="kmeans", restarts=3)
    state = jax.jit(dkm.init, static_argnums=(0, 1))(
        config, NETWORKS[dkm], KEY, dkm_state.variables, images
    )
    features = np.asarray(NETWORKS[dkm].encode(dkm_state.variables, images, False)[0])
    for cluster in range(4):
        mean = features[np.asarray(state.labels) == cluster].mean(axis=0)
        np.testing.assert_allclose(state.centroids[cluster], mean, atol=1e-5)


@pytest.mark.parametrize(("algorithm", "config"), [(dcn, DCN), (dkm, DKM)])
def test_a_run_through_the_driver_lowers_the_loss(algorithm, config, images):
    length = {"epochs": 6} if algorithm is dcn else {"alphas": 3, "epochs_per_alpha": 2}
    config = dataclasses.replace(config, **length)
    keys = jax.random.split(KEY, 1)
    done = driver.train(algorithm, config, NETWORKS[algorithm], keys, images, over="map")
    assert done.finished
    assert (done.runs.failed < 0).all()
    assert done.history["loss"].shape == (6,)
    assert done.history["loss"][-1] < done.history["loss"][0]
    if algorithm is dkm:
        assert done.runs.state.epochs.tolist() == [6]


def test_layers_are_pretrained_one_after_the_other_and_then_together(images):
    config = pretraining_layerwise.Config(epochs=3, batch=40, layers=3, burn_in=0)
    assert pretraining_layerwise.schedule(config, 120) == (40, 3, 12, "shuffled")
    state = pretraining_layerwise.init(config, TIED, KEY, None, images)
    run = jax.jit(
        lambda state: pretraining_layerwise.step(config, TIED, KEY, state, images[:40], None)
    )
    x = np.asarray(images[:40], np.float64).reshape(40, 64) / 255
    for epoch in range(0, 12, 3):
        state = state._replace(epochs=jnp.int32(epoch))
        before = state.variables.params
        after, info = run(state)
        now = after.variables.params
        moved = {
            name
            for name in now
            if all(np.any(now[name][part] != before[name][part]) for part in now[name])
        }
        still = {
            name
            for name in now
            if not any(np.any(now[name][part] != before[name][part]) for part in now[name])
        }
        layer = epoch // 3 + 1
        assert moved == ({f"encoder{layer}", f"decoder{layer}"} if layer <= 3 else set(now))
        assert still == now.keys() - moved
        if layer == 4:
            expected = [np.sum((forward(before, one)[1] - one) ** 2) for one in x]
        else:
            # What the layers below make of the image, through this layer and back.
            inputs = x
            for i in range(1, layer):
                inputs = np.maximum(
                    inputs @ np.asarray(before[f"encoder{i}"]["kernel"])
                    + np.asarray(before[f"encoder{i}"]["bias"]),
                    0,
                )
            hidden = inputs @ np.asarray(before[f"encoder{layer}"]["kernel"]) + np.asarray(
                before[f"encoder{layer}"]["bias"]
            )
            hidden = hidden if layer == 3 else np.maximum(hidden, 0)
            output = hidden @ weights(before, f"decoder{layer}") + np.asarray(
                before[f"decoder{layer}"]["bias"]
            )
            output = output if layer == 1 else np.maximum(output, 0)
            expected = np.sum((output - inputs) ** 2, axis=1) / 2
        np.testing.assert_allclose(info.loss, np.mean(expected), rtol=1e-4)
        # The next layer starts without momentum, another epoch of the same keeps it.
        for done, fresh in ((epoch + 1, False), (epoch + 2, True)):
            state, _, _ = pretraining_layerwise.refresh(
                config, TIED, KEY, after._replace(epochs=jnp.int32(done)), images
            )
            assert all(not np.any(leaf) for leaf in jax.tree.leaves(state.opt_state)) is fresh


def test_a_layers_momentum_sets_in_late_and_its_steps_shrink(images):
    config = pretraining_layerwise.Config(
        epochs=5,
        batch=40,
        layers=3,
        burn_in=2,
        decay_steps=5,
        learning_rate=1e-3,
        together_rate=0.5,
    )
    run = jax.jit(
        lambda state: pretraining_layerwise.step(config, TIED, KEY, state, images[:40], None)
    )

    @jax.jit
    def gradient(state):
        def loss(params):
            variables = state.variables._replace(params=params)
            return pretraining_layerwise.step(
                config, TIED, KEY, state._replace(variables=variables), images[:40], None
            )[1].loss

        return jax.grad(loss)(state.variables.params)["encoder1"]

    def near(after, before, steps):
        # Biases take steps of their own size.
        for part, rate in (("kernel", 1.0), ("bias", config.bias_rate)):
            moved = (
                after.variables.params["encoder1"][part] - before.variables.params["encoder1"][part]
            )
            np.testing.assert_allclose(moved, -rate * steps[part], rtol=1e-3, atol=1e-7)

    state, velocity = (
        pretraining_layerwise.init(config, TIED, KEY, None, images),
        {"kernel": 0.0, "bias": 0.0},
    )
    for number in range(7):
        slope, before = gradient(state), state
        velocity = {
            part: slope[part] + (0.9 * velocity[part] if number >= 2 else 0.0) for part in slope
        }
        state, _ = run(state)
        near(
            state,
            before,
            jax.tree.map(lambda v, rate=1e-3 if number < 4 else 1e-4: rate * v, velocity),
        )
    assert int(state.steps) == 7
    # All layers together have Nesterov's momentum, and a rate of their own.
    together = state._replace(epochs=jnp.int32(15))
    slope = gradient(together)
    ahead = jax.tree.map(
        lambda g, v: 1e-3 * config.together_rate * (g + 0.9 * (g + 0.9 * v)), slope, velocity
    )
    near(run(together)[0], together, ahead)
    for epochs, steps in ((3, 7), (4, 0)):
        state, _, _ = pretraining_layerwise.refresh(
            config, TIED, KEY, state._replace(epochs=jnp.int32(epochs)), images
        )
        assert int(state.steps) == steps


def test_layerwise_pretraining_through_the_driver_lowers_the_error(images):
    config = pretraining_layerwise.Config(epochs=4, batch=40, layers=2)
    done = driver.train(
        pretraining_layerwise,
        config,
        tied_sae((8, 8, 1), 4, (12,)),
        jax.random.split(KEY, 1),
        images,
        over="map",
    )
    assert done.finished
    assert done.history["loss"].shape == (12,)
    assert (done.runs.failed < 0).all()
    for first in (0, 4, 8):
        assert done.history["loss"][first + 3] < done.history["loss"][first]


@pytest.mark.parametrize(
    ("kind", "field", "value", "message"),
    [
        (dcn.Config, "clusters", 1, "clusters: must be at least 2, got 1"),
        (dcn.Config, "bias_rate", 0.0, "bias_rate: must be above 0, got 0.0"),
        (
            pretraining_layerwise.Config,
            "bias_rate",
            float("nan"),
            "bias_rate: must be above 0, got nan",
        ),
        (dcn.Config, "counts", -1, "counts: must be at least 0, got -1"),
        (
            dcn.Config,
            "clustering_weight",
            float("nan"),
            "clustering_weight: must be at least 0 and finite, got nan",
        ),
        (dcn.Config, "reconstruction", "max", "reconstruction: must be mean or sum, got 'max'"),
        (dkm.Config, "alpha", -0.1, "alpha: must be at least 0 and finite, got -0.1"),
        (dkm.Config, "alphas", 0, "alphas: must be at least 1, got 0"),
        (dkm.Config, "start", "zero", "start: must be kmeans or uniform, got 'zero'"),
        (dkm.Config, "batch", 0, "batch: must be at least 1, got 0"),
        (
            pretraining_layerwise.Config,
            "together_rate",
            0.0,
            "together_rate: must be above 0 and finite, got 0.0",
        ),
        (pretraining_layerwise.Config, "layers", 0, "layers: must be at least 1, got 0"),
        (pretraining_layerwise.Config, "burn_in", -1, "burn_in: must be at least 0, got -1"),
        (pretraining_layerwise.Config, "decay_steps", 0, "decay_steps: must be at least 1, got 0"),
        (pretraining_layerwise.Config, "epochs", -1, "epochs: must be at least 0, got -1"),
    ],
)
def test_settings_that_cannot_work_are_refused(kind, field, value, message):
    with pytest.raises(ValueError, match=message):
        kind(**{field: value})


def test_layerwise_pretraining_needs_its_network(images):
    for network, layers in ((TIED, 4), (NETWORKS[dkm], 3), (pixels((8, 8, 1)), 3)):
        with pytest.raises(
            ValueError, match=f"layers: the network must be tied_sae with {layers} layers, got "
        ):
            pretraining_layerwise.init(
                pretraining_layerwise.Config(layers=layers), network, KEY, None, images
            )
