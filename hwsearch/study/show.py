"""The findings of a study on the terminal."""

from collections.abc import Iterator, Sequence
from math import isnan
from typing import TypeVar

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table
from scipy.stats import rankdata

from hwsearch.correlation.analysis import Interval
from hwsearch.progress import console, say
from hwsearch.study.depths import DepthEffect
from hwsearch.study.findings import Findings
from hwsearch.study.regrets import CHANCE, LARGEST, MEAN_RANK
from hwsearch.study.scores import MEASURES
from hwsearch.study.sources import SourceEffect
from hwsearch.study.statistics import FEWEST
from hwsearch.study.winners import EVERYWHERE

E = TypeVar("E", DepthEffect, SourceEffect)

SHOWN = 20
"""Networks in the table; all are in accuracy.csv."""


def show_findings(findings: Findings, title: str, source_task: str) -> None:
    """Prints networks, correlations of tasks, winners and regrets, by accuracy."""
    results = findings.results
    if not results.networks:
        say("no network has a verdict for every seed and task")
        return
    console.print(_networks(findings, title))
    if len(results.networks) < FEWEST:
        say(f"Fewer than {FEWEST} networks say nothing of ranks.")
        return
    if len(results.tasks) > 1:
        console.print(_correlations(findings))
    console.print(_tasks(findings, source_task))
    for line in conclusions(findings):
        say(line)


def _networks(findings: Findings, title: str) -> Table:
    results = findings.results
    means_ST = 100 * results.scores[MEASURES[0]].mean(axis=1)
    ranks_S = rankdata(-means_ST, axis=0).mean(axis=1)
    order = np.argsort(ranks_S, kind="stable")[:SHOWN]
    table = Table(
        title=title,
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption=f"accuracy in %, mean of {results.told_seeds}; label: family and "
        "multiply-accumulates; sorted by mean rank; "
        f"{len(order)} of {len(ranks_S)} networks",
    )
    table.add_column("network", no_wrap=True)
    for heading in ("rank", *results.tasks):
        table.add_column(heading, justify="right", overflow="fold")
    for place in order:
        cells = [f"{x:.1f}" for x in means_ST[place]]
        table.add_row(results.networks[place].label, f"{ranks_S[place]:.1f}", *cells)
    return table


def _correlations(findings: Findings) -> Table:
    tasks = findings.results.tasks
    pairs = {(one.task, one.other): one for one in findings.pairs if one.measure == MEASURES[0]}
    retest = {one.task: one.retest for one in findings.ceilings if one.measure == MEASURES[0]}
    table = Table(
        title="Spearman's ρ between tasks",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption="below the diagonal as found, on it between seeds (the noise ceiling), above it "
        "without noise; intervals are in correlations.csv",
    )
    table.add_column("task", no_wrap=True)
    for task in tasks:
        table.add_column(task, justify="right", overflow="fold")
    for row, task in enumerate(tasks):
        cells = [_short(retest[task])] * len(tasks)
        for column, other in enumerate(tasks):
            if column < row:
                cells[column] = _short(pairs[other, task].spearman)
            elif column > row:
                cells[column] = _short(pairs[task, other].disattenuated)
        table.add_row(task, *cells)
    return table


def _tasks(findings: Findings, source_task: str) -> Table:
    """Builds the table of winners, and of what is lost by other choices."""
    choosers = [name for name in (source_task, MEAN_RANK, LARGEST, CHANCE) if name]
    table = Table(
        title="winners, and points of accuracy lost by other choices",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption="a winner counts if the 95 % interval of its lead (images and seeds, paired) "
        "excludes the runner-up; lost beside what the task's labels choose by half of its images "
        "and other seeds, with intervals in regrets.csv",
    )
    table.add_column("task", no_wrap=True)
    table.add_column("winner", no_wrap=True)
    table.add_column("lead, points", justify="right", no_wrap=True)
    for heading in ("counts", *(f"by {name}" for name in choosers)):
        table.add_column(heading, justify="right")
    regrets = {
        (one.chooser, one.task): one.regret
        for one in findings.regrets
        if one.measure == MEASURES[0]
    }
    for one in findings.winners:
        if one.measure == MEASURES[0] and one.where == EVERYWHERE:
            lost = [
                f"{100 * regrets[name, one.task].value:.1f}" if (name, one.task) in regrets else ""
                for name in choosers
            ]
            counts = "yes" if one.counts else "no"
            table.add_row(one.task, one.winner, _points(one.ahead), counts, *lost)
    return table


def conclusions(findings: Findings) -> list[str]:
    """Says in words what the figures come to."""
    pairs = [one for one in findings.pairs if one.measure == MEASURES[0]]
    winners = [
        one for one in findings.winners if (one.measure, one.where) == (MEASURES[0], EVERYWHERE)
    ]
    lines = []
    if pairs:
        raw = [one.spearman.value for one in pairs]
        lines.append(f"ρ between tasks: {_spread(raw)}.")
    pure = [one.disattenuated.value for one in pairs if not isnan(one.disattenuated.value)]
    if pure:
        own = [one.retest.value for one in findings.ceilings if one.measure == MEASURES[0]]
        lines[-1] += f" Of two seeds of a task: {_spread(own)}. Without noise: {_spread(pure)}, "
        below = sum(one.disattenuated.high < 1 for one in pairs)
        lines[-1] += f"surely below 1 for {below} of {len(pairs)}."
    if len(findings.results.seeds) < 2:
        lines.append("One seed: how much of it is noise is not known. Add --seeds 0 1.")
    distinct = len({one.winner for one in winners})
    counting = sum(one.counts for one in winners)
    who = "one network wins" if distinct == 1 else f"{distinct} different networks win"
    lines.append(f"On {len(winners)} tasks {who}; {counting} of the leads are beyond the noise.")
    return lines + _source_lines(findings) + _depth_lines(findings)


def _source_lines(findings: Findings) -> list[str]:
    """Says for each family how alike the source task and the others order its networks."""
    return [
        f"{family}: {own[0].source} orders its {own[0].networks} networks as other tasks do by ρ "
        f"{_spread([one.rho.value for one in own])}; above 0 beyond the noise on "
        f"{sum(one.rho.low > 0 for one in own)} of {len(own)}."
        for family, own in _by_family(findings.sources)
    ]


def _depth_lines(findings: Findings) -> list[str]:
    """Says for each family on how many tasks late depth is better or worse at equal MACs."""
    lines = []
    for family, effects in _by_family(findings.depths):
        own = [one.rho for one in effects]
        better, worse = sum(rho.low > 0 for rho in own), sum(rho.high < 0 for rho in own)
        lines.append(
            f"{family}: late depth at equal multiply-accumulates is better on {better} and worse "
            f"on {worse} of {len(own)} tasks (mean partial ρ {_mean([r.value for r in own])})."
        )
    return lines


def _by_family(effects: Sequence[E]) -> Iterator[tuple[str, list[E]]]:
    """Yields each family with its effects by accuracy."""
    found = [one for one in effects if one.measure == MEASURES[0]]
    for family in dict.fromkeys(one.family for one in found):
        yield family, [one for one in found if one.family == family]


def _mean(values: Sequence[float]) -> str:
    known = [value for value in values if not isnan(value)]
    return f"{np.mean(known):.2f}" if known else "none"


def _spread(values: Sequence[float]) -> str:
    known = [value for value in values if not isnan(value)]
    if not known:
        return "none, as networks score alike"
    return f"median {np.median(known):.2f} ({min(known):.2f} to {max(known):.2f})"


def _short(interval: Interval) -> str:
    return "" if isnan(interval.value) else f"{interval.value:.2f}"


def _points(interval: Interval) -> str:
    if isnan(interval.value):
        return ""
    value = f"{100 * interval.value:.1f}"
    if isnan(interval.low):
        return value
    return f"{value} ({100 * interval.low:.1f} {100 * interval.high:.1f})"
