"""Export: ONNX files that compute what torch computes, and graphs that seeds do not change."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from every_space import every_space, runnable, some_subnets

from hwsearch.export.onnx import export_block, export_network, seeded_network
from hwsearch.kinds import cost_of, input_layout
from hwsearch.nn import calibrate
from hwsearch.spaces import get_space

SMALL = get_space("bottleneck-32")


def run_onnx(path: Path, images: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["embedding"], {"image": images.numpy()})[0])


@every_space
@pytest.mark.parametrize("batch", [1, 3])
def test_exported_network_equals_torch(tmp_path: Path, name: str, batch: int):
    space = runnable(name)
    subnet = some_subnets(space, 1)[2 if batch == 1 else 0]
    net = seeded_network(space.lower(subnet))
    calibrate(net, [torch.randn(16, *space.input_shape)])
    images = torch.randn(batch, *space.input_shape)
    export_network(net, tmp_path / "net.onnx", batch=batch)
    expected = net(images).embedding.detach().numpy()
    difference = run_onnx(tmp_path / "net.onnx", images) - expected
    assert np.linalg.norm(difference) <= 1e-4 * np.linalg.norm(expected)


@every_space
def test_every_kind_of_block_is_exported_with_the_shape_it_tells(tmp_path: Path, name: str):
    space = runnable(name)
    kinds = {block.kind: block for block in space.lower(space.minimum)}
    for kind, block in kinds.items():
        path = tmp_path / f"{kind}.onnx"
        export_block(block, path, batch=2)
        (output,) = onnx.load(path).graph.output
        sizes = tuple(axis.dim_value for axis in output.type.tensor_type.shape.dim)
        channels, height, width = cost_of(block).out_shape
        tokens = (2, height * width, channels)
        assert sizes in ((2, channels, height, width), tokens), input_layout(block)


def test_profiling_graph_equals_the_deployed_one_apart_from_weights(tmp_path: Path):
    blocks = SMALL.lower(SMALL.minimum)
    deployed = seeded_network(blocks, seed=1)
    calibrate(deployed, [torch.randn(16, *SMALL.input_shape)])
    graphs = []
    for name, net in (("deployed", deployed), ("profiled", seeded_network(blocks, seed=0))):
        export_network(net, tmp_path / f"{name}.onnx")
        graph = onnx.load(tmp_path / f"{name}.onnx").graph
        nodes = [(node.op_type, str(node.attribute), list(node.input)) for node in graph.node]
        graphs.append((nodes, [(item.name, list(item.dims)) for item in graph.initializer]))
    assert graphs[0] == graphs[1]


def test_norms_are_folded_into_convolutions(tmp_path: Path):
    export_block(SMALL.lower(SMALL.minimum)[1], tmp_path / "block.onnx")
    operators = {node.op_type for node in onnx.load(tmp_path / "block.onnx").graph.node}
    assert operators == {"Conv", "Relu", "Add"}
