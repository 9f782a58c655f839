"""The README's results, from the rows: ``python -m experiments.readme`` writes tables and pictures anew.

What stands in README.md between ``<!-- NAME -->`` and ``<!-- /NAME -->`` is replaced by the table of
``experiments.NAME``, and ``docs/NAME.png`` is drawn from the same rows.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from experiments import common, dcec
from jaxclust import stats

ROOT = Path(__file__).parent.parent
EXPERIMENTS = {"dcec": dcec}
DIAMOND = {"color": "#d1495b", "fillstyle": "none", "markersize": 7, "markeredgewidth": 1.6}


def intervals(
    path: Path, present: list[dict[str, Any]], data: Sequence[str], methods: Sequence[str], paper: common.Paper
) -> None:
    """ACC of every seed, where one more run falls with 95 %, and the paper's number: a panel a data set."""
    data = [one for one in data if any(row["data"] == one for row in present)]
    figure = Figure(figsize=(3.4 * len(data), 0.34 * len(methods) + 1.3), layout="constrained")
    places = {name: -place for place, name in enumerate(methods)}
    for axes, one in zip(figure.subplots(1, len(data), sharey=True, squeeze=False)[0], data, strict=True):
        for name, place in places.items():
            scores = [row["acc"] for row in common.cell(present, one, name) if row["acc"] is not None]
            if len(scores) > 1:
                axes.plot(
                    stats.prediction_interval(scores),
                    [place] * 2,
                    color="#9db7d5",
                    linewidth=6,
                    solid_capstyle="butt",
                    zorder=1,
                )
            axes.plot(scores, [place] * len(scores), "o", color="#1f4e8c", markersize=4, alpha=0.8, zorder=2)
            published = paper.get(one, {}).get(name)
            if published:
                axes.plot(published[0], place, "D", zorder=3, **DIAMOND)
        axes.set_title(one, loc="left")
        axes.set_xlabel("ACC")
        axes.set_yticks(list(places.values()), list(places))
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    axes = figure.axes[0]
    marks = [
        axes.plot([], [], **style)[0]
        for style in (
            {"marker": "o", "color": "#1f4e8c", "linestyle": ""},
            {"color": "#9db7d5", "linewidth": 6},
            {"marker": "D", "linestyle": "", **DIAMOND},
        )
    ]
    names = ["a seed", "where one more run falls with 95 %", "the paper"]
    figure.legend(marks, names, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Writes the README's tables and pictures."""
    readme = ROOT / "README.md"
    text = readme.read_text()
    for name, experiment in EXPERIMENTS.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if len(re.findall(f"{begin}|{end}", text)) != 2:
            raise ValueError(f"README.md: must hold {begin.strip()} and {end} once")
        head, rest = text.split(begin)
        text = f"{head}{begin}{experiment.table(markdown=True)}\n{end}{rest.split(end)[1]}"
        picture = ROOT / "docs" / f"{name}.png"
        intervals(picture, common.rows(experiment.RESULTS), experiment.SEEDS, experiment.METHODS, experiment.PAPER)
    readme.write_text(text)


if __name__ == "__main__":
    common.command(main)
