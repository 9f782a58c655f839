"""What `jaxclust group` says of the number of groups that it estimated."""

from jaxclust.evaluation.silhouettes import Number


def sentences(number: Number) -> tuple[str, ...]:
    """Sentences on an estimated number of groups."""
    largest = max(number.silhouettes)
    value = number.silhouettes[number.groups]
    random = number.unstructured[number.groups]
    measured = f"mean silhouette {value:.2f}, of random vectors {random:.2f}"
    lines = [
        f"The number of groups was estimated: {number.groups} fit best of 2 to {largest} "
        f"({measured})."
    ]
    if not number.supported:
        lines.append("No number of groups stands out: the pictures may have no clear groups.")
    elif number.at_end:
        lines.append("That is the largest number that was tried, there may be more groups.")
    return tuple(lines)
