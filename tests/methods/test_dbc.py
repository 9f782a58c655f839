"""DBC's formulas against the paper: scores, targets, gradients, boosting and stopping rule."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxclust.engine import driver
from jaxclust.methods import dbc, pretraining
from jaxclust.networks import fcae
from jaxclust.ops import losses
from jaxclust.ops.assignment import sharpened_target, soft_assignment

NETWORK = fcae((8, 8, 1))
CONFIG = dbc.Config(clusters=4, batch=32, restarts=2)
KEY = jax.random.key(0)
ROWS = jnp.arange(40, 72, dtype=jnp.int32)
"""A batch from the middle of the images."""
INIT = jax.jit(dbc.init, static_argnums=(0, 1))
STEP = jax.jit(dbc.step, static_argnums=(0, 1))
EMBED = jax.jit(dbc.embed, static_argnums=(0, 1))
REFRESH = jax.jit(dbc.refresh, static_argnums=(0, 1))


@functools.partial(jax.jit, static_argnums=(0, 1))
def first_variables(config, network, variables, images):
    """The network's arrays in the first state, without the k-means that follows."""
    return dbc.init(config, network, KEY, variables, images).variables


RNG = np.random.default_rng(0)
Z = RNG.normal(size=(30, 5)).astype(np.float32)
MU = RNG.normal(size=(4, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def images(few_digits):
    return jnp.asarray(few_digits[0][:120])


@pytest.fixture(scope="module")
def fresh():
    """The arrays of a new network."""
    return jax.jit(NETWORK.init)(KEY)


@pytest.fixture(scope="module")
def trained(fresh, images):
    """The same with running statistics that are no longer those of ``init``."""
    return fresh._replace(stats=NETWORK.encode(fresh, images[:32], True)[1])


@pytest.fixture(scope="module")
def state(fresh, images):
    return INIT(CONFIG, NETWORK, KEY, fresh, images)


@pytest.fixture(scope="module")
def stepped(state, images):
    """The state and the info after one step, by the mode of batch normalization."""
    return {
        mode: STEP(
            dataclasses.replace(CONFIG, batch_norm=mode), NETWORK, KEY, state, images[ROWS], ROWS
        )
        for mode in ("running", "batch")
    }


def loop_scores(z, mu, v):  # eq. 1
    s = np.zeros((len(z), len(mu)))
    for i in range(len(z)):
        for j in range(len(mu)):
            s[i, j] = (1 + np.sum((z[i].astype(np.float64) - mu[j]) ** 2) / v) ** (-(v + 1) / 2)
        s[i] /= s[i].sum()
    return s


def loop_target(s, alpha, normalization):  # Algorithm 2, line 8; section 4.3.2
    n = {
        "boosted": (s**alpha).sum(axis=0),
        "scores": s.sum(axis=0),
        "constant": np.ones(s.shape[1]),
    }[normalization]
    r = s**alpha / n
    return r / r.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("normalization", ["boosted", "scores", "constant"])
@pytest.mark.parametrize(("alpha", "v"), [(1.5, 1.0), (2.0, 3.0), (4.0, 1.0)])
def test_scores_and_target_are_those_of_the_loop(normalization, alpha, v):
    config = dbc.Config(alpha=alpha, v=v, normalization=normalization)
    soft = dbc.scores(config, Z, MU)
    np.testing.assert_allclose(soft, loop_scores(Z, MU, v), rtol=1e-4)
    np.testing.assert_allclose(
        dbc.boosted(config, soft),
        loop_target(loop_scores(Z, MU, v), alpha, normalization),
        rtol=1e-3,
    )


@pytest.mark.parametrize("v", [1.0, 2.5])
@pytest.mark.parametrize("alpha", [1.5, 2.0, 4.0])
def test_gradients_are_the_papers_closed_forms(alpha, v):
    config = dbc.Config(alpha=alpha, v=v)
    target = dbc.boosted(config, dbc.scores(config, Z, MU))

    def loss(z, mu):
        return jnp.sum(losses.kl_divergence(target, dbc.scores(config, z, mu)))

    to_z, to_mu = jax.grad(loss, argnums=(0, 1))(jnp.asarray(Z), jnp.asarray(MU))
    z = Z.astype(np.float64)
    mu = MU.astype(np.float64)
    r = np.asarray(target, np.float64)
    s = loop_scores(Z, MU, v)
    expected_z = np.zeros_like(z)
    expected_mu = np.zeros_like(mu)
    for i in range(len(z)):
        for j in range(len(mu)):
            pull = (1 + v) / v * (r[i, j] - s[i, j]) / (1 + np.sum((z[i] - mu[j]) ** 2) / v)
            expected_z[i] += pull * (z[i] - mu[j])  # eq. 4
            expected_mu[j] += pull * (mu[j] - z[i])  # eq. 5
    np.testing.assert_allclose(to_z, expected_z, atol=1e-5)
    np.testing.assert_allclose(to_mu, expected_mu, atol=1e-5)
    assert np.abs(expected_z).max() > 0.01


def chain(soft, alpha, steps):
    """S(0) -> R(0) = S(1) -> ... (section 3.2.2), without a normalization of clusters."""
    config = dbc.Config(alpha=alpha, normalization="constant")
    for _ in range(steps):
        soft = dbc.boosted(config, soft)
    return np.asarray(soft)


@pytest.mark.parametrize("alpha", [1.5, 2.0, 4.0])
def test_property_1_equal_scores_stay_equal(alpha):
    soft = jnp.full((3, 7), 1 / 7, jnp.float32)
    np.testing.assert_allclose(chain(soft, alpha, 50), 1 / 7, rtol=1e-5)


@pytest.mark.parametrize("alpha", [1.5, 2.0, 4.0])
def test_property_2_the_highest_score_goes_to_one(alpha):
    soft = jnp.asarray(
        [[0.26, 0.25, 0.25, 0.24], [0.1, 0.1, 0.2, 0.6], [0.0, 0.51, 0.49, 0.0]], jnp.float32
    )
    before = np.asarray(soft)
    ends = chain(soft, alpha, 30)
    np.testing.assert_allclose(ends, np.eye(4)[[0, 3, 1]], atol=1e-6)
    np.testing.assert_allclose(ends.sum(axis=1), 1, rtol=1e-6)
    # The first link is known exactly: ratios of scores are raised to the power alpha.
    once = chain(soft, alpha, 1)
    np.testing.assert_allclose(once[0] / once[0, 0], (before[0] / before[0, 0]) ** alpha, rtol=1e-5)


def test_boosting_is_faster_with_a_larger_alpha():
    soft = jnp.asarray([[0.3, 0.25, 0.25, 0.2]], jnp.float32)
    highest = [chain(soft, alpha, 3)[0, 0] for alpha in (1.5, 2.0, 4.0)]
    assert highest[0] < highest[1] < highest[2]


def test_dec_is_alpha_2_divided_by_the_sums_of_scores():
    config = dbc.Config(normalization="scores")
    np.testing.assert_array_equal(dbc.scores(config, Z, MU), soft_assignment(Z, MU))
    np.testing.assert_array_equal(
        dbc.boosted(config, soft_assignment(Z, MU)), sharpened_target(soft_assignment(Z, MU))
    )


@pytest.mark.parametrize("mode", ["running", "batch"])
def test_a_step_keeps_the_tree_and_trains_encoder_and_centroids_alone(mode, state, stepped, images):
    after, info = stepped[mode]
    chex.assert_trees_all_equal_shapes_and_dtypes(state, after)
    moved = {
        name
        for name, layer in state.variables.params.items()
        for old, new in zip(
            jax.tree.leaves(layer), jax.tree.leaves(after.variables.params[name]), strict=True
        )
        if np.any(old != new)
    }
    assert moved == {"conv1", "features"}
    assert np.any(after.centroids != state.centroids)
    assert 0 < float(info.loss) < 1


def test_the_loss_is_the_papers(state, stepped, images):
    features = np.asarray(EMBED(CONFIG, NETWORK, state, images))
    s = loop_scores(features, np.asarray(state.centroids), 1.0)
    r = loop_target(s, 2.0, "boosted")
    np.testing.assert_allclose(state.target, r, rtol=1e-3, atol=1e-6)
    divergence = np.mean(np.sum(r * np.log(r / s), axis=1)[40:72])  # eq. 3, averaged over the batch
    np.testing.assert_allclose(stepped["running"][1].loss, divergence, rtol=1e-3)


def test_steps_lower_the_divergence_of_their_images_from_the_target(images):
    config = pretraining.Config(epochs=20, optimizer="sgd", learning_rate=0.05, batch=32)
    program = driver.Program(pretraining.ALGORITHM, config, NETWORK, "map")
    training = driver.train(
        program, driver.begin(program, jax.random.split(KEY, 1), None, images), images
    )
    variables = jax.tree.map(lambda leaf: leaf[0], training.lanes.state.variables)
    state = INIT(CONFIG, NETWORK, KEY, variables, images)
    divergences = []
    for _ in range(60):
        state, info = STEP(CONFIG, NETWORK, KEY, state, images[ROWS], ROWS)
        divergences.append(float(info.loss))
    assert divergences[-1] < 0.5 * divergences[0]


def test_running_statistics_stand_still_and_a_batchs_own_move(state, stepped):
    chex.assert_trees_all_equal(state.variables.stats, stepped["running"][0].variables.stats)
    moved = stepped["batch"][0].variables.stats
    before = state.variables.stats
    for name in ("conv1", "features"):
        assert np.any(moved[name]["norm"]["mean"] != before[name]["norm"]["mean"])
    chex.assert_trees_all_equal(moved["defeatures"], before["defeatures"])


@pytest.mark.parametrize("momentum", [0.9, 0.99])
@functools.cache
def network_with(momentum):
    """NETWORK, whose running statistics have a momentum of 0.9, with another momentum."""
    if momentum == 0.9:
        return NETWORK

    def encode(variables, images, train):
        features, stats = NETWORK.encode(variables, images, train)
        if train:
            stats = jax.tree.map(
                lambda old, new: old + 10 * (1 - momentum) * (new - old), variables.stats, stats
            )
        return features, stats

    return NETWORK._replace(encode=encode)


@pytest.mark.parametrize("momentum", [0.9, 0.99])
def test_without_pretraining_k_means_sees_the_features_that_the_steps_see(momentum, fresh, images):
    started = first_variables(CONFIG, network_with(momentum), fresh, images)
    chex.assert_trees_all_equal(started.params, fresh.params)
    by_running, _ = NETWORK.encode(started, images, False)
    by_batch, _ = NETWORK.encode(fresh, images, True)
    spread = np.linalg.norm(by_batch - by_batch.mean(axis=0), axis=1).mean()
    assert np.linalg.norm(by_running - by_batch, axis=1).mean() < 0.15 * spread
    # The first statistics, 0 and 1, give other features.
    by_first, _ = NETWORK.encode(fresh, images, False)
    assert np.linalg.norm(by_first - by_batch, axis=1).mean() > 0.5 * spread


def test_statistics_that_stay_or_that_pretraining_left_are_not_touched(fresh, trained, images):
    config = dataclasses.replace(CONFIG, batch_norm="running")
    chex.assert_trees_all_equal(first_variables(config, NETWORK, fresh, images), fresh)
    chex.assert_trees_all_equal(first_variables(CONFIG, NETWORK, trained, images), trained)


def test_a_new_lane_and_a_pretrained_one_begin_as_they_do_alone(fresh, trained, images):
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), fresh, trained)
    lanes = jax.vmap(lambda lane: first_variables(CONFIG, NETWORK, lane, images))(both)
    alone = first_variables(CONFIG, NETWORK, fresh, images)
    chex.assert_trees_all_close(jax.tree.map(lambda leaf: leaf[0], lanes), alone, rtol=1e-5)
    chex.assert_trees_all_equal(jax.tree.map(lambda leaf: leaf[1], lanes), trained)


def test_refresh_stops_when_no_hard_assignment_changes(state, images):
    for shifted, stops in ((0, True), (1, False)):
        labels = state.labels.at[:shifted].set((state.labels[:shifted] + 1) % 4)
        after, stop, info = REFRESH(CONFIG, NETWORK, KEY, state._replace(labels=labels), images)
        assert bool(stop) is stops
        np.testing.assert_allclose(info.changed, shifted / len(images), rtol=1e-6)
        np.testing.assert_array_equal(after.labels, state.labels)


def test_the_share_of_scores_that_are_sure_or_excluded(state, images):
    # Features lie as far apart as trained ones, and tails are short, so that scores lie on both
    # sides of both limits.
    longer = jax.tree.map(lambda leaf: 100 * leaf, state.variables.params["features"])
    spread = state.variables._replace(params=state.variables.params | {"features": longer})
    state = state._replace(variables=spread)
    features = EMBED(CONFIG, NETWORK, state, images)
    centroids = features[:4]
    config = dataclasses.replace(CONFIG, v=20.0)
    _, _, info = REFRESH(config, NETWORK, KEY, state._replace(centroids=centroids), images)
    s = loop_scores(np.asarray(features), np.asarray(centroids), 20.0)
    sure = np.mean(s > 0.8)
    excluded = np.mean(s < 0.02)
    assert min(sure, excluded) > 0.1
    assert sure + excluded < 0.9
    np.testing.assert_allclose(info.polarized, sure + excluded, atol=1e-6)


def test_an_epoch_is_a_window():
    assert dbc.schedule(dbc.Config(max_epochs=7), 9_950) == (100, 100, 7, "shuffled")
    assert dbc.schedule(dbc.Config(), 60).batch == 60


def test_images_of_one_gray_each_give_finite_numbers(fresh):
    """As many images as elsewhere, so that the programs are those of the other tests."""
    gray = jnp.broadcast_to(jnp.arange(120, dtype=jnp.uint8)[:, None, None, None], (120, 8, 8, 1))
    started = INIT(CONFIG, NETWORK, KEY, fresh, gray)
    after, info = STEP(CONFIG, NETWORK, KEY, started, gray[ROWS], ROWS)
    chex.assert_tree_all_finite((info, REFRESH(CONFIG, NETWORK, KEY, after, gray)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"clusters": 1}, "clusters: must be at least 2, got 1"),
        ({"alpha": 1.0}, r"alpha: must be above 1 and at most 1e\+30, got 1.0"),
        ({"alpha": float("nan")}, r"alpha: must be above 1 and at most 1e\+30, got nan"),
        ({"alpha": float("inf")}, r"alpha: must be above 1 and at most 1e\+30, got inf"),
        ({"v": 0.0}, r"v: must be above 0, from 1e-30 to 1e\+30, got 0.0"),
        ({"v": 1e-40}, "v: must be above 0, from .* got 1e-40"),
        ({"v": 1e39}, r"v: must be above 0, from .* got 1e\+39"),
        ({"v": -1.0}, "v: must be above 0, from .* got -1.0"),
        ({"normalization": "sum"}, "normalization: must be boosted, scores or constant, got 'sum'"),
        ({"batch_norm": "none"}, "batch_norm: must be running or batch, got 'none'"),
        (
            {"batch": 1, "batch_norm": "batch"},
            "batch: must be at least 2 with batch_norm batch, got 1",
        ),
        ({"batch": 0}, "batch: must be at least 1, got 0"),
        ({"max_epochs": -1}, "max_epochs: must be at least 0, got -1"),
        ({"restarts": 0}, "restarts: must be at least 1, got 0"),
        ({"tolerance": -0.1}, r"tolerance: must be in \[0, 1\], got -0.1"),
        ({"learning_rate": 0.0}, "learning_rate: must be above 0, got 0.0"),
    ],
)
def test_settings_that_cannot_work_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        dbc.Config(**fields)
