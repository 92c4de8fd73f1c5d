"""After how much training does the loss order networks of equal latency as labels do?

    python tests/benchmarks/learn_early.py --data DIR --pretrain cifar10 --keep FOLDER

reads what learn.py with the same arguments left: its random networks of one latency, how the loss
of each fell as it was trained alone, and their accuracy. One row of results/learn_early.jsonl for
each way to order them: by that loss around some share of the steps, by the loss with the weights
that hwsearch learn shares when it ends (on images that it trained on), and by multiply-accumulates.
A row has Spearman's rank correlation with the mean accuracy over all sets, and its 95 % bootstrap
interval over networks.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from learn import folder_of, parser
from learn_networks import random_networks
from learn_plan import Plan
from quantised_distance import ranked
from rows import RESULTS, add_row, open_results

from hwsearch.checkpoint import load_run
from hwsearch.data.augment import augment
from hwsearch.data.augment_options import AugmentOptions
from hwsearch.data.loader import Loader, LoaderOptions
from hwsearch.data.sources import open_source
from hwsearch.journal import read_journal
from hwsearch.kinds import total_macs
from hwsearch.selfsup.base import Views
from hwsearch.space import Subnet
from hwsearch.train.loop import METRICS_NAME

SHARES = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Where the loss is read: the mean from half of each share of the steps to the whole of it."""
BATCHES, SEED = 6, 5


def main() -> None:
    """Adds the rows that are missing, and prints all of the plan."""
    plan = Plan(parser().parse_args())
    networks = list(random_networks(plan))
    accuracy_N = _accuracies(plan, len(networks))
    with open_results("learn_early") as journal:
        known = {(row["plan"], row["order"]) for row in journal}
        for order, losses_N in _orders(plan, networks):
            if (plan.name, order) not in known:
                found = {"networks": len(networks), "spearman": ranked(-losses_N, accuracy_N)}
                add_row(journal, {"plan": plan.name, "order": order, **found})
        for row in journal:
            if row["plan"] == plan.name:
                rho, low, high = row["spearman"]
                print(f"{row['order']}: {rho:+.2f} ({low:+.2f} to {high:+.2f})")


def _accuracies(plan: Plan, count: int) -> np.ndarray:
    """Returns the mean over sets of each network, in percent."""
    _, rows = read_journal(RESULTS / "learn.jsonl", "benchmark")
    mine = {row["unit"]: row for row in rows if row.get("plan") == plan.name}
    results = [mine[f"random-{at}"]["results"] for at in range(count)]
    return np.array([np.mean([one["accuracy"] for one in sets.values()]) for sets in results])


def _orders(plan: Plan, networks: list[Subnet]) -> Iterator[tuple[str, np.ndarray]]:
    curves = []
    for at, subnet in enumerate(networks):
        log = folder_of(plan, plan.space, subnet, at) / METRICS_NAME
        curves.append(pd.read_json(log, lines=True)["loss"].to_numpy())
    curves_NS = np.array(curves)
    steps = curves_NS.shape[1]
    for share in SHARES:
        span = slice(round(share / 2 * steps), max(round(share * steps), 1))
        yield f"alone, {share:.0%} of the steps", curves_NS[:, span].mean(axis=1)
    for seed in range(plan.chosen.seeds):
        run = plan.chosen.keep / plan.name / f"learn-{seed}"
        yield f"shared weights of learn-{seed}", _shared(plan, run, networks)
    yield (
        "multiply-accumulates",
        -np.array([total_macs(plan.space.lower(one)) for one in networks], dtype=np.float64),
    )


@torch.no_grad()
def _shared(plan: Plan, run: Path, networks: list[Subnet]) -> np.ndarray:
    """Returns the mean loss of each network with shared weights, all on the same views."""
    method, side = load_run(run).method, plan.space.input_shape[1]
    batch = plan.recipe(run, SEED)["batch"]
    loader = Loader(
        open_source(plan.images), LoaderOptions(batch=batch, side=side, seed=SEED, workers=0)
    )
    losses = []
    for part in islice(loader, BATCHES):
        query, key = (
            augment(
                part.images,
                part.indices,
                side=side,
                seed=SEED,
                epoch=0,
                view=view,
                options=AugmentOptions(),
            )
            for view in (0, 1)
        )
        views = Views(query, key, part.indices, 0)
        targets = method.targets(views)
        losses.append([float(method(views, targets, one)["loss"]) for one in networks])
    return np.mean(losses, axis=0)


if __name__ == "__main__":
    main()
