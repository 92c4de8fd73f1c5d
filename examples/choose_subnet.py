"""Choose the largest network that a device runs in time, and run a delivered engine.

    python examples/choose_subnet.py TABLE MILLISECONDS [ENGINE PHOTO]

TABLE is a latency table's name or path, ENGINE a folder that `hwsearch deploy` wrote.
"""

import sys

import numpy as np
from PIL import Image

import hwsearch
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.table import Table, find_table
from hwsearch.spaces import get_space


def main(name: str, budget_ms: str, engine: str = "", photo: str = "") -> None:
    table = Table.read(find_table(name))
    space = get_space(table.space)
    codes = space.all_codes()
    latency = fit_latency(table, space).predict(codes)
    in_time = codes[latency.high_ms <= float(budget_ms)]
    if not len(in_time):
        sys.exit(
            f"no network of {space.name} runs in {budget_ms} ms; the fastest needs "
            f"{latency.high_ms.min():.3f} ms"
        )
    largest = space.decode(in_time[np.argmax(space.macs(in_time))])
    print(f"{len(in_time)} of {len(codes)} networks run in {budget_ms} ms on {table.device}")
    print(f"the largest of them: {largest}")
    if engine:
        pixels = np.asarray(Image.open(photo).convert("RGB"))
        with hwsearch.load(engine) as loaded:
            print(f"features of {photo}: {loaded(pixels).shape[1]} numbers")


if __name__ == "__main__":
    main(*sys.argv[1:])
