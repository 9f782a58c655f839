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
        epochs = config["reset_epochs"]
        every = (
            "After each epoch, except near the end,"
            if epochs == 1
            else f"Every {epochs} epochs, except near the end,"
        )
        sentences.append(f"{every} weights are partly drawn anew, and the clusters with them.")
    return " ".join(sentences)
