"""The page docs/results.md, the picture docs/dcec.png and a table of README.md, from the rows.

The pages are written by hand around blocks that stand between ``<!-- NAME -->`` and ``<!-- /NAME
-->``. What is between these marks is replaced, and all else stays.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from experiments import benchmark_tables, compare, figures, rows, tables, verdicts
from experiments.experiment import EXPERIMENTS, read
from experiments.headlines import HEADLINES, SCORES
from experiments.papers.ccnn import imagenet_tables
from experiments.papers.dcec import cells as dcec
from experiments.papers.dcec.published import LAYOUT as DCEC
from jaxclust.comparison.types import DataSetComparison
from jaxclust.errors import UsageError
from jaxclust.evaluation import stats
from jaxclust.methods import registry
from jaxclust.runs.rows import row_name

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "results.md"
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "dcec.png"
DOT = {"marker": "o", "color": "#1f4e8c", "linestyle": ""}
BAR = {"color": "#9db7d5", "linewidth": 6}
DIAMOND = {"color": "#d1495b", "fillstyle": "none", "markersize": 7, "markeredgewidth": 1.6}


def headlines() -> str:
    """A line for each headline's data set and score that has rows, as Markdown."""
    lines = [["method", "data", "seeds", "score", "here", "the paper"]]
    for headline in HEADLINES:
        columns = headline.columns.items()
        present = [row for row in rows.read(headline.results) if columns <= row.to_json().items()]
        layout = headline.layout
        nothing = [None] * len(layout.scores)
        for data in headline.data:
            cell = [row for row in present if row.data == data]
            published = layout.published.get(data, {}).get(headline.name, nothing)
            for score, number in zip(layout.scores, published, strict=True) if cell else ():
                here = tables.interval([row.score(score) for row in cell], layout.runs)
                paper = "" if number is None else str(number)
                count = str(len(cell))
                lines.append([headline.title, data, count, SCORES[score], here, paper])
    return tables.markdown(lines)


def comparison() -> str:
    """ACC of each method on each data set of ``experiments.compare``, as Markdown.

    A cell has the mean, its 95 % interval, whether the method beats k-means or k-means beats it,
    and how many seeds failed.
    """
    found = compare.results()
    data = () if found is None else found.data
    # Methods that came later are families of their own, and columns of the same table.
    own_family: dict[tuple[str, str], DataSetComparison] = {}
    for family in compare.LATER_FAMILIES:
        later = compare.later_results(family)
        for data_set in () if later is None else later.data:
            own_family |= {(name, data_set.name): data_set for name in family}
    there = {
        summary.method for data_set in (*data, *own_family.values()) for summary in data_set.methods
    }
    heads = [f"{data_set.name}, {compare.SEEDS[data_set.name]} seeds" for data_set in data]
    lines = [["method", *heads]]
    for name in compare.NAMES:
        if name in there:
            own = [own_family.get((name, data_set.name), data_set) for data_set in data]
            lines.append([f"`{name}`", *(_cell(data_set, name) for data_set in own)])
    return tables.markdown(lines)


def _cell(data: DataSetComparison, name: str) -> str:
    """A method's ACC on a data set and how it ends against the baseline; "" without rows."""
    for summary in data.methods:
        if summary.method != name:
            continue
        text = "-" if summary.mean is None else f"{summary.mean:.3f}"
        if summary.low is not None:
            text += f" [{summary.low:.3f}, {summary.high:.3f}]"
        verdicts = {pair.verdict for pair in data.pairs if name in (pair.a, pair.b)}
        if f"{name} beats {compare.BASELINE}" in verdicts:
            text += " ▲"
        if f"{compare.BASELINE} beats {name}" in verdicts and name != compare.BASELINE:
            text += " ▼"
        if not summary.constant and len(summary.seeds) < compare.SEEDS[data.name]:
            text += f" ({len(summary.seeds)} seeds)"
        return text + (f" ({len(summary.failed)} failed)" if summary.failed else "")
    return ""


def consensus() -> str:
    """ACC of each run's consensus and what it is above the mean of its seeds, as Markdown."""
    lines = rows.read_lines(compare.CONSENSUS)
    present = compare.present()
    table = [["method", *compare.SEEDS]]
    for title, name in compare.METHOD_OF.items():
        # The consensus is that of the run's own labeling, the first.
        if title != row_name(name, registry.get(name).algorithm.labelings[0]):
            continue
        cells = []
        for data in compare.SEEDS:
            scores = [row.acc for row in rows.of_cell(present, data, title) if row.acc is not None]
            line = next((x for x in lines if (x["data"], x["method"]) == (data, name)), None)
            if line is None or not scores:
                cells.append("")
            else:
                cells.append(f"{line['acc']:.3f} ({line['acc'] - sum(scores) / len(scores):+.3f})")
        if any(cells):
            table.append([f"`{title}`", *cells])
    return tables.markdown(table)


def fenced(text: str) -> str:
    """Text as a block of code; says where there are no rows."""
    return f"```text\n{text}\n```" if text else "No rows yet."


def with_figures(name: str) -> str:
    """An experiment's tables and figures."""
    experiment = read(name)
    parts = [fenced(experiment.tables() if experiment.results.exists() else "")]
    for path in sorted((figures.FOLDER / name).glob("*.png")):
        parts.append(f"![{name}, {path.stem}](../{path.relative_to(ROOT)})")
    return "\n\n".join(parts)


def blocks() -> dict[str, str]:
    """The text of each block of the page, by its name."""
    return {
        "verdicts": verdicts.table(),
        "headlines": headlines(),
        "comparison": comparison(),
        "consensus": consensus(),
        "groups": benchmark_tables.groups(),
        "stream": benchmark_tables.stream(),
        "peers": benchmark_tables.peers(),
        "tables": benchmark_tables.of_numbers(),
        "compose": fenced(benchmark_tables.compose()),
        "ccnn-imagenet": fenced(imagenet_tables.text()),
        **{name: with_figures(name) for name in EXPERIMENTS},
    }


def readme_blocks() -> dict[str, str]:
    """The text of each block of README.md, by its name."""
    return {"reproduced": verdicts.short_table()}


def with_blocks(text: str, made: Mapping[str, str]) -> str:
    """A page with its blocks made anew.

    Raises:
      UsageError: the marks of a block are not there once.
    """
    for name, block in made.items():
        begin = f"<!-- {name} -->\n"
        end = f"<!-- /{name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise UsageError(f"results: the page must hold {begin.strip()} and {end} once")
        before, rest = text.split(begin)
        text = f"{before}{begin}{block}\n{end}{rest.split(end)[1]}"
    return text


def draw(path: Path, data: Sequence[str], methods: Sequence[str]) -> None:
    """ACC of DCEC's table: each seed, where one more run falls with 95 %, the paper's number."""
    present = rows.read(dcec.RESULTS)
    shown = [name for name in data if any(row.data == name for row in present)]
    size = (3.4 * len(shown), 0.34 * len(methods) + 1.3)
    figure = Figure(figsize=size, layout="constrained")
    places = {name: -place for place, name in enumerate(methods)}
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, shown, strict=True):
        for method, place in places.items():
            cell = rows.sound(rows.of_cell(present, name, method)).values()
            scores = [row.acc for row in cell if row.acc is not None]
            if len(scores) > 1:
                bar = BAR | {"solid_capstyle": "butt", "zorder": 1}
                axes.plot(stats.prediction_interval(scores, bounds=stats.SHARE), [place] * 2, **bar)
            dot = DOT | {"markersize": 4, "alpha": 0.8, "zorder": 2}
            axes.plot(scores, [place] * len(scores), **dot)
            published = DCEC.published.get(name, {}).get(method)
            if published:
                axes.plot(published[0], place, "D", zorder=3, **DIAMOND)
        axes.set_title(name, loc="left")
        axes.set_xlabel("ACC")
        axes.set_yticks(list(places.values()), list(places))
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    styles = {
        "a seed": DOT,
        "where one more run falls with 95 %": BAR,
        "the paper": {"marker": "D", "linestyle": "", **DIAMOND},
    }
    marks = [panels[0].plot([], [], **style)[0] for style in styles.values()]
    figure.legend(marks, list(styles), loc="outside lower center", ncols=3, frameon=False)
    figures.save(figure, path)


def write() -> None:
    """Writes the blocks of both pages, and the picture."""
    text = with_blocks(PAGE.read_text(), blocks())
    readme = with_blocks(README.read_text(), readme_blocks())
    draw(PICTURE, tuple(dcec.SEEDS), dcec.METHODS)
    PAGE.write_text(text)
    README.write_text(readme)
