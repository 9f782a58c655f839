"""Tables of the code for the site: the settings of a method, and the fields of a state."""

import ast
import dataclasses
import importlib
import inspect
import itertools
import re
from pathlib import Path
from typing import Any

from jaxclust.methods import registry
from jaxclust.runs.repeat import flag_name

RESULTS = Path(__file__).parents[1] / "docs" / "results.md"

SOURCE = re.compile(
    r" ?\((?P<source>[^()]*\b(?:section|sections|eq|table|tables|algorithm|figure|code|codes|ours|"
    r"open|paper|networks|DEC-DA|BRB|Adam's default)\b[^()]*(?:\([^()]*\)[^()]*)*)\)",
    re.IGNORECASE,
)
"""Where a setting's description says what it was taken from."""


def field_texts(kind: type) -> dict[str, str]:
    """The text below each field of a class, on one line."""
    definition = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(definition, ast.ClassDef)
    texts = {}
    for node, after in itertools.pairwise(definition.body):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            texts[node.target.id] = " ".join(str(after.value.value).split())
    return texts


def cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def shown(value: Any) -> str:
    """A setting's value as code; "none" for None."""
    if value is None:
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(map(cell, row)) + " |" for row in rows)])


def settings_table(name: str) -> str:
    """The settings of a method: the paper's and the default's values, meaning and source.

    Args:
      name: a name of ``jaxclust.methods.names()``, or that name with "/pretraining" for the
        settings of its pretraining.
    """
    name, _, part = name.partition("/")
    default = registry.get(name)
    presets = default.presets
    paper = registry.method(name, "paper") if "paper" in presets else default
    configs = [getattr(method, part or "config") for method in (paper, default)]
    texts = field_texts(type(configs[0]))
    rows = []
    for field in dataclasses.fields(configs[0]):
        if field.name in default.algorithm.fixed and not part:
            continue
        text = texts.get(field.name, "")
        sources = [match["source"] for match in SOURCE.finditer(text)]
        meaning = SOURCE.sub("", text)
        values = [shown(getattr(config, field.name)) for config in configs]
        option = "--" + (f"{part}." if part else "") + flag_name(field).replace("_", "-")
        source = "; ".join(sources)
        rows.append((f"`{option}`", *values, meaning, source))
    head = ("option", "`paper`", "`default`", "meaning", "source")
    if "paper" not in presets:
        rows = [(row[0], *row[2:]) for row in rows]
        head = (head[0], *head[2:])
    return table(head, rows)


def state_table(name: str) -> str:
    """The fields of a NamedTuple, from the section "Attributes" of its docstring.

    Args:
      name: dotted name of the class.
    """
    module, _, kind = name.rpartition(".")
    doc = inspect.getdoc(getattr(importlib.import_module(module), kind)) or ""
    lines = doc.partition("Attributes:\n")[2].splitlines()
    entries: list[str] = []
    for line in lines:
        if line.startswith("    "):
            entries[-1] += f" {line.strip()}"
        elif line.strip():
            entries.append(line.strip())
    rows = [tuple(entry.split(": ", 1)) for entry in entries]
    if not rows or any(len(row) != 2 for row in rows):
        raise ValueError(f"{name}: its docstring must list its attributes, got {doc!r}")
    return table(("field", "what it holds"), [(f"`{row[0]}`", row[1]) for row in rows])


def results_block(name: str) -> str:
    """A block of docs/results.md, which its command makes from the rows.

    Args:
      name: what its marks call it.
    """
    page = RESULTS.read_text()
    marks = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    if marks[0] not in page:
        raise ValueError(f"{name}: must be a block of {RESULTS.name}")
    return page.partition(marks[0])[2].partition(marks[1])[0].strip()


MAKERS = {"settings": settings_table, "state": state_table, "results": results_block}
TABLE = re.compile(r"^<!-- (settings|state|results): (\S+) -->$", re.MULTILINE)


def with_tables(markdown: str) -> str:
    """The text of a page with each line that asks for a table replaced by it."""
    return TABLE.sub(lambda match: MAKERS[match[1]](match[2]), markdown)
