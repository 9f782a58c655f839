"""True classes of which some may not be known."""

import numpy as np

from jaxclust.errors import UsageError

NOT_KNOWN = -1
"""The label of an image whose class is not known."""


def numbered(labels: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Labels numbered from 0 in their sorted order; those that are not known stay -1.

    Args:
      labels: integers (n,).

    Returns:
      int32 (n,), or None where no label is known; and the distinct labels that are known, sorted.
    """
    known = labels != NOT_KNOWN
    present, numbers = np.unique(labels[known], return_inverse=True)
    if not len(present):
        return None, present
    renumbered = np.full(labels.shape, NOT_KNOWN, np.int32)
    renumbered[known] = numbers
    return renumbered, present


def of_any(labels: np.ndarray) -> tuple[np.ndarray | None, tuple[str, ...] | None]:
    """Labels of a file or a user as numbers from 0, and the classes' names where they have them.

    Args:
      labels: (n,), integers, truth values or words; -1 and "" say that a class is not known.

    Returns:
      int32 (n,), or None where no label is known; and the names of words by their number.

    Raises:
      UsageError: they are of another type.
    """
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "backslashreplace")
    if labels.dtype.kind == "U":
        present = sorted({str(word) for word in labels} - {""})
        number = {word: place for place, word in enumerate(present)} | {"": NOT_KNOWN}
        numbers = np.array([number[str(word)] for word in labels], np.int32)
        return (numbers, tuple(present)) if present else (None, None)
    if labels.dtype.kind == "b":
        labels = labels.astype(np.int32)
    if labels.dtype.kind not in "iu":
        whole = labels.dtype.kind == "f" and np.array_equal(labels, np.round(labels))
        hint = "; convert them by labels.astype(int)" if whole else ""
        raise UsageError(f"labels: must be integers or words, got dtype {labels.dtype}{hint}")
    return numbered(labels)[0], None
