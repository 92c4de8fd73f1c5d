"""Are cells that were learned without labels better than random ones of their size?

    python tests/benchmarks/learn_cells.py --data DIR --pretrain cifar10 --side 16 --keep FOLDER
    python tests/benchmarks/learn_cells.py --data sklearn:digits --side 8 --epochs 3 --random 4

Each unit takes some minutes (an interrupted one goes on) and leaves a row in
results/learn_cells.jsonl; units that have a row are not run again.

    cells-S     learns cells (hwsearch learn cells) of the smallest network, with seed S; the row
                has what a step cost beside one that trains the found network
    learned-S   trains the network of these cells alone, and judges it as learn.py does
    random-I    the same for random cells, within a tenth of the multiply-accumulates of the first
    darts       the same for the cells that DARTS published, which labels of CIFAR-10 chose

A report follows: points of the learned cells above others, with intervals over tasks, seeds and
random cells.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from learn import judged, parser, run_units
from learn_plan import DIGITS, Plan
from learn_report import accuracies, mean_of, tasks_of, tell
from rows import open_results

from hwsearch.kinds import total_macs
from hwsearch.learn.cells.options import CellOptions
from hwsearch.learn.cells.run import GENOTYPE_NAME, LEARNED_NAME, learn_cells
from hwsearch.space import Space
from hwsearch.spaces import get_space
from hwsearch.spaces.cells import DARTS
from hwsearch.spaces.genotype import CellFamily, Genotype, random_genotype

WIDTHS, DEPTHS = (8,), ((2,), (2,), (1,))
"""Of the smallest network that reduction cells allow: five cells."""
FEW_STEPS: dict[str, Any] = {"architecture_lr": 0.01, "projection_hidden": 512, "batch": 64}
ALIKE = 0.1
"""Largest relative difference of random cells' multiply-accumulates."""


class CellPlan(Plan):
    """What is compared."""

    @property
    def name(self) -> str:
        """Tells rows of different settings apart."""
        where = "digits" if self.chosen.data == DIGITS else self.chosen.pretrain
        return f"{where}-{self.chosen.side}px-{self.chosen.learn_epochs}-{self.chosen.epochs}"


def family(genotype: Genotype, side: int) -> CellFamily:
    """Returns the one network of some cells."""
    return CellFamily(genotype, side, WIDTHS, DEPTHS)


def opened(plan: Plan, name: str, genotype: Genotype) -> Space:
    """Returns the space of some cells, whose file lies beside the runs."""
    path = (plan.chosen.keep / plan.name / f"{name}.json").resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    family(genotype, plan.chosen.side).write(path)
    return get_space(f"cells:{path}")


def learned(plan: Plan, seed: int) -> Genotype:
    """Returns the cells that were learned with a seed."""
    return CellFamily.read(plan.chosen.keep / plan.name / f"cells-{seed}" / GENOTYPE_NAME).genotype


def random_cells(plan: Plan) -> Iterator[Genotype]:
    """Yields random cells that compute about as much as the first learned ones."""
    rng = np.random.default_rng(20)
    asked = _macs(learned(plan, 0), plan)
    for _ in range(plan.chosen.random):
        while True:
            genotype = random_genotype(DARTS.nodes, rng)
            if abs(_macs(genotype, plan) / asked - 1) <= ALIKE:
                yield genotype
                break


def _macs(genotype: Genotype, plan: Plan) -> int:
    space = opened(plan, "tried", genotype)
    return total_macs(space.lower(space.maximum))


def run_cells(plan: Plan, seed: int) -> dict[str, Any]:
    """Learns cells; tells what they cost and whether they collapsed."""
    out = plan.chosen.keep / plan.name / f"cells-{seed}"
    told = plan.recipe(out, seed) | FEW_STEPS | {"epochs": plan.chosen.learn_epochs}
    ours = {name: told[name] for name in told if name not in {"optimizer", "lr", "residual_scale"}}
    space = opened(plan, "searched", DARTS)
    learn_cells(CellOptions(**ours, space=space.name))
    found = json.loads((out / LEARNED_NAME).read_text())
    return {name: found[name] for name in ("steps", "skips_normal", "alarm", "cost")}


def run_network(plan: Plan, name: str, genotype: Genotype, seed: int) -> dict[str, Any]:
    """Trains the network of some cells alone and judges it."""
    space, out = opened(plan, name, genotype), plan.chosen.keep / plan.name / f"alone-{name}"
    return {"cells": asdict(genotype), **judged(plan, space, space.maximum, seed, out)}


def units(plan: Plan) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yields name and work of every unit."""
    for seed in range(plan.chosen.seeds):
        yield f"cells-{seed}", lambda seed=seed: run_cells(plan, seed)
        name = f"learned-{seed}"
        yield name, lambda seed=seed, name=name: run_network(plan, name, learned(plan, seed), seed)
    yield "darts", lambda: run_network(plan, "darts", DARTS, 0)
    for at in range(plan.chosen.random):
        name = f"random-{at}"
        yield name, lambda at=at, name=name: run_network(plan, name, _random(plan, at), at)


def _random(plan: Plan, at: int) -> Genotype:
    return list(random_cells(plan))[at]


def report(plan: Plan, rows: Sequence[dict[str, Any]]) -> None:
    """Prints networks, costs, and points above others."""
    mine = {row["unit"]: row for row in rows if row["plan"] == plan.name}
    for unit, row in mine.items():
        if "cost" in row:
            print(unit, row["cost"], row["alarm"] or "no collapse")
        else:
            mean = 100 * accuracies({unit: row}, "", tasks_of(mine)).mean()
            ms = "not measured" if row["measured_ms"] is None else f"{row['measured_ms']:.4g} ms"
            print(f"{unit}: {mean:.2f} %, {row['macs'] / 1e6:.2f} M multiply-accumulates, {ms}")
    ours_ST = accuracies(mine, "learned-", tasks_of(mine))
    for others in ("random-", "darts"):
        if len(ours_ST) and len(theirs_RT := accuracies(mine, others, tasks_of(mine))):
            tell(f"learned cells above {others}", ours_ST, theirs_RT, mean_of)


def main() -> None:
    """Runs the units that have no row yet, and reports."""
    reader = parser()
    reader.description = __doc__
    reader.add_argument("--side", type=int, default=16, help="pixels that images are shrunk to")
    reader.add_argument("--learn-epochs", type=int, default=2, help="passes of the search")
    plan = CellPlan(reader.parse_args())
    with open_results("learn_cells") as journal:
        run_units(plan, journal, units(plan))
        report(plan, list(journal))


if __name__ == "__main__":
    main()
