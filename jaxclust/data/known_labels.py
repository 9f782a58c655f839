"""True classes of which some may not be known."""

import numpy as np

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
