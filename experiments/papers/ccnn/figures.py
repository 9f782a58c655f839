"""CCNN's figures 5 to 7."""

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments import figures, rows
from experiments.experiment import Request
from experiments.papers.ccnn.cells import CURVES, STARTS, TABLE_2, cell_of, dataset_of
from experiments.papers.ccnn.runs import pretrain
from experiments.papers.ccnn.tables import Cells, read_cells
from jaxclust.evaluation import stats

FOLDER = figures.FOLDER / "ccnn"
DPI = 120
K_M = {1: "k_m 1", 2: "k_m 2", 5: "k_m 5", 10: "ccnn", 25: "k_m 25", 50: "k_m 50"}
COLORS = dict(zip(STARTS, ("#7a7a7a", "#1f4e8c", "#d1495b"), strict=True))
STYLES = dict(zip(TABLE_2, ("-", "--", ":", "-."), strict=True))


def draw(request: Request) -> None:
    """Draws the figures of each data set from the rows and the pretrainings.

    A pretraining is made where it is missing.
    """
    cells = read_cells()
    for data in request.data:
        epochs(data)
        reliable(data, cells)
        for start in STARTS:
            if (data, "ccnn", start) in cells:
                maps(data, start, request)


def epochs(data: str) -> None:
    """Figure 7: NMI over epochs, the mean of the seeds."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.gca()
    points = [line for line in rows.read_lines(CURVES) if line["data"] == data]
    for start in STARTS:
        for variant in TABLE_2:
            means = {
                point["epoch"]: np.mean([nmi for nmi in point["nmi_sqrt"] if nmi is not None])
                for point in points
                if (point["variant"], point["start"]) == (variant, start)
            }
            if means:
                (line,) = axes.plot(*zip(*sorted(means.items()), strict=True))
                line.set(color=COLORS[start], linestyle=STYLES[variant])
                line.set_label(f"{variant}, {start}")
    title = f"{data}: NMI over epochs (figure 7)"
    axes.set(xlabel="epoch", ylabel="NMI(sqrt), mean over seeds", title=title)
    axes.legend(fontsize=8)
    figures.save(figure, FOLDER / f"{data}-epochs.png", DPI)


def reliable(data: str, cells: Cells) -> None:
    """Figure 6: NMI over k_m, the mean of the seeds and its 95 % interval."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.gca()
    for start in STARTS:
        means = {}
        for k, variant in K_M.items():
            scores = [row.nmi_sqrt for row in cells.get((data, variant, start), [])]
            finite = [nmi for nmi in scores if nmi is not None]
            if len(finite) > 1:
                means[k] = stats.summary(finite, bounds=stats.SHARE)
        if means:
            below = [summary.mean - summary.low for summary in means.values()]
            above = [summary.high - summary.mean for summary in means.values()]
            middle = [summary.mean for summary in means.values()]
            style = {"marker": "o", "capsize": 3, "color": COLORS[start]}
            axes.errorbar(list(means), middle, [below, above], label=start, **style)
    axes.set(ylabel="NMI(sqrt), mean over seeds, 95 %", title=f"{data}: NMI over k_m (figure 6)")
    axes.set(xlabel="k_m", xscale="log", xticks=list(K_M), xticklabels=list(K_M))
    axes.minorticks_off()
    axes.legend()
    figures.save(figure, FOLDER / f"{data}-k_m.png", DPI)


def maps(data: str, start: str, request: Request) -> None:
    """Figure 5: images, and the mean over conv8's channels of the first seed's trunk."""
    dataset = dataset_of(data)
    cell = cell_of(dataset, "ccnn", start, request)
    made = pretrain(cell).phases["pretrain"].lanes.state.variables
    variables = jax.tree.map(lambda leaf: leaf[0], made)
    images = dataset.images[figures.sample(dataset)[:8]]
    activations = cell.method.build(images.shape[1:]).activations
    assert activations is not None  # CCNN's network has them.
    inner = activations(variables, jax.numpy.asarray(images))["conv8"].mean(axis=3)
    figure = Figure(figsize=(12, 3.4))
    grid = figure.subplots(2, 8)
    for image, values, column in zip(images, np.asarray(inner), grid.T, strict=True):
        column[0].imshow(image.squeeze(), cmap="gray")
        column[1].imshow(values, cmap="viridis")
    for axes in grid.flat:
        axes.set_axis_off()
    what = "images and the mean over conv8's channels (figure 5)"
    figure.suptitle(f"{data}, {start}: {what}")
    figures.save(figure, FOLDER / f"{data}-{start}-conv8.png", DPI)
