r"""Text on its way to a terminal, which must not obey what a file's name or a label says.

A name from a folder, an archive or a table can hold escape codes that clear a screen, write into
its title or turn the direction of writing. They are shown as such as ``\x1b``.
"""

import contextlib
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any, TextIO

KEPT = "\n\t"
"""Control characters that stay."""
CONTROL = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode's categories of control, formatting (such as turned writing) and separators of lines."""


def plain(text: str) -> str:
    r"""Text without control characters, of which only line breaks and tabs stay.

    Bytes of a name that are no UTF-8 become such as ``\xff``.
    """
    return "".join(_plain(character) for character in text)


def _plain(character: str) -> str:
    if character in KEPT or unicodedata.category(character) not in CONTROL:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # How Python keeps a byte that is no UTF-8.
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


class _Output:
    """A text stream whose text is made plain; the rest is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        """Wraps a stream."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes the text and returns its length, as streams do."""
        self._stream.write(plain(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def plain_stdout() -> Iterator[None]:
    """What is printed inside is made plain."""
    with contextlib.redirect_stdout(_Output(sys.stdout)):  # type: ignore[type-var]
        yield
