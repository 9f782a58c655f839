"""Numbers as people type them on the command line."""

from jaxclust.errors import UsageError
from jaxclust.runs.plan import MOST_SEEDS, seeds_of


def seeds(text: str) -> tuple[int, ...]:
    """Seeds as people type them: "5" is 0 to 4, "0,3,7" those three, "3," that one.

    Raises:
      UsageError: the text is none of them, or a number is there twice.
    """
    rule = "seeds: must be a count from 1 or a list such as 0,3,7 of distinct numbers from 0"
    parts = [part.strip() for part in text.removesuffix(",").split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"{rule}, got {text!r}")
    numbers = [int(part) for part in parts]
    listed = "," in text
    if not listed and not 1 <= numbers[0] <= MOST_SEEDS:
        more = f"; a count is at most {MOST_SEEDS}, and {text}, with a comma is that one seed"
        raise UsageError(f"{rule}, got {text!r}{more}")
    if len(set(numbers)) < len(numbers) or max(numbers) >= 2**31:
        raise UsageError(f"{rule}, got {text!r}")
    return seeds_of(numbers if listed else numbers[0])


def size(text: str | None) -> tuple[int, int] | None:
    """Height and width as people type them: "64" is 64 by 64, "48,42" is 48 high and 42 wide.

    Raises:
      UsageError: the text is neither.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len(parts) > 2:
        raise UsageError(f"size: must be one number, or height,width such as 48,42, got {text!r}")
    return int(parts[0]), int(parts[-1])
