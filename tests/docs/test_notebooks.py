"""The notebooks run, shortened, and their pages have their code."""

import ast

import pytest

from website import notebooks

NAMES = sorted(path.stem for path in notebooks.FOLDER.glob("*.ipynb"))


def code(name):
    return [cell.text for cell in notebooks.cells(name) if cell.kind == "code"]


def test_there_are_four():
    assert NAMES == ["compare", "first-steps", "my-pictures", "new-method"]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_the_notebooks_cells(name):
    page = (notebooks.PAGES / f"{name}.md").read_text()
    for cell in notebooks.cells(name):
        text = f"```python\n{cell.text.rstrip()}\n```" if cell.kind == "code" else cell.text
        assert text in page, f"python -m website.notebooks {name} makes the page anew"


def test_the_new_method_has_less_than_40_lines():
    functions = [text for text in code("new-method") if text.startswith("def ")]
    assert [ast.parse(text).body[0].name for text in functions] == ["init", "step"]
    lines = [line for text in functions for line in text.splitlines() if line.strip()]
    assert len(lines) < 40


def test_a_cell_gives_its_text_and_its_figures():
    texts = ["x = 2\nprint(x)\nx + 1", "import matplotlib.pyplot as plt\nplt.plot([0, x]);"]
    first, second = notebooks.run(texts)
    assert first == ("2\n3\n", ())
    assert second.text == ""
    assert [figure[:4] for figure in second.figures] == [b"\x89PNG"]


@pytest.mark.parametrize("name", NAMES)
def test_it_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXCLUST_SHORT", "1")
    outputs = list(notebooks.run(code(name)))
    assert len(outputs) == len(code(name))
    # Each of them draws or prints something.
    assert any(output.text or output.figures for output in outputs)
