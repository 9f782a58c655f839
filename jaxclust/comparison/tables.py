"""A comparison as text, JSON, CSV, LaTeX or Markdown."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from jaxclust.comparison.set_tables import aggregate_tables, rank_tables
from jaxclust.comparison.table_cells import TITLES, WORST, Table, interval, number, probability
from jaxclust.comparison.types import Comparison, DataSetComparison, MethodSummary, Pair, Ranks
from jaxclust.data.csv_cells import csv_text
from jaxclust.evaluation.stats import power
from jaxclust.types import Json

INTERVALS = {"t": "Student's t", "bootstrap-t": "bootstrap-t"}


def sections(comparison: Comparison) -> list[Table]:
    """The tables of a comparison: methods and pairs for each data set, then all data sets."""
    tables = []
    for data in comparison.data:
        tables.append(method_table(comparison, data))
        if data.pairs:
            tables.append(pair_table(comparison, data))
    if comparison.ranks is not None:
        tables += rank_tables(comparison.ranks)
    if comparison.aggregates is not None:
        metric = TITLES[comparison.options.metric]
        tables += aggregate_tables(comparison.aggregates, metric, _percent(comparison))
    return tables


def method_table(comparison: Comparison, data: DataSetComparison) -> Table:
    """A line for each method: seeds, center, spread, intervals."""
    header = ["method", "seeds", "mean", "sd", f"{_percent(comparison)} interval", "one more run"]
    header += ["median", "IQM", "failed"]
    metric = TITLES[comparison.options.metric]
    kind = INTERVALS[comparison.options.interval]
    title = f"{data.name}, {data.n:,} images: {metric}, {kind} interval of the mean"
    return Table(title, header, [_method_row(summary) for summary in data.methods])


def _method_row(summary: MethodSummary) -> list[str]:
    return [
        summary.method,
        str(summary.n),
        number(summary.mean),
        number(summary.sd),
        interval(summary.low, summary.high),
        interval(summary.run_low, summary.run_high),
        number(summary.median),
        number(summary.iqm),
        str(len(summary.failed)) if summary.failed else "",
    ]


def pair_table(comparison: Comparison, data: DataSetComparison) -> Table:
    """A line for each pair of methods: the difference, its test, and what may be claimed."""
    header = ["A", "B", "A - B", f"{_percent(comparison)} interval", "P(run of A wins)"]
    header += ["p", "corrected p", "smallest p"]
    margin = comparison.options.equal_within
    if margin is not None:
        header.append(f"p equal within {margin:g}")
    # Where seeds failed or have no row, a further column counts them as chance.
    worst = any(summary.failed or summary.missing for summary in data.methods)
    if worst:
        header.append(WORST)
    header += [f"seeds for {comparison.options.difference:g}", "verdict"]
    tests = [pair.test for pair in data.pairs if pair.test != "none"]
    kinds = ", ".join(dict.fromkeys(tests)) or "none"
    metric = TITLES[comparison.options.metric]
    family = f"family of {data.family} (Holm)"
    if margin is not None:
        family = f"family of {data.family} with tests of equality (Shaffer)"
    title = f"{data.name}: differences of {metric}, test {kinds}, {family}"
    return Table(title, header, [_pair_row(pair, worst, margin) for pair in data.pairs], 2)


def _pair_row(pair: Pair, worst: bool, margin: float | None) -> list[str]:
    """A pair's line.

    Args:
      pair: the pair.
      worst: whether the line has failed and missing seeds as chance.
      margin: within which equality is tested; None where it is not.
    """
    cells = [
        pair.a,
        pair.b,
        number(pair.difference, sign=True),
        interval(pair.low, pair.high, sign=True),
        _with_interval(pair.superiority, pair.superiority_low, pair.superiority_high),
        probability(pair.p),
        probability(pair.p_holm),
        probability(pair.smallest_holm),
    ]
    if margin is not None:
        cells.append(probability(pair.p_equal_holm))
    if worst:
        cells.append(probability(pair.p_worst_holm))
    return [*cells, _range(pair.seeds_needed), pair.verdict]


def text(comparison: Comparison) -> str:
    """Tables of text for a terminal."""
    blocks = []
    for table in sections(comparison):
        grid = [[_line(cell) for cell in line] for line in (table.header, *table.rows)]
        widths = [max(len(line[place]) for line in grid) for place in range(len(table.header))]
        lines = [_line(table.title)]
        for line in grid:
            # The verdict is a sentence: the last column stands at the left, too.
            last = len(line) - 1 if table.header[-1] == "verdict" else len(line)
            cells = [
                cell.ljust(width) if place < table.names or place == last else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            lines.append("  " + "  ".join(cells).rstrip())
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, *_joined(f"note: {_line(note)}" for note in comparison.notes)])


def markdown(comparison: Comparison) -> str:
    """Tables of Markdown for a README."""
    blocks = []
    for table in sections(comparison):
        rules = [":---" if place < table.names else "---:" for place in range(len(table.header))]
        lines = ["| " + " | ".join(_plain(cell) for cell in row) + " |" for row in table.rows]
        head = ["| " + " | ".join(table.header) + " |", "| " + " | ".join(rules) + " |"]
        blocks.append("\n".join([f"**{_plain(table.title)}**", "", *head, *lines]))
    return "\n\n".join([*blocks, *_joined(f"- {_plain(note)}" for note in comparison.notes)])


def latex(comparison: Comparison) -> str:
    """Tables of LaTeX for a paper, with booktabs."""
    blocks = []
    for table in sections(comparison):
        columns = "l" * table.names + "r" * (len(table.header) - table.names)
        lines = [
            " & ".join(_escaped(cell) for cell in row) + r" \\"
            for row in [table.header, *table.rows]
        ]
        lines = [r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
        body = "\n".join(lines)
        caption = f"\\caption{{{_escaped(table.title)}.}}"
        tabular = f"\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}"
        blocks.append(f"\\begin{{table}}\n\\centering\n{caption}\n{tabular}\n\\end{{table}}")
    return "\n\n".join([*blocks, *_joined(f"% {_line(note)}" for note in comparison.notes)])


def as_json(comparison: Comparison) -> str:
    """Everything, with every digit."""
    return json.dumps(comparison.to_json(), indent=2, allow_nan=False)


def as_csv(comparison: Comparison) -> str:
    """Everything, one number a line: table, data, method, other, quantity, value."""
    lines: list[list[Json]] = [["table", "data", "method", "other", "quantity", "value"]]
    lines += _lines(("settings", "", "", ""), comparison.settings())
    for data in comparison.data:
        sizes: dict[str, Json] = {"n": data.n, "family": data.family}
        lines += _lines(("data", data.name, "", ""), sizes)
        for summary in data.methods:
            values = summary.to_json()
            del values["method"]
            lines += _lines(("methods", data.name, summary.method, ""), values)
        for pair in data.pairs:
            values = pair.to_json()
            del values["a"], values["b"]
            lines += _lines(("pairs", data.name, pair.a, pair.b), values)
    if comparison.ranks is not None:
        lines += _rank_lines(comparison.ranks)
    if comparison.aggregates is not None:
        lines += _lines(("aggregates", "", "", ""), {"levels": [*comparison.aggregates.levels]})
        for row in comparison.aggregates.methods:
            values = row.to_json()
            del values["method"]
            lines += _lines(("aggregates", "", row.method, ""), values)
    for note in comparison.notes:
        lines.append(["notes", "", "", "", "note", note])
    return csv_text(lines).rstrip("\n")


def _rank_lines(ranks: Ranks) -> list[list[Json]]:
    """The ranks' lines of ``as_csv``."""
    values = ranks.to_json()
    names = ("friedman", "critical_difference", "smallest_p", "left_out")
    lines = _lines(("ranks", "", "", ""), {name: values[name] for name in names})
    columns = [("mean rank", ranks.ranks)]
    if ranks.ranks_worst is not None:
        columns.append((f"mean rank, {WORST}", ranks.ranks_worst))
    for name, column in columns:
        for method, rank in zip(ranks.methods, column, strict=True):
            lines.append(["ranks", "", method, "", name, rank])
    for pair in ranks.pairs:
        lines.append(["ranks", "", pair.a, pair.b, "p_corrected", pair.p])
        lines.append(["ranks", "", pair.a, pair.b, "p_worst_corrected", pair.p_worst])
    return lines


def _lines(where: tuple[str, str, str, str], values: Mapping[str, Json]) -> list[list[Json]]:
    """Lines of ``as_csv``, the entries of lists and dicts one by one.

    Args:
      where: table, data, method and other.
      values: by quantity.
    """
    flat: list[tuple[str, Json]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            flat += [(f"{name}.{key}", entry) for key, entry in value.items()]
        elif isinstance(value, list):
            flat += [(f"{name}.{place}", entry) for place, entry in enumerate(value)]
        else:
            flat.append((name, value))
    return [[*where, name, "" if value is None else value] for name, value in flat]


FORMATS: dict[str, Callable[[Comparison], str]] = {
    "text": text,
    "json": as_json,
    "csv": as_csv,
    "latex": latex,
    "markdown": markdown,
}


def _with_interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if low is None else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _range(needed: Sequence[int] | None) -> str:
    """The seeds needed, from the fewest to the most."""
    if needed is None:
        return "-"
    low, high = (
        f"{n}" if n < power.MOST_SEEDS else f"{n} or more" for n in (needed[0], needed[-1])
    )
    return low if low == high else f"{low} to {high}"


def _percent(comparison: Comparison) -> str:
    return f"{100 * (1 - comparison.options.alpha):g} %"


def _joined(lines: Iterator[str]) -> list[str]:
    """The notes as one block; no block where there are none."""
    block = "\n".join(lines)
    return [block] if block else []


_LATEX = str.maketrans(
    {mark: f"\\{mark}" for mark in "%_&#${}"}
    | {
        "\\": r"\textbackslash{}",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        "<": "$<$",
        ">": "$>$",
    }
)


def _escaped(text: str) -> str:
    """Text for LaTeX. It is escaped in one pass, as the escape of one mark has other marks."""
    return _line(text).translate(_LATEX)


def _plain(text: str) -> str:
    """Text for Markdown."""
    return _line(text).replace("|", "\\|").replace("<", "&lt;")


def _line(text: str) -> str:
    """Text in one line, without line breaks and control characters of a terminal."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
