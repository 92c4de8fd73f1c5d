"""What a cluster tree over very many images takes, by features that lie on the disk.

    python tests/benchmarks/cluster_scale.py --images 1000000

writes made-up features of 16 groups in 4 groups, grows the tree of 4 children and 2 levels over
them in a process of its own, and adds a row to results/cluster_scale.jsonl: seconds, the most
memory of the process, which includes what it has mapped of the file, how equal the clusters are,
and how well the groups are found (adjusted Rand index of 20,000 images).
"""

import argparse
import re
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rows import add_row, open_results
from sklearn.metrics import adjusted_rand_score

from hwsearch.clusters.tree import grow_tree

CHUNK, JUDGED = 50_000, 20_000


def write_features(path: Path, images: int, width: int) -> np.ndarray:
    """Writes features chunk by chunk; returns the group of the first images."""
    rng, groups = np.random.default_rng(0), []
    tops, subs = 3 * rng.normal(size=(4, width)), rng.normal(size=(4, 4, width))
    stored = np.lib.format.open_memmap(path, "w+", np.float32, (images, width))
    for start in range(0, images, CHUNK):
        part = stored[start : start + CHUNK]
        of = rng.integers(16, size=len(part))
        found = tops[of // 4] + subs[of // 4, of % 4] + 0.3 * rng.normal(size=part.shape)
        part[:] = found / np.linalg.norm(found, axis=1, keepdims=True)
        groups.append(of)
    stored.flush()
    return np.concatenate(groups)[:JUDGED]


def grow(path: Path) -> tuple[dict[str, Any], np.ndarray]:
    """Grows the tree; returns figures, and the leaf of the first images."""
    features = np.load(path, mmap_mode="r")
    start_mb, start = _memory_mb(), time.perf_counter()
    tree = grow_tree(features, children=4, levels=2)
    figures = {
        "seconds": round(time.perf_counter() - start, 2),
        "start_mb": start_mb,
        "peak_mb": _memory_mb(),
        "balance": round(min(split.balance for split in tree.splits.values()), 4),
    }
    return figures, tree.assign(np.asarray(features[:JUDGED])) @ [4, 1]


def _memory_mb() -> float:
    """Returns the most memory since the program began; getrusage counts its parent's as well."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return round(int(found[1]) / 1024, 1)


def main() -> None:
    """Measures one size; adds a row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=128, help="features an image")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npy"
        groups = write_features(path, chosen.images, chosen.width)
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            figures, leaves = pool.submit(grow, path).result()
        file_mb = round(path.stat().st_size / 2**20, 1)
    row = {"images": chosen.images, "width": chosen.width, "file_mb": file_mb, **figures}
    row["rand_index"] = round(float(adjusted_rand_score(groups, leaves)), 4)
    print(row)
    with open_results("cluster_scale") as journal:
        add_row(journal, row)


if __name__ == "__main__":
    main()
