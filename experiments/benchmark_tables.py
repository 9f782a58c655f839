"""Tables of the rows that ``benchmarks`` and ``examples`` write."""

import dataclasses

from experiments import compare, rows, tables
from jaxclust.comparison import tables as comparison_tables
from jaxclust.comparison.compare import comparison
from jaxclust.comparison.options import Options

STREAM = rows.RESULTS / "stream.jsonl"
PEERS = rows.RESULTS / "peers.jsonl"
COMPOSE = rows.RESULTS / "compose.jsonl"
GROUPS = rows.RESULTS / "groups.jsonl"
TABLES = rows.RESULTS / "tables.jsonl"
GOAL = 0.98
"""ACC on USPS, near what is reported of DEC-DA, whose text is not at hand."""


def stream() -> str:
    """Memory and time of streams (``benchmarks.stream``), as Markdown."""
    titles = {
        "images": "images",
        "anonymous_mb": "anonymous memory, MB",
        "training_s": "training, s",
        "images_per_s": "images a second",
        "wall_s": "with labels and compilation, s",
    }
    lines = [[f"{line[name]:,}" for name in titles] for line in rows.read_lines(STREAM)]
    return tables.markdown([list(titles.values()), *lines])


def peers() -> str:
    """Seconds of ten seeds (``benchmarks.peers``) and their ratio to ClustPy's, as Markdown."""
    heads = ["together, s", "and compiling, s", "in turn, s", "and compiling, s"]
    lines = [["method", "ClustPy, in turn, s", *heads, "ACC of ClustPy", "ACC"]]
    for line in rows.read_lines(PEERS):
        base = line["clustpy_s"]
        cells = [f"`{line['method']}`", f"{base:.0f}"]
        for name, compiling in (("together_s", "compile_s"), ("solo_s", "solo_compile_s")):
            for seconds in (line[name], line[name] + line[compiling]):
                cells.append(f"{seconds:.0f} ({seconds / base:.2f})")
        lines.append([*cells, f"{line['clustpy_acc']:.3f}", f"{line['acc']:.3f}"])
    return tables.markdown(lines)


def of_numbers() -> str:
    """ARI of programs on tables of numbers (``benchmarks.tables``), as Markdown."""
    found = rows.read_lines(TABLES)
    sets = list(dict.fromkeys(line["data"] for line in found))
    lines = [["program", *sets]]
    for program in dict.fromkeys(line["program"] for line in found):
        cells = []
        for data in sets:
            scores = [
                line["ari"] for line in found if (line["data"], line["program"]) == (data, program)
            ]
            each = ", ".join(f"{score:.3f}" for score in scores[0]) if scores else ""
            cells.append(f"{sum(scores[0]) / len(scores[0]):.3f} ({each})" if scores else "")
        lines.append([program, *cells])
    return tables.markdown(lines)


def groups() -> str:
    """Scores, time and memory of ``jaxclust group`` (``benchmarks.groups``), as Markdown."""
    heads = ["pictures", "groups", "ACC", "NMI", "ARI", "k-means on pixels, ACC", "s", "peak, MB"]
    lines = [["case", *heads]]
    for line in rows.read_lines(GROUPS):
        pixels = line.get("kmeans_on_pixels_acc")
        lines.append(
            [
                line["case"],
                f"{line['pictures']:,}",
                str(line["groups"]),
                *(f"{line[name]:.3f}" for name in ("acc", "nmi", "ari")),
                "" if pixels is None else f"{pixels:.3f}",
                f"{line['wall_s']:.0f}",
                f"{line['peak_mb']:,}",
            ]
        )
    return tables.markdown(lines)


def compose() -> str:
    """DCEC on moved images, from k-means, compared with DCEC on the sets that have rows."""
    found = [dataclasses.replace(row, method="dcec, moved") for row in rows.read(COMPOSE)]
    reached = [row.acc for row in found if row.data == "usps"]
    gaps = [acc - GOAL for acc in reached if acc is not None]
    seeds = f"{len(gaps)} of {len(reached)} seeds"
    title = (
        f"DCEC on moved images, on USPS, less {GOAL} ACC: {tables.gain(gaps)}, {seeds}\n"
        if gaps
        else ""
    )
    present = compare.present()
    for data in dict.fromkeys(row.data for row in found):
        found += rows.of_cell(present, data, "dcec")
    return title + comparison_tables.text(comparison(compare.grouped(found), Options()))
