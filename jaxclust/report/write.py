"""TODO"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxclust.report import page, run_images
from jaxclust.report.look import Look, look
from jaxclust.runs.collect import Cell
from jaxclust.runs.files import write_file


def write_report(
    out: Path,
    table: dict[str, Any] | None,
    found: Sequence[Cell],
    notes: Sequence[str],
    own: Sequence[str] = (),
) -> list[Look]:
    """Writes a page: a comparison, as of ``compare.comparison``, and a look into each cell that has folders.

    ``notes`` are those that the comparison has not; ``own`` is as for ``pictures.find``. Returns the looks.
    """
    reader = run_images.cache()
    looks = [look(cell, own, reader) for cell in found if cell.folders]
    write_file(out, page.render(table, looks, notes))
    print(f"wrote {out}, {out.stat().st_size / 1e6:.1f} MB")
    return looks


def consensus_csv(looks: Sequence[Look]) -> str:
    """A line an image of each cell: the cluster with most of its seeds' votes, and their share."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["data", "method", "image", "cluster", "votes"])
    for one in looks:
        if one.consensus is not None:
            voted, share, _ = one.consensus
            names = one.cell.data, one.cell.method
            images = zip(one.rows.tolist(), voted.tolist(), share.tolist(), strict=True)
            writer.writerows(
                [*names, row, cluster, f"{votes:.4g}"] for row, cluster, votes in images
            )
    return table.getvalue()
