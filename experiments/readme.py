"""The README's results, from the rows: ``python -m experiments.readme`` writes tables and pictures anew.

What stands in README.md between ``<!-- results -->`` and ``<!-- /results -->`` is replaced by a line for each method
of the five papers, data set and score, between ``<!-- comparison -->`` and its end by every method against k-means,
between ``<!-- stream -->`` and its end by the memory and time of streams, and between ``<!-- peers -->`` and its end
by the time of many seeds beside ClustPy's; ``docs/results.md`` gets every experiment's tables and figures, and
``docs/dcec.png`` is drawn from DCEC's rows.
"""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks import peers, stream
from examples import compose
from experiments import ccnn, clusters, common, compare, dbc, dcec, dctl, jule, selection
from jaxclust.comparison import tables
from jaxclust.evaluation import stats

ROOT = Path(__file__).parent.parent
EXPERIMENTS = (dcec, jule, dbc, ccnn, dctl)
# What the README shows: a title, the experiment, what its rows have, the paper's name of it, the scores.
HEADLINES: tuple[tuple[str, Any, dict[str, str], str, tuple[str, ...]], ...] = (
    ("DCEC", dcec, {"method": "dcec"}, "dcec", ("acc", "nmi")),
    ("JULE-RC", jule, {"method": "jule-rc", "preset": "paper"}, "jule-rc", ("nmi_sqrt",)),
    (
        "JULE-RC, `--preset caffe`",
        jule,
        {"method": "jule-rc", "preset": "caffe"},
        "jule-rc",
        ("nmi_sqrt",),
    ),
    (
        "JULE-RC, `--preset code`",
        jule,
        {"method": "jule-rc", "preset": "code"},
        "jule-rc",
        ("nmi_sqrt",),
    ),
    ("DBC", dbc, {"method": "dbc"}, "dbc", ("acc", "nmi_max")),
    *(
        (f"CCNN, {start}", ccnn, {"variant": "ccnn", "start": start}, "ccnn", ("nmi_sqrt",))
        for start in ccnn.STARTS
    ),
    ("DCTL", dctl, {"method": "dctl"}, "dctl", ("acc", "nmi", "ari")),
)
SCORES = {"acc": "ACC", "nmi": "NMI", "nmi_sqrt": "NMI(sqrt)", "nmi_max": "NMI(max)", "ari": "ARI"}
DIAMOND = {"color": "#d1495b", "fillstyle": "none", "markersize": 7, "markeredgewidth": 1.6}


def intervals(
    path: Path,
    present: list[dict[str, Any]],
    data: Sequence[str],
    methods: Sequence[str],
    paper: common.Paper,
) -> None:
    """ACC of every seed, where one more run falls with 95 %, and the paper's number: a panel a data set."""
    data = [one for one in data if any(row["data"] == one for row in present)]
    figure = Figure(figsize=(3.4 * len(data), 0.34 * len(methods) + 1.3), layout="constrained")
    places = {name: -place for place, name in enumerate(methods)}
    for axes, one in zip(
        figure.subplots(1, len(data), sharey=True, squeeze=False)[0], data, strict=True
    ):
        for name, place in places.items():
            scores = [
                row["acc"] for row in common.cell(present, one, name) if row["acc"] is not None
            ]
            if len(scores) > 1:
                axes.plot(
                    stats.prediction_interval(scores),
                    [place] * 2,
                    color="#9db7d5",
                    linewidth=6,
                    solid_capstyle="butt",
                    zorder=1,
                )
            axes.plot(
                scores,
                [place] * len(scores),
                "o",
                color="#1f4e8c",
                markersize=4,
                alpha=0.8,
                zorder=2,
            )
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


def headlines() -> str:
    """A line for each headline's data set and score that has rows, as Markdown."""
    lines = [["method", "data", "seeds", "score", "here", "the paper"]]
    for title, experiment, wanted, name, scores in HEADLINES:
        present = [row for row in common.rows(experiment.RESULTS) if wanted.items() <= row.items()]
        for data in experiment.SEEDS:
            rows = [row for row in present if row["data"] == data]
            published = experiment.PAPER.get(data, {}).get(name, [None] * len(scores))
            for score, theirs in zip(scores, published, strict=True) if rows else ():
                # A paper's number is of one run unless its experiment says otherwise.
                ours = common.interval([row[score] for row in rows], getattr(experiment, "RUNS", 1))
                lines.append(
                    [
                        title,
                        data,
                        str(len(rows)),
                        SCORES[score],
                        ours,
                        "" if theirs is None else str(theirs),
                    ]
                )
    return common.markdown(lines)


def comparison() -> str:
    """A line a method, a column a data set, of the rows of ``experiments.compare``, as Markdown.

    ACC: the mean and its 95 % interval; whether the method beats k-means, or k-means it; how many seeds failed.
    """
    found = (compare.results() or {"data": []})["data"]
    there = {one["method"] for data in found for one in data["methods"]}
    lines = [
        ["method", *(f"{data['name']}, {compare.SEEDS[data['name']]} seeds" for data in found)]
    ]
    for name in (name for name in compare.NAMES if name in there):
        lines.append([f"`{name}`"])
        for data in found:
            mine = [one for one in data["methods"] if one["method"] == name]
            verdicts = [pair["verdict"] for pair in data["pairs"] if name in (pair["a"], pair["b"])]
            lines[-1].append(
                _cell(mine[0], name, verdicts, compare.SEEDS[data["name"]]) if mine else ""
            )
    return common.markdown(lines)


def _cell(one: dict[str, Any], name: str, verdicts: list[str], seeds: int) -> str:
    """A method's ACC on a data set, and how it ends against the baseline; the baseline itself has no such verdict."""
    text = "-" if one["mean"] is None else f"{one['mean']:.3f}"
    if one["low"] is not None:
        text += f" [{one['low']:.3f}, {one['high']:.3f}]"
    marks = {f"{name} beats {compare.BASELINE}": " ▲", f"{compare.BASELINE} beats {name}": " ▼"}
    text += next((marks[verdict] for verdict in verdicts if verdict in marks), "")
    if not one["constant"] and len(one["seeds"]) < seeds:
        text += f" ({len(one['seeds'])} seeds)"
    return text + (f" ({len(one['failed'])} failed)" if one["failed"] else "")


def page() -> str:
    """Every experiment's tables and figures, as Markdown."""
    parts = [
        "# Results",
        "Written by `python -m experiments.readme` from the rows in `experiments/results/`.",
    ]
    for experiment in EXPERIMENTS:
        name = experiment.__name__.split(".")[-1]
        title = inspect.getdoc(experiment).split("\n")[0].split(": ``")[0].rstrip(".:")
        text = (
            f"```text\n{experiment.tables()}\n```"
            if common.rows(experiment.RESULTS)
            else "No rows yet."
        )
        drawn = sorted((ROOT / "experiments" / "figures" / name).glob("*.png"))
        pictures = [f"![{name}, {path.stem}](../{path.relative_to(ROOT)})" for path in drawn]
        parts += [f"## {title}", f"`python -m experiments.{name} --table`", text, *pictures]
    found = compare.results()
    text = "No rows yet." if found is None else f"```text\n{tables.text(found)}\n```"
    parts += [
        "## Every method with the same seeds",
        "`python -m experiments.compare --table`",
        text,
    ]
    text = f"```text\n{compose.table()}\n```" if common.rows(compose.RESULTS) else "No rows yet."
    parts += ["## The example after DEC-DA, beside DCEC", "`python -m examples.compose`", text]
    rows = common.rows(selection.RESULTS)
    text = f"```text\n{selection.table(rows)}\n```" if rows else "No rows yet."
    command = "python -m experiments.selection runs/compare --keep"
    parts += ["## What picks a seed without labels, on those runs", f"`{command}`", text]
    rows = common.rows(clusters.RESULTS)
    text = f"```text\n{clusters.table(rows)}\n```" if rows else "No rows yet."
    parts += [
        "## Which number of clusters agreement picks",
        "`python -m experiments.clusters`",
        text,
    ]
    return "\n\n".join(parts) + "\n"


def with_tables(text: str) -> str:
    """The README with its tables anew; ValueError unless the marks of each are there once."""
    marked = {
        "results": headlines,
        "comparison": comparison,
        "stream": stream.table,
        "peers": peers.table,
    }
    for name, table in marked.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"README.md: must hold {begin.strip()} and {end} once")
        text = f"{text.split(begin)[0]}{begin}{table()}\n{end}{text.split(end)[1]}"
    return text


def main() -> None:
    """Writes the README's tables and pictures."""
    readme = ROOT / "README.md"
    text = with_tables(readme.read_text())
    intervals(
        ROOT / "docs" / "dcec.png", common.rows(dcec.RESULTS), dcec.SEEDS, dcec.METHODS, dcec.PAPER
    )
    (ROOT / "docs" / "results.md").write_text(page())
    readme.write_text(text)


if __name__ == "__main__":
    common.command(main)
