"""int8: the same graph whatever the weights, integers that really compute, and little lost."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from onnx import numpy_helper

import hwsearch
from hwsearch.deploy.options import DeployOptions
from hwsearch.deploy.run import deploy
from hwsearch.deploy.verify import check_distance, check_parity, parity
from hwsearch.device import fingerprint
from hwsearch.distance.images import TargetImages, load_target
from hwsearch.errors import HwsearchError
from hwsearch.export.onnx import export_block, export_network, seeded_network
from hwsearch.export.quantise import (
    image_feeds,
    quantise,
    quantiser_of,
    seeded_feeds,
)
from hwsearch.heads import parse_extra
from hwsearch.journal import sha256_of
from hwsearch.latency.table import Table
from hwsearch.nn import calibrate
from hwsearch.profiling.options import ProfileOptions
from hwsearch.profiling.profile import profile
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, LoadOptions, Portable
from hwsearch.runtime.embed import embed
from hwsearch.runtime.half_range import needs_half_range
from hwsearch.runtime.onnx_nodes import op_types, products
from hwsearch.search.options import SearchOptions
from hwsearch.search.run import search
from hwsearch.spaces import get_space
from hwsearch.spaces.notes import NOTES_NAME

RUNTIMES = ("onnxruntime", "openvino")
each_runtime = pytest.mark.parametrize("runtime", RUNTIMES)


@pytest.fixture(scope="module")
def digits() -> TargetImages:
    return load_target("sklearn:digits", 32, limit=96)


def exported(path: Path, space: str, images: torch.Tensor, seed: int) -> Portable:
    """Exports the smallest network of a space, calibrated on images."""
    family = get_space(space)
    net = calibrate(seeded_network(family.lower(family.minimum), seed=seed), [images])
    return export_network(net, path)


def skeleton(path: Path) -> list[object]:
    """Everything of a graph but the values of weights, scales and zero points."""
    graph = onnx.load(path).graph
    constants = {node.output[0] for node in graph.node if node.op_type == "Constant"}
    nodes = [
        (node.op_type, node.name, list(node.input), list(node.output), str(node.attribute))
        for node in graph.node
        if node.output[0] not in constants
    ]
    weights = [(item.name, item.data_type, list(item.dims)) for item in graph.initializer]
    return [nodes, weights, constants]


@each_runtime
@pytest.mark.parametrize("space", ["bottleneck-32", "inverted-32", "vit-32"])
def test_profiling_graph_equals_the_deployed_one(tmp_path: Path, digits, runtime, space) -> None:
    images = np.concatenate([*digits.inputs(32)])
    deployed = exported(tmp_path / "deployed.onnx", space, torch.from_numpy(images), seed=1)
    profiled = exported(tmp_path / "profiled.onnx", space, torch.randn(16, 3, 32, 32), seed=0)
    first = quantise(deployed, tmp_path / "a.onnx", runtime, image_feeds("image", images[:9], 1))
    second = quantise(profiled, tmp_path / "b.onnx", runtime, seeded_feeds(profiled))
    assert skeleton(first.file("onnx")) == skeleton(second.file("onnx"))
    assert first.file("onnx").read_bytes() != second.file("onnx").read_bytes()


@each_runtime
def test_the_same_inputs_give_the_same_bytes(tmp_path: Path, digits, runtime) -> None:
    model = exported(tmp_path / "m.onnx", "bottleneck-32", torch.randn(16, 3, 32, 32), seed=0)
    here = quantise(model, tmp_path / "here.onnx", runtime, seeded_feeds(model))
    script = (
        "import sys; from pathlib import Path\n"
        "from hwsearch.export.quantise import quantise, seeded_feeds\n"
        "from hwsearch.runtime.base import Portable\n"
        "model = Portable(onnx=Path(sys.argv[1]))\n"
        "quantise(model, Path(sys.argv[2]), sys.argv[3], seeded_feeds(model))\n"
    )
    command = [sys.executable, "-c", script, model.file("onnx"), tmp_path / "there.onnx", runtime]
    done = subprocess.run(
        command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": "7"}
    )
    assert not done.stdout
    assert sha256_of(here.file("onnx")) == sha256_of(tmp_path / "there.onnx")


@each_runtime
@pytest.mark.parametrize("space", ["basic-32", "inverted-32", "vit-32"])
def test_int8_engines_compute_nearly_what_the_network_does(tmp_path, digits, runtime, space):
    images = np.concatenate([*digits.inputs(32)])
    model = exported(tmp_path / "m.onnx", space, torch.from_numpy(images), seed=0)
    feeds = image_feeds("image", images[:64], 1)
    half = needs_half_range(runtime, fingerprint())
    quantised = quantise(model, tmp_path / "q.onnx", runtime, feeds, half_range=half)
    found = {}
    for precision, source in (("fp32", model), ("int8", quantised)):
        engine = get_runtime(runtime).build(
            source, tmp_path / precision, BuildOptions(precision=precision)
        )
        with get_runtime(runtime).load(engine, LoadOptions(precision=precision)) as loaded:
            found[precision] = embed(
                loaded, images[64:], input_name="image", output_name="embedding", batch=1
            )
    lost = parity(found["int8"], found["fp32"], "int8")
    assert 1e-4 < lost.relative_error < 0.15
    check_parity(lost, "int8", runtime)
    if runtime == "onnxruntime":
        integer, floating = products(tmp_path / "int8" / "engine.onnx")
        assert integer and (not floating or space == "vit-32")


@each_runtime
@pytest.mark.parametrize("half", [False, True])
def test_weights_are_symmetric_with_a_scale_a_channel(tmp_path: Path, runtime, half) -> None:
    model = exported(tmp_path / "m.onnx", "bottleneck-32", torch.randn(8, 3, 32, 32), seed=0)
    feeds, most = seeded_feeds(model), 64 if half else 128
    path = quantise(model, tmp_path / "q.onnx", runtime, feeds, half_range=half).file("onnx")
    graph = onnx.load(path).graph
    values = {item.name: item for item in graph.initializer}
    sources = {name: node for node in graph.node for name in node.output}
    greatest = []
    for conv in (node for node in graph.node if node.op_type == "Conv"):
        pair = sources[conv.input[1]]
        assert pair.op_type == "DequantizeLinear"
        weight, scale, zero = (numpy_helper.to_array(values[name]) for name in pair.input)
        assert weight.dtype == np.int8 and not zero.any()
        assert scale.shape == (len(weight),)
        greatest.append(np.abs(weight.astype(int)).max())
    assert most / 2 < greatest[-1] <= max(greatest) <= most


def test_what_multiplies_nothing_or_is_quantised_stays_as_it_is(tmp_path: Path) -> None:
    space = get_space("bottleneck-32")
    blocks = space.lower(space.minimum)
    camera = parse_extra("camera:48").around(blocks)[0]
    for name, block in (("pool", blocks[-1]), ("camera", camera)):
        model = export_block(block, tmp_path / f"{name}.onnx")
        for runtime in RUNTIMES:
            same = quantise(model, tmp_path / "q.onnx", runtime, seeded_feeds(model))
            assert same.file("onnx").read_bytes() == model.file("onnx").read_bytes()
            engine = get_runtime(runtime).build(same, tmp_path / runtime, BuildOptions("int8"))
            with get_runtime(runtime).load(engine, LoadOptions(precision="int8")) as loaded:
                loaded.run(seeded_feeds(model)[0])
    model = exported(tmp_path / "m.onnx", "bottleneck-32", torch.randn(8, 3, 32, 32), seed=0)
    once = quantise(model, tmp_path / "once.onnx", "onnxruntime", seeded_feeds(model))
    twice = quantise(once, tmp_path / "twice.onnx", "onnxruntime", seeded_feeds(model))
    assert twice.file("onnx").read_bytes() == once.file("onnx").read_bytes()


@each_runtime
def test_engines_of_another_precision_are_refused(tmp_path: Path, runtime: str) -> None:
    model = exported(tmp_path / "m.onnx", "bottleneck-32", torch.randn(8, 3, 32, 32), seed=0)
    found = get_runtime(runtime)
    exact = found.build(model, tmp_path / "fp32", BuildOptions())
    said = {"onnxruntime": "nothing in this engine computes", "openvino": "compute in f32, not"}
    with (
        pytest.raises(HwsearchError, match=f"{said[runtime]} in int8"),
        found.load(exact, LoadOptions(precision="int8")),
    ):
        pass
    quantised = quantise(model, tmp_path / "q.onnx", runtime, seeded_feeds(model))
    with pytest.raises(HwsearchError, match=r"is quantised.*--precision int8|not in fp32"):
        engine = found.build(quantised, tmp_path / "wrong", BuildOptions())
        with found.load(engine, LoadOptions()):
            pass


def test_bf16_is_refused_where_the_cpu_has_none(tmp_path: Path, monkeypatch) -> None:
    openvino = pytest.importorskip("openvino")
    model = exported(tmp_path / "m.onnx", "bottleneck-32", torch.randn(8, 3, 32, 32), seed=0)
    runtime = get_runtime("openvino")

    class Cpu(openvino.Core):
        offered = ("FP32", "BF16", "INT8")

        def get_property(self, device: str, name: str) -> tuple[str, ...]:
            return self.offered

    monkeypatch.setattr("hwsearch.runtime.openvino._core", Cpu)
    engine = runtime.build(model, tmp_path / "out", BuildOptions("bf16"))
    monkeypatch.setattr(Cpu, "offered", ("FP32", "INT8"))
    with pytest.raises(HwsearchError, match=r"cannot compute in bf16 here.*--precision"):
        runtime.build(model, tmp_path / "other", BuildOptions("bf16"))
    with (
        pytest.raises(HwsearchError, match=r"cannot compute in bf16 here.*--precision"),
        runtime.load(engine, LoadOptions(precision="bf16")),
    ):
        pass


def test_what_cannot_be_quantised_is_refused(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(HwsearchError, match=r"unknown runtime for int8 'torch'\. .*onnxruntime"):
        quantiser_of("torch")
    model = exported(tmp_path / "m.onnx", "bottleneck-32", torch.randn(8, 3, 32, 32), seed=0)
    broken = onnx.load(model.file("onnx"))
    broken.graph.node[0].op_type = "ConvTwist"
    onnx.save(broken, tmp_path / "broken.onnx")
    feeds = seeded_feeds(model)
    with pytest.raises(HwsearchError, match=r"onnxruntime cannot quantise this model.*broken"):
        quantise(Portable(onnx=tmp_path / "broken.onnx"), tmp_path / "q.onnx", "onnxruntime", feeds)
    assert not (tmp_path / "q.onnx").exists()
    monkeypatch.setattr("hwsearch.export.quantise.find_spec", lambda name: None)
    with pytest.raises(HwsearchError, match=r"nncf.* is not installed\. Run: .*\[openvino\]"):
        quantise(model, tmp_path / "q.onnx", "openvino", feeds)


def test_images_fill_the_last_batch() -> None:
    images = np.arange(5, dtype=np.float32).reshape(5, 1, 1, 1)
    feeds = image_feeds("image", images, batch=2)
    assert [feed["image"].ravel().tolist() for feed in feeds] == [[0, 1], [2, 3], [4, 0]]


def test_an_engine_that_lost_its_way_is_refused() -> None:
    right = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    with pytest.raises(HwsearchError, match=r"differs from torch by 1 \(at most 0\.5 in int8\)"):
        check_parity(parity(np.zeros_like(right), right, "int8"), "int8", "openvino")
    check_distance(0.27, 0.25, "int8", "openvino")
    check_distance(0.64, 0.59, "int8", "openvino")
    with pytest.raises(HwsearchError, match=r"distance to the teacher is 0\.290.*0\.250.*--images"):
        check_distance(0.29, 0.25, "int8", "openvino")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, space in (("large", "basic-32"), ("small", "inverted-32")):
        exported(folder / f"{name}.onnx", space, torch.randn(16, 3, 32, 32), seed=0)
    (folder / NOTES_NAME).write_text("[small]\nmean = [0.4, 0.4, 0.4]\nstd = [0.2, 0.2, 0.2]\n")
    return folder


@each_runtime
def test_int8_from_profile_to_engine(catalogue: Path, tmp_path: Path, runtime: str) -> None:
    given = ProfileOptions(
        space=f"catalogue:{catalogue}",
        runtime=runtime,
        precision="int8",
        threads=1,
        budget_minutes=0.04,
        out=tmp_path,
    )
    path = profile(given)
    table = Table.read(path)
    assert table.precision == "int8" and len(table.rows) == 2
    assert quantiser_of(runtime).package in table.header.versions
    found = search(
        SearchOptions(
            tables=(str(path),),
            images="sklearn:digits",
            max_images=32,
            teacher="large",
            out=tmp_path / "search",
        )
    )
    fastest = pd.read_csv(found / "front.csv")["model"][0]
    out = deploy(
        DeployOptions(
            search=tmp_path / "search", out=tmp_path / "engine", pick="index=0", measure_seconds=1
        )
    )
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["precision"] == "int8" and manifest["subnet"] == {"model": fastest}
    assert "QuantizeLinear" in op_types(out / "model_int8.onnx")
    (error,) = manifest["parity"]["outputs"].values()
    assert 1e-4 < error["relative"] < 0.3
    distance = manifest["distance"]
    assert distance["engine"] != distance["float_net"]
    photo = np.random.default_rng(0).integers(0, 256, (40, 32, 3), np.uint8)
    with hwsearch.load(out) as engine:
        assert engine(photo).shape == (1, *manifest["outputs"][0]["shape"])
    with pytest.raises(HwsearchError, match="unknown precision"):
        profile(replace(given, precision="int4"))
