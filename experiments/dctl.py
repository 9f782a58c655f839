"""DCTL's tables 1 and 2 and figure 2 (Goel et al. 2022) on real images: ``python -m experiments.dctl --help``.

    python -m experiments.dctl               tables 1 and 2: rows into results/dctl.jsonl
    python -m experiments.dctl --open        what the paper leaves open, changed, on Extended Yale B
    python -m experiments.dctl --figure      only draw figure 2, from results/dctl_rounds.jsonl
    python -m experiments.dctl --table       only print the tables

Every method gets dense SIFT features reduced to 300 by PCA: as vectors of 300 (k-means, AEKM, DCN, DKM) or as the grid
of 15 x 20 that those vectors are laid out on (DCEC, DCTL). "-pixels" are k-means, DCEC and DCTL on the images, the
last two only where ``--methods`` names them: they take hours. Rows say which in "input". Extended Yale B has 38
persons here and 2,432 images, 28 and 16,128 in the paper. "dctl-untrained" is a control: k-means on what DCTL's first
filters give, which nothing has trained.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import common
from jaxclust.data import datasets, features
from jaxclust.methods import dctl
from jaxclust.methods.registry import METHODS, configured
from jaxclust.networks import dctl as dctl_network
from jaxclust.runs.files import json_lines, write_file
from jaxclust.runs.settings import make_settings
from jaxclust.types import Method

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "dctl.jsonl"
ROUNDS = HERE / "results" / "dctl_rounds.jsonl"
FIGURE = HERE / "figures" / "dctl" / "objective.png"

SEEDS = {name: range(10) for name in ("yaleb", "digits", "coil100-32")}
NAMED = ("dcec-pixels", "dctl-pixels")
"""Only run where they are named."""
TABLE_1 = ("kmeans", "kmeans-pixels", "dkm", "dkm-annealed", "dcn", "aekm", "dcec", "dctl", *NAMED)
TABLE_2: dict[str, dict[str, Any]] = {
    "dctl-1-layer": {"layers": 1},
    "dctl-1-layer-piecewise": {"layers": 1, "joint": False},
    "dctl": {},
    "dctl-piecewise": {"joint": False},
}
# Its filters are those that DCTL with the same seed begins with.
CONTROL = "dctl-untrained"
UNTRAINED = METHODS["kmeans"]._replace(network=dctl_network)
# DCN's step sizes are for MNIST's images in [0, 1], whose mean squared length is 88.03; biases' do not depend on it.
DCN_STEP = 88.03 / features.DIMENSIONS
# Changes to what section 4 does not say; psi other than none is for Adam alone.
OPEN: dict[str, dict[str, Any]] = {
    "adam": {"z_update": "adam"},
    "adam-10-steps": {"z_update": "adam", "inner_steps": 10, "learning_rate": 1e-3},
    "mean": {"residual": "mean"},
    "l1": {"z_update": "adam", "psi": "l1"},
    "l1-weight-1": {"z_update": "adam", "psi": "l1", "psi_weight": 1.0},
    "nonnegative": {"z_update": "adam", "psi": "nonnegative"},
    "inner-steps-4": {"inner_steps": 4},
    "inner-steps-10": {"inner_steps": 10},
    "rate-0.001": {"learning_rate": 1e-3},
    "rate-0.1": {"learning_rate": 0.1},
    "fresh-moments": {"moments": "fresh"},
    "tolerance-0.05": {"tolerance": 0.05},
    "tolerance-0.2": {"tolerance": 0.2},
    "tolerance-0.5": {"tolerance": 0.5},
    "restarts-1": {"restarts": 1},
    "p2-restarts-5": {"p2_restarts": 5},
    "separate": {"mixing": "separate"},
    "line": {"layout": "line"},
    "floor": {"pooling": "floor"},
    "orthonormal": {"start": "orthonormal"},
    "1-layer-linear": {"layers": 1, "single": "linear"},
}
# The same for what it gets.
OPEN_INPUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "patch-32": lambda images: features.as_images(features.dsift_pca(images, patch=32)),
    "step-4": lambda images: features.as_images(features.dsift_pca(images, step=4)),
    "scale-0.1": lambda images: 0.1 * features.as_images(features.cached(images)),
    "scale-10": lambda images: 10 * features.as_images(features.cached(images)),
}
OPENED = tuple(f"open-{name}" for name in (*OPEN, *OPEN_INPUTS))

# Tables 1 and 2: ACC, NMI and ARI of the paper's Extended Yale B.
PAPER = {
    "yaleb": {
        "kmeans": (0.098, 0.131, 0.014),
        "dkm": (0.087, 0.125, 0.010),
        "dcn": (0.098, 0.151, 0.016),
        "aekm": (0.103, 0.103, 0.018),
        "dcec": (0.295, 0.453, 0.173),
        "dctl": (0.349, 0.448, 0.132),
        "dctl-piecewise": (0.320, 0.432, 0.123),
        "dctl-1-layer": (0.146, 0.204, 0.033),
        "dctl-1-layer-piecewise": (0.135, 0.193, 0.031),
    }
}
# Its seconds.
PAPER_SECONDS = {
    "yaleb": {"kmeans": 1769, "dkm": 7789, "dcn": 5436, "aekm": 2536, "dcec": 24367, "dctl": 2417},
}
# Pairs of cells on the same seeds: joint less piecewise, two layers less one, trained less not, DCTL less the others.
PAIRS = (
    ("dctl", "dctl-piecewise"),
    ("dctl-1-layer", "dctl-1-layer-piecewise"),
    ("dctl", "dctl-1-layer"),
    ("dctl-piecewise", "dctl-1-layer-piecewise"),
    ("dctl", CONTROL),
    ("dctl-piecewise", CONTROL),
    *(("dctl", name) for name in TABLE_1 if name != "dctl"),
)


def changed_from(name: str) -> str:
    """The cell of which an open choice's is a change: a psi needs Adam, and one layer is itself a choice."""
    change = OPEN.get(name.removeprefix("open-"), {})
    return (
        "open-adam" if "psi" in change else "dctl-1-layer" if change.get("layers") == 1 else "dctl"
    )


OPEN_PAIRS = tuple((name, changed_from(name)) for name in OPENED)
TOO_SMALL = ("digits", "dctl-pixels")
"""9 x 9 filters do not fit 8 x 8 pixels."""
GRIDS = ("dctl", "cae")
"""Networks that see where a feature stands."""


def settings(name: str, preset: str, clusters: int) -> tuple[Method, Any, Any]:
    """A cell's method, its settings, and its pretraining's or None."""
    if name == CONTROL:
        config, _ = configured("kmeans", preset, clusters=clusters)
        return (
            UNTRAINED,
            dataclasses.replace(config, restarts=METHODS["dctl"].config.restarts),
            None,
        )
    known = name.removesuffix("-pixels")
    key = known if known in METHODS else "dctl"
    config, pretraining = configured(key, preset, clusters=clusters)
    if name == "dcn":
        config, pretraining = (
            dataclasses.replace(
                one, learning_rate=DCN_STEP * one.learning_rate, bias_rate=one.bias_rate / DCN_STEP
            )
            for one in (config, pretraining)
        )
    changes = OPEN.get(name.removeprefix("open-"), TABLE_2.get(name, {}))
    return METHODS[key], dataclasses.replace(config, **changes), pretraining


def run(data: str, name: str, options: argparse.Namespace, deadline: float) -> bool:
    """A cell on a data set for all its seeds; False if time ran out."""
    images, pixels = datasets.load(data), name.endswith("-pixels")
    opened = name.removeprefix("open-")
    if opened in OPEN_INPUTS:
        dataset = images._replace(images=OPEN_INPUTS[opened](images.images))
    else:
        dataset = (
            images if pixels else features.replaced(images, features.DSIFT_PCA)._replace(name=data)
        )
    method, config, pretraining = settings(name, options.preset, images.classes)
    grid = method.network.__name__ in GRIDS
    wanted = make_settings(
        name, options.preset, images, tuple(SEEDS[data]), options.over, config, pretraining
    )
    wanted["features"] = None if pixels else [*features.SETTINGS, *({opened} & OPEN_INPUTS.keys())]
    height, width = dataset.images.shape[1:3]
    colour = ", RGB" if dataset.images.shape[3] == 3 else ""
    if pixels:
        wanted["input"] = f"{height} x {width} pixels{colour}"
    elif grid:
        # DCTL's network lays a grid out as a line itself.
        line = getattr(config, "layout", "grid") == "line"
        wanted["input"] = (
            f"{'1 x ' + str(height * width) if line else f'{height} x {width}'} grid of features"
        )
    else:
        wanted["input"] = f"vector of features, {height * width}"
    shared = "-".join(
        ["pretraining", "pixels" if pixels else "features", common.pretraining_name(method)]
    )
    places = (options.folder / data / name, options.folder / data / shared)
    ready, done = common.run_cell(
        RESULTS, wanted, dataset, method, config, pretraining, places, deadline
    )
    if (
        method.algorithm is dctl
        and ready
        and done is None
        and not common.cell(common.rows(ROUNDS), data, name)
    ):
        raise ValueError(
            f"rows: {ROUNDS} lacks {data}, {name}; remove its rows in {RESULTS} to run it again"
        )
    if done is not None and method.algorithm is dctl:
        rows = rounds(done.phases["cluster"].history, data, name, wanted["seeds"])
        # Rounds of rows that were removed go with them.
        kept = [row for row in common.rows(ROUNDS) if (row["data"], row["method"]) != (data, name)]
        write_file(ROUNDS, json_lines([*kept, *rows]))
    return ready


def rounds(
    history: dict[str, np.ndarray], data: str, name: str, seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """A row a seed: P1's objective by round, and the filters' least singular value in all of them."""
    rows = []
    for lane, seed in enumerate(seeds):
        mine = {key: values[history["lane"] == lane] for key, values in history.items()}
        row = {
            "data": data,
            "method": name,
            "seed": seed,
            "objective": [float(f"{x:.6g}") for x in mine["loss"]],
        }
        row["least_singular"] = float(f"{mine['least_singular'].min():.4g}")
        rows.append(row)
    return rows


def tables() -> str:
    """Tables 1 and 2 with their differences, and the open choices, from the rows."""
    present = common.rows(RESULTS)
    names, listed = tuple(SEEDS), ("dctl", "dctl-1-layer", *OPENED)
    text = [
        "Table 1 (the paper's Extended Yale B has more images, fewer persons: compare a method with those beside it).",
        "Seconds a seed, pretraining included, compilation not; k-means's of the same restarts.",
        _table(present, names, TABLE_1),
        "",
        "Table 2",
        _table(present, names, (*TABLE_2, CONTROL)),
        "",
        "Differences on the same seeds: mean, 95 % interval of the mean",
        differences(present),
    ]
    if any(row["method"] in OPENED for row in present):
        text += [
            "",
            "What the paper leaves open, changed (each psi but none goes with Adam: compare it with open-adam)",
            _table(present, names[:1], listed),
            "",
            "The same on the same seeds, less DCTL as it is (psi: less open-adam; one layer: less one layer)",
            differences(present, OPEN_PAIRS),
        ]
    text += ["", filters()]
    return "\n".join(text)


def _table(present: list[dict[str, Any]], data: tuple[str, ...], methods: tuple[str, ...]) -> str:
    """Scores, seconds here and in the paper, both also as multiples of k-means's, and what each method got."""

    def times(rows: list[dict[str, Any]]) -> str:
        ours, base = _seconds(rows), _seconds(common.cell(present, rows[0]["data"], "kmeans"))
        return f"{ours / base:.1f}" if ours and base else ""

    def paper(rows: list[dict[str, Any]]) -> str:
        published = PAPER_SECONDS.get(rows[0]["data"], {})
        theirs = published.get(rows[0]["method"])
        return f"{theirs} ({theirs / published['kmeans']:.1f})" if theirs else ""

    more = {
        "seconds": lambda rows: f"{_seconds(rows):.1f}" if _seconds(rows) else "",
        "/ k-means": times,
        "paper": paper,
        "input": lambda rows: rows[0]["input"],
    }
    return common.table(present, data, methods, PAPER, ("acc", "nmi", "ari"), more=more)


def _seconds(rows: list[dict[str, Any]]) -> float | None:
    """A seed's share of its cell's seconds; None unless a seed ended."""
    return next((row["seconds"] for row in rows if row["failed"] is None), None)


def differences(present: list[dict[str, Any]], pairs: Sequence[tuple[str, str]] = PAIRS) -> str:
    """A line a pair, data set and score that have rows."""
    lines = []
    for data in SEEDS:
        for one, other in pairs:
            a, b = (
                {
                    row["seed"]: row
                    for row in common.cell(present, data, name)
                    if row["failed"] is None
                }
                for name in (one, other)
            )
            seeds = sorted(a.keys() & b.keys())
            for score in ("acc", "nmi", "ari") if len(seeds) > 1 else ():
                found = common.gain([a[seed][score] - b[seed][score] for seed in seeds])
                pair = f"{one} less {other}"
                lines.append(f"{data:11} {pair:42} {score} {found} over {len(seeds)} seeds")
    return "\n".join(lines)


def filters() -> str:
    """How near any round of any cell came to the trivial solution."""
    present = [row for row in common.rows(ROUNDS) if np.isfinite(row.get("least_singular", np.nan))]
    if not present:
        return ""
    least = min(present, key=lambda row: row["least_singular"])
    where = f"{least['data']}, {least['method']}, seed {least['seed']}"
    return f"Least singular value of a layer's filters in any round: {least['least_singular']} ({where})"


def figure() -> None:
    """Figure 2: P1's objective by round, a line a seed, joint and piecewise by number of layers, on two scales."""
    import matplotlib.pyplot as plt

    shown = (*TABLE_2, "open-inner-steps-4")
    rows = [row for row in common.rows(ROUNDS) if row["method"] in shown]
    if not rows:
        raise ValueError(f"figure: must have rows in {ROUNDS}, and there are none")
    names = [data for data in SEEDS if any(row["data"] == data for row in rows)]
    panels, axes = plt.subplots(2, len(names), figsize=(4.5 * len(names), 6), squeeze=False)
    for scale, line in zip(("linear", "log"), axes, strict=True):
        for data, ax in zip(names, line, strict=True):
            for color, name in enumerate(shown):
                for i, row in enumerate(
                    row for row in rows if (row["data"], row["method"]) == (data, name)
                ):
                    rounds = np.arange(1, len(row["objective"]) + 1)
                    ax.plot(
                        rounds,
                        row["objective"],
                        f"C{color}",
                        lw=0.8,
                        label=name if i == 0 else None,
                    )
            ax.set(title=data, xlabel="round", ylabel="objective of P1 (eq. 6)", yscale=scale)
            if scale == "linear":
                ax.legend(fontsize=7)
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    panels.tight_layout()
    panels.savefig(FIGURE, dpi=150)
    plt.close(panels)


def main() -> None:
    """Runs what is asked for, then prints the tables."""
    methods = tuple(dict.fromkeys((*TABLE_1, *TABLE_2, CONTROL)))
    usual = [name for name in methods if name not in NAMED]
    parser = common.parser("DCTL's tables 1 and 2 and figure 2.", SEEDS, usual, "runs/dctl")
    parser.add_argument("--open", action="store_true", help="the open choices, on yaleb alone")
    parser.add_argument(
        "--preset",
        default="paper",
        choices=("paper", "quick"),
        help="quick: fewer pretraining epochs",
    )
    parser.add_argument("--figure", action="store_true", help="only draw figure 2")
    options = parser.parse_args()
    if options.figure:
        figure()
        return
    names, chosen = (
        common.listed("data", options.data, SEEDS),
        common.listed("methods", options.methods, methods),
    )
    cells = [(data, name) for data in names for name in chosen]
    if TOO_SMALL in cells:
        print("digits: without dctl-pixels, 9 x 9 filters do not fit 8 x 8 pixels", file=sys.stderr)
        cells.remove(TOO_SMALL)
    if options.open:
        cells = [("yaleb", name) for name in OPENED]
    common.use_cores(options.over)
    deadline = time.monotonic() + options.max_seconds
    for data, name in [] if options.table else cells:
        if not run(data, name, options, deadline):
            print("out of time; the same command goes on", file=sys.stderr)
            break
    print(tables())


if __name__ == "__main__":
    common.command(main)
