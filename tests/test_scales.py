"""Wrongly scaled Q/DQ graphs: none leaves for a device elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from far import made_elsewhere
from onnx import ModelProto, NodeProto, numpy_helper
from searches import made

from hwsearch.deploy import assemble, far
from hwsearch.errors import HwsearchError
from hwsearch.export.onnx import export_network, seeded_network
from hwsearch.export.precision import in_precision
from hwsearch.export.quantise import image_feeds
from hwsearch.export.scales import check_scales, scale_factors
from hwsearch.nn import calibrate
from hwsearch.runtime.base import Feed, Portable
from hwsearch.spaces import get_space, space_names

__all__ = ["made"]

RUNTIMES = ("tensorrt", "onnxruntime", "openvino")


def rescale(model: ModelProto, node: NodeProto, factor: float, *, alone: bool) -> None:
    """Multiplies a node's scale: its own copy, or the one that its pair has as well."""
    (scale,) = (one for one in model.graph.initializer if one.name == node.input[1])
    right = numpy_helper.to_array(scale)
    name = f"{scale.name}_wrong" if alone else scale.name
    wrong = numpy_helper.from_array((factor * right).astype(right.dtype), name)
    if alone:
        model.graph.initializer.append(wrong)
        node.input[1] = name
    else:
        scale.CopyFrom(wrong)


def rescaled(path: Path, op_type: str, place: int, factor: float, *, alone: bool) -> Path:
    model = onnx.load(path)
    node = [node for node in model.graph.node if node.op_type == op_type][place]
    rescale(model, node, factor, alone=alone)
    onnx.save(model, path)
    return path


def quantised(
    folder: Path, name: str, runtime: str, *, half: bool = False
) -> tuple[Path, tuple[Feed, ...]]:
    space = get_space(name)
    net = seeded_network(space.lower(space.minimum))
    images = torch.randn(16, *space.input_shape, generator=torch.Generator().manual_seed(0))
    calibrate(net, [images])
    feeds = image_feeds("image", images.numpy(), 1)
    exact = export_network(net, folder / "exact.onnx")
    given = {"runtime": runtime, "precision": "int8", "feeds": lambda: feeds}
    model = in_precision(exact, folder / "int8.onnx", **given, half_range=half)
    return model.file("onnx"), feeds


@pytest.mark.parametrize(
    ("runtime", "half"),
    [*((runtime, False) for runtime in RUNTIMES), ("onnxruntime", True), ("openvino", True)],
)
@pytest.mark.parametrize("name", [name for name in space_names() if name.endswith("-32")])
def test_what_our_quantisers_write_is_scaled_rightly(
    tmp_path: Path, name: str, runtime: str, half: bool
) -> None:
    path, feeds = quantised(tmp_path, name, runtime, half=half)
    check_scales(path, feeds)
    assert max(scale_factors(path, feeds).values()) < 1.2


@pytest.mark.parametrize("factor", [4.0, 0.25])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_pair_with_a_wrong_scale_is_refused_wherever_it_is(
    tmp_path: Path, runtime: str, factor: float
) -> None:
    """Such a pair, four times too coarse, changes outputs by a few per cent only."""
    path, feeds = quantised(tmp_path, "bottleneck-32", runtime)
    data, pairs = path.read_bytes(), len(scale_factors(path, feeds))
    assert pairs > 20
    for place in (*range(0, pairs, 5), pairs - 1):
        path.write_bytes(data)
        rescaled(path, "QuantizeLinear", place, factor, alone=False)
        with pytest.raises(HwsearchError, match="is quantised for values"):
            check_scales(path, feeds)


def converted_wrongly(op_type: str, place: int, *, alone: bool) -> Callable[..., Portable]:
    """Quantises, and then makes one scale four times as large."""

    def convert(model: Portable, out: Path, **given: Any) -> Portable:
        right = in_precision(model, out, **given)
        return Portable(rescaled(right.file("onnx"), op_type, place, 4.0, alone=alone))

    return convert


@pytest.mark.parametrize("runtime", ["tensorrt", "onnxruntime"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_wrongly_scaled_graph_leaves_for_no_device(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, alone: bool
) -> None:
    op_type = "DequantizeLinear" if alone else "QuantizeLinear"
    monkeypatch.setattr(assemble, "in_precision", converted_wrongly(op_type, 9, alone=alone))
    alone_message = r"model_int8\.onnx, computed by .*at most 0\.5"
    message = alone_message if alone else "is quantised for values [34]"
    with pytest.raises(HwsearchError, match=message):
        made_elsewhere(made, tmp_path, monkeypatch, runtime, "int8")
    assert not (tmp_path / "engine").exists()


def test_a_graph_that_lost_what_its_network_was_chosen_for_is_refused(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = converted_wrongly("DequantizeLinear", 9, alone=True)
    monkeypatch.setattr(assemble, "in_precision", wrong)
    monkeypatch.setattr(far, "check_errors", lambda errors, tolerance, **words: None)
    with pytest.raises(HwsearchError, match="distance to the teacher"):
        made_elsewhere(made, tmp_path, monkeypatch, "tensorrt", "int8")
