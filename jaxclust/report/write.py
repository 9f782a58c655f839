"""The report's files: the page, and the consensus of the seeds as a table."""

from collections.abc import Sequence
from pathlib import Path

from jaxclust.comparison.types import Comparison
from jaxclust.data.csv_cells import csv_text
from jaxclust.report import page, run_images
from jaxclust.report.look import Look, look
from jaxclust.runs.cells import Cell
from jaxclust.runs.files import write_file


def write_report(
    out: Path,
    comparison: Comparison | None,
    cells: Sequence[Cell],
    notes: Sequence[str],
    own: Sequence[str] = (),
) -> list[Look]:
    """Writes a page with a comparison and a look into each cell that has folders.

    Args:
      out: the .html file.
      comparison: of the cells; None where nothing has scores.
      cells: all of them.
      notes: sentences that the comparison does not have.
      own: sets to find the images in, as of ``run_images.find``.

    Returns:
      The looks.
    """
    reader = run_images.cached_reader()
    looks = [look(cell, own, reader) for cell in cells if cell.folders]
    write_file(out, page.render(comparison, looks, notes))
    print(f"wrote {out}, {out.stat().st_size / 1e6:.1f} MB")
    return looks


def consensus_csv(looks: Sequence[Look]) -> str:
    """A line for each image of each cell: the cluster with most votes, and its share of them.

    An image has its file's name where the look knows it, otherwise its place.
    """
    lines: list[list[object]] = [["data", "method", "image", "cluster", "votes"]]
    for one in looks:
        if one.agreement is not None:
            votes = one.agreement.consensus
            names = one.rows.tolist() if one.files is None else one.files
            columns = (names, votes.labels.tolist(), votes.share.tolist())
            for name, cluster, share in zip(*columns, strict=True):
                lines.append([one.cell.data, one.cell.method, name, cluster, f"{share:.4g}"])
    return csv_text(lines)
