"""Do networks that were picked for a budget meet it: not random ones, but those that look fast.

    python tests/benchmarks/picks.py --minutes 0.7

picks, for many latency budgets on every committed table of this machine, the network with the most
multiply-accumulates that is predicted to fit: once by its expected latency, and once by the upper
end of its 90 % interval, which one in twenty should exceed. That is the hardest choice to get
right: of all networks near a budget it takes those whose latency is most underestimated. Measures
all of them again in a new process and adds a row a table to results/picks.jsonl.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rows import add_row, open_results

from hwsearch.latency.fit import fit_latency
from hwsearch.latency.table import FOLDER, Table
from hwsearch.profiling.remeasure import Measured, remeasure_networks
from hwsearch.progress import say
from hwsearch.space import Subnet
from hwsearch.spaces import get_space

RULES = ("expected", "upper end")


def picked(table: Table, budgets: int) -> dict[str, list[tuple[float, Subnet]]]:
    """Returns budgets in ms and the network picked for each, by rule."""
    space = get_space(table.space)
    codes = space.pool(np.random.default_rng(7))
    found, macs = fit_latency(table, space).predict(codes), space.macs(codes)
    limits = np.geomspace(*np.quantile(found.mean_ms, (0.02, 0.98)), budgets)
    picks = {}
    for rule, ms in zip(RULES, (found.mean_ms, found.high_ms), strict=True):
        best = [int(np.argmax(np.where(ms <= limit, macs, -1))) for limit in limits]
        pairs = zip(limits, best, strict=True)
        picks[rule] = [(float(limit), space.decode(codes[index])) for limit, index in pairs]
    return picks


def judged(pairs: list[tuple[float, Subnet]], found: dict[Subnet, Measured]) -> dict[str, Any]:
    """Compares measured latencies with budgets."""
    over = np.array([found[subnet].latency_ms / limit for limit, subnet in pairs])
    noise = np.array([found[subnet].stderr_rel for _, subnet in pairs])
    late = over[over > 1]
    return {
        "budgets": len(pairs),
        "networks": len({subnet for _, subnet in pairs}),
        "met": round(float((over <= 1).mean()), 4),
        "met_within_noise": round(float((over <= 1 + 2 * noise).mean()), 4),
        "used": round(float(np.median(over)), 4),
        "median_overshoot": round(float(np.median(late) - 1), 4) if len(late) else 0.0,
        "worst_overshoot": round(float(max(over.max() - 1, 0)), 4),
    }


def main() -> None:
    """Judges each table of this machine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, default=Path(FOLDER), help="folder of tables")
    parser.add_argument("--only", default="", help="part of the names of tables")
    parser.add_argument("--budgets", type=int, default=25)
    parser.add_argument("--minutes", type=float, default=0.7, help="of measuring, a table")
    arguments = parser.parse_args()
    with open_results("picks") as journal:
        for path in sorted(arguments.tables.glob("*/*.jsonl")):
            if arguments.only not in path.name:
                continue
            table = Table.read(path)
            picks = picked(table, arguments.budgets)
            subnets = list(dict.fromkeys(s for pairs in picks.values() for _, s in pairs))
            found = remeasure_networks(subnets, table, budget_seconds=60 * arguments.minutes)
            rules = {rule: judged(pairs, found) for rule, pairs in picks.items()}
            flagged = sum(bool(one.flags) for one in found.values())
            add_row(journal, {"table": table.name, "flagged": flagged, "rules": rules})
            for rule, figures in rules.items():
                say(f"{table.name}, {rule}: {figures}")


if __name__ == "__main__":
    main()
