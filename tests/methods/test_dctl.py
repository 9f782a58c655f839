"""DCTL: P1 against slow NumPy, what P2 promises, and what a run reports."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxclust.engine import driver
from jaxclust.methods import dctl, dctl_codes, self_training
from jaxclust.networks import dctl as network_of
from jaxclust.networks.dctl import PAPER
from jaxclust.ops import losses

KEY = jax.random.key(0)
SMALL = dctl.Config(clusters=3, kernel=3, restarts=2, rounds=4, p2_restarts=2)


@pytest.fixture(scope="module")
def images():
    """60 vectors of 30 features around three centers, as 5 x 6 grids."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 30)).repeat(20, axis=0) + 0.3 * rng.standard_normal((60, 30))
    return jnp.asarray(x.reshape(60, 5, 6, 1), jnp.float32)


def network(config):
    """The network of a config; networks are cached."""
    return network_of((5, 6, 1), **dctl.network_settings(config))


@functools.cache
def step_of(config):
    """A config's ``step`` on all images, compiled once for all tests."""

    def step(state, images):
        return dctl.step(config, network(config), KEY, state, images, None)

    return jax.jit(step)


@functools.cache
def refresh_of(config):
    """A config's ``refresh``, compiled once for all tests."""
    return jax.jit(lambda state, images: dctl.refresh(config, network(config), KEY, state, images))


def test_the_papers_settings():
    config = dctl.Config()
    assert (config.mu, config.penalty_weight, config.layers) == (1.0, 1e-3, 2)
    assert dctl.network_settings(config) == {"architecture": PAPER}
    assert dctl.schedule(config, 2432) == (2432, 1, 50, "sequential")


@pytest.mark.parametrize("residual", ["sum", "mean"])
@pytest.mark.parametrize("psi", ["none", "l1"])
def test_p1_is_equation_6(residual, psi):
    rng = np.random.default_rng(1)
    f, z = rng.standard_normal((2, 7, 4)).astype(np.float32)
    labels = np.int32([0, 1, 0, 2, 2, 2, 1])
    params = {"layer1": rng.standard_normal((3, 3, 1, 2)).astype(np.float32)}
    params["layer2"] = rng.standard_normal((3, 3, 2, 2)).astype(np.float32)
    config = dctl.Config(
        clusters=3,
        mu=0.7,
        penalty_weight=0.2,
        residual=residual,
        psi=psi,
        psi_weight=0.3,
        z_update="adam",
    )
    total, terms = dctl.objective(config, f, z, labels, params)
    columns, h = z.T.astype(np.float64), np.eye(3)[labels].T
    sums = np.linalg.norm(f - z) ** 2
    sums += 0.7 * np.linalg.norm(columns - columns @ h.T @ np.linalg.inv(h @ h.T) @ h) ** 2
    sums += 0.3 * np.abs(z).sum() * (psi == "l1")
    penalty = 0.0
    for t in params.values():
        t = t.reshape(-1, 2).astype(np.float64)
        penalty += np.sum(t**2) - np.log(np.linalg.svd(t, compute_uv=False)).sum()
    np.testing.assert_allclose(
        total, sums / (28 if residual == "mean" else 1) + 0.2 * penalty, rtol=1e-5
    )
    np.testing.assert_allclose(terms["residual"], np.linalg.norm(f - z) ** 2 / 7, rtol=1e-5)
    # Piecewise, there is no k-means term.
    alone, _ = dctl.objective(dataclasses.replace(config, joint=False), f, z, labels, params)
    weight = 7 if residual == "sum" else 1 / 4
    np.testing.assert_allclose(alone, total - 0.7 * weight * terms["scatter"], rtol=1e-4)


@pytest.mark.parametrize("mu", [0.3, 1.0])
def test_the_closed_form_is_where_adam_ends(mu):
    rng = np.random.default_rng(2)
    f = jnp.asarray(rng.standard_normal((12, 4)), jnp.float32)
    labels, params = jnp.int32([0, 1, 2] * 4), {"layer1": jnp.eye(4, 2)}
    config = dctl.Config(clusters=3, mu=mu)
    optimizer = optax.adam(optax.exponential_decay(0.1, 100, 0.5))

    def step(carry, _):
        z, state = carry
        gradient = jax.grad(lambda z: dctl.objective(config, f, z, labels, params)[0])(z)
        updates, state = optimizer.update(gradient, state)
        return (z + updates, state), None

    z = jnp.zeros_like(f)
    (z, _), _ = jax.jit(lambda carry: jax.lax.scan(step, carry, length=1500))(
        (z, optimizer.init(z))
    )
    exact = dctl_codes.exact_codes(f, labels, 3, mu)
    np.testing.assert_allclose(z, exact, atol=1e-4)
    total, terms = dctl.objective(config, f, exact, labels, params)
    left = total - config.penalty_weight * terms["penalty"]
    np.testing.assert_allclose(
        left, mu / (1 + mu) * losses.cluster_scatter(f, labels, 3).sum(), rtol=1e-4
    )


@pytest.fixture(scope="module")
def begin():
    """SMALL's ``init``, compiled."""
    return jax.jit(lambda images: dctl.init(SMALL, network(SMALL), KEY, None, images))


@pytest.fixture(scope="module")
def started(begin, images):
    """The state of SMALL before its first step."""
    return begin(images)


def test_p2_never_raises_the_k_means_term(images, started):
    state = started
    rng = np.random.default_rng(3)
    for k in (1, 2, 3, 3, 3):  # With one or two clusters H H' is singular.
        labels = jnp.asarray(rng.integers(0, k, 60), jnp.int32)
        after, _, info = refresh_of(SMALL)(state._replace(labels=labels), images)
        before = losses.cluster_scatter(state.codes, labels, 3).sum()
        now = losses.cluster_scatter(state.codes, after.labels, 3).sum()
        assert float(now) <= float(before)
        layers = [
            np.asarray(filters).reshape(-1, filters.shape[-1])
            for filters in jax.tree.leaves(state.variables.params)
        ]
        least = min(np.linalg.svd(layer, compute_uv=False).min() for layer in layers)
        np.testing.assert_allclose(info.least_singular, least, rtol=1e-5)
        assert int(info.empty_clusters) == 3 - len(np.unique(after.labels))
        for cluster in np.unique(after.labels):
            mean = np.asarray(state.codes)[np.asarray(after.labels) == cluster].mean(axis=0)
            np.testing.assert_allclose(after.centroids[cluster], mean, atol=1e-5)


def test_p2_keeps_clusters_that_a_worse_restart_would_replace(images, started):
    """The first start has the best labels, the second a local minimum that only restarts leave."""
    best = jnp.repeat(jnp.arange(3, dtype=jnp.int32), 20)
    after, _, info = refresh_of(SMALL)(started._replace(labels=best), images)
    np.testing.assert_array_equal(after.labels, best)
    assert float(info.changed) == 0
    # Two clusters share one group of images, the third has the other two groups: k-means from
    # there stays there.
    stuck = jnp.asarray([0] * 10 + [1] * 10 + [2] * 40, jnp.int32)
    apart = jnp.repeat(jnp.asarray([[0.0], [100.0], [108.0]], jnp.float32), 20, axis=0)
    codes = jnp.tile(apart, (1, started.codes.shape[1])).at[:10].add(5.0)
    for restarts, leaves in ((0, False), (5, True)):
        config = dataclasses.replace(SMALL, p2_restarts=restarts)
        after, _, _ = refresh_of(config)(started._replace(codes=codes, labels=stuck), images)
        assert (len(set(np.asarray(after.labels)[:20].tolist())) == 1) is leaves


def test_a_step_takes_the_rate(images, started):
    for rate in (1e-4, 1e-2):
        config = dataclasses.replace(SMALL, learning_rate=rate)
        state = started._replace(opt_state=optax.adam(rate).init(started.variables.params))
        after, _ = step_of(config)(state, images)
        moved = after.variables.params["layer1"] - state.variables.params["layer1"]
        np.testing.assert_allclose(np.abs(moved), rate, rtol=0.05)  # Adam's first step.


def test_adams_codes_go_to_the_closed_form(images, started):
    """The filters stand still: their moves are undone after each step."""
    config = dataclasses.replace(SMALL, z_update="adam", learning_rate=0.02)
    codes = jnp.zeros_like(started.codes)
    opt_state = optax.adam(0.02).init((started.variables.params, codes))
    state = started._replace(codes=codes, opt_state=opt_state)

    def body(state, _):
        after, _ = dctl.step(config, network(config), KEY, state, images, None)
        return after._replace(variables=started.variables), None

    ended, _ = jax.jit(lambda state: jax.lax.scan(body, state, length=1000))(state)
    outputs, _ = network(config).encode(started.variables, images, True)
    expected = dctl_codes.exact_codes(outputs, started.labels, 3, 1.0)
    np.testing.assert_allclose(ended.codes, expected, atol=0.02)


def test_moments_are_kept_from_round_to_round_or_fresh(images, started):
    """A fresh Adam's first step moves every filter by the rate."""
    by_the_rate = {}
    for moments in ("kept", "fresh"):
        config = dataclasses.replace(SMALL, moments=moments)
        step = step_of(SMALL)  # The moments make no difference in a step.
        state = started
        for _ in range(3):
            state, _ = step(state, images)
        state, _, _ = refresh_of(config)(state, images)
        after, _ = step(state, images)
        moved = after.variables.params["layer1"] - state.variables.params["layer1"]
        by_the_rate[moments] = np.allclose(np.abs(moved), config.learning_rate, rtol=0.05)
    assert by_the_rate == {"kept": False, "fresh": True}


def test_the_old_labels_are_kept_where_they_are_better():
    codes = jnp.float32([[0], [1], [10], [11]])
    good = jnp.int32([0, 0, 1, 1])
    bad = jnp.int32([0, 1, 0, 1])
    assert dctl_codes.better(codes, good, bad, 2).tolist() == good.tolist()
    assert dctl_codes.better(codes, bad, good, 2).tolist() == good.tolist()
    assert dctl_codes.better(codes, good, 1 - good, 2).tolist() == good.tolist()


def test_clusters_that_equal_codes_cannot_fill_stay_empty(images, begin):
    equal = jnp.zeros_like(images).at[30:].set(1.0)
    state, _, info = refresh_of(SMALL)(begin(equal), equal)
    assert int(info.empty_clusters) == 1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))


def test_a_run_ends_when_the_centroids_settle_but_not_in_the_first_round(images, started):
    p2 = refresh_of(SMALL)
    state, stop, info = p2(started, images)
    assert not bool(stop)
    assert float(info.movement) == 0  # The codes are still those of the first filters.
    away, stop, info = p2(state._replace(centroids=state.centroids + 1), images)
    assert not bool(stop)
    spread = np.linalg.norm(state.centroids - state.centroids.mean(axis=0))
    np.testing.assert_allclose(info.movement, np.sqrt(state.centroids.size) / spread, rtol=1e-4)
    _, stop, info = p2(away, images)
    assert bool(stop)
    assert float(info.changed) == 0


@pytest.mark.parametrize("inner_steps", [1, 10])
def test_the_objective_by_round_falls_and_with_more_steps_reaches_its_floor(images, inner_steps):
    config = dataclasses.replace(
        SMALL, rounds=50, tolerance=0.0, p2_restarts=0, inner_steps=inner_steps
    )
    program = driver.Program(dctl.ALGORITHM, config, network(config), "map")
    begun = driver.begin(program, jax.random.split(KEY, 2), None, images)
    training = driver.train(program, begun, images)
    for lane in range(2):
        loss = training.history["loss"][training.history["lane"] == lane]
        assert loss.size == 50
        assert (np.diff(loss) <= 0).mean() > 0.9
        # On an axis that begins at 0, the last ten rounds are flat.
        assert loss[-10] - loss[-1] < 0.02 * loss[0]
        assert inner_steps == 1 or loss[-10] / loss[-1] < 1.05
    for layer in jax.tree.leaves(training.lanes.state.variables.params):
        for filters in np.asarray(layer):
            assert np.linalg.svd(filters.reshape(-1, 3), compute_uv=False).min() > 1e-3
    state = jax.tree.map(lambda leaf: leaf[0], training.lanes.state)
    labels = self_training.kept_labels(config, None, KEY, state, images)[""]
    assert [len(np.unique(labels[20 * i : 20 * i + 20])) for i in range(3)] == [1, 1, 1]
    # At the end, codes and centroids are those of the last filters.
    outputs = jax.jit(lambda state: dctl.embed(config, network(config), state, images))(state)
    expected = dctl_codes.exact_codes(outputs, labels, 3, 1.0)
    np.testing.assert_allclose(state.codes, expected, atol=1e-5)
    np.testing.assert_array_equal(nearest(outputs, state.centroids), labels)


def nearest(points, centroids):
    return np.sum((np.asarray(points)[:, None] - np.asarray(centroids)) ** 2, axis=2).argmin(axis=1)


PIECEWISE = dataclasses.replace(
    SMALL, joint=False, z_update="adam", psi="nonnegative", inner_steps=2, p2_restarts=0
)


@pytest.fixture(scope="module")
def piecewise(images, started):
    """The states after a step of PIECEWISE, from the first clusters and from a single cluster."""
    trained = (started.variables.params, started.codes)
    state = started._replace(opt_state=optax.adam(PIECEWISE.learning_rate).init(trained))
    single = state._replace(labels=jnp.zeros(60, jnp.int32))
    return tuple(step_of(PIECEWISE)(start, images)[0] for start in (state, single))


def test_piecewise_the_filters_do_not_see_the_clusters(piecewise):
    first, single = piecewise
    np.testing.assert_array_equal(
        first.variables.params["layer1"], single.variables.params["layer1"]
    )
    assert float(first.codes.min()) >= 0


def test_piecewise_k_means_comes_last(piecewise, images, monkeypatch):
    # In the last round the labels are those of k-means on the codes, from scratch, whatever they
    # were before.
    _, single = piecewise
    last, _, _ = refresh_of(PIECEWISE)(single._replace(rounds=jnp.int32(3)), images)
    np.testing.assert_array_equal(last.labels, nearest(single.codes, last.centroids))
    assert sorted(np.bincount(last.labels).tolist()) == [20, 20, 20]
    # Where the labels before are better, they stay; a cluster that is empty keeps its centroid.
    worse = dctl.kmeans(KEY, single.codes, 3, restarts=1)._replace(labels=jnp.zeros(60, jnp.int32))
    monkeypatch.setattr(dctl, "kmeans", lambda *_, **__: worse)
    codes = jnp.where(last.labels[:, None] == 0, 0, 9.0)
    two = last._replace(
        labels=jnp.where(last.labels == 2, 1, last.labels),
        codes=jnp.broadcast_to(codes, last.codes.shape),
    )
    refresh = jax.jit(lambda state: dctl.refresh(PIECEWISE, network(PIECEWISE), KEY, state, images))
    kept, _, info = refresh(two)
    np.testing.assert_array_equal(kept.labels, two.labels)
    assert int(info.empty_clusters) == 1
    np.testing.assert_array_equal(kept.centroids[2], two.centroids[2])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("penalty_weight", 0.0, "penalty_weight: must be above 0 and finite, got 0.0"),
        ("penalty_weight", -1.0, "penalty_weight: must be above 0 and finite, got -1.0"),
        ("penalty_weight", float("nan"), "penalty_weight: must be above 0 and finite, got nan"),
        ("mu", 0.0, "mu: must be above 0 and finite, got 0.0"),
        ("learning_rate", float("inf"), "learning_rate: must be above 0 and finite, got inf"),
        ("tolerance", -1.0, "tolerance: must be at least 0 and finite, got -1.0"),
        ("clusters", 1, "clusters: must be at least 2, got 1"),
        ("layers", 3, "layers: must be 1 or 2, got 3"),
        ("rounds", 0, "rounds: must be at least 1, got 0"),
        ("p2_restarts", -1, "p2_restarts: must be at least 0, got -1"),
        ("psi", "l2", "psi: must be none or l1 or nonnegative, got 'l2'"),
        ("layout", "cube", "layout: must be grid or line, got 'cube'"),
        ("moments", "none", "moments: must be kept or fresh, got 'none'"),
        ("single", "relu", "single: must be selu or linear, got 'relu'"),
    ],
)
def test_settings_that_cannot_work_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        dctl.Config(**{field: value})


def test_settings_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="z_update: exact must have psi none, got l1"):
        dctl.Config(z_update="exact", psi="l1")
    message = r"rounds: times inner_steps and images must be below 2\^31, got 50"
    with pytest.raises(ValueError, match=message):
        dctl.schedule(dctl.Config(), 10**8)
