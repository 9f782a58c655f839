"""The methods: one paper, one module; ``registry`` lists them."""

from jaxclust.methods.registry import get, method, names

__all__ = ["get", "method", "names"]
