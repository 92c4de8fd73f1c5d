"""Where one delivery does its work: a folder beside the one it will write, which it alone uses."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.progress import say

_LOCK = "deploy.lock"
_KIND = "deploy"


@contextmanager
def workplace(out: Path) -> Iterator[Path]:
    """Yields a folder for what becomes an engine's folder; what is left there is then removed.

    Args:
        out: The engine's folder.

    Raises:
        Busy: If another run delivers to the same folder.
        HwsearchError: If that folder exists, another is in the way, or the disk is full.
    """
    partial = out.with_name(out.name + ".partial")
    left = partial.exists()
    if left and not (partial / _LOCK).exists():
        raise HwsearchError(
            "the work would be done here, but this is not of a delivery",
            where=partial,
            fix="Name another --out, or move it elsewhere",
        )
    try:
        with Journal.open(partial / _LOCK, _KIND, {}):
            try:
                check_free(out)
                if left:
                    say(f"{partial} is of a run that did not end; everything begins anew")
                yield partial / "engine"
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except (OSError, SafetensorError) as cause:
        raise HwsearchError(
            f"cannot write the engine: {getattr(cause, 'strerror', None) or cause}",
            where=partial,
            fix="Free some space or use another --out",
        ) from cause


def check_free(out: Path) -> None:
    """Refuses to write over a folder.

    Raises:
        HwsearchError: If it exists.
    """
    if out.exists():
        raise HwsearchError(
            "the output folder exists", where=out, fix="Name another --out, or remove it"
        )
