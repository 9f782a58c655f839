"""Deep image clustering in JAX, for many seeds at once."""

__version__ = "0.1.0"
