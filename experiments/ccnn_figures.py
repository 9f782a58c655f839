"""CCNN's figures 5 to 7: ``python -m experiments.ccnn --figures DATA``."""

import argparse
import math
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np

from experiments import common
from experiments.ccnn import CURVES, STARTS, TABLE_2, dataset_of, found, pretrain, settings
from jaxclust.engine import fit
from jaxclust.evaluation import stats

OUT = Path(__file__).parent / "figures" / "ccnn"
K_M = {1: "k_m 1", 2: "k_m 2", 5: "k_m 5", 10: "ccnn", 25: "k_m 25", 50: "k_m 50"}
COLOURS = dict(zip(STARTS, ("#7a7a7a", "#1f4e8c", "#d1495b"), strict=True))
STYLES = dict(zip(TABLE_2, ("-", "--", ":", "-."), strict=True))


def draw(data: str, options: argparse.Namespace) -> None:
    """Figures 5 to 7 of a data set, from the rows and the pretrainings, which are made where they are missing."""
    OUT.mkdir(parents=True, exist_ok=True)
    cells = found()
    _epochs(data)
    _reliable(data, cells)
    for start in STARTS:
        if (data, "ccnn", start) in cells:
            _maps(data, start, options)
    plt.close("all")


def _epochs(data: str) -> None:
    """Figure 7: NMI over epochs, the mean of the seeds."""
    axes = plt.figure(figsize=(8, 5), layout="constrained").gca()
    curves = [row for row in common.rows(CURVES) if row["data"] == data]
    for start in STARTS:
        for variant in TABLE_2:
            mine = {
                row["epoch"]: np.mean([nmi for nmi in row["nmi_sqrt"] if nmi is not None])
                for row in curves
                if (row["variant"], row["start"]) == (variant, start)
            }
            if mine:
                style = {"color": COLOURS[start], "linestyle": STYLES[variant]}
                axes.plot(
                    *zip(*sorted(mine.items()), strict=True), label=f"{variant}, {start}", **style
                )
    axes.set(
        xlabel="epoch",
        ylabel="NMI(sqrt), mean over seeds",
        title=f"{data}: NMI over epochs (figure 7)",
    )
    axes.legend(fontsize=8)
    axes.figure.savefig(OUT / f"{data}-epochs.png", dpi=120)


def _reliable(data: str, cells: dict[tuple[str, str, str], list[dict[str, Any]]]) -> None:
    """Figure 6: NMI over k_m, the mean of the seeds and its 95 % interval."""
    axes = plt.figure(figsize=(8, 5), layout="constrained").gca()
    for start in STARTS:
        rows = {k: cells.get((data, name, start), ()) for k, name in K_M.items()}
        scores = {k: [row["nmi_sqrt"] for row in mine] for k, mine in rows.items()}
        sound = {k: [nmi for nmi in mine if nmi is not None] for k, mine in scores.items()}
        means = {k: stats.summary(mine) for k, mine in sound.items() if len(mine) > 1}
        if means:
            middle = [one.mean for one in means.values()]
            ends = [
                [one.mean - one.low for one in means.values()],
                [one.high - one.mean for one in means.values()],
            ]
            axes.errorbar(
                list(means), middle, ends, marker="o", capsize=3, label=start, color=COLOURS[start]
            )
    axes.set(ylabel="NMI(sqrt), mean over seeds, 95 %", title=f"{data}: NMI over k_m (figure 6)")
    axes.set(xlabel="k_m", xscale="log", xticks=list(K_M), xticklabels=list(K_M))
    axes.minorticks_off()
    axes.legend()
    axes.figure.savefig(OUT / f"{data}-k_m.png", dpi=120)


def _maps(data: str, start: str, options: argparse.Namespace) -> None:
    """Figure 5: images, and the mean over conv8's channels, of the first seed's trunk."""
    made, dataset = (
        pretrain(data, "ccnn", start, options.over, options.folder, math.inf),
        dataset_of(data),
    )
    method, config, _ = settings("ccnn", start, dataset.classes)
    variables = jax.tree.map(lambda leaf: leaf[0], made.phases["pretrain"].runs.state.variables)
    some = dataset.images[np.random.default_rng(0).permutation(len(dataset.images))[:8]]
    maps = (
        fit.build(method, config, some.shape[1:]).activations(variables, some)["conv8"].mean(axis=3)
    )
    grid = plt.figure(figsize=(12, 3.4)).subplots(2, 8)
    for image, inner, column in zip(some, np.asarray(maps), grid.T, strict=True):
        column[0].imshow(image.squeeze(), cmap="gray")
        column[1].imshow(inner, cmap="viridis")
    for one in grid.flat:
        one.set_axis_off()
    grid[0, 0].figure.suptitle(
        f"{data}, {start}: images and the mean over conv8's channels (figure 5)"
    )
    grid[0, 0].figure.savefig(OUT / f"{data}-{start}-conv8.png", dpi=120)
