"""A comparison as text, JSON, CSV, LaTeX or Markdown."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from jaxclust.evaluation.stats import two_methods

TITLES = {
    "acc": "ACC",
    "nmi": "NMI",
    "nmi_sqrt": "NMI (geometric)",
    "nmi_max": "NMI (max)",
    "ari": "ARI",
}


class Table(NamedTuple):
    """A title, the columns' names, rows of as many cells; the first ``names`` columns are text, the others numbers."""

    title: str
    header: list[str]
    rows: list[list[str]]
    names: int = 1


def sections(comparison: dict[str, Any]) -> list[Table]:
    """The tables of a comparison, one of methods and one of pairs for each data set, and the ranks."""
    found = []
    for data in comparison["data"]:
        found.append(methods(comparison, data))
        if data["pairs"]:
            found.append(pairs(comparison, data))
    if comparison["ranks"]:
        found += ranks(comparison["ranks"])
    return found


def methods(comparison: dict[str, Any], data: dict[str, Any]) -> Table:
    """A line for each method: seeds, centre, spread, intervals."""
    percent = _percent(comparison)
    header = [
        "method",
        "seeds",
        "mean",
        "sd",
        f"{percent} interval",
        "one more run",
        "median",
        "IQM",
        "failed",
    ]
    rows = [
        [
            row["method"],
            str(row["n"]),
            number(row["mean"]),
            number(row["sd"]),
            interval(row["low"], row["high"]),
            interval(row["run_low"], row["run_high"]),
            number(row["median"]),
            number(row["iqm"]),
            str(len(row["failed"])) if row["failed"] else "",
        ]
        for row in data["methods"]
    ]
    kind = {"t": "Student's t", "bootstrap-t": "bootstrap-t"}[comparison["interval"]]
    title = f"{data['name']}, {data['n']:,} images: {TITLES[comparison['metric']]}, {kind} interval of the mean"
    return Table(title, header, rows)


def pairs(comparison: dict[str, Any], data: dict[str, Any]) -> Table:
    """A line for each pair of methods: the difference, its test, and what may be claimed."""
    header = [
        "A",
        "B",
        "A - B",
        f"{_percent(comparison)} interval",
        "P(A beats B)",
        "p",
        "corrected p",
        "smallest p",
    ]
    # Where seeds failed or have no row, a further column counts them as chance.
    worst = any(row["failed"] or row["missing"] for row in data["methods"])
    header += ["failed or missing as chance"] * worst + [
        f"seeds for {comparison['difference']:g}",
        "verdict",
    ]
    rows = [
        [
            row["a"],
            row["b"],
            number(row["difference"], sign=True),
            interval(row["low"], row["high"], sign=True),
            _with_interval(row["superiority"], row["superiority_low"], row["superiority_high"]),
            probability(row["p"]),
            probability(row["p_holm"]),
            probability(row["smallest_holm"]),
            *([probability(row["p_worst_holm"])] * worst),
            _range(row["seeds_needed"]),
            row["verdict"],
        ]
        for row in data["pairs"]
    ]
    kinds = (
        ", ".join(dict.fromkeys(row["test"] for row in data["pairs"] if row["test"] != "none"))
        or "none"
    )
    metric, count = TITLES[comparison["metric"]], data["family"]
    title = f"{data['name']}: differences of {metric}, test {kinds}, family of {count} (Holm)"
    return Table(title, header, rows, 2)


def ranks(found: dict[str, Any]) -> list[Table]:
    """Mean ranks over data sets, and the pairs."""
    order = sorted(range(len(found["methods"])), key=lambda place: found["ranks"][place])
    title = f"ranks over {len(found['data'])} data sets (seeds pooled to their mean)"
    if found["friedman"]:
        title += f", Friedman chi2 {found['friedman'][0]:.2f}, p {probability(found['friedman'][1])} (asymptotic)"
    if found["critical_difference"]:
        title += f", critical difference {found['critical_difference']:.2f}"
    # Where seeds failed or have no row, a second column counts them as chance.
    worst = found["ranks_worst"] is not None
    columns = [found["ranks"], found["ranks_worst"]] if worst else [found["ranks"]]
    rows = [
        [found["methods"][place], *(f"{column[place]:.2f}" for column in columns)]
        for place in order
    ]
    kind = "Nemenyi" if found["critical_difference"] else "Wilcoxon over data sets, Holm"
    pair_title = f"pairs of ranks, {kind}"
    if found["smallest_p"] is not None:
        pair_title += f"; the smallest p that {len(found['data'])} data sets allow is {found['smallest_p']:.3g}"
    names = ("p", "p_worst") if worst else ("p",)
    pair_rows = [
        [pair["a"], pair["b"], *(probability(pair[name]) for name in names)]
        for pair in found["pairs"]
    ]
    also = ["failed or missing as chance"] if worst else []
    pairs = [Table(pair_title, ["A", "B", "corrected p", *also], pair_rows, 2)] if pair_rows else []
    return [Table(title, ["method", "mean rank", *also], rows), *pairs]


def text(comparison: dict[str, Any]) -> str:
    """For a terminal."""
    blocks = []
    for table in sections(comparison):
        grid = [[_line(cell) for cell in line] for line in (table.header, *table.rows)]
        widths = [max(len(line[place]) for line in grid) for place in range(len(table.header))]
        lines = [table.title]
        for line in grid:
            # The verdict, a sentence, is last and to the left too.
            last = len(line) - 1 if table.header[-1] == "verdict" else len(line)
            cells = [
                cell.ljust(width) if place < table.names or place == last else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            lines.append("  " + "  ".join(cells).rstrip())
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, *_joined(f"note: {_line(note)}" for note in comparison["notes"])])


def markdown(comparison: dict[str, Any]) -> str:
    """For a README."""
    blocks = []
    for table in sections(comparison):
        rules = [":---" if place < table.names else "---:" for place in range(len(table.header))]
        lines = ["| " + " | ".join(_plain(cell) for cell in row) + " |" for row in table.rows]
        head = ["| " + " | ".join(table.header) + " |", "| " + " | ".join(rules) + " |"]
        blocks.append("\n".join([f"**{_plain(table.title)}**", "", *head, *lines]))
    return "\n\n".join([*blocks, *_joined(f"- {_plain(note)}" for note in comparison["notes"])])


def latex(comparison: dict[str, Any]) -> str:
    """For a paper, with booktabs."""
    blocks = []
    for table in sections(comparison):
        columns = "l" * table.names + "r" * (len(table.header) - table.names)
        lines = [
            " & ".join(_escaped(cell) for cell in row) + r" \\"
            for row in [table.header, *table.rows]
        ]
        lines = [r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
        body = "\n".join(lines)
        blocks.append(
            "\\begin{table}\n\\centering\n"
            f"\\caption{{{_escaped(table.title)}.}}\n\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}\n"
            "\\end{table}"
        )
    return "\n\n".join([*blocks, *_joined(f"% {_line(note)}" for note in comparison["notes"])])


def as_json(comparison: dict[str, Any]) -> str:
    """Everything, with every digit."""
    return json.dumps(comparison, indent=2, allow_nan=False)


def as_csv(comparison: dict[str, Any]) -> str:
    """Everything, one number a line: table, data, method, other, quantity, value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["table", "data", "method", "other", "quantity", "value"])
    settings = {
        name: value for name, value in comparison.items() if not isinstance(value, dict | list)
    }
    writer.writerows(["settings", "", "", "", *line] for line in _flat(settings, ("ranks",)))
    for data in comparison["data"]:
        sizes = {name: value for name, value in data.items() if not isinstance(value, dict | list)}
        writer.writerows(["data", data["name"], "", "", *line] for line in _flat(sizes, ("name",)))
        for row in data["methods"]:
            writer.writerows(
                ["methods", data["name"], row["method"], "", *line]
                for line in _flat(row, ("method",))
            )
        for row in data["pairs"]:
            writer.writerows(
                ["pairs", data["name"], row["a"], row["b"], *line]
                for line in _flat(row, ("a", "b"))
            )
    ranks = comparison["ranks"]
    if ranks:
        whole = {
            name: ranks[name]
            for name in ("friedman", "critical_difference", "smallest_p", "left_out")
        }
        writer.writerows(["ranks", "", "", "", *line] for line in _flat(whole, ()))
        columns = {
            "mean rank": ranks["ranks"],
            "mean rank, failed or missing as chance": ranks["ranks_worst"],
        }
        for name, column in columns.items():
            if column is not None:
                writer.writerows(
                    ["ranks", "", method, "", name, rank]
                    for method, rank in zip(ranks["methods"], column, strict=True)
                )
        for pair in ranks["pairs"]:
            for name in ("p", "p_worst"):
                writer.writerow(
                    ["ranks", "", pair["a"], pair["b"], f"{name}_corrected", pair[name]]
                )
    writer.writerows(["notes", "", "", "", "note", note] for note in comparison["notes"])
    return out.getvalue().rstrip("\n")


FORMATS: dict[str, Callable[[dict[str, Any]], str]] = {
    "text": text,
    "json": as_json,
    "csv": as_csv,
    "latex": latex,
    "markdown": markdown,
}


def number(value: float | None, sign: bool = False) -> str:
    """Four digits, as papers print scores; "-" for none."""
    return "-" if value is None else f"{value:{'+' if sign else ''}.4f}"


def interval(low: float | None, high: float | None, sign: bool = False) -> str:
    """ "[low, high]"; an end that the seeds cannot give is "-"."""
    return "-" if low is None and high is None else f"[{number(low, sign)}, {number(high, sign)}]"


def probability(p: float | None) -> str:
    """Two digits that count."""
    return "-" if p is None else "<.0001" if p < 1e-4 else f"{p:.2g}"


def _with_interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if low is None else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _range(needed: list[int] | None) -> str:
    if needed is None:
        return "-"
    low, high = (
        f"{n}" if n < two_methods.MOST_SEEDS else f"{n} or more" for n in (needed[0], needed[-1])
    )
    return low if low == high else f"{low} to {high}"


def _percent(comparison: dict[str, Any]) -> str:
    return f"{100 * (1 - comparison['alpha']):g} %"


def _joined(lines: Iterator[str]) -> list[str]:
    """The notes as one block, none where there are none."""
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
    """For LaTeX, in one pass: what stands for one mark holds others."""
    return _line(text).translate(_LATEX)


def _plain(text: str) -> str:
    """For Markdown."""
    return _line(text).replace("|", "\\|").replace("<", "&lt;")


def _line(text: str) -> str:
    """Without the breaks, and what a terminal obeys, that a name, a path or a reason may have."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _flat(row: dict[str, Any], left_out: tuple[str, ...]) -> list[tuple[str, Any]]:
    """A row's quantities, the lists' and dicts' entries one by one."""
    lines: list[tuple[str, Any]] = []
    for name, value in row.items():
        if name in left_out:
            continue
        if isinstance(value, dict):
            lines += [(f"{name}.{key}", entry) for key, entry in value.items()]
        elif isinstance(value, list | tuple):
            lines += [(f"{name}.{place}", entry) for place, entry in enumerate(value)]
        else:
            lines.append((name, value))
    return [(name, "" if value is None else value) for name, value in lines]
