"""Export: ONNX files that compute what torch computes, and graphs that seeds do not change."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from hwsearch.export.onnx import export_block, export_network, seeded_network
from hwsearch.nn import StaticNet, calibrate
from hwsearch.spaces import get_space

SMALL = get_space("bottleneck-32")


def run_onnx(path: Path, images: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["embedding"], {"image": images.numpy()})[0])


@pytest.mark.parametrize("batch", [1, 3])
def test_exported_network_equals_torch(tmp_path: Path, batch: int):
    torch.manual_seed(0)
    net = StaticNet(SMALL.lower(SMALL.sample(np.random.default_rng(0))))
    calibrate(net, torch.randn(32, *SMALL.input_shape))
    images = torch.randn(batch, *SMALL.input_shape)
    export_network(net, SMALL.input_shape, tmp_path / "net.onnx", batch=batch)
    expected = net(images).embedding.detach().numpy()
    np.testing.assert_allclose(run_onnx(tmp_path / "net.onnx", images), expected, atol=1e-4)


def test_profiling_graph_equals_the_deployed_one_apart_from_weights(tmp_path: Path):
    blocks = SMALL.lower(SMALL.minimum)
    deployed = seeded_network(blocks, seed=1)
    calibrate(deployed, torch.randn(16, *SMALL.input_shape))
    graphs = []
    for name, net in (("deployed", deployed), ("profiled", seeded_network(blocks, seed=0))):
        export_network(net, SMALL.input_shape, tmp_path / f"{name}.onnx")
        graph = onnx.load(tmp_path / f"{name}.onnx").graph
        nodes = [(node.op_type, str(node.attribute), list(node.input)) for node in graph.node]
        graphs.append((nodes, [(item.name, list(item.dims)) for item in graph.initializer]))
    assert graphs[0] == graphs[1]


def test_norms_are_folded_into_convolutions(tmp_path: Path):
    export_block(SMALL.lower(SMALL.minimum)[1], tmp_path / "block.onnx")
    operators = {node.op_type for node in onnx.load(tmp_path / "block.onnx").graph.node}
    assert operators == {"Conv", "Relu", "Add"}
