"""Do exported networks compute what torch computes: sampled networks of every family.

    python tests/benchmarks/parity.py --networks 22

exports networks of each registered space (the ends, the rest drawn uniformly over
multiply-accumulates) with seeded weights and calibrated norms, runs them in ONNX Runtime and
OpenVINO, and adds a row a space to results/parity.jsonl: the relative error of the embedding,
|runtime - torch| / |torch| over a batch of random images, and how far torch itself is from its own
result in float64. The last norms of residual branches are scaled by --branch-scale: in trained
networks they stay small, and a hundred random layers in a row at full scale make any rounding grow.
"""

import argparse
import tempfile
import time
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from rows import add_row, open_results

from hwsearch.deploy.verify import parity
from hwsearch.export.onnx import export_network, seeded_network
from hwsearch.kinds import layers_of
from hwsearch.layers import Conv
from hwsearch.nn import StaticNet, calibrate
from hwsearch.progress import track
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, LoadOptions, Portable
from hwsearch.space import Space, Subnet
from hwsearch.spaces import get_space, space_names

BATCH = 2
RUNTIMES = ("onnxruntime", "openvino")


def drawn(space: Space, count: int) -> list[Subnet]:
    """Returns the ends of a space and networks of all sizes between."""
    rng = np.random.default_rng(0)
    return [space.minimum, space.maximum, *(space.sample(rng, "macs") for _ in range(count - 2))]


@torch.no_grad()
def network(
    space: Space, subnet: Subnet, seed: int, branch_scale: float
) -> tuple[StaticNet, torch.Tensor]:
    """Builds a calibrated network with seeded weights, and images for it."""
    images = torch.randn(8, *space.input_shape, generator=torch.Generator().manual_seed(seed))
    net = seeded_network(space.lower(subnet), seed=seed)
    for block in net.static_blocks:
        for layer in layers_of(block.block):
            if isinstance(layer, Conv) and layer.zero_init:
                block.learned(layer, "scale").mul_(branch_scale)
    return calibrate(net, [images]), images[:BATCH].contiguous()


def errors_of(net: StaticNet, images: torch.Tensor, folder: Path) -> dict[str, float]:
    """Exports a network and returns the relative error of each runtime."""
    model = export_network(net, folder / "model.onnx", batch=BATCH)
    with torch.no_grad():
        expected = net(images).embedding.numpy()
        exact = deepcopy(net).double()(images.double()).embedding.numpy()
    own = {"torch to float64": parity(expected, exact, "fp32").relative_error}
    return own | {name: _error(name, model, images.numpy(), expected, folder) for name in RUNTIMES}


def _error(
    name: str, model: Portable, images: np.ndarray, expected: np.ndarray, folder: Path
) -> float:
    runtime = get_runtime(name)
    engine = runtime.build(model, folder / name, BuildOptions())
    with runtime.load(engine, LoadOptions(threads=1)) as loaded:
        outputs = loaded.run({"image": images})["embedding"]
    return parity(outputs, expected, "fp32").relative_error


def main() -> None:
    """Measures every space asked for, one row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", nargs="+", default=space_names())
    parser.add_argument("--networks", type=int, default=22)
    parser.add_argument("--branch-scale", type=float, default=0.3)
    arguments = parser.parse_args()
    scale = arguments.branch_scale
    torch.set_num_threads(1)
    with open_results("parity") as journal:
        for name in arguments.spaces:
            space, found, began = get_space(name), [], time.monotonic()
            with track(name, arguments.networks) as advance:
                for seed, subnet in enumerate(drawn(space, arguments.networks)):
                    with tempfile.TemporaryDirectory() as folder:
                        found.append(errors_of(*network(space, subnet, seed, scale), Path(folder)))
                    advance()
            worst = {name: max(errors[name] for errors in found) for name in found[0]}
            print(name, worst)
            add_row(
                journal,
                {
                    "space": name,
                    "networks": len(found),
                    "branch_scale": scale,
                    "worst_relative_error": worst,
                    "seconds": round(time.monotonic() - began, 1),
                },
            )


if __name__ == "__main__":
    main()
