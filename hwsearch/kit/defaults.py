"""What a machine decides about its own measuring unless the user does."""

from hwsearch.device import free_memory, usable_cores

MOST_THREADS = 4
"""At most so many threads unless asked: small networks gain little from more."""


def default_threads() -> int:
    """Returns the CPU threads of a call: all cores, at most `MOST_THREADS`."""
    return min(usable_cores(), MOST_THREADS)


def default_memory_bytes() -> int:
    """Returns a quarter of the free memory, at least 1 GiB, for loaded engines."""
    return max(1 << 30, (free_memory() or 0) // 4)
