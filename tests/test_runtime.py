"""Every registered runtime builds, loads, runs and times engines in the same way."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from hwsearch.errors import HwsearchError
from hwsearch.runtime import get_runtime, runtime_names
from hwsearch.runtime.base import BuildOptions, LoadOptions, Portable, Runtime

SHAPE = (2, 3, 8, 8)


def write_model(path: Path, batch: int | str = 2) -> Portable:
    """A convolution, a ReLU and a mean, with seeded weights."""
    weights = np.random.default_rng(0).normal(size=(16, 3, 3, 3)).astype("float32")
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, *SHAPE[1:]])
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, 16, 1, 1])
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["a"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["embedding"]),
    ]
    graph = helper.make_graph(nodes, "net", [image], [out], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return Portable(path)


@pytest.fixture(params=runtime_names())
def runtime(request: pytest.FixtureRequest) -> Runtime:
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return get_runtime(request.param)


@pytest.fixture
def engine(runtime: Runtime, tmp_path: Path) -> Path:
    return runtime.build(write_model(tmp_path / "a.onnx"), tmp_path / "out", BuildOptions())


def load(runtime: Runtime, engine: Path) -> None:
    with runtime.load(engine, LoadOptions()):
        pass


@pytest.mark.parametrize("threads", [1, 2])
def test_engine_computes_what_the_onnx_file_says(
    runtime: Runtime, engine: Path, tmp_path: Path, threads: int
) -> None:
    images = np.random.default_rng(1).normal(size=SHAPE).astype("float32")
    (expected,) = ReferenceEvaluator(str(tmp_path / "a.onnx")).run(None, {"image": images})
    with runtime.load(engine, LoadOptions(threads=threads)) as loaded:
        assert [(spec.name, spec.shape) for spec in loaded.input_specs] == [("image", SHAPE)]
        for _ in range(2):
            outputs = loaded.run({"image": images})
        assert loaded.provider in ("CPUExecutionProvider", "CPU")
    assert list(outputs) == ["embedding"]
    np.testing.assert_allclose(outputs["embedding"], expected, atol=1e-4)


def test_window_gives_raw_seconds_and_keeps_results(runtime: Runtime, engine: Path) -> None:
    feed = {"image": np.ones(SHAPE, "float32")}
    with runtime.load(engine, LoadOptions()) as loaded:
        before = loaded.run(feed)["embedding"].copy()
        times = loaded.window(feed, 0.02)
        assert loaded.window(feed, 0.0).shape == (1,)
        np.testing.assert_array_equal(loaded.run(feed)["embedding"], before)
    assert times.ndim == 1 and (times > 0).all()
    assert 0.01 < times.sum() < 0.5


def test_all_files_of_an_engine_are_named(runtime: Runtime, engine: Path) -> None:
    files = runtime.files(engine)
    assert files[0] == engine
    assert sorted(files) == sorted(engine.parent.iterdir())


def test_wrong_input_is_refused(runtime: Runtime, engine: Path) -> None:
    with (
        runtime.load(engine, LoadOptions()) as loaded,
        pytest.raises(HwsearchError, match=r"the engine takes .*\(2, 3, 8, 8\)"),
    ):
        loaded.run({"image": np.ones((1, 3, 8, 8), "float32")})


def test_wrong_files_are_refused(runtime: Runtime, engine: Path, tmp_path: Path) -> None:
    name = runtime.name
    with pytest.raises(HwsearchError, match=r"no engine here .*none\.x"):
        load(runtime, tmp_path / "none.x")
    engine.write_bytes(b"\0\1 not an engine")
    with pytest.raises(HwsearchError, match=f"{name} cannot read this engine"):
        load(runtime, engine)
    with pytest.raises(HwsearchError, match=f"{name} cannot read this ONNX file"):
        runtime.build(Portable(engine), tmp_path / "again", BuildOptions())


def test_batch_must_be_fixed(runtime: Runtime, tmp_path: Path) -> None:
    model = write_model(tmp_path / "free.onnx", batch="batch")
    engine = runtime.build(model, tmp_path / "out", BuildOptions())
    with pytest.raises(HwsearchError, match=r"'image' has no fixed shape.*--batch"):
        load(runtime, engine)


def test_unknown_precision_is_refused(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(HwsearchError, match=r"unknown precision.*Known: fp32"):
        runtime.build(write_model(tmp_path / "a.onnx"), tmp_path, BuildOptions(precision="fp23"))


def test_unknown_runtime_gets_the_nearest_names() -> None:
    with pytest.raises(HwsearchError, match=r"unknown runtime 'openvno'. Did you mean openvino"):
        get_runtime("openvno")


def test_missing_package_gets_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hwsearch.runtime.find_spec", lambda name: None)
    with pytest.raises(HwsearchError, match=r"openvino is not installed. Run: .*\[openvino\]"):
        get_runtime("openvino")


def test_engines_can_take_turns_on_one_pool(runtime: Runtime, engine: Path) -> None:
    script = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from hwsearch.runtime import get_runtime; from hwsearch.runtime.base import LoadOptions\n"
        "runtime, options = get_runtime(sys.argv[1]), LoadOptions(2, shared_pool=True)\n"
        "with runtime.load(Path(sys.argv[2]), options) as a:\n"
        "  with runtime.load(Path(sys.argv[2]), options) as b:\n"
        "    feed = {'image': np.ones((2, 3, 8, 8), 'float32')}\n"
        "    assert (a.run(feed)['embedding'] == b.run(feed)['embedding']).all()\n"
    )
    subprocess.run([sys.executable, "-c", script, runtime.name, str(engine)], check=True)
