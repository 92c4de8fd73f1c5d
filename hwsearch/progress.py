"""What a person sees while something runs: one console and one progress bar."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from hwsearch.plain import PlainLines

PLAIN_WIDTH = 120
"""Columns of a table when the output is a file or a pipe."""

console = Console(
    highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PLAIN_WIDTH
)


def say(text: str) -> None:
    """Prints a line as it stands, whatever brackets it has."""
    console.print(text, markup=False)


Advance = Callable[..., None]
"""Called as `advance(steps=1, note="")`."""


@contextmanager
def track(
    description: str, total: int, *, start: int = 0, quiet: bool = False
) -> Iterator[Advance]:
    """Shows how far a long job is: a bar on a terminal, plain lines otherwise.

    Args:
        description: What is being done, such as "train".
        total: Number of steps of the whole job.
        start: Steps done by an earlier run that is now resumed.
        quiet: Show nothing: another process does the same and tells.

    Yields:
        `advance(steps=1, note="")`, to be called after each piece of work; the note
        (a loss, a count) stands beside the bar.
    """
    if quiet:
        yield lambda steps=1, note="": None
        return
    if not console.is_terminal:
        yield PlainLines(description, total, say, done=start).advance
        return
    with _bar() as bar:
        task = bar.add_task(description, total=total, completed=start, note="")
        yield lambda steps=1, note="": bar.update(task, advance=steps, note=note)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
    )
