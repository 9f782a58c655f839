"""What is odd about pictures before anybody groups them: copies, dark, blurred, empty, unreadable.

The package ``cleanvision`` finds the oddities; what is counted as dark or blurred are its rules.
"""

import contextlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxclust.data import in_threads, pictures
from jaxclust.data.listing import NONE, listing
from jaxclust.data.pictures import Unreadable
from jaxclust.errors import UsageError
from jaxclust.runs.progress import Bars

COPIES = {"exact_duplicates": "exact copy", "near_duplicates": "near copy"}
ODDITIES = {
    "low_information": "hardly any content",
    "dark": "dark",
    "light": "bright",
    "blurry": "blurred",
    "odd_aspect_ratio": "very long or tall",
    "odd_size": "of an odd size",
}
"""cleanvision's names, and what people call them."""
UNREADABLE = "unreadable"


class Finding(NamedTuple):
    """Something odd about a picture.

    Attributes:
      file: its name, relative to the folder.
      issue: what it is, such as "dark" or "near copy".
      detail: of a copy the file that it is a copy of; of an unreadable file the reason; else "".
    """

    file: str
    issue: str
    detail: str = ""


def find_issues(folder: Path, bars: Bars) -> tuple[int, list[Finding]]:
    """What is odd about the pictures of a folder.

    Of pictures that are copies of each other, all but the first by name are listed.

    Args:
      folder: of pictures, or a table of paths.
      bars: shows progress.

    Returns:
      The number of pictures, and what was found: by issue, then by name.

    Raises:
      UsageError: cleanvision is not installed, or the pictures are in an archive.
    """
    listed = listing(folder, NONE)
    if listed.archive is not None:
        rule = "folder: must be a folder or a table of paths to be checked"
        raise UsageError(f"{rule}, got the archive {folder}")
    lab_of = _cleanvision()
    findings: list[Finding] = []
    readable: dict[str, str] = {}
    total = len(listed.files)

    def decode(place: int) -> None:
        pictures.decode(listed.content(place), (64, 64, 3))

    def show(done: int, total: int) -> None:
        bars.count("reading pictures", done, total)

    attempts = in_threads.each(decode, range(total), show)
    for name, attempt in zip(listed.files, attempts, strict=True):
        if isinstance(attempt, Unreadable):
            findings.append(Finding(name, UNREADABLE, str(attempt)))
            continue
        readable[os.path.abspath(listed.root / name)] = name
    bars.close()
    if readable:
        bars.stage("looking for oddities", note="cleanvision")
        findings += _found(lab_of, readable)
        bars.close()
    order = [*COPIES.values(), *ODDITIES.values(), UNREADABLE]
    findings.sort(key=lambda finding: (order.index(finding.issue), finding.file))
    return total, findings


def _cleanvision():
    try:
        from cleanvision import Imagelab
    except ImportError:
        rule = "check: needs the package cleanvision"
        raise UsageError(f"{rule}: pip install 'jaxclust[check]'") from None
    return Imagelab


def _found(lab_of, readable: dict[str, str]) -> list[Finding]:
    """What cleanvision finds in readable pictures, names by absolute path."""
    issues = {name: {} for name in (*COPIES, *ODDITIES)}
    logging.getLogger("cleanvision").setLevel(logging.ERROR)
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),  # It shows bars of its own.
    ):
        lab = lab_of(filepaths=list(readable))
        lab.find_issues(issues, n_jobs=1, verbose=False)
    findings = []
    for name, words in ODDITIES.items():
        table = lab.issues[lab.issues[f"is_{name}_issue"]]
        findings += [Finding(readable[path], words) for path in table.index]
    known: set[tuple[str, ...]] = set()
    for name, words in COPIES.items():
        for paths in lab.info[name]["sets"]:
            first, *others = sorted(readable[path] for path in paths)
            if (first, *others) not in known:  # Exact copies are near ones, too.
                findings += [Finding(other, words, first) for other in others]
            known.add((first, *others))
    return findings


def summary(total: int, findings: Sequence[Finding], examples: int = 3) -> str:
    """A line for each kind of issue: how many, and the first files."""
    if not findings:
        return f"{total:,} pictures, nothing odd"
    lines = [f"{total:,} pictures"]
    for issue in dict.fromkeys(finding.issue for finding in findings):
        files = [finding.file for finding in findings if finding.issue == issue]
        more = ", ..." if len(files) > examples else ""
        lines.append(f"{len(files):6,}  {issue}: {', '.join(files[:examples])}{more}")
    return "\n".join(lines)
