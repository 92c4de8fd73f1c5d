"""Everything that a study tells, as rows of CSV files and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any

from hwsearch.correlation.analysis import Interval
from hwsearch.journal import write_atomic
from hwsearch.report.page import script_json
from hwsearch.search.front import write_rows
from hwsearch.study.depths import DepthEffect, depth_effects
from hwsearch.study.latencies import Latency
from hwsearch.study.options import StudyOptions
from hwsearch.study.regrets import Regret, find_regrets
from hwsearch.study.scores import MEASURES, Results, sign
from hwsearch.study.sources import SourceEffect, source_effects
from hwsearch.study.statistics import FEWEST, Ceiling, Draws, Pair, correlate_tasks
from hwsearch.study.winners import Winner, find_winners

JSON = "study.json"


@dataclass(frozen=True, eq=False)
class Findings:
    """What a study found out.

    Attributes:
        results: What all else is from.
        latencies: Of each network that a table knows, by name of the network and of the table.
        ceilings: Of each task.
        pairs: How alike tasks are.
        winners: Of each task.
        regrets: Of each way to choose.
        depths: Effects of late against early depth.
        sources: How well the source task tells the others within each family.
    """

    results: Results
    latencies: Mapping[tuple[str, str], Latency]
    ceilings: tuple[Ceiling, ...]
    pairs: tuple[Pair, ...]
    winners: tuple[Winner, ...]
    regrets: tuple[Regret, ...]
    depths: tuple[DepthEffect, ...]
    sources: tuple[SourceEffect, ...]

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the latency tables."""
        return tuple(dict.fromkeys(table for _, table in self.latencies))


def find(
    results: Results, latencies: Mapping[tuple[str, str], Latency], options: StudyOptions
) -> Findings:
    """Works out all statistics; of fewer than `FEWEST` networks there are none."""
    ceilings: list[Ceiling] = []
    pairs: list[Pair] = []
    winners: list[Winner] = []
    regrets: list[Regret] = []
    depths: list[DepthEffect] = []
    sources: list[SourceEffect] = []
    count, seed = options.draws, options.seed
    enough = len(results.networks) >= FEWEST
    for measure in MEASURES if enough else ():
        draws = Draws.make(len(results.networks), len(results.seeds), count, seed)
        found = correlate_tasks(measure, results.tasks, results.scores[measure], draws)
        ceilings += found[0]
        pairs += found[1]
        winners += find_winners(results, measure, bins=options.bins, draws=count, seed=seed)
        regrets += find_regrets(results, measure, draws=count, seed=seed)
        depths += depth_effects(results, measure, draws=count, seed=seed)
        sources += source_effects(results, measure, options.source_task, draws=count, seed=seed)
    every = (tuple(one) for one in (ceilings, pairs, winners, regrets, depths, sources))
    return Findings(results, latencies, *every)  # pyright: ignore[reportArgumentType]


def accuracy_rows(findings: Findings) -> list[dict[str, object]]:
    """Returns a row a network: what it is, what it takes, and its mean over seeds on each task."""
    results, rows = findings.results, []
    for at, network in enumerate(results.networks):
        row: dict[str, object] = {
            "network": network.name,
            "label": network.label,
            "family": network.family,
            "params": network.params,
            "macs": network.macs,
        }
        for table in findings.tables:
            latency = findings.latencies.get((network.name, table))
            row |= {f"{table} ms": "" if latency is None else f"{latency.ms:.6g}"}
            row |= {f"{table} from": "" if latency is None else latency.how}
        for measure in MEASURES:
            means_T = sign(measure) * results.scores[measure][at].mean(axis=0)
            suffix = "" if measure == MEASURES[0] else f" {measure}"
            row |= {f"{t}{suffix}": f"{x:.6g}" for t, x in zip(results.tasks, means_T, strict=True)}
        rows.append(row)
    return rows


def run_rows(results: Results) -> list[dict[str, object]]:
    """Returns a row for each network, seed and task."""
    rows: list[dict[str, object]] = []
    for s, network in enumerate(results.networks):
        for k, seed in enumerate(results.seeds):
            for t, task in enumerate(results.tasks):
                told = {m: f"{sign(m) * results.scores[m][s, k, t]:.6g}" for m in MEASURES}
                rows.append({"network": network.name, "seed": seed, "task": task, **told})
    return rows


def row_of(finding: object) -> dict[str, object]:
    """Returns a finding as one row; intervals become three columns, what is no number is empty."""
    row: dict[str, object] = {}
    for field in fields(finding):  # pyright: ignore[reportArgumentType]
        value = getattr(finding, field.name)
        if isinstance(value, Interval):
            names = (field.name, f"{field.name}_low", f"{field.name}_high")
            ends = (value.value, value.low, value.high)
            row |= {name: _number(end) for name, end in zip(names, ends, strict=True)}
        else:
            row[field.name] = _number(value) if isinstance(value, float) else value
    return row | ({"counts": finding.counts} if isinstance(finding, Winner) else {})


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if isfinite(value) else None


def write_findings(findings: Findings, title: str, folder: Path) -> list[Path]:
    """Writes accuracy.csv and what else there is to tell as CSV, and all of it as study.json.

    What there is no longer anything to tell of is removed.
    """
    kinds: dict[str, Sequence[dict[str, object]]] = {
        "accuracy": accuracy_rows(findings),
        "runs": run_rows(findings.results),
        "correlations": [row_of(one) for one in findings.pairs],
        "ceilings": [row_of(one) for one in findings.ceilings],
        "winners": [row_of(one) for one in findings.winners],
        "regrets": [row_of(one) for one in findings.regrets],
        "depths": [row_of(one) for one in findings.depths],
        "sources": [row_of(one) for one in findings.sources],
    }
    files = []
    for name, rows in kinds.items():
        path = folder / f"{name}.csv"
        if rows:
            files.append(write_rows(rows, path))
        else:
            path.unlink(missing_ok=True)
    write_atomic(folder / JSON, script_json(told(findings, title)) + "\n")
    return [*files, folder / JSON]


def told(findings: Findings, title: str) -> dict[str, Any]:
    """Returns everything as JSON, which the page draws."""
    results = findings.results
    networks = [
        {
            "name": network.name,
            "family": network.family,
            "label": network.label,
            "params": network.params,
            "macs": network.macs,
            "latency": {
                table: {"ms": float(f"{latency.ms:.6g}"), "from": latency.how}
                for (name, table), latency in findings.latencies.items()
                if name == network.name
            },
        }
        for network in results.networks
    ]
    means = {m: sign(m) * results.scores[m].mean(axis=1) for m in MEASURES}
    return {
        "title": title,
        "tasks": list(results.tasks),
        "seeds": list(results.seeds),
        "measures": list(MEASURES),
        "tables": list(findings.tables),
        "networks": networks,
        "scores": {m: [[_number(x) for x in row] for row in means[m]] for m in MEASURES},
        "pairs": [row_of(one) for one in findings.pairs],
        "ceilings": [row_of(one) for one in findings.ceilings],
        "winners": [row_of(one) for one in findings.winners],
        "regrets": [row_of(one) for one in findings.regrets],
        "depths": [row_of(one) for one in findings.depths],
        "sources": [row_of(one) for one in findings.sources],
        "failed": [{"unit": str(unit), "cause": cause} for unit, cause in results.failed],
    }
