"""Is the latency told for what ships what it takes: network, head and preprocessing in one engine.

    python tests/benchmarks/ships.py --ships classifier:100 camera:96

profiles a space with the blocks of heads and preprocessing, then measures whole engines of
networks that the predictor has not seen, with all of it inside, against the same references; adds
a row to results/ships.jsonl: measured over predicted, with the extras counted and without.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rows import add_row, open_results

from hwsearch.export.onnx import export_network, seeded_network
from hwsearch.heads import Extra, added_blocks, parse_extra
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.table import Table
from hwsearch.profiling.options import ProfileOptions
from hwsearch.profiling.profile import profile
from hwsearch.profiling.remeasure import remeasure
from hwsearch.space import Subnet
from hwsearch.spaces import get_space


def compare(
    table: Table, subnets: list[Subnet], extras: tuple[Extra, ...], seconds: float, folder: Path
) -> dict[str, Any]:
    """Measures shipped engines; returns quantiles of measured over predicted."""
    space, files, predicted, alone = get_space(table.space), {}, {}, {}
    fitted = fit_latency(table, space)
    for subnet in subnets:
        blocks = space.lower(subnet)
        times = [fitted.added_ms(block) for block in added_blocks(blocks, extras)]
        alone[str(subnet)] = float(fitted.predict_subnet(subnet).mean_ms[0])
        predicted[str(subnet)] = alone[str(subnet)] + sum(times)
        for extra in extras:
            blocks = extra.around(blocks)
        path = folder / f"{len(files)}.onnx"
        files[str(subnet)] = export_network(seeded_network(blocks), path).onnx
    measured = remeasure(files, table, budget_seconds=seconds)
    found = {name: measured[name].latency_ms for name in files}
    return {
        "networks": len(files),
        "measured_over_predicted": _quantiles(found, predicted),
        "measured_over_network_alone": _quantiles(found, alone),
    }


def _quantiles(measured: dict[str, float], predicted: dict[str, float]) -> list[float]:
    ratios = [measured[name] / predicted[name] for name in measured]
    return [round(float(quantile), 4) for quantile in np.quantile(ratios, [0, 0.5, 1])]


def main() -> None:
    """Measures one space and appends its row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="bottleneck-32")
    parser.add_argument("--runtime", default="onnxruntime")
    parser.add_argument("--ships", nargs="+", default=["classifier:100", "camera:96"])
    parser.add_argument("--networks", type=int, default=12)
    parser.add_argument("--minutes", type=float, default=1.0)
    arguments = parser.parse_args()
    with open_results("ships") as journal, tempfile.TemporaryDirectory() as temporary:
        options = ProfileOptions(
            space=arguments.space,
            runtime=arguments.runtime,
            threads=1,
            budget_minutes=arguments.minutes,
            ships=tuple(arguments.ships),
            out=Path(temporary) / "tables",
        )
        table = Table.read(profile(options))
        space, rng = get_space(arguments.space), np.random.default_rng(99)
        subnets = [space.sample(rng, "macs") for _ in range(arguments.networks)]
        extras = tuple(map(parse_extra, arguments.ships))
        seconds = 60 * arguments.minutes / 2
        figures = {
            "table": table.name,
            "ships": arguments.ships,
            **compare(table, subnets, extras, seconds, Path(temporary)),
        }
        print(figures)
        add_row(journal, figures)


if __name__ == "__main__":
    main()
