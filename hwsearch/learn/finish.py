"""The end of a learning run: the network, its latency, what is wrong, and what comes next."""

import json
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from hwsearch.checkpoint import Checkpoint
from hwsearch.journal import Journal, write_atomic
from hwsearch.learn.alarms import alarms
from hwsearch.learn.choose import TOLERANCE, Choice, choose
from hwsearch.learn.confirm import FILE, KIND, confirm, elsewhere
from hwsearch.learn.figure import draw_gates, draw_network
from hwsearch.learn.gates import Gates
from hwsearch.learn.options import LearnOptions
from hwsearch.learn.penalty import expected_excess
from hwsearch.learn.target import LatencyTarget
from hwsearch.learn.trials import read_trials, tell_trials
from hwsearch.progress import say
from hwsearch.spaces import get_space
from hwsearch.train.loop import METRICS_NAME

LEARNED = "learned.json"


@dataclass(frozen=True)
class Outcome:
    """What the gates came to.

    Attributes:
        gates: At the end.
        warnings: What is wrong, in sentences.
    """

    gates: Gates
    warnings: tuple[str, ...]


def finish(options: LearnOptions, target: LatencyTarget) -> None:
    """Chooses the network, measures it if it can, writes `learned.json` and figures, and tells.

    Raises:
        HwsearchError: If measuring fails; the checkpoint is intact, and the same command goes on.
    """
    outcome = read_outcome(options.out, options.space, target)
    trials = read_trials(options.out, options.space) if options.finalists > 1 else []
    first = [trial.subnet for trial in sorted(trials, key=lambda trial: trial.loss)]
    choice = choose(outcome.gates, target.latency, target.target_ms, first=first)
    if options.confirm and not elsewhere(target.table):
        with Journal.open(options.out / FILE, KIND, target.recipe()) as journal:
            choice = confirm(outcome.gates, target, journal, options.confirm_minutes, first)
    told = _told(options, target, outcome, choice)
    write_atomic(options.out / LEARNED, json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    draw_gates(options.out / METRICS_NAME, outcome.gates.space, choice.subnet, options.out)
    draw_network(outcome.gates.space, choice.subnet, told["name"], options.out)
    if trials:
        tell_trials(trials)
    _tell(options, target, outcome, choice)


def read_outcome(folder: Path, space: str, target: LatencyTarget) -> Outcome:
    """Reads the gates of a run, finished or not."""
    state = Checkpoint.load(folder).header.progress["gates"]
    gates = Gates(get_space(space), np.array(state["alpha"]))
    rng = np.random.default_rng(0)
    excess = expected_excess(target.latency, target.target_ms, gates, rng).excess
    expected_ms = target.target_ms * (1 + excess)
    found = alarms(gates, expected_ms, target.target_ms, state["multiplier"])
    return Outcome(gates, tuple(found))


def _told(
    options: LearnOptions, target: LatencyTarget, outcome: Outcome, choice: Choice
) -> dict[str, Any]:
    predicted = target.latency.predict_subnet(choice.subnet)
    log_p = outcome.gates.log_probability(outcome.gates.space.encode(choice.subnet)[None])[0]
    return {
        "space": options.space,
        "subnet": choice.subnet.as_dict(),
        "name": _name(options, choice),
        "table": target.label,
        "target_ms": target.target_ms,
        "predicted_ms": float(predicted.mean_ms[0]),
        "predicted_low_ms": float(predicted.low_ms[0]),
        "predicted_high_ms": float(predicted.high_ms[0]),
        "measured_ms": choice.latency_ms if choice.measured else None,
        "within_tolerance": choice.fits,
        "probability": float(np.exp(log_p)),
        "warnings": list(outcome.warnings),
    }


def _name(options: LearnOptions, choice: Choice) -> str:
    return f"{options.space}[{choice.subnet}]"


def _tell(options: LearnOptions, target: LatencyTarget, outcome: Outcome, choice: Choice) -> None:
    say(f"learned {_name(options, choice)}")
    off = choice.latency_ms / target.target_ms - 1
    how = "measured" if choice.measured else "predicted, not measured"
    met = f"within {TOLERANCE:.0%} of" if choice.fits else f"NOT within {TOLERANCE:.0%} of"
    say(
        f"latency {choice.latency_ms:.4g} ms ({how}), {off:+.1%}: {met} "
        f"--latency-ms {target.target_ms:g} on {target.label}"
    )
    if not choice.measured and (differing := elsewhere(target.table)):
        say(f"the table is of another device ({', '.join(differing)}); deploy measures there")
    for warning in outcome.warnings:
        say(f"warning: {warning}")
    data, out = quote(options.data), options.out
    say(
        f"Train it alone: hwsearch train --data {data} --space {quote(_name(options, choice))} "
        f"--method {options.method} --out {quote(str(out) + '-alone')}"
    )
    say(
        f"Deploy it with the weights it shares: hwsearch deploy --checkpoint {quote(str(out))} "
        f"--subnet {quote(str(choice.subnet))} --table {quote(options.table)} --images {data} "
        f"--out {quote(str(out) + '-engine')}"
    )
