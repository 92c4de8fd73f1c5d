"""Heads and preprocessing: blocks that ship, with keys, costs, torch modules and ONNX graphs."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from every_space import runnable
from torch.utils.flop_counter import FlopCounterMode

from hwsearch.data.prepare import normalise_array
from hwsearch.errors import HwsearchError
from hwsearch.export.onnx import export_network, seeded_network
from hwsearch.heads import Camera, added_blocks, parse_extra
from hwsearch.kinds import cost_of, total_macs
from hwsearch.nn import StaticNet
from hwsearch.spaces import get_space

CAMERA_SIDE = 96
HEADS = ("classifier:10", "detection:3", "segmentation:5")


def shipped(name: str, head: str):
    space = runnable(name)
    return Camera(CAMERA_SIDE).around(parse_extra(head).around(space.lower(space.minimum)))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ["bottleneck-32", "basic-224"])
def test_what_ships_runs_in_onnxruntime_as_in_torch(tmp_path: Path, name: str, head: str):
    net = seeded_network(shipped(name, head)).eval()
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (2, CAMERA_SIDE, CAMERA_SIDE, 3), dtype=np.uint8)
    export_network(net, tmp_path / "net.onnx", batch=2)
    session = onnxruntime.InferenceSession(
        tmp_path / "net.onnx", providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    with torch.no_grad():
        expected = net(torch.from_numpy(frames)).outputs
    assert names == list(expected)
    for found, output in zip(session.run(None, {"image": frames}), names, strict=True):
        assert np.abs(found - expected[output].numpy()).max() < 1e-4 * expected[output].abs().max()


@pytest.mark.parametrize("head", HEADS)
def test_costs_with_a_head_equal_torchs_own_count(head: str):
    blocks = shipped("bottleneck-32", head)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        frames = torch.empty(1, CAMERA_SIDE, CAMERA_SIDE, 3, dtype=torch.uint8)
        outputs = StaticNet(blocks).eval()(frames).outputs
    assert counter.get_total_flops() == 2 * total_macs(blocks)
    shapes = {block.output: cost_of(block).out_shape for block in blocks if block.output}
    vector = (1, 1)
    expected = {name: shape[:1] if shape[1:] == vector else shape for name, shape in shapes.items()}
    assert {name: tuple(out.shape[1:]) for name, out in outputs.items()} == expected


@pytest.mark.parametrize("extra", [*HEADS, "camera:96"])
@pytest.mark.parametrize("name", ["bottleneck-32", "bottleneck-32@24+32", "basic-64"])
def test_every_extra_of_a_space_has_a_key(name: str, extra: str):
    space, parsed, rng = get_space(name), parse_extra(extra), np.random.default_rng(0)
    known = parsed.blocks_of(space)
    for _ in range(20):
        added = added_blocks(space.lower(space.sample(rng)), (parsed,))
        assert added
        assert {block.key for block in added} <= set(known)


def test_preprocessing_without_scaling_is_what_engines_get_from_python():
    space = get_space("bottleneck-32")
    block = Camera(32).block_before(space.lower(space.minimum)[0])
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    net = StaticNet((block,))
    prepared = net.static_blocks[0](torch.from_numpy(frames)).numpy()
    np.testing.assert_allclose(prepared, normalise_array(frames), atol=1e-6)


@pytest.mark.parametrize("text", ["clasifier:10", "classifier", "classifier:0", "camera:x"])
def test_extras_that_cannot_be_read_are_refused(text: str):
    with pytest.raises(HwsearchError, match=r"unknown head|cannot read"):
        parse_extra(text)
