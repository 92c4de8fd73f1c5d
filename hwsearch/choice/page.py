"""The interactive page of a choice: one file that needs nothing but a browser."""

from collections.abc import Sequence
from importlib.resources import files
from math import isfinite
from typing import Any

from hwsearch.choice.answers import MEAN, Answer
from hwsearch.choice.selectors import ORACLE
from hwsearch.correlation.analysis import Interval
from hwsearch.report.page import FRAME, assemble, asset


def choice_page(found: Sequence[Answer], title: str) -> str:
    """Returns the HTML of a page that shows all answers.

    Args:
        found: All answers.
        title: What was asked.
    """
    own = files("hwsearch.choice") / "assets"
    scripts = [*map(asset, FRAME), (own / "choices.js").read_text("utf-8")]
    return assemble((own / "choices.html").read_text("utf-8"), told(found, title), scripts)


def told(found: Sequence[Answer], title: str) -> dict[str, Any]:
    """Returns all that a page shows, as JSON holds it; what is no number is None."""
    return {
        "title": title,
        "mean": MEAN,
        "oracle": ORACLE,
        "tasks": [name for name in dict.fromkeys(one.task for one in found) if name != MEAN],
        "selectors": list(dict.fromkeys(one.selector for one in found)),
        "answers": [_row(one) for one in found],
    }


def _row(answer: Answer) -> dict[str, Any]:
    names = ("condition", "budget_ms", "task", "selector", "labels", "network", "within")
    figures = ("accuracy", "log_loss", "rho")
    row = {name: getattr(answer, name) for name in names}
    return row | {name: _ends(getattr(answer, name)) for name in figures}


def _ends(interval: Interval) -> list[float] | None:
    ends = [interval.value, interval.low, interval.high]
    return ends if all(map(isfinite, ends)) else None
