"""What mkdocs asks while it builds the site: pages made of other files, links, and tables of code.

These things stand in no page of ``docs/``:

- Files beside ``docs/`` that pages link to: the examples, CONTRIBUTING.md and CHANGELOG.md become
  pages, and the notebooks and the figures of the experiments are copied.
- A line ``<!-- settings: dcec -->`` becomes the table of a method's settings, from its ``Config``.
- A line ``<!-- state: jaxclust.methods.dcec.State -->`` becomes the table of a state's fields, from
  the docstring of the NamedTuple.
- A line ``<!-- results: comparison -->`` becomes that block of docs/results.md.
- The site's copy of report.html gets a link back to the page that explains it.
"""

import posixpath
import re
import sys
from pathlib import Path

# The types are checked where the tools of the site are not installed, too.
from mkdocs.structure.files import (  # pyright: ignore[reportMissingImports]
    File,
    Files,
)

ROOT = Path(__file__).parents[1]
# mkdocs loads this file alone, and the tables need the package beside it.
sys.path.insert(0, str(ROOT))

from website.tables import with_tables  # noqa: E402

LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?\)")
PAGES = {
    "CONTRIBUTING.md": "developer/contributing.md",
    "CHANGELOG.md": "start/changelog.md",
    "README.md": "index.md",
}
"""Files of the repository that are pages of the site, and where."""


def place(path: str) -> str:
    """Where a file beside ``docs/`` stands on the site, as the path of its source."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith("examples/") and path.endswith(".py"):
        return path.removesuffix(".py") + ".md"
    return path


def with_links(text: str, page: str, source: str) -> str:
    """The text with its links to files beside ``docs/`` turned to their places on the site.

    Args:
      text: Markdown.
      page: the path of the page's source, from ``docs/``.
      source: the path of the file that holds the text, from the root of the repository.
    """

    def turned(match: re.Match[str]) -> str:
        target, anchor = match[2], match[3] or ""
        if ":" in target:
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if path.startswith("docs/") and source.startswith("docs/"):
            return match[0]
        to = posixpath.relpath(place(path), posixpath.dirname(page) or ".")
        return f"{match[1]}{to}{anchor})"

    return LINK.sub(turned, text)


def with_way_back(html: str) -> str:
    """The report's page with a link at its top to the page of the site that explains it.

    Raises:
      ValueError: the page has no place for it.
    """
    place = "<header>"
    if place not in html:
        raise ValueError(f"report.html: must have {place}")
    link = '<p><a href="guide/report.html">jaxclust: how to read this report</a></p>'
    return html.replace(place, place + link, 1)


def on_post_build(config) -> None:
    """Puts the link back into the site's copy of the report."""
    report = Path(config["site_dir"]) / "report.html"
    report.write_text(with_way_back(report.read_text()))


def on_files(files: Files, config) -> Files:
    """Adds pages of examples, CONTRIBUTING.md and CHANGELOG.md, notebooks and figures."""
    for path in sorted((ROOT / "examples").glob("[a-z]*.py")):
        name = path.relative_to(ROOT).as_posix()
        text = f"# {name}\n\n```python\n{path.read_text()}```\n"
        files.append(File.generated(config, place(name), content=text))
    for name in ("CONTRIBUTING.md", "CHANGELOG.md"):
        text = with_links((ROOT / name).read_text(), PAGES[name], name)
        files.append(File.generated(config, PAGES[name], content=text))
    notebooks = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
    for path in [*notebooks, *sorted((ROOT / "experiments" / "figures").rglob("*.png"))]:
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page, config, files) -> str:
    """Turns links and puts tables of code in their places."""
    if page.file.generated_by is None:
        markdown = with_links(markdown, page.file.src_uri, f"docs/{page.file.src_uri}")
    return with_tables(markdown)
