"""ONNX graphs as older exporters write them: cast and freed like others."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from catalogues import outputs
from onnx import TensorProto, helper, numpy_helper

from hwsearch.errors import HwsearchError
from hwsearch.export.calls import free_batch
from hwsearch.export.cast import cast_to_fp16
from hwsearch.runtime.base import Portable

IMAGES = np.random.default_rng(0).standard_normal((3, 3, 8, 8), np.float32)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Its weights are inputs, and constants are numbers or left out."""
    rng = np.random.default_rng(0)
    arrays = {"w": rng.normal(size=(4, 3, 3, 3)).astype("f"), "size": np.ones(4, np.int64)}
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["maps"]),
        helper.make_node("Constant", [], ["factor"], value_float=2.0),
        helper.make_node("Mul", ["maps", "factor"], ["larger"]),
        helper.make_node("ConstantOfShape", ["size"], ["nothing"]),
        helper.make_node("Add", ["larger", "nothing"], ["same"]),
        helper.make_node("GlobalAveragePool", ["same"], ["pooled"]),
        helper.make_node("Constant", [], ["shape"], value_ints=[1, 4]),
        helper.make_node("Reshape", ["pooled", "shape"], ["embedding"]),
    ]
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    inputs = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 8, 8)),
        *(helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in weights),
    ]
    gives = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, (1, 4))]
    graph = helper.make_graph(nodes, "old", inputs, gives, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=3)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, tmp_path / "old.onnx")
    return tmp_path / "old.onnx"


def test_it_is_cast_to_float16(old: Path, tmp_path: Path) -> None:
    half = cast_to_fp16(Portable(old), tmp_path / "half.onnx").file("onnx")
    (found,), (exact,) = outputs(half, IMAGES[:1]), outputs(old, IMAGES[:1])
    np.testing.assert_allclose(found, exact, rtol=1e-2, atol=1e-3)
    assert (found != exact).any()


def test_it_takes_any_number_of_images(old: Path, tmp_path: Path) -> None:
    free = Path(shutil.copy(old, tmp_path / "free.onnx"))
    free_batch(free)
    exact = np.concatenate([outputs(old, image[None])[0] for image in IMAGES])
    np.testing.assert_allclose(outputs(free, IMAGES)[0], exact, rtol=1e-5, atol=1e-6)


def test_what_takes_no_float16_is_refused(old: Path, tmp_path: Path) -> None:
    model = onnx.load(old)
    model.graph.node[3].CopyFrom(
        helper.make_node("RandomNormal", [], ["nothing"], shape=[1, 4, 1, 1])
    )
    onnx.save(model, old)
    with pytest.raises(HwsearchError, match=r"cannot be cast to fp16: .*--precision fp32"):
        cast_to_fp16(Portable(old), tmp_path / "half.onnx")
    assert not (tmp_path / "half.onnx").exists()
