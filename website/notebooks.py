"""Runs the notebooks of ``examples/notebooks``, and makes the site's pages of them.

The notebooks are kept without outputs. Their pages in ``docs/notebooks`` have what the cells print
and draw. A test compares the pages' code with the notebooks'.

``python -m website.notebooks`` makes all pages, ``python -m website.notebooks first-steps`` one.
The longest takes many minutes. With ``JAXCLUST_SHORT=1`` they are short, and their pages say so.
"""

import ast
import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples" / "notebooks"
PAGES = ROOT / "docs" / "notebooks"
SHORT = "JAXCLUST_SHORT"
"""The variable of the environment that shortens the notebooks."""


class Cell(NamedTuple):
    """A cell of a notebook: "markdown" or "code", and its text."""

    kind: str
    text: str


class Output(NamedTuple):
    """What a cell of code gave: its text, and its figures as PNG."""

    text: str
    figures: tuple[bytes, ...]


def cells(name: str) -> list[Cell]:
    """The cells of a notebook, by its name without ending."""
    content = json.loads((FOLDER / f"{name}.ipynb").read_text())
    return [Cell(cell["cell_type"], "".join(cell["source"])) for cell in content["cells"]]


def run(texts: list[str]) -> Iterator[Output]:
    """Runs cells of code one after the other in one namespace, and gives what each of them gave.

    Figures are drawn without a window. A last expression without a semicolon is shown.
    """
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names = {"__name__": "__main__"}
    for text in texts:
        plt.close("all")
        body = ast.parse(text)
        last = None
        end = body.body[-1]
        if isinstance(end, ast.Expr) and not text.rstrip().endswith(";"):
            last = ast.Expression(end.value)
            body.body.pop()
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(body, "<cell>", "exec"), names)
            value = None if last is None else eval(compile(last, "<cell>", "eval"), names)
            if value is not None:
                print(repr(value))
        figures = []
        for number in plt.get_fignums():
            drawn = io.BytesIO()
            plt.figure(number).savefig(drawn, format="png", dpi=100, bbox_inches="tight")
            figures.append(drawn.getvalue())
        yield Output(printed.getvalue(), tuple(figures))
    plt.close("all")


def write_page(name: str) -> None:
    """Runs a notebook, and writes its page and its figures."""
    all_cells = cells(name)
    outputs = run([cell.text for cell in all_cells if cell.kind == "code"])
    parts = []
    count = 0
    for cell in all_cells:
        if cell.kind == "markdown":
            parts.append(cell.text)
            continue
        parts.append(f"```python\n{cell.text.rstrip()}\n```")
        output = next(outputs)
        if output.text:
            parts.append(f"```text\n{output.text.rstrip()}\n```")
        for figure in output.figures:
            count += 1
            (PAGES / f"{name}-{count}.png").write_bytes(figure)
            parts.append(f"![What the cell above draws]({name}-{count}.png)")
        if len(parts) == 2:
            source = f"../../examples/notebooks/{name}.ipynb"
            short = " This page shows a shortened run." if SHORT in os.environ else ""
            parts.insert(1, f"[The notebook itself]({source}) has no outputs.{short}")
    (PAGES / f"{name}.md").write_text("\n\n".join(parts) + "\n")


def main(names: list[str]) -> None:
    """Writes the pages of these notebooks, or of all."""
    PAGES.mkdir(exist_ok=True)
    for name in names or sorted(path.stem for path in FOLDER.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            write_page(name)
            os.chdir(ROOT)


if __name__ == "__main__":
    main(sys.argv[1:])
