"""CCNN's tables II to V, figures 5 to 7 (Hsu and Lin 2018) on the sets we have: ``python -m experiments.ccnn --help``.

A cell is a variant on a data set from one start, for all its seeds. It adds its rows to ``results/ccnn.jsonl`` as it
ends, and is skipped where they are there. Starts: "random"; "reconstruction" of the set's images; "supervised", the
backbone trained on another set's labels, never the target's, in place of ImageNet.

Cells that leave the trunk as it is, which are most, run on its features (``ccnn_fixed``), the others whole. With
``--whole`` all do, each in a process of its own, so that "clustering_seconds" and "clustering_peak_mb" have no
pretraining (table III). A whole cell goes on from its checkpoint where it was stopped.
"""

import argparse
import dataclasses
import functools
import hashlib
import itertools
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments import ccnn_fixed, common
from jaxclust.data import datasets
from jaxclust.engine import driver, fit
from jaxclust.evaluation import metrics
from jaxclust.methods import pretraining_supervised
from jaxclust.methods.registry import METHODS, configured
from jaxclust.networks import pixels, torch_weights
from jaxclust.networks.ccnn import ccnn_plain
from jaxclust.runs import backbone
from jaxclust.runs.rows import make_rows, peak_memory_mb
from jaxclust.runs.settings import make_settings
from jaxclust.types import Method

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "ccnn.jsonl"
CURVES = HERE / "results" / "ccnn_curves.jsonl"
SEEDS = {
    "digits": range(10),
    "usps": range(10),
    "mnist-test": range(10),
    "fashion-mnist": range(3),
    "coil100-32": range(3),
    "mnist-train": range(3),
}
STARTS = ("random", "reconstruction", "supervised")
SOURCE, SOURCES = "fashion-mnist", {"fashion-mnist": "mnist"}
"""Whose labels the supervised start has, and where others; grey images are repeated for a set in colour."""
SUPERVISED, SUPERVISED_SEED = pretraining_supervised.Config(epochs=5), 0


class Variant(NamedTuple):
    """A method of the package with some settings changed; ``plain``: on the network without adaptation layers."""

    method: str
    changes: dict[str, Any]
    plain: bool = False


ALL = {"trainable": "all", "learning_rate": 0.001}
VARIANTS = {
    # Table II.
    "ccnn": Variant("ccnn", {}),
    "baseline-i": Variant("ccnn-i", {}),
    "baseline-ii": Variant("ccnn-ii", {}),
    "baseline-iii": Variant("ccnn-iii", {}),
    # Table V: without the adaptation layers FC9 cannot be the identity, and so it is drawn with them too.
    "random fc9": Variant("ccnn", {"fc9": "glorot"}),
    "random fc9 baseline-ii": Variant("ccnn-ii", {"fc9": "glorot"}),
    "random fc9 baseline-iii": Variant("ccnn-iii", {"fc9": "glorot"}),
    "plain ccnn": Variant("ccnn", {"fc9": "glorot"}, True),
    "plain baseline-ii": Variant("ccnn-ii", {"fc9": "glorot"}, True),
    "plain baseline-iii": Variant("ccnn-iii", {"fc9": "glorot"}, True),
    # Figure 6.
    **{f"k_m {k}": Variant("ccnn", {"reliable": k}) for k in (1, 2, 5, 25, 50)},
    # What the paper leaves open.
    **{f"rate {rate}": Variant("ccnn", {"learning_rate": rate}) for rate in (0.001, 0.1, 1.0)},
    # Where steps are longer there is more to compensate.
    **{
        f"baseline-i rate {rate}": Variant("ccnn-i", {"learning_rate": rate}) for rate in (0.1, 1.0)
    },
    "train all": Variant("ccnn", ALL),
    **{
        f"train all rate {rate}": Variant("ccnn", ALL | {"learning_rate": rate})
        for rate in (0.01, 0.1)
    },
    "train and compensate all": Variant("ccnn", ALL | {"compensation": "all"}),
    "baseline-i train all": Variant("ccnn-i", ALL),
    # From random weights, of which the head alone is trained, the running statistics are still 0 and 1.
    "batch norm": Variant("ccnn-norm", {}),
    "batch norm train all": Variant("ccnn-norm", ALL),
    "batch norm train all batch statistics": Variant("ccnn-norm", ALL | {"batch_statistics": True}),
    "superscripts": Variant("ccnn", {"backtrack": "previous"}),
    "printed gradient": Variant("ccnn", {"gradient": "printed"}),
    "count all": Variant("ccnn", {"count": "assigned"}),
    "count from 1": Variant("ccnn", {"start_count": 1}),
    "update with all": Variant("ccnn", {"update_with": "all"}),
    "update with reliable": Variant("ccnn", {"update_with": "reliable"}),
    "nearest of each cluster": Variant("ccnn", {"select": "balanced"}),
}
TABLE_2 = ("ccnn", "baseline-i", "baseline-ii", "baseline-iii")
# Differences on the same seeds: what the compensation brings, the adaptation layers, and each setting changed alone.
PAIRS = (
    ("ccnn", "baseline-i"),
    *((f"rate {rate}", f"baseline-i rate {rate}") for rate in (0.1, 1.0)),
    ("train all", "baseline-i train all"),
    ("random fc9", "plain ccnn"),
    *((f"random fc9 {name}", f"plain {name}") for name in ("baseline-ii", "baseline-iii")),
    ("batch norm train all batch statistics", "batch norm train all"),
    *(
        (name, "ccnn")
        for name, variant in VARIANTS.items()
        if variant.method in ("ccnn", "ccnn-norm") and name != "ccnn"
    ),
    *((name, "ccnn") for name in ("baseline-ii", "baseline-iii")),
)
PAPER = {"mnist-train": {"ccnn": (0.876,)}, "mnist-test": {"ccnn": (0.916,)}}
"""Table IV, NMI(sqrt) of CCNN."""


def dataset_of(name: str) -> datasets.Dataset:
    """A named set, or "mnist-train", the first 60,000 of mnist."""
    if name != "mnist-train":
        return datasets.load(name)
    mnist = datasets.load("mnist")
    return mnist._replace(name=name, images=mnist.images[:60_000], labels=mnist.labels[:60_000])


def settings(variant: str, start: str, clusters: int) -> tuple[Method, Any, Any]:
    """The method, its settings and its pretraining's."""
    name, changes, plain = VARIANTS[variant]
    method = METHODS[name]._replace(network=ccnn_plain) if plain else METHODS[name]
    # 30 epochs from random weights, 10 from pretrained ones (section IV.C).
    config, pretraining = configured(name, "random" if start == "random" else "paper", clusters)
    if start == "supervised":
        pretraining = dataclasses.replace(pretraining, epochs=0)
    return method, dataclasses.replace(config, **changes), pretraining


def weights_of(
    data: str, start: str, factory: Any, shape: tuple[int, int, int], folder: Path
) -> torch_weights.Weights | None:
    """Weights trained on another set's labels, made where they are missing; None from the other starts."""
    if start != "supervised":
        return None
    source = SOURCES.get(data, SOURCE)
    made = hashlib.sha256(repr((SUPERVISED, SUPERVISED_SEED)).encode()).hexdigest()[:8]
    path = folder / f"{factory.__name__}-{source}-{shape[2]}-{made}.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        labelled = datasets.load(source)
        labelled = labelled._replace(images=np.repeat(labelled.images, shape[2], axis=3))
        backbone.write(path, factory, labelled, SUPERVISED, seed=SUPERVISED_SEED)
    return torch_weights.read(path, factory, factory(shape, 10))


def record_of(dataset: datasets.Dataset, variant: str, start: str, over: str) -> dict[str, Any]:
    """What a cell's rows must have been made with, as ``record.settings``."""
    _, config, pretraining = settings(variant, start, dataset.classes)
    seeds = tuple(SEEDS[dataset.name])
    wanted = make_settings(
        VARIANTS[variant].method, start, dataset, seeds, over, config, pretraining
    )
    if start == "supervised":
        wanted["weights"] = [
            SOURCES.get(dataset.name, SOURCE),
            dataclasses.asdict(SUPERVISED),
            SUPERVISED_SEED,
        ]
    return wanted


def pretrain(
    data: str, variant: str, start: str, over: str, folder: Path, max_seconds: float
) -> fit.Fit:
    """Makes what a cell begins with, until time runs out, or finds it."""
    deadline = time.monotonic() + max_seconds
    dataset = dataset_of(data)
    method, config, pretraining = settings(variant, start, dataset.classes)
    first = weights_of(data, start, method.network, dataset.images.shape[1:], folder / "weights")
    return fit.fit(
        method,
        dataclasses.replace(config, epochs=0),
        pretraining,
        dataset.images,
        tuple(SEEDS[data]),
        over=over,
        pretrained=folder / data / start / method.network.__name__,
        weights=first,
        max_seconds=max(deadline - time.monotonic(), 1e-3),
        progress=functools.partial(common.show, f"{data}, {start}"),
    )


def run_cell(
    data: str, variant: str, start: str, over: str, folder: Path, max_seconds: float
) -> bool:
    """Runs a cell and adds its rows; False if time ran out."""
    deadline = time.monotonic() + max_seconds
    dataset, seeds = dataset_of(data), tuple(SEEDS[data])
    method, config, pretraining = settings(variant, start, dataset.classes)
    first = weights_of(data, start, method.network, dataset.images.shape[1:], folder / "weights")
    place = folder / data / start
    key = {"data": data, "variant": variant, "start": start}

    def show(phase, event):
        common.show(f"{data} {variant}, {start}", phase, event)
        if event is not None and phase == "cluster" and variant in TABLE_2:
            network = fit.build(method, config, dataset.images.shape[1:])
            # Figure 7, at each chunk's end, as it comes.
            found = _scored(method, config, network, event, dataset.images, dataset.labels)
            common.add(CURVES, [key | {"epoch": int(np.max(event.runs.window)), "nmi_sqrt": found}])

    done = fit.fit(
        method,
        config,
        pretraining,
        dataset.images,
        seeds,
        over=over,
        directory=place / variant.replace(" ", "-"),
        pretrained=place / method.network.__name__,
        weights=first,
        max_seconds=max(deadline - time.monotonic(), 1e-3),
        progress=show,
    )
    if not done.finished:
        return False
    steps = method.algorithm.schedule(config, len(dataset.images)).steps_per_window
    rows = make_rows(record_of(dataset, variant, start, over), dataset, done, steps)
    # Table III. The rows' other seconds have the pretraining too, whichever cell it was made for.
    key["clustering_seconds"] = round(done.phases["cluster"].seconds / len(seeds), 3)
    key["clustering_peak_mb"] = peak_memory_mb()
    history = done.phases["cluster"].history
    for lane, row in enumerate(rows):
        mine = {name: values[history["lane"] == lane] for name, values in history.items()}
        row |= key | _moved(row, mine)
    common.add(RESULTS, rows)
    return True


def run_fixed(
    data: str, variant: str, start: str, inputs: np.ndarray, lost: list[tuple[str, int] | None]
) -> None:
    """Runs a cell on its trunk's features, float32 (seeds, n, d), and adds its rows; ``lost`` as ``fit.Fit.failed``."""
    dataset = dataset_of(data)
    method, config, _ = settings(variant, start, dataset.classes)
    key, curve = {"data": data, "variant": variant, "start": start}, {}

    def score(lane, event):
        if variant in TABLE_2:
            features = jnp.asarray(inputs[lane])[:, None, None]
            (nmi,) = _scored(
                method, config, pixels(features.shape[1:]), event, features, dataset.labels
            )
            curve.setdefault(int(event.runs.window[0]), [None] * len(inputs))[lane] = nmi

    wanted = record_of(dataset, variant, start, "map")
    rows = ccnn_fixed.rows(wanted, method, config, dataset, inputs, lost, score)
    common.add(
        CURVES,
        [key | {"epoch": epoch, "nmi_sqrt": found} for epoch, found in sorted(curve.items())],
    )
    common.add(
        RESULTS, [row | key | _moved(row, history) | {"on": "features"} for row, history in rows]
    )


def _scored(method, config, network, event, images, labels) -> list[float | None]:
    """NMI(sqrt) of each lane; None where it has failed."""
    found = driver.apply(
        method.algorithm, config, network, "map", event.runs.state, images, "predict"
    ).cluster
    return [
        metrics.scores(labels, one)["nmi_sqrt"] if failed < 0 else None
        for one, failed in zip(np.asarray(found), np.asarray(event.runs.failed), strict=True)
    ]


def _moved(row: dict[str, Any], history: dict[str, np.ndarray]) -> dict[str, Any]:
    """Of a seed's history: the mean drift and length of features, and how many centroids never got an image."""
    sound = row["failed"] is None
    moved = {
        name: round(float(np.mean(history[name])), 6) if sound and name in history else None
        for name in ("drift", "length")
    }
    return moved | {
        "unseen": int(history["unseen"][-1]) if len(history.get("unseen", ())) else None
    }


def found() -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """The rows of each cell: data set, variant and start."""
    cells: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in common.rows(RESULTS):
        cells.setdefault((row["data"], row["variant"], row["start"]), []).append(row)
    return cells


def run(options: argparse.Namespace) -> None:
    """Runs the cells asked for that have no rows, each in a process of its own, until time runs out.

    Raises:
      ValueError: a name is not known, a cell ended with an error, or the rows that are there have other settings.
    """
    flags = (("data", SEEDS), ("variants", VARIANTS), ("starts", STARTS))
    names, variants, starts = (
        common.listed(flag, getattr(options, flag), known) for flag, known in flags
    )
    deadline = time.monotonic() + options.max_seconds
    sets = {data: dataset_of(data) for data in names}
    if not options.whole:
        common.use_cores(options.over)
    pretrained, inputs = set(), {}
    for data, start, variant in itertools.product(names, starts, variants):
        wanted = record_of(sets[data], variant, start, options.over)
        if common.finished(RESULTS, wanted, data=data, variant=variant, start=start):
            if options.whole and "clustering_seconds" not in found()[data, variant, start][0]:
                cell = f"{data}, {variant}, {start}"
                raise ValueError(
                    f"rows: {RESULTS} has {cell} without their time; remove them to run it whole"
                )
            continue
        method, config, _ = settings(variant, start, sets[data].classes)
        # Variants of one network begin with the same pretraining, which the first of them has made.
        first = (data, start, method.network)
        if ccnn_fixed.applies(config) and not options.whole:
            if first not in inputs:
                inputs = {first: _inputs(data, variant, start, options, deadline)}
            if inputs[first] is None or time.monotonic() > deadline:
                print("out of time; the same command goes on", file=sys.stderr)
                return
            run_fixed(data, variant, start, *inputs[first])
            continue
        for flags in ([],) if first in pretrained else (["--pretrain"], []):
            left = deadline - time.monotonic()
            if left <= 0:
                print("out of time; the same command goes on", file=sys.stderr)
                return
            command = [
                sys.executable,
                "-m",
                "experiments.ccnn",
                "--cell",
                data,
                variant,
                start,
                *flags,
            ]
            command += [
                "--over",
                options.over,
                "--folder",
                str(options.folder),
                "--max-seconds",
                str(left),
            ]
            if subprocess.run(command, check=False).returncode:
                raise ValueError(f"cell: {data}, {variant}, {start} ended with an error")
        pretrained.add(first)


def _inputs(
    data: str, variant: str, start: str, options: argparse.Namespace, deadline: float
) -> tuple[np.ndarray, list[tuple[str, int] | None]] | None:
    """The features of a cell's trunk, float32 (seeds, n, d), and how pretrainings failed; None if time ran out."""
    left = max(deadline - time.monotonic(), 1e-3)
    made = pretrain(data, variant, start, options.over, options.folder, left)
    if not made.finished:
        return None
    dataset = dataset_of(data)
    method, config, _ = settings(variant, start, dataset.classes)
    network = fit.build(method, config, dataset.images.shape[1:])
    variables = made.phases["pretrain"].runs.state.variables
    return np.asarray(
        ccnn_fixed.features(network, variables, jnp.asarray(dataset.images))
    ), made.failed


def tables() -> str:
    """Tables II to V, and the differences of PAIRS on the same seeds.

    Drift is how far a fine-tuning moves the features that move the centroids, length how long they are. Table III is
    "s/seed", without pretraining, scoring and compilation, and "MB", the peak of the whole process that clustered, with
    the set, compiler and all seeds.
    """
    lines = [
        (
            "data",
            "start",
            "variant",
            "seeds",
            "NMI(sqrt)",
            "paper",
            "drift",
            "length",
            "s/seed",
            "MB",
        )
    ]
    cells = found()
    for data in SEEDS:
        for start in STARTS:
            for variant in VARIANTS:
                rows = cells.get((data, variant, start))
                if rows is None:
                    continue
                moved = [(row["drift"], row["length"]) for row in rows if row["length"]]
                drift, length = (
                    (f"{value:.4g}" for value in np.mean(moved, axis=0)) if moved else ("", "")
                )
                lines.append(
                    (
                        *(
                            data,
                            start,
                            variant,
                            str(len(rows)),
                            common.interval([row["nmi_sqrt"] for row in rows]),
                        ),
                        str(PAPER.get(data, {}).get(variant, ("",))[0]),
                        *(drift, length),
                        f"{rows[0]['clustering_seconds']:.1f}"
                        if "clustering_seconds" in rows[0]
                        else "",
                        str(rows[0].get("clustering_peak_mb") or ""),
                    )
                )
    text = [common.aligned(lines)]
    for data in SEEDS:
        for start in STARTS:
            for ours, theirs in PAIRS:
                rows = (cells.get((data, one, start), ()) for one in (ours, theirs))
                pair = [{row["seed"]: row["nmi_sqrt"] for row in mine} for mine in rows]
                both = [seed for seed in pair[0] if None not in (pair[0][seed], pair[1].get(seed))]
                if len(both) > 1:
                    spread = common.gain([pair[0][seed] - pair[1][seed] for seed in both])
                    text.append(
                        f"{data}, {start}: {ours} less {theirs}, NMI(sqrt) {spread}, {len(both)} seeds"
                    )
    return "\n".join(text)


def main() -> None:
    """Runs the cells asked for, then prints the tables."""
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    flags.add_argument(
        "--data",
        default="mnist-test",
        help=f"by comma, of {', '.join(SEEDS)} (default: %(default)s)",
    )
    flags.add_argument(
        "--variants", default=",".join(TABLE_2), help=f"by comma, of {', '.join(VARIANTS)}"
    )
    flags.add_argument("--starts", default=",".join(STARTS), help="by comma (default: %(default)s)")
    flags.add_argument(
        "--over", default="shard", choices=("vmap", "map", "shard"), help="how seeds run"
    )
    flags.add_argument(
        "--folder",
        type=Path,
        default=Path("runs/ccnn"),
        help="of checkpoints (default: %(default)s)",
    )
    flags.add_argument(
        "--max-seconds", type=float, default=float("inf"), help="stop in time, to go on later"
    )
    flags.add_argument(
        "--whole",
        action="store_true",
        help="run cells whole, each in a process of its own (table III)",
    )
    flags.add_argument("--table", action="store_true", help="only print the tables")
    flags.add_argument("--figures", help="only draw figures 5 to 7 of these data sets")
    flags.add_argument("--cell", nargs=3, help=argparse.SUPPRESS)
    flags.add_argument("--pretrain", action="store_true", help=argparse.SUPPRESS)
    options = flags.parse_args()
    if options.cell:
        common.use_cores(options.over)
        work = pretrain if options.pretrain else run_cell
        work(*options.cell, options.over, options.folder, options.max_seconds)
        return
    if options.figures:
        from experiments import ccnn_figures

        for data in common.listed("figures", options.figures, SEEDS):
            ccnn_figures.draw(data, options)
        return
    if not options.table:
        run(options)
    print(tables())


if __name__ == "__main__":
    common.command(main)
