"""The methods. Each paper has its own module, and ``registry`` lists them all by name."""

from jaxclust.methods.registry import get, method, names

__all__ = ["get", "method", "names"]
