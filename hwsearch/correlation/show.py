"""Findings as a printed table and as CSV."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from hwsearch.correlation.analysis import MEAN, Finding, Interval
from hwsearch.evaluate.verdict import LOWER_IS_BETTER
from hwsearch.progress import console, say
from hwsearch.search.front import write_rows

CSV = "correlation.csv"
BLUNT = 0.5
"""Ceiling below which labelled images hardly order the networks of a bin themselves."""

_INTERVALS = ("rho", "ceiling", "partial", "regret", "ahead")


def write_findings(findings: Sequence[Finding], folder: Path) -> Path:
    """Writes all findings, for every bin and measure, as CSV."""
    return write_rows([finding_row(finding) for finding in findings], folder / CSV)


def finding_row(finding: Finding) -> dict[str, object]:
    """Returns a finding as one row of a table; what is no number is empty."""
    row: dict[str, object] = {
        "measure": finding.measure,
        "where": finding.where,
        "distance": finding.distance,
    }
    for name in _INTERVALS:
        interval: Interval = getattr(finding, name)
        row |= {
            name: _number(interval.value),
            f"{name}_low": _number(interval.low),
            f"{name}_high": _number(interval.high),
        }
    return row | {"of_ceiling": _number(finding.of_ceiling), "p_holm": _number(finding.p_holm)}


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"


def show_findings(findings: Sequence[Finding], title: str) -> None:
    """Prints the noise ceiling of every bin, then one table of the means over bins."""
    measures = list(dict.fromkeys(finding.measure for finding in findings))
    for measure in measures:
        _show_ceiling([one for one in findings if one.measure == measure])
    means = [finding for finding in findings if finding.where == MEAN]
    told = [one for one in means if one.measure == measures[0]]
    others = {(one.distance, one.measure): one for one in means}
    table = Table(
        title=title,
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption=f"ρ: Spearman in a bin with {_dashed(measures[0])}, mean of bins, and its share of "
        "the ceiling; partial: given parameters, MACs and depth; first less this: difference of "
        "the two ρ, p by Holm; regret: how far the preferred network is below the one that labels "
        "of half the images choose, on the other half; "
        "95 % intervals over images and networks",
    )
    others_words = [f"ρ {_dashed(measure)}" for measure in measures[1:]]
    headings = ("ρ", "share", "partial ρ", "first less this", "p", *others_words, "regret, points")
    table.add_column("ranking")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for one in told:
        rest = [_short(others[one.distance, measure].rho.value) for measure in measures[1:]]
        regret = _regret(others[one.distance, points_of(measures)])
        table.add_row(one.distance, *_cells(one), *rest, regret)
    console.print(table)


def points_of(measures: Sequence[str]) -> str:
    """Returns the measure that is counted in points: the last one, a share."""
    return next(measure for measure in reversed(measures) if measure not in LOWER_IS_BETTER)


def _show_ceiling(findings: Sequence[Finding]) -> None:
    said = {one.where: one.ceiling for one in findings}
    each = "; ".join(f"{where}: {_words(ceiling)}" for where, ceiling in said.items())
    name = _dashed(findings[0].measure)
    say(f"Noise ceiling of ρ with {name} (halves of the images, √ of Spearman–Brown): {each}")
    if not said[MEAN].value >= BLUNT:
        say(
            f"By {name} these images hardly tell networks of equal latency apart, whatever ranks "
            "them: judge on more of them, or see the other measures"
        )


def _cells(finding: Finding) -> tuple[str, ...]:
    return (
        _words(finding.rho),
        _short(finding.of_ceiling).removeprefix("+"),
        _words(finding.partial),
        _words(finding.ahead),
        "" if np.isnan(finding.p_holm) else f"{finding.p_holm:.3f}",
    )


def _words(interval: Interval) -> str:
    if np.isnan(interval.value):
        return ""
    return f"{_short(interval.value)} ({_short(interval.low)} {_short(interval.high)})"


def _short(value: float) -> str:
    """Writes a correlation in two digits, without the nought before the point."""
    return "" if np.isnan(value) else f"{value:+.2f}".replace("0.", ".", 1)


def _regret(finding: Finding) -> str:
    regret = finding.regret
    return f"{100 * regret.value:.1f} ({100 * regret.low:.1f} {100 * regret.high:.1f})"


def _dashed(measure: str) -> str:
    return measure.replace("_", "-")
