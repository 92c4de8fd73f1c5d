"""Choose the largest network that a device runs in time, and run a delivered engine."""

import argparse
import sys

import numpy as np
from PIL import Image

import hwsearch
from hwsearch.errors import HwsearchError
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.table import Table, find_table
from hwsearch.spaces import get_space


def choose(name: str, budget_ms: float) -> None:
    """Prints the network of most multiply-accumulates that surely runs in the budget."""
    table = Table.read(find_table(name))
    space = get_space(table.space)
    codes = space.all_codes()
    latency = fit_latency(table, space).predict(codes)
    in_time = codes[latency.high_ms <= budget_ms]
    if not len(in_time):
        raise HwsearchError(
            f"no network of {space.name} runs in {budget_ms} ms",
            fix=f"The fastest needs {latency.high_ms.min():.3f} ms",
        )
    largest = space.decode(in_time[np.argmax(space.macs(in_time))])
    print(f"{len(in_time)} of {len(codes)} networks run in {budget_ms} ms on {table.device}")
    print(f"the largest of them: {largest}")


def run(engine: str, photo: str) -> None:
    """Prints how many features an engine finds in a photo."""
    pixels = np.asarray(Image.open(photo).convert("RGB"))
    with hwsearch.load(engine) as loaded:
        print(f"features of {photo}: {loaded(pixels).shape[1]} numbers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", help="a latency table's name or path")
    parser.add_argument("budget_ms", type=float, help="most milliseconds a call")
    parser.add_argument("--engine", help="a folder that hwsearch deploy wrote")
    parser.add_argument("--photo", help="an image for it")
    given = parser.parse_args()
    try:
        choose(given.table, given.budget_ms)
        if given.engine and given.photo:
            run(given.engine, given.photo)
    except HwsearchError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
