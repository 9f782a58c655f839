"""Image sets: named ones, folders of pictures, files of arrays, streams, and features."""

from jaxclust.data.datasets import Dataset, load, names

__all__ = ["Dataset", "load", "names"]
