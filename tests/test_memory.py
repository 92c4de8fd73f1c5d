"""Memory told from blocks, against what ONNX Runtime really asks its allocator for."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from allocator import peak_bytes
from every_space import every_space, runnable, some_subnets

from hwsearch.export.onnx import export_network, seeded_network
from hwsearch.heads import Camera, parse_extra
from hwsearch.kinds import input_layout, peak_elements, total_weights
from hwsearch.spaces import get_space

FLOAT_BYTES = 4


@every_space
def test_peak_and_weights_are_what_onnxruntime_needs(tmp_path: Path, name: str):
    space = runnable(name)
    for subnet in some_subnets(space, 1):
        blocks = space.lower(subnet)
        model = export_network(seeded_network(blocks), tmp_path / "net.onnx").onnx
        image = np.zeros((1, *blocks[0].in_shape), np.float32)
        told = FLOAT_BYTES * peak_elements(blocks)
        # Exact, but that the image lies in the caller's memory, and that branches of cells run in
        # an order of the runtime's own.
        most = 1.5 * told if any(len(block.inputs) > 1 for block in blocks) else told
        assert told - image.nbytes <= peak_bytes(model, image) <= most
        held = sum(
            onnx.numpy_helper.to_array(tensor).size
            for tensor in onnx.load(model).graph.initializer
            if tensor.data_type == onnx.TensorProto.FLOAT
        )
        assert held == pytest.approx(total_weights(blocks), rel=0.001)


@pytest.mark.parametrize("head", ["classifier:10", "detection:20", "segmentation:7"])
def test_peak_with_a_head_covers_the_levels_that_wait(tmp_path: Path, head: str):
    space = get_space("basic-64")
    blocks = parse_extra(head).around(space.lower(space.minimum))
    model = export_network(seeded_network(blocks), tmp_path / "net.onnx").onnx
    image = np.zeros((1, *space.input_shape), np.float32)
    measured, told = peak_bytes(model, image), FLOAT_BYTES * peak_elements(blocks)
    assert told - image.nbytes <= measured <= told


@every_space
def test_gathered_memory_equals_the_walk(name: str):
    space = get_space(name)
    subnets = some_subnets(space, 30)
    codes = np.stack([space.encode(subnet) for subnet in subnets])
    lowered = [space.lower(subnet) for subnet in subnets]
    assert space.peak_elements(codes).tolist() == [peak_elements(blocks) for blocks in lowered]
    assert space.weight_elements(codes).tolist() == [total_weights(blocks) for blocks in lowered]


def test_a_camera_needs_its_frame():
    space = get_space("basic-32")
    blocks = space.lower(space.minimum)
    framed = Camera(640).around(blocks)
    assert input_layout(framed[0]) == "bytes"
    assert peak_elements(framed) >= 3 * 640 * 640 > peak_elements(blocks)
