"""DCTL: the network and P1 against slow NumPy, P2's promise, and what a run reports."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxclust.engine import driver
from jaxclust.methods import dctl
from jaxclust.networks import dctl as network_of
from jaxclust.ops import losses

KEY = jax.random.key(0)
SMALL = dctl.Config(clusters=3, kernel=3, restarts=2, rounds=4, p2_restarts=2)


@pytest.fixture(scope="module")
def images():
    """60 vectors of 30 features around three centres, as 5 x 6 grids."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 30)).repeat(20, axis=0) + 0.3 * rng.standard_normal((60, 30))
    return jnp.asarray(x.reshape(60, 5, 6, 1), jnp.float32)


def network(config):
    return network_of((5, 6, 1), **dctl.network_settings(config))


def selu(x):
    return 1.0507009873554805 * np.where(
        x > 0, x, 1.6732632423543772 * (np.exp(np.minimum(x, 0)) - 1)
    )


def slow_layer(x, filters, pooling):
    """One image (h, w, c) through zero-padded filters (kh, kw, c, m) and 2x2 max pooling, by loops."""
    (h, w, _), (kh, kw, _, m) = x.shape, filters.shape
    padded = np.pad(x, ((kh // 2, kh // 2), (kw // 2, kw // 2), (0, 0)))
    places = [(i, j, k) for i in range(h) for j in range(w) for k in range(m)]
    y = np.array(
        [np.sum(padded[i : i + kh, j : j + kw] * filters[..., k]) for i, j, k in places]
    ).reshape(h, w, m)
    if pooling == "floor":
        y = y[: h - h % 2 or h, : w - w % 2 or w]
    rows, columns = range(0, y.shape[0], 2), range(0, y.shape[1], 2)
    return np.array([[y[i : i + 2, j : j + 2].max(axis=(0, 1)) for j in columns] for i in rows])


@pytest.mark.parametrize(
    ("size", "changes"),
    [
        ((5, 6), {}),
        ((5, 6), {"layers": 1, "pooling": "floor"}),
        ((5, 6), {"layers": 1, "single": "linear"}),
        ((5, 6), {"mixing": "separate", "pooling": "floor", "start": "orthonormal"}),
        ((5, 6), {"layout": "line"}),
        # Above DENSE entries of a filter the first layer is a convolution.
        ((7, 9), {}),
        ((7, 9), {"pooling": "floor"}),
    ],
)
def test_the_network_is_the_papers_by_loops(size, changes):
    config = dataclasses.replace(SMALL, **changes)
    net = network_of((*size, 1), **dctl.network_settings(config))
    variables = jax.jit(net.init)(KEY)
    images = np.random.default_rng(1).standard_normal((2, *size, 1)).astype(np.float32)
    found, _ = jax.jit(net.encode, static_argnums=2)(variables, images, True)
    for image, features in zip(images.astype(np.float64), found, strict=True):
        x = image.reshape(1, -1, 1) if config.layout == "line" else image
        x = slow_layer(x, np.asarray(variables.params["layer1"], np.float64), config.pooling)
        x = x if config.single == "linear" else selu(x)
        if config.layers == 2:
            filters = np.asarray(variables.params["layer2"], np.float64)
            if config.mixing == "separate":
                assert filters.shape == (3, 3, 1, 3)
                maps = [
                    slow_layer(x[..., i : i + 1], filters[..., i : i + 1], config.pooling)
                    for i in range(3)
                ]
                x = np.concatenate(maps, axis=2)
            else:
                x = slow_layer(x, filters, config.pooling)
        np.testing.assert_allclose(features, x.ravel(), rtol=1e-4, atol=1e-5)
    if config.start == "orthonormal":
        for each in variables.params.values():
            t = each.reshape(-1, 3)
            np.testing.assert_allclose(t.T @ t, np.eye(3) / 2, atol=1e-5)


def test_the_papers_sizes():
    config = dctl.Config()
    variables = jax.eval_shape(network_of((15, 20, 1), **dctl.network_settings(config)).init, KEY)
    assert {name: each.shape for name, each in variables.params.items()} == {
        "layer1": (9, 9, 1, 3),
        "layer2": (9, 9, 3, 3),
    }
    assert (config.mu, config.penalty_weight, config.layers) == (1.0, 1e-3, 2)
    assert dctl.schedule(config, 2432) == (2432, 1, 50, "sequential")


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        (
            (8, 10, 1),
            {},
            "kernel: a filter of 9 x 9 must not cover more than the 80 features, got 8 x 10",
        ),
        (
            (1, 8, 1),
            {"layout": "line"},
            "kernel: a filter of 1 x 9 must not cover more than the 8 features",
        ),
        (
            (1, 127, 1),
            {},
            "every entry of a filter of 9 x 9 must meet the maps of layer 1, .*, got 1 x 127; layout line",
        ),
        (
            (8, 16, 1),
            {},
            "every entry of a filter of 9 x 9 must meet the maps of layer 2, .*, got 4 x 8",
        ),
        (
            (9, 9, 1),
            {"pooling": "floor"},
            "must meet the maps of layer 2, which are too small, got 4 x 4",
        ),
        (
            (5, 6, 1),
            {"kernel": 1},
            "filters: must be from 1 to a filter's number of entries, 1, got 3",
        ),
        (
            (5, 6, 3),
            {"kernel": 1, "filters": 4},
            "filters: must be from 1 to a filter's number of entries, 3, got 4",
        ),
        ((15, 20, 1), {"layers": 3}, "layers: must be 1 or 2, got 3"),
    ],
)
def test_a_network_that_cannot_be_is_refused(shape, changes, message):
    settings = dctl.network_settings(dctl.Config()) | changes
    with pytest.raises(ValueError, match=message):
        network_of(shape, **settings)


@pytest.mark.parametrize("pooling", ["ceil", "floor"])
@pytest.mark.parametrize("kernel", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 6), (2, 6), (3, 5), (4, 4), (5, 3)])
def test_a_network_is_refused_where_an_entry_of_a_filter_changes_no_output(size, kernel, pooling):
    """Such entries could hold the penalty at its least while the others, and all outputs, are 0."""
    settings = {"layers": 1, "kernel": kernel, "pooling": pooling, "filters": 1, "single": "linear"}
    if size[0] * size[1] < kernel**2:
        return
    row, column = np.ones((2, 1, kernel))
    for length, entries in zip(size, (row, column), strict=True):
        padded = np.zeros((length + kernel - 1, length))
        padded[np.arange(length) + (kernel - 1) // 2, np.arange(length)] = 1
        kept = length - length % 2 or length if pooling == "floor" else length
        entries[:] = [padded[r : r + kept].any() for r in range(kernel)]
    if row.all() and column.all():
        net = network_of((*size, 1), **settings)
        images = np.random.default_rng(2).standard_normal((50, *size, 1)).astype(np.float32)
        variables = net.init(KEY)
        slope = jax.grad(
            lambda params: jnp.sum(
                net.encode(variables._replace(params=params), images, True)[0] ** 2
            )
        )
        assert np.abs(slope(variables.params)["layer1"]).min() > 0
    else:
        with pytest.raises(ValueError, match="must meet the maps of layer 1"):
            network_of((*size, 1), **settings)


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
    exact = dctl.exact_codes(f, labels, 3, mu)
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
def p2():
    """SMALL's ``refresh``, compiled."""
    return jax.jit(lambda state, images: dctl.refresh(SMALL, network(SMALL), KEY, state, images))


def test_p2_never_raises_the_k_means_term(images, begin, p2):
    state = begin(images)
    rng = np.random.default_rng(3)
    for k in (1, 2, 3, 3, 3):  # With one or two clusters H H' is singular.
        labels = jnp.asarray(rng.integers(0, k, 60), jnp.int32)
        after, _, info = p2(state._replace(labels=labels), images)
        before, now = (
            losses.cluster_scatter(state.codes, each, 3).sum() for each in (labels, after.labels)
        )
        assert float(now) <= float(before)
        layers = [
            np.asarray(each).reshape(-1, each.shape[-1])
            for each in jax.tree.leaves(state.variables.params)
        ]
        least = min(np.linalg.svd(each, compute_uv=False).min() for each in layers)
        np.testing.assert_allclose(info.least_singular, least, rtol=1e-5)
        assert int(info.empty_clusters) == 3 - len(np.unique(after.labels))
        for cluster in np.unique(after.labels):
            mean = np.asarray(state.codes)[np.asarray(after.labels) == cluster].mean(axis=0)
            np.testing.assert_allclose(after.centroids[cluster], mean, atol=1e-5)


def test_p2_keeps_clusters_that_a_worse_restart_would_replace(images, begin, p2):
    """From labels that nothing betters, and from ones of which only another start leaves the local minimum."""
    state, best = begin(images), jnp.repeat(jnp.arange(3, dtype=jnp.int32), 20)
    after, _, info = p2(state._replace(labels=best), images)
    np.testing.assert_array_equal(after.labels, best)
    assert float(info.changed) == 0
    # Two clusters share one group of images, the third has the other two: k-means from there stays there.
    stuck = jnp.asarray([0] * 10 + [1] * 10 + [2] * 40, jnp.int32)
    apart = jnp.repeat(jnp.asarray([[0.0], [100.0], [108.0]], jnp.float32), 20, axis=0)
    codes = jnp.tile(apart, (1, state.codes.shape[1])).at[:10].add(5.0)
    for restarts, leaves in ((0, False), (5, True)):
        config = dataclasses.replace(SMALL, p2_restarts=restarts)
        start = state._replace(codes=codes, labels=stuck)
        after, _, _ = jax.jit(
            lambda state, c=config: dctl.refresh(c, network(c), KEY, state, images)
        )(start)
        assert (len(set(np.asarray(after.labels)[:20].tolist())) == 1) is leaves


def test_a_step_takes_the_rate_and_adams_codes_go_to_the_closed_form(images, begin):
    """With filters held still: their moves are undone after each step."""
    for rate in (1e-4, 1e-2):
        config = dataclasses.replace(SMALL, learning_rate=rate)
        state = begin(images)
        state = state._replace(opt_state=optax.adam(rate).init(state.variables.params))
        after, _ = jax.jit(lambda s, c=config: dctl.step(c, network(c), KEY, s, images, None))(
            state
        )
        moved = after.variables.params["layer1"] - state.variables.params["layer1"]
        np.testing.assert_allclose(np.abs(moved), rate, rtol=0.05)  # Adam's first step.
    config = dataclasses.replace(SMALL, z_update="adam", learning_rate=0.02)
    state = begin(images)
    state = state._replace(codes=jnp.zeros_like(state.codes))
    state = state._replace(opt_state=optax.adam(0.02).init((state.variables.params, state.codes)))

    def one(each, _):
        after, _ = dctl.step(config, network(config), KEY, each, images, None)
        return after._replace(variables=state.variables), None

    ended, _ = jax.jit(lambda state: jax.lax.scan(one, state, length=1000))(state)
    outputs, _ = network(config).encode(state.variables, images, True)
    np.testing.assert_allclose(
        ended.codes, dctl.exact_codes(outputs, state.labels, 3, 1.0), atol=0.02
    )


def test_moments_are_kept_from_round_to_round_or_fresh(images, begin):
    """A fresh Adam's first step moves every filter by the rate."""
    by_the_rate = {}
    for moments in ("kept", "fresh"):
        config = dataclasses.replace(SMALL, moments=moments, inner_steps=3)
        step = jax.jit(
            lambda state, c=config: dctl.step(c, network(c), KEY, state, images, None)[0]
        )
        state = begin(images)
        for _ in range(3):
            state = step(state)
        state, _, _ = jax.jit(
            lambda state, c=config: dctl.refresh(c, network(c), KEY, state, images)
        )(state)
        moved = step(state).variables.params["layer1"] - state.variables.params["layer1"]
        by_the_rate[moments] = np.allclose(np.abs(moved), config.learning_rate, rtol=0.05)
    assert by_the_rate == {"kept": False, "fresh": True}


def test_the_old_labels_are_kept_where_they_are_better():
    codes = jnp.float32([[0], [1], [10], [11]])
    good, bad = jnp.int32([0, 0, 1, 1]), jnp.int32([0, 1, 0, 1])
    assert dctl.better(codes, good, bad, 2).tolist() == good.tolist()
    assert dctl.better(codes, bad, good, 2).tolist() == good.tolist()
    assert dctl.better(codes, good, 1 - good, 2).tolist() == good.tolist()


def test_clusters_that_equal_codes_cannot_fill_stay_empty(images, begin, p2):
    equal = jnp.zeros_like(images).at[30:].set(1.0)
    state, _, info = p2(begin(equal), equal)
    assert int(info.empty_clusters) == 1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))


def test_a_run_ends_when_the_centroids_settle_but_not_in_the_first_round(images, begin, p2):
    state = begin(images)
    state, stop, info = p2(state, images)
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
    done = driver.train(dctl, config, network(config), jax.random.split(KEY, 2), images, over="map")
    for lane in range(2):
        loss = done.history["loss"][done.history["lane"] == lane]
        assert loss.size == 50
        assert (np.diff(loss) <= 0).mean() > 0.9
        # On an axis from 0 the last ten rounds are flat.
        assert loss[-10] - loss[-1] < 0.02 * loss[0]
        assert inner_steps == 1 or loss[-10] / loss[-1] < 1.05
    state = done.runs.state
    for each in jax.tree.leaves(state.variables.params):
        for filters in np.asarray(each):
            assert np.linalg.svd(filters.reshape(-1, 3), compute_uv=False).min() > 1e-3
    state = jax.tree.map(lambda leaf: leaf[0], state)
    found = dctl.finish(config, None, KEY, state, images)[""]
    assert [len(np.unique(found[20 * i : 20 * i + 20])) for i in range(3)] == [1, 1, 1]
    # At the end codes and centroids are those of the last filters.
    outputs = jax.jit(lambda state: dctl.embed(config, network(config), state, images))(state)
    np.testing.assert_allclose(state.codes, dctl.exact_codes(outputs, found, 3, 1.0), atol=1e-5)
    np.testing.assert_array_equal(nearest(outputs, state.centroids), found)


def nearest(points, centroids):
    return np.sum((np.asarray(points)[:, None] - np.asarray(centroids)) ** 2, axis=2).argmin(axis=1)


def test_piecewise_the_filters_do_not_see_the_clusters_and_k_means_comes_last(
    images, begin, monkeypatch
):
    changes = {
        "joint": False,
        "z_update": "adam",
        "psi": "nonnegative",
        "inner_steps": 2,
        "p2_restarts": 0,
    }
    config = dataclasses.replace(SMALL, **changes)
    state = begin(images)
    opt_state = optax.adam(config.learning_rate).init((state.variables.params, state.codes))
    step = jax.jit(lambda state: dctl.step(config, network(config), KEY, state, images, None))
    other = state._replace(labels=jnp.zeros(60, jnp.int32))
    (a, _), (b, _) = (step(each._replace(opt_state=opt_state)) for each in (state, other))
    np.testing.assert_array_equal(a.variables.params["layer1"], b.variables.params["layer1"])
    assert float(a.codes.min()) >= 0
    # In the last round labels are k-means's of the codes, from scratch, whatever they were.
    end = jax.jit(lambda state: dctl.refresh(config, network(config), KEY, state, images))
    last, _, _ = end(b._replace(rounds=jnp.int32(3)))
    np.testing.assert_array_equal(last.labels, nearest(b.codes, last.centroids))
    assert sorted(np.bincount(last.labels).tolist()) == [20, 20, 20]
    # Unless those there are better; a cluster that is empty then keeps its centroid.
    worse = dctl.kmeans(KEY, b.codes, 3, restarts=1)._replace(labels=jnp.zeros(60, jnp.int32))
    monkeypatch.setattr(dctl, "kmeans", lambda *a, **named: worse)
    two = last._replace(
        labels=jnp.where(last.labels == 2, 1, last.labels),
        codes=jnp.where(last.labels[:, None] == 0, 0, 9.0),
    )
    two = two._replace(codes=jnp.broadcast_to(two.codes, last.codes.shape))
    kept, _, info = jax.jit(
        lambda state: dctl.refresh(config, network(config), KEY, state, images)
    )(two)
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
    with pytest.raises(
        ValueError, match=r"rounds: times inner_steps and images must be below 2\^31, got 50"
    ):
        dctl.schedule(dctl.Config(), 10**8)
