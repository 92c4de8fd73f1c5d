"""The TensorRT runtime's own logic, on a stand-in that computes with ONNX's reference.

No engine of the true TensorRT is built or run here.
"""

import ctypes
import dataclasses
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import fake_tensorrt
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from stub_libraries import compile_cudart
from test_runtime import SHAPE, write_onnx

from hwsearch.errors import HwsearchError
from hwsearch.export.append import append_graph
from hwsearch.export.cast import cast_to_fp16
from hwsearch.runtime.base import BuildOptions, LoadOptions, Portable
from hwsearch.runtime.cudart import Cuda, Gpu
from hwsearch.runtime.tensorrt_note import EngineNote, check_runs_here, note_path, read_note
from hwsearch.runtime.tensorrt_settings import TensorRtSettings, trtexec_line

IMAGES = np.random.default_rng(1).normal(size=SHAPE).astype("float32")
OURS = ("hwsearch.runtime.tensorrt", "hwsearch.runtime.tensorrt_build")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return ctypes.CDLL(str(compile_cudart(tmp_path_factory.mktemp("cudart"))))


@pytest.fixture
def module(library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt)
    for name in OURS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    loaded = importlib.import_module(OURS[0])
    monkeypatch.setattr(loaded, "open_cuda", lambda: Cuda(library))
    monkeypatch.setattr(loaded, "WARM_UP_SECONDS", 0.02)
    yield loaded
    fake_tensorrt.failing.clear()
    for name in OURS:
        sys.modules.pop(name, None)
    assert [library.stub_live(kind) for kind in range(3)] == [0, 0, 0]


@pytest.fixture
def model(tmp_path: Path) -> Portable:
    return Portable(write_onnx(tmp_path / "model.onnx", 2))


def expected(model: Portable) -> np.ndarray:
    return ReferenceEvaluator(str(model.onnx)).run(None, {"image": IMAGES})[0]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_engine_computes_what_the_onnx_file_says(
    module: ModuleType, model: Portable, tmp_path: Path, precision: str
):
    runtime, built = module.TensorRt(), model
    if precision == "fp16":
        built = cast_to_fp16(model, tmp_path / "fp16.onnx")
    engine = runtime.build(built, tmp_path / "out", BuildOptions(precision))
    assert sorted(runtime.files(engine)) == sorted(engine.parent.iterdir())
    with runtime.load(engine, LoadOptions(precision=precision)) as loaded:
        assert loaded.provider == "CUDA Stub Orin"
        assert [(s.name, s.shape, s.dtype) for s in loaded.input_specs] == [
            ("image", SHAPE, "float32")
        ]
        for _ in range(2):
            output = loaded.run({"image": IMAGES})["embedding"]
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, expected(model), atol=2e-3)


def test_window_warms_up_once_and_reads_the_gpus_own_clock(
    module: ModuleType, model: Portable, tmp_path: Path, library: ctypes.CDLL
):
    library.stub_calls.restype = ctypes.c_char_p
    engine = module.TensorRt().build(model, tmp_path / "out", BuildOptions())
    counts = []
    with module.TensorRt().load(engine, LoadOptions()) as loaded:
        for _ in range(2):
            library.stub_forget()
            np.testing.assert_array_equal(loaded.window({"image": IMAGES}, 0.0), [0.0005])
            counts.append(library.stub_calls().count(b"cudaEventElapsedTime"))
        assert len(loaded.window({"image": IMAGES}, 0.02)) > 1
    assert counts[0] > counts[1] == 1


def test_note_tells_how_and_where_it_was_built(module: ModuleType, model: Portable, tmp_path: Path):
    engine = module.TensorRt().build(model, tmp_path / "out", BuildOptions())
    assert read_note(engine) == EngineNote(
        precision="fp32",
        tensorrt="10.3.0",
        device="Stub Orin",
        compute_capability="8.7",
        driver_cuda="12.6",
        runtime_cuda="12.8",
        settings=TensorRtSettings(),
    )
    config = fake_tensorrt.configs[-1]
    assert config.builder_optimization_level == 3
    assert config.pools == {"workspace": 1 << 30}
    assert config.flags == set()  # fp32 is float32, not TF32
    assert config.hardware_compatibility_level.name == "NONE"
    assert [profile.shapes for profile in config.profiles] == [{"image": (SHAPE,) * 3}]


def test_timing_cache_is_read_and_grows(module: ModuleType, model: Portable, tmp_path: Path):
    options = BuildOptions(cache=tmp_path / "cache")
    for length in (1, 2):
        engine = module.TensorRt().build(model, tmp_path / str(length), options)
        (cache,) = (tmp_path / "cache").iterdir()
        assert cache.read_bytes() == b"+" * length
        assert read_note(engine).timing_cache == cache.name
    cache.write_bytes(b"damaged")
    module.TensorRt().build(model, tmp_path / "again", options)
    assert cache.read_bytes() == b"+"


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("Builder", "TensorRT cannot start"),
        ("build_serialized_network", "tensorrt cannot build this ONNX file"),
    ],
)
def test_what_tensorrt_says_is_in_the_error(
    module: ModuleType, model: Portable, tmp_path: Path, call: str, told: str
):
    fake_tensorrt.failing.add(call)
    with pytest.raises(HwsearchError, match=rf"{told}: {call}: the GPU is on fire") as caught:
        module.TensorRt().build(model, tmp_path / "out", BuildOptions())
    assert "nobody" not in str(caught.value)


def test_failing_call_is_told(module: ModuleType, model: Portable, tmp_path: Path):
    engine = module.TensorRt().build(model, tmp_path / "out", BuildOptions())
    fake_tensorrt.failing.add("execute_async_v3")
    with (
        module.TensorRt().load(engine, LoadOptions()) as loaded,
        pytest.raises(HwsearchError, match=r"cannot run this engine: .*on fire"),
    ):
        loaded.run({"image": IMAGES})


def test_wrong_files_are_refused(module: ModuleType, model: Portable, tmp_path: Path):
    runtime = module.TensorRt()
    engine = runtime.build(model, tmp_path / "out", BuildOptions())
    plan = engine.read_bytes()
    engine.write_bytes(b"\0\1 no plan")
    with pytest.raises(HwsearchError, match=r"cannot read this engine: magic tag"):
        runtime.load(engine, LoadOptions()).__enter__()
    with pytest.raises(HwsearchError, match=r"cannot read this ONNX file: this is no model"):
        runtime.build(Portable(engine), tmp_path / "again", BuildOptions())
    engine.write_bytes(plan)
    for text in ("", "{}", "[" * 200_000, note_path(engine).read_text().replace("false", '"no"')):
        note_path(engine).write_text(text)
        with pytest.raises(HwsearchError, match=r"no readable note beside it.*engine\.json"):
            runtime.load(engine, LoadOptions()).__enter__()


def test_numbers_of_the_graph_must_be_those_asked_for(
    module: ModuleType, model: Portable, tmp_path: Path
):
    runtime = module.TensorRt()
    for precision in ("fp16", "int8"):
        with pytest.raises(HwsearchError, match=rf"does not compute in {precision}.*FLOAT"):
            runtime.build(model, tmp_path / "out", BuildOptions(precision))
    half = cast_to_fp16(model, tmp_path / "fp16.onnx")
    with pytest.raises(HwsearchError, match=r"does not compute in fp32.*HALF"):
        runtime.build(half, tmp_path / "out", BuildOptions())
    engine = runtime.build(half, tmp_path / "out", BuildOptions("fp16"))
    assert fake_tensorrt.configs[-1].flags == {fake_tensorrt.BuilderFlag.TF32}
    with pytest.raises(HwsearchError, match="fp16 would run, not fp32"):
        runtime.load(engine, LoadOptions()).__enter__()


def test_an_appended_head_stays_in_float32(module: ModuleType, model: Portable, tmp_path: Path):
    """As heads for detection and segmentation do, whose numbers are places."""
    half = cast_to_fp16(model, tmp_path / "fp16.onnx")
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [SHAPE[0], width, 1, 1])
        for name, width in (("embedding", 16), ("scores", 2))
    ]
    weights = numpy_helper.from_array(np.full((2, 16, 1, 1), 1e6, "float32"), "w")
    nodes = [helper.make_node("Conv", ["embedding", "w"], ["scores"])]
    graph = helper.make_graph(nodes, "head", values[:1], values[1:], [weights])
    onnx.save(helper.make_model(graph), tmp_path / "head.onnx")
    append_graph(half.file("onnx"), tmp_path / "head.onnx")
    runtime = module.TensorRt()
    engine = runtime.build(half, tmp_path / "out", BuildOptions("fp16"))
    with runtime.load(engine, LoadOptions(precision="fp16")) as loaded:
        found = loaded.run({"image": IMAGES})
    sums = found["embedding"].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found["scores"], 1e6 * sums.repeat(2, axis=1), rtol=1e-5)


def test_batch_must_be_fixed(module: ModuleType, tmp_path: Path):
    free = Portable(write_onnx(tmp_path / "free.onnx", "batch"))
    with pytest.raises(HwsearchError, match=r"'image' has no fixed shape.*--batch"):
        module.TensorRt().build(free, tmp_path / "out", BuildOptions())


def test_compatibility_is_asked_of_tensorrt_only_on_demand(
    module: ModuleType, model: Portable, tmp_path: Path
):
    settings = TensorRtSettings(version_compatible=True, hardware_compatibility="AMPERE_PLUS")
    engine = module.TensorRt(settings).build(model, tmp_path / "out", BuildOptions())
    assert fake_tensorrt.configs[-1].flags == {fake_tensorrt.BuilderFlag.VERSION_COMPATIBLE}
    assert fake_tensorrt.configs[-1].hardware_compatibility_level.name == "AMPERE_PLUS"
    assert read_note(engine).settings == settings
    settings = TensorRtSettings(hardware_compatibility="AMPERE")
    with pytest.raises(HwsearchError, match=r"level 'AMPERE'. Did you mean AMPERE_PLUS"):
        module.TensorRt(settings).build(model, tmp_path / "out", BuildOptions())


NOTE = EngineNote("fp16", "10.3.0", "Orin", "8.7", "12.6", "12.6", TensorRtSettings())


@pytest.mark.parametrize(
    ("settings", "version", "gpu", "runs"),
    [
        ({}, "10.3.0", ("Orin", (8, 7)), True),
        ({}, "10.16.1.11", ("Orin", (8, 7)), False),
        ({}, "10.3.0", ("Orin", (8, 9)), False),
        ({}, "10.3.0", ("Xavier", (8, 7)), False),
        ({"version_compatible": True}, "10.16.1.11", ("Orin", (8, 7)), True),
        ({"version_compatible": True}, "10.2.0.post1", ("Orin", (8, 7)), False),
        ({"version_compatible": True}, "11.4.0.106", ("Orin", (9, 0)), False),
        ({"hardware_compatibility": "AMPERE_PLUS"}, "10.3.0", ("H200", (9, 0)), True),
        ({"hardware_compatibility": "AMPERE_PLUS"}, "10.3.0", ("T4", (7, 5)), False),
        ({"hardware_compatibility": "SAME_COMPUTE_CAPABILITY"}, "10.3.0", ("X", (8, 7)), True),
        ({"hardware_compatibility": "SAME_COMPUTE_CAPABILITY"}, "10.3.0", ("X", (8, 6)), False),
    ],
)
def test_engines_run_only_where_their_flags_allow(
    settings: dict, version: str, gpu: tuple[str, tuple[int, int]], runs: bool
):
    note = dataclasses.replace(NOTE, settings=TensorRtSettings(**settings))
    here = Gpu(*gpu, driver_cuda="13.0", runtime_cuda="13.0")
    if runs:
        return check_runs_here(note, Path("engine.plan"), version=version, gpu=here)
    with pytest.raises(HwsearchError) as caught:
        check_runs_here(note, Path("engine.plan"), version=version, gpu=here)
    capability = ".".join(map(str, gpu[1]))
    assert "TensorRT 10.3.0 on Orin, compute capability 8.7" in str(caught.value)
    assert f"TensorRT {version} on {gpu[0]}, compute capability {capability}" in str(caught.value)
    return None


def test_engine_of_elsewhere_is_not_touched(
    module: ModuleType, model: Portable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    engine = module.TensorRt().build(model, tmp_path / "out", BuildOptions())
    note = json.loads(note_path(engine).read_text()) | {"compute_capability": "9.0"}
    note_path(engine).write_text(json.dumps(note))
    monkeypatch.setattr(fake_tensorrt, "Runtime", None)
    with pytest.raises(HwsearchError, match=r"built by .*9\.0; this is .*8\.7"):
        module.TensorRt().load(engine, LoadOptions()).__enter__()


def test_package_that_cannot_load_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    for name in OURS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(HwsearchError, match=r"tensorrt cannot be loaded"):
        importlib.import_module(OURS[0])


def test_trtexec_builds_with_the_same_settings():
    line = trtexec_line("a b.onnx", "fp32", "engine.plan")
    assert line.startswith("trtexec '--onnx=a b.onnx' --saveEngine=engine.plan --stronglyTyped")
    assert "--builderOptimizationLevel=3 --memPoolSize=workspace:1024" in line
    assert "--noTF32" in line
    assert "--noTF32" not in trtexec_line("a.onnx", "fp16", "engine.plan")
