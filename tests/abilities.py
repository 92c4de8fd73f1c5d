"""What this machine cannot compute in: a runtime says so, and the test is skipped."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hwsearch.errors import HwsearchError


@contextmanager
def skipped_unless_computed(precision: str) -> Iterator[None]:
    """Skips a test whose runtime refuses the precision on this processor; other errors stay."""
    try:
        yield
    except HwsearchError as error:
        if not error.what.endswith(f"compute in {precision} here"):
            raise
        pytest.skip(error.what)
