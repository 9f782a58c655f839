"""Text in CSV files that spreadsheets show as it is.

A spreadsheet runs a cell as a formula that begins with "=", "+", "-", "@", a tab or the end of a
line. Such text is written with an apostrophe before it, as OWASP advises ("CSV Injection"). So
is text in which apostrophes stand before one of these, so that each text is read back as it was.
Numbers are written as they are.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence

_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # The last are full-width.
_ESCAPED = re.compile(f"'{_FORMULA.pattern}")
_NUMBER = re.compile(r"-(0|[1-9]\d*)(\.\d+)?(e[+-]\d+)?|-inf")


def to_cell(value: object) -> object:
    """A value as a cell has it: text that would be a formula gets an apostrophe.

    Args:
      value: text, also a number that has been formatted; or a number, which stays as it is.
    """
    if not isinstance(value, str) or _NUMBER.fullmatch(value) or not _FORMULA.match(value):
        return value
    return f"'{value}"


def from_cell(cell: str) -> str:
    """The text that ``to_cell`` wrote."""
    return cell[1:] if _ESCAPED.match(cell) else cell


def to_rows(rows: Iterable[Sequence[object]]) -> Iterable[list[object]]:
    """Rows with ``to_cell`` of each value."""
    return ([to_cell(value) for value in row] for row in rows)


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as the text of a CSV file, with lines that end in "\\n"."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(to_rows(rows))
    return text.getvalue()
