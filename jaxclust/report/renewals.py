"""What a reader of curves should know of clusters that are made anew on the way."""

from collections.abc import Mapping

from jaxclust.types import Json


def sentence(config: Mapping[str, Json]) -> str:
    """Why curves of the clustering jump, in whole sentences; "" where nothing is made anew.

    Args:
      config: the method's settings, as files keep them.
    """
    sentences = []
    if config.get("graph_windows") is not None:
        windows = config["graph_windows"]
        every = (
            "After each window, except near the end,"
            if windows == 1
            else f"Every {windows} windows, except near the end,"
        )
        sentences.append(f"{every} a graph makes the clusters anew, with other numbers.")
    if config.get("reset_epochs") is not None:
        sentences.append(
            f"Every {config['reset_epochs']} epochs, or every quarter of the run if that is less, "
            "except near the end, weights are partly drawn anew, and the clusters with them."
        )
    return " ".join(sentences)
