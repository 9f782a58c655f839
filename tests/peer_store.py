"""The key-value store of ``jax.distributed`` within one process."""

import time

import jax


class Store:
    """The key-value store of ``jax.distributed`` as far as ``peers`` uses it."""

    def __init__(self):
        self.entries = {}
        self.most = 0

    def key_value_set(self, key, value, allow_overwrite=False):
        assert allow_overwrite or key not in self.entries
        self.entries[key] = value

    def key_value_set_bytes(self, key, value):
        self.entries[key] = value
        self.most = max(self.most, sum(isinstance(one, bytes) for one in self.entries.values()))

    def key_value_try_get(self, key):
        if key not in self.entries:
            raise jax.errors.JaxRuntimeError("NOT_FOUND: no such key")
        return self.entries[key]

    def blocking_key_value_get(self, key, wait):
        until = time.monotonic() + wait / 1000
        while key not in self.entries:
            if time.monotonic() > until:
                raise jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED: too late")
            time.sleep(0.001)
        return self.entries[key]

    blocking_key_value_get_bytes = blocking_key_value_get

    def key_value_delete(self, key):
        del self.entries[key]
