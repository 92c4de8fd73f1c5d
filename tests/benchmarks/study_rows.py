"""Rows of study.py's journal: what each keeps of a run, and the results of all of them together.

A row keeps which images a network told right, a bit each, but of the log-loss only the mean: so
units may run anywhere and at any time, and all statistics are worked out from the rows alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwsearch.evaluate.verdict import ClassVerdict, to_text
from hwsearch.study.findings import find, told
from hwsearch.study.networks import Network
from hwsearch.study.options import StudyOptions
from hwsearch.study.run import title_of
from hwsearch.study.scores import MEASURES, Results
from hwsearch.study.statistics import FEWEST

KEPT = ("title", "seeds", "tasks", "pairs", "ceilings", "winners", "regrets", "depths", "sources")
"""What a row of findings has; the rest stands in other rows."""


def pack(verdict: ClassVerdict) -> dict[str, Any]:
    """Returns what a row keeps of one task."""
    means = {measure: float(verdict.score(measure)) for measure in MEASURES}
    return verdict.packed() | means  # the mean takes the place of each image's log-loss


def unpack(kept: Mapping[str, Any]) -> ClassVerdict:
    """Returns the verdict with every image's log-loss at the mean."""
    log_loss_N = np.full(kept["images"], kept["log_loss"], "<f4")
    return ClassVerdict.unpacked({**kept, "log_loss": to_text(log_loss_N)})


def results_of(rows: Sequence[Mapping[str, Any]], options: StudyOptions) -> Results | None:
    """Returns the results of the networks that have a row for every seed.

    While these are fewer than three quarters of those with a row for the first seed, the latter's
    for that seed; None before there are enough of them.
    """
    done = {(row["network"], row["seed"]): row["scores"] for row in rows if "scores" in row}
    every, first = options.seeds, options.seeds[:1]
    networks = {
        seeds: tuple(
            one
            for one in options.read_networks()
            if all((one.name, seed) in done for seed in seeds)
        )
        for seeds in (every, first)
    }
    seeds = every if 4 * len(networks[every]) >= 3 * len(networks[first]) else first
    if len(networks[seeds]) < FEWEST:
        return None
    return _results(networks[seeds], seeds, done)


def _results(
    networks: tuple[Network, ...], seeds: tuple[int, ...], done: Mapping[tuple[str, int], Any]
) -> Results:
    tasks = tuple(done[networks[0].name, seeds[0]])
    verdicts = {
        (network.name, seed, task): unpack(done[network.name, seed][task])
        for network in networks
        for seed in seeds
        for task in tasks
    }
    return Results(networks, seeds, tasks, verdicts)


def findings_of(results: Results, options: StudyOptions) -> dict[str, Any]:
    """Works out all statistics; who wins by how much is told of accuracy alone."""
    whole = told(find(results, {}, options), title_of(results, options))
    found = {key: whole[key] for key in KEPT}
    return found | {"winners": [one for one in found["winners"] if one["measure"] == "accuracy"]}
