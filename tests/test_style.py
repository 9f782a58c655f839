"""Rules of the code that ruff does not know."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("jaxclust", "experiments", "benchmarks", "examples", "tests")
MOST_LINES = 400
MOST_PARAMETERS = 6
MIRRORS = {"jaxclust/runs/fit.py fit", "jaxclust/data/datasets.py load"}
"""``jc.fit`` and ``jc.load`` have the options of the command by name."""


def sources():
    """(path from the repository's root, text) of each module."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def parameters(node):
    """How many parameters a function has, without ``self`` and ``cls``."""
    names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def test_no_module_is_too_long():
    long = [name for name, text in sources() if text.count("\n") > MOST_LINES]
    assert not long


def test_no_function_of_the_package_has_too_many_parameters():
    """But the doors in MIRRORS, and estimators, whose parameters follow scikit-learn."""
    many = {
        f"{name} {node.name}"
        for name, text in sources()
        if not name.startswith("tests/")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and parameters(node) > MOST_PARAMETERS
    }
    assert {one for one in many if not one.startswith("jaxclust/estimators/")} == MIRRORS


def test_no_docstring_and_no_comment_begins_with_of():
    begins = re.compile(r'("""|# )Of [a-z ]')
    assert not [name for name, text in sources() if begins.search(text)]
