"""float16 and TensorRT's int8 forms of ONNX graphs, computed by ONNX Runtime.

No runtime that takes its numbers from the graph is needed: that the graph says them is checked.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import GraphProto, TensorProto, helper, numpy_helper
from onnx.shape_inference import infer_shapes

from hwsearch.errors import HwsearchError
from hwsearch.export import precision
from hwsearch.export.cast import cast_to_fp16
from hwsearch.export.onnx import export_network, seeded_network
from hwsearch.export.precision import in_precision
from hwsearch.export.quantise import image_feeds
from hwsearch.heads import Camera, parse_extra
from hwsearch.nn import calibrate
from hwsearch.runtime.base import Portable
from hwsearch.spaces import get_space, space_names

HALF_ERROR, INT8_ERROR = 0.02, 0.3
PRODUCTS = ("Conv", "Gemm", "MatMul")
SMALL = get_space("bottleneck-32")


def run(model: Portable, images: np.ndarray) -> list[np.ndarray]:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(model.file("onnx"), settings, providers=providers)
    return [np.asarray(array) for array in session.run(None, {"image": images})]


def error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


small_spaces = pytest.mark.parametrize(
    "name", [name for name in space_names() if name.endswith("-32")]
)


def exported(name: str, folder: Path, *, largest: bool = False) -> tuple[Portable, np.ndarray]:
    """Returns a network with statistics of some images, and those."""
    space = get_space(name)
    net = seeded_network(space.lower(space.maximum if largest else space.minimum))
    images = torch.randn(4, *space.input_shape, generator=torch.Generator().manual_seed(0))
    calibrate(net, [images])
    return export_network(net, folder / "exact.onnx"), images.numpy()


def types_of(graph: GraphProto) -> dict[str, int]:
    values = (*graph.value_info, *graph.input, *graph.output)
    found = {value.name: value.type.tensor_type.elem_type for value in values}
    return found | {tensor.name: tensor.data_type for tensor in graph.initializer}


@small_spaces
def test_networks_compute_in_float16_with_float32_around(tmp_path: Path, name: str):
    exact, images = exported(name, tmp_path)
    half = cast_to_fp16(exact, tmp_path / "half.onnx")
    graph = infer_shapes(onnx.load(half.file("onnx"))).graph
    types = types_of(graph)
    assert {types[value.name] for value in (*graph.input, *graph.output)} == {TensorProto.FLOAT}
    for node in graph.node:
        if node.op_type in PRODUCTS:
            assert {types[tensor] for tensor in (*node.input, *node.output)} == {
                TensorProto.FLOAT16
            }
    (found,), (expected,) = run(half, images[:1]), run(exact, images[:1])
    assert found.dtype == np.float32
    assert 0 < error(found, expected) < HALF_ERROR


@pytest.mark.parametrize("head", ["classifier:10", "detection:3"])
def test_what_ships_takes_bytes_that_are_cast_at_once(tmp_path: Path, head: str):
    blocks = Camera(48).around(parse_extra(head).around(SMALL.lower(SMALL.minimum)))
    exact = export_network(seeded_network(blocks), tmp_path / "exact.onnx")
    half = cast_to_fp16(exact, tmp_path / "half.onnx")
    for model in (exact, half):
        graph = onnx.load(model.file("onnx")).graph
        assert [n.op_type for n in graph.node if "image" in n.input] == ["Cast"]
    frames = np.random.default_rng(0).integers(0, 256, (1, 48, 48, 3), np.uint8)
    for found, expected in zip(run(half, frames), run(exact, frames), strict=True):
        assert error(found, expected) < HALF_ERROR


def one_product(path: Path, weights: np.ndarray) -> Portable:
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in ("image", "out")
    ]
    node = helper.make_node("MatMul", ["image", "w"], ["out"])
    weights = numpy_helper.from_array(weights.astype("float32"), "w")
    graph = helper.make_graph([node], "net", values[:1], values[1:], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    return Portable(path)


def test_numbers_out_of_range_are_refused_and_infinite_ones_kept(tmp_path: Path):
    large = one_product(tmp_path / "large.onnx", np.array([[1e6, 0], [0, 1]]))
    with pytest.raises(HwsearchError, match=r"'w' is out of float16's range.*large\.onnx.*fp32"):
        cast_to_fp16(large, tmp_path / "half.onnx")
    assert not (tmp_path / "half.onnx").exists()
    kept = one_product(tmp_path / "kept.onnx", np.array([[np.inf, 1e-12], [0, 1]]))
    (weights,) = onnx.load(
        cast_to_fp16(kept, tmp_path / "half.onnx").file("onnx")
    ).graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(weights), [[np.inf, 0], [0, 1]])


def int8_for_tensorrt(exact: Portable, images: np.ndarray, out: Path) -> Portable:
    feeds = image_feeds("image", images, 1)
    return in_precision(exact, out, runtime="tensorrt", precision="int8", feeds=lambda: feeds)


def test_a_stop_between_both_leaves_no_form(tmp_path: Path, monkeypatch) -> None:
    exact, images = exported(SMALL.name, tmp_path)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(precision, "cast_to_fp16", stop)
    with pytest.raises(KeyboardInterrupt):
        int8_for_tensorrt(exact, images, tmp_path / "int8.onnx")
    assert not (tmp_path / "int8.onnx").exists()


@small_spaces
def test_int8_for_tensorrt_is_symmetric_with_float16_between(tmp_path: Path, name: str):
    exact, images = exported(name, tmp_path, largest=name == "inverted-32")
    form = int8_for_tensorrt(exact, images, tmp_path / "int8.onnx")
    graph = onnx.load(form.file("onnx")).graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    producers = {name: node.op_type for node in graph.node for name in node.output}
    before = [[producers.get(name, "weight") for name in node.input] for node in graph.node]
    for node, types in zip(graph.node, before, strict=True):
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert weights[node.input[1]].dtype == np.float16
            assert weights[node.input[2]].dtype == np.int8 and not weights[node.input[2]].any()
        if node.op_type in PRODUCTS:
            assert types[:2] == ["DequantizeLinear"] * 2
            assert types[2:] in ([], ["weight"])  # no quantised bias
        if node.op_type == "Add" and name not in ("vit-32", "cell-32"):
            assert sorted(types) == ["Conv", "DequantizeLinear"]  # the skip branch alone
    assert "Add" in {node.op_type for node in graph.node}
    assert all(array.dtype != np.float32 for array in weights.values())
    (found,), (expected,) = run(form, images[:1]), run(exact, images[:1])
    assert 0 < error(found, expected) < INT8_ERROR


def test_int8_form_is_the_same_every_time(tmp_path: Path):
    exact, images = exported("bottleneck-32", tmp_path)
    forms = [int8_for_tensorrt(exact, images, tmp_path / f"{i}.onnx") for i in range(2)]
    assert len({form.file("onnx").read_bytes() for form in forms}) == 1
