"""DBC epoch by epoch, under figure 9's variants: scores after each epoch for every seed."""

import argparse
import dataclasses
import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import common
from jaxclust.data import datasets
from jaxclust.engine import checkpoint, driver, fit
from jaxclust.evaluation import metrics
from jaxclust.methods import dbc
from jaxclust.methods.registry import METHODS, changed, configured
from jaxclust.runs.files import write_file
from jaxclust.runs.rows import package_versions
from jaxclust.runs.settings import digest, make_settings

RESULTS = Path(__file__).parent / "results" / "dbc_curves.jsonl"
# What differs from the paper's settings, and from those of its pretraining.
VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "alpha 1.5": {"alpha": 1.5},
    "alpha 4": {"alpha": 4.0},
    "n_j 1": {"normalisation": "constant"},
    "n_j sum s": {"normalisation": "scores"},
    "random": {"pretraining.epochs": 0},
    "half-trained": {"pretraining.epochs": 25},
    # Not in figure 9: what the paper leaves open.
    "kept statistics": {"batch_norm": "running"},
    "adam": {"optimizer": "adam", "learning_rate": 1e-3},
    "adam kept statistics": {"optimizer": "adam", "learning_rate": 1e-3, "batch_norm": "running"},
    "longer pretraining": {"pretraining.epochs": 200},
    "faster pretraining": {"pretraining.learning_rate": 0.5},
    "adam pretraining": {"pretraining.optimizer": "adam", "pretraining.learning_rate": 1e-3},
}
METRICS = ("acc", "nmi_max")


def run(data: str, seeds: tuple[int, ...], options: argparse.Namespace) -> None:
    """Runs the variants whose rows are missing, until time runs out.

    Raises:
      ValueError: a variant is not known, or the rows that are there were made with other settings.
    """
    names = common.listed("variants", options.variants, VARIANTS) if options.variants else VARIANTS
    common.use_cores(options.over)
    deadline = time.monotonic() + options.max_seconds
    dataset = datasets.load(data)
    for name in names:
        config, pretraining = settings(dataset, name)
        wanted = make_settings("dbc", name, dataset, seeds, options.over, config, pretraining)
        if common.finished(RESULTS, wanted, data=data, variant=name):
            continue
        rows = _run_variant(dataset, name, seeds, options.over, options.folder, deadline, wanted)
        if rows is None:
            print("out of time; the same command goes on", file=sys.stderr)
            return
        shared = {
            "data": data,
            "variant": name,
            "config_hash": digest(wanted),
            "versions": package_versions(),
        }
        common.add(RESULTS, [shared | row for row in rows])


def settings(dataset: datasets.Dataset, variant: str) -> tuple[dbc.Config, Any]:
    """DBC's and the pretraining's settings under a variant."""
    return changed(*configured("dbc", clusters=dataset.classes), VARIANTS[variant])


def pretrained(
    dataset: datasets.Dataset,
    pretraining: Any,
    seeds: tuple[int, ...],
    over: str,
    folder: Path,
    deadline: float,
) -> driver.Lanes | None:
    """The pretraining's runs, with a leading seed axis; None if time ran out."""
    method, (config, full) = (
        METHODS["fcae-kmeans"],
        configured("fcae-kmeans", clusters=dataset.classes),
    )
    # The tables' pretraining is in a folder of its own; others are beside it, called by what differs.
    values = zip(dataclasses.astuple(pretraining), dataclasses.astuple(full), strict=True)
    suffix = "".join(f"-{value}" for value, usual in values if value != usual)
    done = fit.fit(
        method,
        config,
        pretraining,
        dataset.images,
        seeds,
        over=over,
        directory=folder / dataset.name / f"fcae-kmeans{suffix}",
        pretrained=folder / dataset.name / f"fcae{suffix}",
        max_seconds=max(deadline - time.monotonic(), 1e-3),
    )
    return done.phases["pretrain"].runs if done.finished else None


def follow(
    dataset: datasets.Dataset,
    config: dbc.Config,
    pretraining: driver.Lanes,
    seeds: tuple[int, ...],
    over: str,
    each: Callable[[driver.Event], bool | None],
    place: Path | None = None,
    about: dict[str, Any] | None = None,
) -> bool:
    """Runs DBC as ``fit`` does, and calls ``each`` at the start and after every epoch; whether it came to an end.

    A seed whose ``pretraining`` failed has failed, and does not cluster.

    With a ``place`` it goes on from the checkpoint there, of a run with the same ``about``, and leaves one where
    ``each`` stops it, at the end, and now and then between.
    """
    images, network = jnp.asarray(dataset.images), METHODS["dbc"].network(dataset.images.shape[1:])
    variables = pretraining.state.variables
    keys = jnp.stack([jax.random.split(jax.random.key(seed))[1] for seed in seeds])
    begin, schedule = (
        functools.partial(driver.start, dbc, config, network),
        dbc.schedule(config, len(images)),
    )
    found = None
    if place is not None:
        found = checkpoint.restore(
            place, about, jax.eval_shape(functools.partial(begin, "map"), (keys, variables), images)
        )
    if found is None:
        runs, history = begin(over, (keys, variables), images), {}
        runs = runs._replace(failed=jnp.where(pretraining.failed >= 0, jnp.int32(0), runs.failed))
    else:
        runs, history, _ = found
    saved = time.monotonic()

    def keep(event: driver.Event) -> bool:
        nonlocal saved
        stop = bool(each(event))
        if place is not None and (
            stop or event.done.all() or time.monotonic() - saved > fit.CHECKPOINT_SECONDS
        ):
            checkpoint.save(
                place, about, event.runs, event.history, dict.fromkeys(checkpoint.CLOCKS, 0.0)
            )
            saved = time.monotonic()
        return stop

    each(driver.Event(runs, history, schedule, driver.ended(runs, schedule)))
    options = {
        "over": over,
        "windows_per_chunk": 1,
        "runs": runs,
        "history": history,
        "callbacks": [keep],
    }
    return driver.train(dbc, config, network, keys, images, **options).finished


def _run_variant(
    dataset, name, seeds, over, folder, deadline, wanted
) -> list[dict[str, Any]] | None:
    """A row a seed, or None if time ran out: the same call then goes on."""
    config, pretraining = settings(dataset, name)
    place = folder / dataset.name / f"curve-{name.replace(' ', '-')}"
    points = place / "points.json"
    before = pretrained(dataset, pretraining, seeds, over, folder, deadline)
    if before is None:
        return None
    if (place / "cluster").is_dir():
        curves = json.loads(points.read_text())
    else:
        curves = [{metric: [] for metric in (*METRICS, "changed", "polarised")} for _ in seeds]
        place.mkdir(parents=True, exist_ok=True)
    last = None

    def score(event: driver.Event) -> bool:
        nonlocal last
        last = event
        for lane, curve in enumerate(curves):
            # A seed that has ended keeps its point, as do epochs that a checkpoint did not see; none is scored again.
            if len(curve["acc"]) > int(event.runs.window[lane]):
                continue
            scores = metrics.scores(dataset.labels, np.asarray(event.runs.state.labels[lane]))
            for metric in METRICS:
                curve[metric].append(round(scores[metric], 4))
            mine = event.history["lane"] == lane if event.history else None
            for info in ("changed", "polarised"):
                if mine is not None:
                    curve[info].append(round(float(event.history[info][mine][-1]), 5))
        # Before the checkpoint, which then never lacks a point.
        write_file(points, json.dumps(curves))
        print(
            f"{dataset.name} {name}: epoch {int(np.max(event.runs.window))}",
            file=sys.stderr,
            flush=True,
        )
        return time.monotonic() > deadline

    if not follow(dataset, config, before, seeds, over, score, place / "cluster", wanted):
        return None
    return [
        {
            "seed": seed,
            "epochs": int(last.runs.window[lane]),
            "stopped": bool(last.runs.stopped[lane]),
            "failed": int(last.runs.failed[lane]) if int(last.runs.failed[lane]) >= 0 else None,
            **curves[lane],
        }
        for lane, seed in enumerate(seeds)
    ]


def sound(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of seeds that did not fail."""
    return [row for row in rows if row["failed"] is None]


def band(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    """A curve of several seeds, float (seeds, epochs); one that ended earlier keeps its last value."""
    longest = max(len(row[name]) for row in rows)
    return np.array([row[name] + row[name][-1:] * (longest - len(row[name])) for row in rows])


def summary(data: str) -> str:
    """Lines of a variant: epochs, last ACC and NMI(max), less the start's and less paper's, the scores' spread."""
    present = [row for row in common.rows(RESULTS) if row["data"] == data]
    usual = {
        row["seed"]: row for row in sound([row for row in present if row["variant"] == "paper"])
    }
    lines = [
        f"{'variant':20} seeds  epochs               ACC                              NMI(max)"
    ]
    for name in VARIANTS:
        rows = [row for row in present if row["variant"] == name]
        if not rows:
            continue
        epochs = ",".join(str(row["epochs"]) for row in rows)
        ends = [
            [row[metric][-1] if row["failed"] is None else None for row in rows]
            for metric in METRICS
        ]
        last = [common.interval(values) for values in ends]
        lines.append(f"{name:20} {len(rows):5}  {epochs:20} {last[0]:32} {last[1]}")
        rows = sound(rows)
        if not rows:
            continue
        # The first point is k-means on the features before DBC.
        gains = [
            common.gain([row[metric][-1] - row[metric][0] for row in rows]) for metric in METRICS
        ]
        lines.append(f"{'':20} {'less k-means at the start':27} {gains[0]:32} {gains[1]}")
        shared = [row for row in rows if row["seed"] in usual] if name != "paper" else []
        if shared:
            gains = [
                common.gain([row[metric][-1] - usual[row["seed"]][metric][-1] for row in shared])
                for metric in METRICS
            ]
            lines.append(f"{'':20} {'less paper at the end':27} {gains[0]:32} {gains[1]}")
        shares = band(rows, "polarised")
        marks = [
            epoch for epoch in (1, 2, 4, 8, 16, 32, 64, shares.shape[1]) if epoch <= shares.shape[1]
        ]
        points = ", ".join(
            f"{epoch}: {shares[:, epoch - 1].mean():.3f}" for epoch in dict.fromkeys(marks)
        )
        lines.append(f"{'':20} scores above .8 or below .02, by epoch: {points}")
        lines.append(f"{'':20} grown by {common.gain(shares[:, -1] - shares[:, 0])}")
    return "\n".join(lines)
