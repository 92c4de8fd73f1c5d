"""Is the memory told from blocks what ONNX Runtime asks its allocator for.

    python tests/benchmarks/memory.py --networks 10

runs networks of each registered space (the ends, the rest drawn uniformly over
multiply-accumulates) and adds a row a space to results/memory.jsonl: the largest relative
difference between told and asked for in the plain layout (the image left out on both sides where
it decides), and how told compares with a session as it is deployed, with fused sums, padded
channels and reused buffers.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from parity import drawn
from rows import add_row, open_results

from hwsearch.export.onnx import export_network, seeded_network
from hwsearch.kinds import NUMBER_BYTES, peak_elements
from hwsearch.progress import track
from hwsearch.space import Space, Subnet
from hwsearch.spaces import get_space, space_names

sys.path.insert(0, str(Path(__file__).parents[1]))
from allocator import peak_bytes


def compared(space: Space, subnet: Subnet) -> tuple[float, float]:
    """Returns plain and deployed bytes asked for, over bytes told."""
    blocks = space.lower(subnet)
    image = np.zeros((1, *blocks[0].in_shape), np.float32)
    told = NUMBER_BYTES["fp32"] * peak_elements(blocks)
    with tempfile.TemporaryDirectory() as folder:
        model = export_network(seeded_network(blocks), Path(folder) / "net.onnx").onnx
        plain, deployed = peak_bytes(model, image), peak_bytes(model, image, deployed=True)
    if told - image.nbytes <= plain < told:
        plain = told  # the image decides the peak; it lies in the caller's memory
    return plain / told, deployed / told


def main() -> None:
    """Measures every space asked for, one row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", nargs="+", default=space_names())
    parser.add_argument("--networks", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with open_results("memory") as journal:
        for name in arguments.spaces:
            space, found = get_space(name), []
            with track(name, arguments.networks) as advance:
                for subnet in drawn(space, arguments.networks):
                    found.append(compared(space, subnet))
                    advance()
            plain, deployed = np.array(found).T
            figures = {
                "space": name,
                "networks": len(found),
                "worst_plain_difference": float(np.abs(plain - 1).max()),
                "deployed_over_told": [
                    round(float(q), 3) for q in np.quantile(deployed, [0, 0.5, 1])
                ],
            }
            print(figures)
            add_row(journal, figures)


if __name__ == "__main__":
    main()
