"""CCNN's cells that leave the trunk as it is, on its features.

Where FC9 and softmax alone are trained, or nothing, a step sees the images through the trunk alone. Its features,
computed once where a whole run computes them at each step, then give the same run to rounding: the seeds, draws and
orders are the same.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.data import datasets
from jaxclust.engine import compile_clock, driver, fit
from jaxclust.networks import pixels
from jaxclust.ops import batches
from jaxclust.runs.rows import make_rows
from jaxclust.types import Method, Network, Variables


def applies(config: Any) -> bool:
    """Whether a variant's settings leave the trunk as it is."""
    return config.trainable != "all"


@functools.partial(jax.jit, static_argnums=0)
def features(network: Network, variables: Variables, data: jax.Array) -> jax.Array:
    """Of images, uint8 or float32 (n, h, w, c), under each seed's network: float32 (seeds, n, d)."""
    return jax.lax.map(lambda one: batches.encoded(network, one, data), variables)


def cluster(
    method: Method,
    config: Any,
    inputs: np.ndarray,
    seed: int,
    failed: tuple[str, int] | None,
    each: Callable[[driver.Event], None],
) -> fit.Fit:
    """One seed's clustering on its features, as ``fit.fit`` clusters the images they are of.

    Args:
      method: of CCNN's.
      config: its settings, which leave the trunk as it is.
      inputs: the trunk's features, float32 (n, d).
      seed: whose draws.
      failed: how the seed's pretraining failed, if it did: it then does not cluster.
      each: called after each epoch.
    """
    data = jnp.asarray(inputs)[:, None, None]
    network = pixels(data.shape[1:])
    keys = jax.random.split(jax.random.key(seed))[1:]
    clock, compiled, shown = time.perf_counter(), compile_clock.seconds(), 0.0

    def timed(event):
        nonlocal shown
        begin, before = time.perf_counter(), compile_clock.seconds()
        each(event)
        shown += time.perf_counter() - begin - (compile_clock.seconds() - before)

    runs = driver.start(method.algorithm, config, network, "map", (keys, None), data)
    runs = runs._replace(failed=jnp.where(failed is None, runs.failed, jnp.int32(0)))
    done = driver.train(
        method.algorithm,
        config,
        network,
        keys,
        data,
        over="map",
        windows_per_chunk=1,
        runs=runs,
        callbacks=[timed],
    )
    if failed is None and int(done.runs.failed[0]) >= 0:
        failed = ("cluster", int(done.runs.failed[0]))
    labels = driver.apply(
        method.algorithm, config, network, "map", done.runs.state, data, "predict"
    ).cluster
    labels = np.where(failed is None, np.asarray(labels), np.int32(-1))
    waited = compile_clock.seconds() - compiled
    phase = fit.Phase(
        done.runs, done.history, time.perf_counter() - clock - waited - shown, waited, True
    )
    return fit.Fit({"cluster": phase}, True, labels, [failed], {"": labels})


def rows(
    wanted: dict[str, Any],
    method: Method,
    config: Any,
    dataset: datasets.Dataset,
    inputs: np.ndarray,
    failed: list[tuple[str, int] | None],
    each: Callable[[int, driver.Event], None],
) -> list[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """A row and a history for each seed of ``record.settings``; ``inputs`` float32 (seeds, n, d).

    ``each`` is called with a seed's lane after each of its epochs.
    """
    steps, found = method.algorithm.schedule(config, len(dataset.images)).steps_per_window, []
    for lane, seed in enumerate(wanted["seeds"]):
        done = cluster(
            method, config, inputs[lane], seed, failed[lane], functools.partial(each, lane)
        )
        (row,) = make_rows(wanted | {"seeds": [seed], "over": "map"}, dataset, done, steps)
        found.append((row, done.phases["cluster"].history))
    return found
