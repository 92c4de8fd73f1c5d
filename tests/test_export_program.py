"""Exported programs: what torch computes, equal bytes for equal seeds, no code from elsewhere."""

import io
import json
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from abilities import skipped_unless_computed
from every_space import every_space, runnable

from hwsearch.errors import HwsearchError
from hwsearch.export.onnx import (
    INPUT_NAME,
    SECOND_INPUT_NAME,
    example_inputs,
    seeded_block,
    seeded_network,
)
from hwsearch.export.program import export_block_program, export_network_program
from hwsearch.heads import Camera, Head
from hwsearch.nn import calibrate
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, LoadOptions, Portable
from hwsearch.runtime.torch_engine import device_for
from hwsearch.runtime.torch_program import read_program
from hwsearch.spaces import get_space

SMALL = get_space("bottleneck-32")
MOST_RELATIVE_ERROR = {"fp32": 1e-4, "bf16": 0.05, "fp16": 0.01}


def outputs_of(
    model: Portable, given: Sequence[torch.Tensor], folder: Path, precision: str = "fp32"
) -> dict:
    runtime = get_runtime("torch")
    with skipped_unless_computed(precision):
        engine = runtime.build(model, folder / "engine", BuildOptions(precision))
    with runtime.load(engine, LoadOptions(precision=precision)) as loaded:
        names = (INPUT_NAME, SECOND_INPUT_NAME)
        return loaded.run({name: x.numpy() for name, x in zip(names, given, strict=False)})


def relative_error(found: np.ndarray, expected: torch.Tensor) -> float:
    return float(np.linalg.norm(found - expected.numpy()) / np.linalg.norm(expected.numpy()))


def check_network(name: str, precision: str, folder: Path) -> None:
    space = runnable(name)
    net = seeded_network(space.lower(space.minimum))
    images = torch.randn(2, *space.input_shape)
    with torch.inference_mode():  # what is made in here cannot be exported as it is
        calibrate(net, [torch.randn(16, *space.input_shape)])
        expected = net(images).embedding
    model = export_network_program(net, folder / "net.pt2", batch=2, precision=precision)
    found = outputs_of(model, [images], folder, precision)["embedding"]
    assert found.dtype == np.float32
    assert relative_error(found, expected) <= MOST_RELATIVE_ERROR[precision]


@pytest.mark.parametrize("name", ["basic-32", "bottleneck-64", "inverted-32", "vit-32"])
def test_program_computes_what_the_network_does(tmp_path: Path, name: str):
    check_network(name, "fp32", tmp_path)


@pytest.mark.parametrize("name", ["basic-32", "vit-32"])
def test_program_in_fewer_bits_takes_and_gives_float32(tmp_path: Path, name: str):
    check_network(name, "bf16", tmp_path)


@every_space
def test_every_kind_of_block_is_exported(tmp_path: Path, name: str):
    space = runnable(name)
    for block in {block.kind: block for block in space.lower(space.minimum)}.values():
        given = [torch.randn(x.shape) for x in example_inputs(block, 2)]
        with torch.no_grad():
            expected = seeded_block(block).eval()(*(x.clone() for x in given))
        model = export_block_program(block, tmp_path / f"{block.kind}.pt2", batch=2)
        (found,) = outputs_of(model, given, tmp_path).values()
        assert relative_error(found, expected) <= MOST_RELATIVE_ERROR["fp32"]


@pytest.mark.parametrize("task", ["classifier", "detection", "segmentation"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_ships_around_a_network_is_exported_with_it(tmp_path: Path, task, precision: str):
    blocks = Camera(48).around(Head(task, 10).around(SMALL.lower(SMALL.minimum)))
    net = seeded_network(blocks).eval()
    frames = torch.randint(0, 256, (1, 48, 48, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected = net(frames).outputs
    model = export_network_program(net, tmp_path / "net.pt2", precision=precision)
    found = outputs_of(model, [frames], tmp_path, precision)
    assert list(found) == list(expected)
    for name, output in expected.items():
        assert relative_error(found[name], output) <= MOST_RELATIVE_ERROR[precision]


def test_equal_networks_give_equal_bytes_without_any_path(tmp_path: Path):
    files = [tmp_path / "a.pt2", tmp_path / "other" / "b.pt2"]
    for path in files:
        export_network_program(seeded_network(SMALL.lower(SMALL.minimum)), path)
    first, second = (path.read_bytes() for path in files)
    assert first == second
    with zipfile.ZipFile(files[0]) as archive:
        text = archive.read("archive/models/model.json").decode()
    assert "stack_trace" not in text and str(Path(__file__).parents[1]) not in text


def test_norms_are_folded_and_channels_last_on_the_way_in(tmp_path: Path):
    model = export_network_program(seeded_network(SMALL.lower(SMALL.minimum)), tmp_path / "a.pt2")
    program = read_program(model.file("program"))
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not any("batch_norm" in name or "assert" in name for name in called)
    (image,) = (node for node in program.graph.nodes if node.name == "image")
    assert image.meta["val"].is_contiguous(memory_format=torch.channels_last)


def test_another_precision_than_asked_for_is_refused(tmp_path: Path):
    block = SMALL.lower(SMALL.minimum)[0]
    model = export_block_program(block, tmp_path / "b.pt2", precision="bf16")
    runtime = get_runtime("torch")
    with pytest.raises(HwsearchError, match=r"computes in torch.bfloat16, not in fp32"):
        runtime.build(model, tmp_path / "engine", BuildOptions("fp32"))
    with skipped_unless_computed("bf16"):
        engine = runtime.build(model, tmp_path / "engine", BuildOptions("bf16"))
    with (
        pytest.raises(HwsearchError, match=r"computes in torch.bfloat16, not in fp32"),
        runtime.load(engine, LoadOptions(precision="fp32")),
    ):
        pass


def test_precision_that_the_machine_lacks_is_refused(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("hwsearch.runtime.torch_engine._cpu_has", lambda precision: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(HwsearchError, match=r"cannot compute in bf16 here.*--precision fp32"):
        get_runtime("torch").build(Portable(), tmp_path, BuildOptions("bf16"))
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    with pytest.raises(HwsearchError, match="fewer bits"):
        device_for("fp32")


def test_the_process_has_its_own_threads_again_after_an_engine(tmp_path: Path):
    model = export_block_program(SMALL.lower(SMALL.minimum)[0], tmp_path / "b.pt2")
    runtime, before = get_runtime("torch"), torch.get_num_threads()
    engine = runtime.build(model, tmp_path / "engine", BuildOptions())
    with runtime.load(engine, LoadOptions(threads=before + 1)) as loaded:
        loaded.window({"image": np.zeros((1, 3, 32, 32), np.float32)}, 0.0)
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


class Danger:
    def __reduce__(self):
        return (Path.touch, (Path("harm"),))


def changed(path: Path, **records: bytes) -> Path:
    """Copies an archive with some records replaced or added."""
    out = path.with_name("hostile.pt2")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        kept = {name: old.read(name) for name in old.namelist()}
        for name, data in (kept | {f"archive/{name}": d for name, d in records.items()}).items():
            new.writestr(name, data)
    return out


def pickled() -> bytes:
    buffer = io.BytesIO()
    torch.save(Danger(), buffer)
    return buffer.getvalue()


def test_programs_that_could_run_code_are_refused(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    block = SMALL.lower(SMALL.minimum)[0]
    path = export_block_program(block, tmp_path / "b.pt2").file("program")
    with zipfile.ZipFile(path) as archive:
        model = json.loads(archive.read("archive/models/model.json"))
        weights = json.loads(archive.read("archive/data/weights/model_weights_config.json"))
    model["graph_module"]["graph"]["nodes"][0]["target"] = "os.system"
    next(iter(weights["config"].values()))["use_pickle"] = True
    cases = {
        "data/sample_inputs/model.pt": (pickled(), "it holds pickled objects"),
        "data/constants/opaque_obj_0": (pickled(), "it holds data/constants/opaque_obj_0"),
        "data/aotinductor/model/a.so": (b"", "it holds data/aotinductor/model/a.so"),
        "models/model.json": (json.dumps(model).encode(), "it calls os.system"),
        "data/weights/model_weights_config.json": (json.dumps(weights).encode(), "pickled"),
    }
    for name, (data, message) in cases.items():
        with (
            pytest.raises(HwsearchError, match=message),
            get_runtime("torch").load(changed(path, **{name: data}), LoadOptions()),
        ):
            pass
    assert not (tmp_path / "harm").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_cuda_graphs_compute_what_the_networks_do(tmp_path: Path, precision: str) -> None:
    """Those of several engines at once: a graph must keep the memory that it reads."""
    images, runtime = torch.randn(1, 3, 32, 32), get_runtime("torch")
    feed, expected, engines = {"image": images.numpy()}, [], []
    for number, subnet in enumerate((SMALL.minimum, SMALL.maximum, SMALL.minimum)):
        net = seeded_network(SMALL.lower(subnet)).eval()
        with torch.no_grad():
            expected.append(net(images).embedding)
        model = export_network_program(net, tmp_path / f"{number}.pt2", precision=precision)
        engines.append(runtime.build(model, tmp_path / f"{number}", BuildOptions(precision)))
    with ExitStack() as stack:
        options = LoadOptions(precision=precision)
        loaded = [stack.enter_context(runtime.load(engine, options)) for engine in engines]
        for _ in range(2):
            for engine, its in zip(loaded, expected, strict=True):
                assert engine.provider.startswith("CUDA")
                error = relative_error(engine.run(feed)["embedding"], its)
                assert error <= MOST_RELATIVE_ERROR[precision]
        times = loaded[0].window(feed, 0.05)
    assert times.ndim == 1 and times.size > 1 and (times > 0).all()
