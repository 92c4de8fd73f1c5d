"""Does the predictor beat ridge regression on latencies that others have measured.

    python tests/benchmarks/public_latency.py --data FOLDER

FOLDER holds public tables as Parquet files (reading them takes pandas and pyarrow): nb201_accuracy
and nb201_latency (NAS-Bench-201, arXiv 2001.00326, five devices, networks whose input reaches
their output), ofa_mbv3_subnets and ofa_mbv3_latency (Once-for-All, arXiv 1908.09791, two devices).
Tables of single convolutions are left out: they have no parts to add up.

Of each setting and seed, n random networks train and all others test. "costs" is the predictor as
it is fitted to a table without blocks; "costs and choices" also sees an indicator of each choice.
Ridge sees choices alone ("additive"), with the input side as a number ("side"; NAS-Bench-201 has
one side), or with the products of any two ("pairs"). Each setting and n adds a row to
results/public_latency.jsonl, or is read from there.
"""

import argparse
import warnings
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rows import add_row, open_results
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV
from threadpoolctl import threadpool_limits

from hwsearch.block import Block
from hwsearch.latency.base import Evidence
from hwsearch.latency.correction import Correction
from hwsearch.latency.features import COSTS, block_costs, fit_rates

Array = np.ndarray
COUNTS, SEEDS = (100, 300, 900), 5
NOISE = 0.005
"""Relative; the tables state none, and what they have beyond this is learnt as unexplained."""
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NAMES = ("costs", "costs and choices", "additive", "side", "pairs")
STAGES = ((24, 2), (40, 2), (80, 2), (112, 1), (160, 2))
"""Width and stride in Once-for-All."""


class Networks(NamedTuple):
    """A public space: `COSTS` by position float[N, P, 7], choices float[N, A], and latencies.

    `choices` have the input side as a number, `one_hot` by its value.
    """

    costs: Array
    choices: Array
    one_hot: Array
    latency_ms: pd.DataFrame


@cache
def costs_of(kind: str, sizes: tuple[int, ...], side: int, kernel: int = 1, stride: int = 1) -> Any:
    """Returns the `COSTS` of a block of input, output and perhaps inner channels, float[7]."""
    named = tuple(zip(("in", "out", "inner"), sizes, strict=False))
    return block_costs(Block(kind, named, side, "", kernel, stride))


def nb201(data: Path) -> Networks:
    """Reads NAS-Bench-201; an operation stands for all fifteen cells, then comes what is around."""
    latency = pd.read_parquet(data / "nb201_latency.parquet")
    table = pd.read_parquet(data / "nb201_accuracy.parquet").merge(latency, on="index")
    table = table[table["connected"]]
    cells = [arch.replace("+", "").strip("|").replace("||", "|") for arch in table["arch"]]
    codes = np.array([[OPS.index(op.split("~")[0]) for op in cell.split("|")] for cell in cells])
    around = costs_of("stem", (3, 16), 32, 3) + costs_of("global-pool", (64, 64), 8)
    around = around + sum(costs_of("basic-projected", (w, 2 * w), 512 // w, 3, 2) for w in (16, 32))
    ops = np.zeros((len(OPS), len(COSTS)))
    for width, side in ((16, 32), (32, 16), (64, 8)):
        one, three = (costs_of("conv-relu6", (width, width), side, kernel) for kernel in (1, 3))
        pool = one * np.isin(COSTS, ("blocks", "layers", "elements"))
        skip = one * np.isin(COSTS, "blocks")
        # "none" multiplies by zero in the published code, a layer like any other.
        ops += 5 * np.stack([pool - skip, skip, one, three, pool])
    costs = np.concatenate([ops[codes], np.tile(around, (len(codes), 1, 1))], axis=1)
    choices = np.eye(len(OPS))[codes].reshape(len(codes), -1)
    return Networks(costs, choices, choices, table[latency.columns.drop("index")])


def ofa_costs(kernels: str, expands: str, depths: str, resolution: int) -> Array:
    """Returns the costs of stem, twenty blocks and head, float[22, 7]."""
    costs, side, source = np.zeros((22, len(COSTS))), -(-resolution // 2), 16
    costs[20] = costs_of("conv-relu6", (3, 16), resolution, 3, 2)
    costs[20] += costs_of("separable", (16, 16), side, 3)
    for stage, (width, stage_stride) in enumerate(STAGES):
        for at in range(4 * stage, 4 * stage + int(depths[stage])):
            kind, stride = ("inverted-residual", 1) if at % 4 else ("inverted", stage_stride)
            sizes = (source, width, source * int(expands[at]))
            costs[at] = costs_of(kind, sizes, side, int(kernels[at]), stride)
            side, source = -(-side // stride), width
    costs[21] = costs_of("conv-relu6", (160, 960), side) + costs_of("global-pool", (960, 960), side)
    return costs


def ofa_mbv3(data: Path) -> Networks:
    """Reads Once-for-All."""
    latency = pd.read_parquet(data / "ofa_mbv3_latency.parquet")
    table = pd.read_parquet(data / "ofa_mbv3_subnets.parquet").merge(latency, on="index")
    rows = list(table[["ks", "e", "d", "r"]].itertuples(index=False))
    costs = np.stack([ofa_costs(*row) for row in rows])
    kernels, expands, depths = (np.array([[*map(int, row[i])] for row in rows]) for i in range(3))
    used = np.arange(20) % 4 < np.repeat(depths, 4, axis=1)
    hot = [(kernels == k) & used for k in (3, 5, 7)] + [(expands == e) & used for e in (3, 4, 6)]
    hot += [depths == d for d in (2, 3, 4)]
    side = table["r"].to_numpy(float)[:, None]
    choices = np.hstack([*hot, side / 224, (side / 224) ** 2])
    one_hot = np.hstack([*hot, side == np.unique(side)]).astype(float)
    return Networks(costs, choices, one_hot, table[latency.columns.drop("index")])


def ridge(columns: Array, _: Networks, ms: Array, train: Array, test: Array) -> Array:
    """Predicts from columns; leave-one-out on the training rows picks the penalty."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = RidgeCV(alphas=np.logspace(-3, 3, 13)).fit(columns[train], ms[train])
    return fitted.predict(columns[test])


def engine(choices: bool, networks: Networks, ms: Array, train: Array, test: Array) -> Array:
    """Predicts as the product does from networks alone; returns mean, low and high."""
    times = networks.costs @ fit_rates(networks.costs[train].sum(1), ms[train])
    parts = np.concatenate([times[..., None], networks.costs], axis=2)
    totals = parts.sum(1)
    seen = [parts.reshape(len(ms), -1), totals, *([networks.choices] if choices else [])]
    inputs, noise = np.hstack(seen), np.full(len(train), NOISE)
    inputs = inputs[:, np.ptp(inputs, axis=0) > 1e-9]
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    fitted = Correction.best(Evidence(totals[train], inputs[train], ms[train], noise))
    chunks = np.split(test, range(1_024, len(test), 1_024))
    return np.hstack([fitted.interval_ms(totals[some], inputs[some]) for some in chunks])


def scores(found: Array, ms: Array) -> dict[str, float]:
    """Compares predictions, with intervals or without, with measurements; in percent."""
    mean, *ends = np.atleast_2d(found)
    error = 100 * np.abs(mean / ms - 1)
    figures = {"mean_error": error.mean(), "spearman": spearmanr(mean, ms).statistic}
    figures |= {"within_5": 100 * (error <= 5).mean(), "within_10": 100 * (error <= 10).mean()}
    figures |= {"coverage": 100 * ((ends[0] <= ms) & (ms <= ends[1])).mean()} if ends else {}
    return {name: round(float(value), 4) for name, value in figures.items()}


def measure(networks: Networks, device: str, count: int) -> dict[str, dict[str, list[float]]]:
    """Trains and tests every predictor with every seed; returns lists over the seeds."""
    columns = networks.choices.astype(np.float32)
    one, other = np.triu_indices(columns.shape[1], 1)
    pairs = np.hstack([columns, columns[:, one] * columns[:, other]])
    columns = (networks.one_hot, networks.choices, pairs)
    engines = [partial(engine, choices) for choices in (False, True)]
    ways = [*engines, *(partial(ridge, some) for some in columns)]
    ms, found = networks.latency_ms[device].to_numpy(float), {}
    for seed in range(SEEDS):
        train, test = np.split(np.random.default_rng(seed).permutation(len(ms)), [count])
        for name, predict in zip(NAMES, ways, strict=True):
            predicted = predict(networks, ms, train, test)
            for key, value in scores(predicted, ms[test]).items():
                found.setdefault(name, {}).setdefault(key, []).append(value)
    return found


def print_means(rows: list[dict[str, Any]]) -> None:
    """Prints mean errors with the 95 % interval of a bootstrap over settings, then seeds."""
    rng, size = np.random.default_rng(0), (10_000, len(rows), SEEDS)
    drawn = rng.integers(len(rows), size=(*size[:2], 1)), rng.integers(SEEDS, size=size)
    errors = [np.array([row["scores"][name]["mean_error"] for row in rows]) for name in NAMES]
    for name, error in zip(NAMES, errors, strict=True):
        for what, values in (("error", error), ("costs less", errors[0] - error)):
            low, high = np.quantile(values[drawn].mean((1, 2)), (0.025, 0.975))
            print(f"{name:17} {what:10} {values.mean():6.2f} % [{low:.2f}, {high:.2f}]")


def main() -> None:
    """Measures what is not in the journal, and prints everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the public tables")
    parser.add_argument(
        "--counts", type=int, nargs="+", default=COUNTS, help="networks to train on"
    )
    arguments = parser.parse_args()
    spaces = [(read.__name__, read(arguments.data)) for read in (nb201, ofa_mbv3)]
    with threadpool_limits(1), open_results("public_latency") as journal:
        for count, (space, networks) in product(arguments.counts, spaces):
            for device in networks.latency_ms:
                row = {"setting": f"{space}/{device}", "networks": count}
                if not any(row.items() <= known.items() for known in journal.rows):
                    add_row(journal, row | {"scores": measure(networks, device, count)})
        rows = sorted(journal.rows, key=lambda row: (row["networks"], row["setting"]))
    for row, name in product(rows, NAMES):
        means = " ".join(f"{k} {np.mean(some):.4g}" for k, some in row["scores"][name].items())
        print(f"{row['setting']:21} {row['networks']:3} {name:17} {means}")
    for count in sorted({row["networks"] for row in rows}):
        print(f"\n{count} networks, mean of all settings")
        print_means([row for row in rows if row["networks"] == count])


if __name__ == "__main__":
    main()
