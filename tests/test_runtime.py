"""Every registered runtime builds, loads, runs and times engines in the same way."""

import shutil
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import onnx
import pytest
from abilities import skipped_unless_computed
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from hwsearch.device import fingerprint
from hwsearch.errors import HwsearchError
from hwsearch.export.onnx import export_block
from hwsearch.export.precision import in_precision
from hwsearch.export.program import export_block_program
from hwsearch.export.quantise import seeded_feeds
from hwsearch.runtime import get_runtime, runtime_names
from hwsearch.runtime.base import FORMS, BuildOptions, LoadOptions, Portable, Runtime
from hwsearch.runtime.half_range import needs_half_range
from hwsearch.spaces import get_space

SHAPE = (2, 3, 8, 8)
WEIGHTS = np.random.default_rng(0).normal(size=(16, 3, 3, 3)).astype("float32")
SLOW = ("torch-aoti",)


def write_model(runtime: Runtime, folder: Path, batch: int | str = 2) -> Portable:
    """A convolution, a ReLU and a mean, with seeded weights."""
    onnx = write_onnx(folder / "a.onnx", batch)
    program = folder / "a.pt2"
    if runtime.takes == "program":
        write_program(program, batch)
        return Portable(program=program)
    return Portable(onnx)


def write_program(path: Path, batch: int | str) -> None:
    import torch

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.from_numpy(WEIGHTS))

        def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            x = torch.nn.functional.conv2d(image, self.weight, padding=1).relu()
            return {"embedding": x.mean((2, 3), keepdim=True)}

    free = {0: torch.export.Dim("batch")} if isinstance(batch, str) else None
    with torch.no_grad():
        program = torch.export.export(Net(), (torch.zeros(SHAPE),), dynamic_shapes=(free,))
    torch.export.save(program, path)


def write_onnx(path: Path, batch: int | str, side: int | str = SHAPE[3]) -> Path:
    shape = [batch, *SHAPE[1:3], side]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, 16, 1, 1])
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["a"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["embedding"]),
    ]
    graph = helper.make_graph(nodes, "net", [image], [out], [numpy_helper.from_array(WEIGHTS, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def opened(name: str) -> Runtime | None:
    try:
        return get_runtime(name)
    except HwsearchError:
        return None


FOUND = {name: opened(name) for name in runtime_names()}
HERE = [name for name, found in FOUND.items() if found and "fp32" in found.precisions]
ABSENT = [name for name, found in FOUND.items() if found is None]


def marked(name: str) -> object:
    return pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])


@pytest.fixture(scope="module", params=[marked(name) for name in HERE])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return get_runtime(request.param)


@pytest.mark.parametrize("name", ABSENT)
def test_a_runtime_that_is_not_here_says_what_it_wants(name: str) -> None:
    with pytest.raises(HwsearchError, match=r"not installed|has no|finds no") as refused:
        get_runtime(name)
    assert refused.value.fix.startswith(("Run: ", "To get it: ", "Install "))


@pytest.fixture(scope="module")
def built(runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(runtime.name)
    return runtime.build(write_model(runtime, folder), folder / "out", BuildOptions())


@pytest.fixture
def engine(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built.parent, tmp_path / "out")) / built.name


def load(runtime: Runtime, engine: Path) -> None:
    with runtime.load(engine, LoadOptions()):
        pass


@pytest.mark.parametrize("threads", [1, 2])
def test_engine_computes_what_the_onnx_file_says(
    runtime: Runtime, engine: Path, tmp_path: Path, threads: int
) -> None:
    images = np.random.default_rng(1).normal(size=SHAPE).astype("float32")
    model = str(write_onnx(tmp_path / "a.onnx", 2))
    (expected,) = ReferenceEvaluator(model).run(None, {"image": images})
    with runtime.load(engine, LoadOptions(threads=threads)) as loaded:
        assert [(spec.name, spec.shape) for spec in loaded.input_specs] == [("image", SHAPE)]
        for _ in range(2):
            outputs = loaded.run({"image": images})
        assert loaded.provider.startswith(("CPU", "CUDA"))
    assert list(outputs) == ["embedding"]
    np.testing.assert_allclose(outputs["embedding"], expected, atol=1e-4)


@pytest.mark.parametrize("precision", ["bf16", "fp16", "int8"])
def test_every_precision_computes_nearly_the_same(
    runtime: Runtime, tmp_path: Path, precision: str
) -> None:
    if precision not in runtime.precisions:
        pytest.skip(f"{runtime.name} has no {precision}")
    space = get_space("basic-32")
    block, exact = space.lower(space.minimum)[1], tmp_path / "exact.onnx"
    export_block(block, exact)
    feeds = seeded_feeds(Portable(onnx=exact))
    if runtime.takes == "program":
        model = export_block_program(block, tmp_path / "m.pt2", precision=precision)
    else:
        model = in_precision(
            Portable(onnx=exact),
            tmp_path / "m.onnx",
            runtime=runtime.name,
            precision=precision,
            feeds=lambda: feeds,
            half_range=needs_half_range(runtime.name, fingerprint()),
        )
    (expected,) = ReferenceEvaluator(str(exact)).run(None, dict(feeds[0]))
    with skipped_unless_computed(precision):
        engine = runtime.build(model, tmp_path / "out", BuildOptions(precision))
        with runtime.load(engine, LoadOptions(precision=precision)) as loaded:
            found = loaded.run(feeds[0])["output"]
    assert 0 < np.linalg.norm(found - expected) < 0.03 * np.linalg.norm(expected)


def test_window_gives_raw_seconds_and_keeps_results(runtime: Runtime, engine: Path) -> None:
    feed = {"image": np.ones(SHAPE, "float32")}
    with runtime.load(engine, LoadOptions()) as loaded:
        before = loaded.run(feed)["embedding"].copy()
        begin = perf_counter()
        times = loaded.window(feed, 0.2)
        elapsed = perf_counter() - begin
        assert loaded.window(feed, 0.0).shape == (1,)
        np.testing.assert_array_equal(loaded.run(feed)["embedding"], before)
    assert times.ndim == 1 and times.size > 1 and (times > 0).all()
    assert times.sum() < elapsed >= 0.2


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
    with pytest.raises(HwsearchError, match=f"{name} cannot read this {FORMS[runtime.takes]}"):
        runtime.build(Portable(engine, engine), tmp_path / "again", BuildOptions())


def test_models_of_another_form_are_refused(runtime: Runtime, tmp_path: Path) -> None:
    other = tmp_path / "model"
    model = Portable(program=other) if runtime.takes == "onnx" else Portable(onnx=other)
    with pytest.raises(HwsearchError, match=f"this is no {FORMS[runtime.takes]}.*{other}"):
        runtime.build(model, tmp_path, BuildOptions())


def test_sizes_must_be_fixed_but_for_the_batch_of_an_onnx_file(
    runtime: Runtime, tmp_path: Path
) -> None:
    if runtime.takes == "program":
        model = write_model(runtime, tmp_path, batch="batch")
    else:
        model = Portable(write_onnx(tmp_path / "a.onnx", "batch", "side"))
    with pytest.raises(HwsearchError, match=r"has no fixed shape.*--batch"):
        load(runtime, runtime.build(model, tmp_path / "out", BuildOptions()))


def test_unknown_precision_is_refused(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(HwsearchError, match=r"unknown precision.*Known: .*fp32"):
        runtime.build(Portable(), tmp_path, BuildOptions(precision="fp23"))


def test_unknown_runtime_gets_the_nearest_names() -> None:
    with pytest.raises(HwsearchError, match=r"unknown runtime 'openvno'. Did you mean openvino"):
        get_runtime("openvno")


def test_missing_package_gets_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hwsearch.runtime.find_spec", lambda name: None)
    with pytest.raises(HwsearchError, match=r"is not installed\. Run: pip install openvino"):
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


def test_openvino_loads_faster_from_what_it_compiled_before(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    runtime = get_runtime("openvino")
    model = write_model(runtime, tmp_path)
    engine = runtime.build(model, tmp_path / "out", BuildOptions(cache=tmp_path))
    for threads in (1, 2):
        with runtime.load(engine, LoadOptions(threads=threads)) as loaded:
            assert loaded._compiled.get_property("LOADED_FROM_CACHE")
    assert len(list((tmp_path / "out" / "compiled").iterdir())) == 1
    (blob,) = (tmp_path / "out" / "compiled").iterdir()
    blob.write_bytes(blob.read_bytes()[:100])
    load(runtime, engine)


@pytest.mark.parametrize(
    ("runtime", "architecture", "isa", "found"),
    [
        ("onnxruntime", "x86_64", "avx avx2", True),
        ("openvino", "x86_64", "avx avx2 avx512f avx512bw", True),
        ("openvino-gpu", "x86_64", "avx avx2", False),
        ("onnxruntime", "x86_64", "avx2 avx512f avx512_vnni", False),
        ("onnxruntime", "x86_64", "avx2 avx_vnni", False),
        ("onnxruntime", "aarch64", "asimd", False),
    ],
)
def test_weights_keep_to_half_the_range_on_older_processors(
    runtime: str, architecture: str, isa: str, found: bool
) -> None:
    assert needs_half_range(runtime, {"architecture": architecture, "isa": isa}) == found
