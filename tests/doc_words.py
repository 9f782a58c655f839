"""Words, lines and long sentences of the README, the site's pages and the public docstrings.

``python tests/doc_words.py`` prints counts; ``--show`` prints the long sentences, longest first.
"""

import ast
import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
LONGEST = 35
"""Words of the longest sentence that is not counted as long."""
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
INLINE = re.compile(r"`[^`]*`")
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
END = re.compile(r"(?<=[.?!])(?<!al\.)(?<!eq\.)(?<!e\.g\.)[\"')*]*\s+")
ITEM = re.compile(r"^(\s*[-*]|\s*\d+\.|#+|>)\s+")
NUMBER = re.compile(r"(?<![\w.])[-+]?\d*\.?\d+(?!\w)")


class Measure(NamedTuple):
    """What is counted of a text: words, lines, and the sentences that are too long."""

    words: int
    lines: int
    long: list[str]


def paragraphs(text: str) -> list[str]:
    """Paragraphs, items of lists and cells of tables, without code blocks and comments."""
    found = [""]
    for line in COMMENT.sub("", CODE.sub("\n", text)).splitlines():
        if line.startswith("|"):
            found += [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
            found.append("")
        elif not line.strip():
            found.append("")
        elif ITEM.match(line):
            found.append(ITEM.sub("", line).strip())
        else:
            found[-1] = f"{found[-1]} {line.strip()}".strip()
    return [paragraph for paragraph in found if paragraph]


def sentences(text: str) -> list[str]:
    """The sentences of a text, which end at a period, a question mark or an exclamation mark."""
    return [
        sentence
        for paragraph in paragraphs(text)
        for sentence in END.split(LINK.sub(r"\1", INLINE.sub("CODE", paragraph)))
        if sentence
    ]


def long_sentences(text: str) -> list[str]:
    """The sentences of more than ``LONGEST`` words; code within a sentence is one word."""
    return [one for one in sentences(text) if len(one.split()) > LONGEST]


def measure(text: str) -> Measure:
    """Counts of a page."""
    return Measure(len(text.split()), len(text.splitlines()), long_sentences(text))


def numbers(text: str) -> list[int]:
    """How many numbers each paragraph of prose has, beside those in code, links and tables."""
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("|"))
    return [
        len(NUMBER.findall(LINK.sub(r"\1", INLINE.sub("", paragraph))))
        for paragraph in paragraphs(prose)
    ]


def docstrings(path: Path) -> list[str]:
    """The docstrings of a module, and of its public functions, classes and fields."""
    tree = ast.parse(path.read_text())
    texts = []
    for node in ast.walk(tree):
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if isinstance(node, ast.Module) or (named and not node.name.startswith("_")):
            texts.append(ast.get_docstring(node) or "")
        if isinstance(node, ast.ClassDef):
            texts += [
                after.value.value
                for field, after in zip(node.body, node.body[1:], strict=False)
                if isinstance(field, ast.AnnAssign)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ]
    # An entry of "Args:" begins a paragraph.
    return [re.sub(r"^\s+(\S+): ", r"\n\1: ", text, flags=re.MULTILINE) for text in texts if text]


def pages() -> dict[str, str]:
    """The README, CONTRIBUTING.md and each page, by path."""
    paths = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}


def texts() -> dict[str, str]:
    """The pages, and the docstrings of each module, by path."""
    found = pages()
    for path in sorted((ROOT / "jaxclust").rglob("*.py")):
        found[path.relative_to(ROOT).as_posix()] = "\n\n".join(docstrings(path))
    return found


def main(arguments: list[str]) -> None:
    """Prints a line for each text with long sentences, and sums."""
    total: dict[str, int] = {}
    longest: list[tuple[int, str, str]] = []
    for name, text in texts().items():
        counts = measure(text)
        group = "docstrings" if name.endswith(".py") else name
        total[group] = total.get(group, 0) + len(counts.long)
        longest += [(len(one.split()), name, one) for one in counts.long]
        if not name.endswith(".py"):
            print(
                f"{name:40} {counts.words:6} words {counts.lines:5} lines {len(counts.long):4} long"
            )
    print(f"docstrings: {total.get('docstrings', 0)} long; all: {sum(total.values())} long")
    if "--show" in arguments:
        for words, name, one in sorted(longest, reverse=True):
            print(f"{words:4} {name}: {one}")


if __name__ == "__main__":
    main(sys.argv[1:])
