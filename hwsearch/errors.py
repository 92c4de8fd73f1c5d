"""The one error a user sees: what is wrong, where, and how to fix it."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

MOST_LISTED = 16
"""Names of a kind that are all told where some are near."""


class HwsearchError(Exception):
    """A user's mistake or a broken input, told in one line.

    The command line prints it without a traceback and exits with status 2.

    Args:
        what: What is wrong, a sentence without the final full stop.
        where: The file, folder or row it was found in.
        fix: What to do about it, in the words of the command line.
    """

    def __init__(self, what: str, *, where: str | Path | None = None, fix: str = "") -> None:
        super().__init__(what)  # and no more: processes hand errors on by their arguments
        self.what, self.where, self.fix = what, where, fix

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where is not None else ""
        return f"{self.what}{place}." + (f" {self.fix.rstrip('.')}." if self.fix else "")


def system_error(cause: OSError) -> HwsearchError:
    """Builds the error for what the system refuses, such as a path that may not be looked at.

    Args:
        cause: What it said.
    """
    return HwsearchError(f"cannot go on: {cause.strerror or repr(cause)}", where=cause.filename)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> HwsearchError:
    """Builds the error for a name that is not registered, nearest names first, then all if few.

    Args:
        kind: What the name should have been, such as "space".
        name: What the user wrote.
        known: Every registered name.
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    guess = f"Did you mean {' or '.join(near)}? " if near else ""
    listed = f"Known: {', '.join(names)}"
    if near and len(names) > MOST_LISTED:
        listed = f"{len(names)} are known"
    return HwsearchError(f"unknown {kind} '{name}'", fix=f"{guess}{listed}")
