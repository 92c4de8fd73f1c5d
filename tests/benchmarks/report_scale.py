"""How long does the report of a very large search take, and how large is its page?

    python tests/benchmarks/report_scale.py

Adds a row to results/report_scale.jsonl: wall and processor seconds of `hwsearch report` in a fresh
process on a search with made-up distances and latencies, and the size of the HTML. `load` is how
many processes wanted to compute in that minute: wall seconds mean something where it is near 1.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from rows import add_row, open_results

from hwsearch.journal import FORMAT, SCHEMA
from hwsearch.latency.predictor import Prediction
from hwsearch.latency.ships import ShippedLatency
from hwsearch.search.costs import Costs
from hwsearch.search.evaluations import FILE, KIND, Evaluations
from hwsearch.search.front import find_front, write_front
from hwsearch.search.limits import DeviceLimits
from hwsearch.shipped import Shipped
from hwsearch.space import Space
from hwsearch.spaces import get_space

RUNTIMES = ("onnxruntime", "openvino", "tensorrt", "torch")


def line_of(row: dict[str, Any]) -> bytes:
    """Returns a journal's line; `Journal.append` waits for the disk at each."""
    body = json.dumps(row, separators=(",", ":")).encode()
    return b'{"crc32":"%08x","row":%s}\n' % (zlib.crc32(body), body)


class MadeUp:
    """Predicts what the journal has."""

    def __init__(self, space: Space, pace: float) -> None:
        self.space, self.pace = space, pace

    def predict(self, codes: np.ndarray) -> Prediction:
        ms = self.space.macs(codes) ** self.pace / 1e6
        return Prediction(ms, ms * 0.95, ms * 1.05)


def write_search(folder: Path, space: Space, evaluations: int, tables: int) -> None:
    """Writes a search as if it had ended: journal and fronts."""
    labels = [f"made-up/{space.name}-{runtime}-fp32-b1-t1" for runtime in RUNTIMES[:tables]]
    about = {"device": "made-up", "precision": "fp32", "batch": 1, "threads": 1, "sha256": ""}
    named = {label: about | {"runtime": label.split("-")[-4]} for label in labels}
    header = {"space": space.name, "tables": named}
    rng = np.random.default_rng(0)
    codes = rng.integers(0, space.shape, (2 * evaluations, len(space.shape)))
    codes = np.unique(codes, axis=0)
    codes = rng.permutation(codes)[:evaluations]
    models = {label: MadeUp(space, 0.9 + 0.02 * at) for at, label in enumerate(labels)}
    latency_ms = np.column_stack([model.predict(codes).mean_ms for model in models.values()])
    distance = (1e7 / space.macs(codes)) ** 0.3 * rng.uniform(0.2, 1, len(codes))
    first = {"format": FORMAT, "schema": SCHEMA, "kind": KIND, "header": header}
    with (folder / FILE).open("wb") as file:
        file.write(line_of(first))
        for code, far, each in zip(codes, distance.tolist(), latency_ms.tolist(), strict=True):
            latencies = dict(zip(labels, each, strict=True))
            subnet = space.decode(code).as_dict()
            file.write(line_of({"subnet": subnet, "distance": far, "latency_ms": latencies}))
    found, shipped = Evaluations.read(folder), Shipped(space)
    fronts = [
        find_front(
            found, DeviceLimits(Costs(target, shipped, ShippedLatency(model, shipped), None), ())
        )
        for target, model in zip(found.targets, models.values(), strict=True)
    ]
    write_front([point for front in fronts for point in front], folder)


def cpu_seconds() -> float:
    """Returns what all processes that this one has started and ended have computed."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def judge(name: str, evaluations: int, tables: int) -> dict[str, Any]:
    """Writes a search and measures its report."""
    with tempfile.TemporaryDirectory() as temporary:
        search = Path(temporary)
        write_search(search, get_space(name), evaluations, tables)
        began, used = time.monotonic(), cpu_seconds()
        words = [sys.executable, "-m", "hwsearch", "report", str(search)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        seconds, cpu = time.monotonic() - began, cpu_seconds() - used
        data = json.loads((search / "report" / "report.json").read_text())
        sizes = {
            path.suffix[1:]: round(path.stat().st_size / 1e6, 2)
            for path in (search / "report").glob("report.*")
        }
        return {
            "space": name,
            "evaluations": evaluations,
            "tables": tables,
            "drawn": len(data["searches"][0]["networks"]["evaluation"]),
            "seconds": round(seconds, 1),
            "cpu_seconds": round(cpu, 1),
            "load": round(os.getloadavg()[0], 1),
            "html_mb": sizes["html"],
            "json_mb": sizes["json"],
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--space", default="inverted-224")
    parser.add_argument("--evaluations", type=int, default=100_000)
    parser.add_argument("--tables", type=int, default=2)
    parser.add_argument("--dry", action="store_true", help="measure, but add no row")
    chosen = parser.parse_args()
    figures = judge(chosen.space, chosen.evaluations, chosen.tables)
    print(figures)
    if not chosen.dry:
        with open_results("report_scale") as journal:
            add_row(journal, figures)


if __name__ == "__main__":
    main()
