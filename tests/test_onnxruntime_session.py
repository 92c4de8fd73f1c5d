"""An engine of another execution provider runs there in full, or there is one clear error."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import create_autospec

import numpy as np
import onnxruntime
import pytest

from hwsearch.errors import HwsearchError
from hwsearch.export.cast import cast_to_fp16
from hwsearch.export.onnx import export_block
from hwsearch.export.precision import in_precision
from hwsearch.export.quantise import quantise, quantiser_of, seeded_feeds
from hwsearch.profiling.recipe import how_to_install
from hwsearch.runtime import get_runtime, onnxruntime_other, onnxruntime_session, runtime_names
from hwsearch.runtime.base import BuildOptions, LoadOptions, Portable, Runtime
from hwsearch.runtime.onnx_nodes import graph_precision
from hwsearch.runtime.onnxruntime_providers import PROVIDERS
from hwsearch.runtime.onnxruntime_session import open_session
from hwsearch.spaces import get_space

XNNPACK, QNN = PROVIDERS["onnxruntime-xnnpack"], PROVIDERS["onnxruntime-qnn"]
each_provider = pytest.mark.parametrize("name", PROVIDERS)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Portable:
    """A residual block: convolutions, additions and activations."""
    space, path = get_space("basic-32"), tmp_path_factory.mktemp("model") / "m.onnx"
    export_block(space.lower(space.minimum)[1], path)
    return Portable(onnx=path)


def on_cpu(monkeypatch: pytest.MonkeyPatch, name: str, **changes: object) -> Runtime:
    """A runtime whose provider is the one that every onnxruntime has."""
    provider = replace(
        PROVIDERS[name], name="CPUExecutionProvider", plugin="", machines=(), memory="cpu"
    )
    monkeypatch.setitem(PROVIDERS, name, replace(provider, compiles=False, **changes))
    return get_runtime(name)


def fake_session(
    monkeypatch: pytest.MonkeyPatch, providers: list[str], parts: dict[str, list[str]]
) -> list[onnxruntime.SessionOptions]:
    """Lets every session have these providers, and operators by provider; returns settings."""
    asked: list[onnxruntime.SessionOptions] = []
    real = onnxruntime.InferenceSession
    session = create_autospec(real, instance=True)
    session.get_providers.return_value = providers
    session.get_provider_graph_assignment_info.return_value = [
        SimpleNamespace(ep_name=name, get_nodes=lambda types=types: map(node, types))
        for name, types in parts.items()
    ]

    def node(op_type: str) -> SimpleNamespace:
        return SimpleNamespace(op_type=op_type)

    def opened(path: str, settings: onnxruntime.SessionOptions, providers: object = None) -> object:
        asked.append(settings)
        return session

    fake = create_autospec(real, side_effect=opened)
    monkeypatch.setattr(onnxruntime, "InferenceSession", fake)
    return asked


@each_provider
def test_a_missing_provider_names_those_there_and_the_way_to_it(name: str) -> None:
    if PROVIDERS[name].name in onnxruntime.get_available_providers():
        pytest.skip(f"{PROVIDERS[name].name} is installed")
    with pytest.raises(HwsearchError) as caught:
        get_runtime(name)
    assert "\n" not in str(caught.value)
    assert f"no {PROVIDERS[name].name} " in caught.value.what
    assert "CPUExecutionProvider" in caught.value.what
    assert PROVIDERS[name].install in caught.value.fix


@each_provider
def test_every_provider_has_what_is_asked_of_a_runtime(name: str) -> None:
    assert name in runtime_names()
    assert PROVIDERS[name].install in how_to_install(name)
    if "int8" in PROVIDERS[name].precisions:
        assert quantiser_of(name) == quantiser_of(PROVIDERS[name].quantised_for)


@each_provider
def test_engines_are_built_loaded_and_timed(
    name: str, model: Portable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = on_cpu(monkeypatch, name, precisions=("fp32",), options={}, by_precision={})
    feed = seeded_feeds(model)[0]
    engine = runtime.build(model, tmp_path / "out", BuildOptions())
    with runtime.load(engine, LoadOptions()) as loaded:
        assert loaded.provider == "CPUExecutionProvider"
        (found,) = loaded.run(feed).values()
        assert (loaded.window(feed, 0.01) > 0).all()
    with get_runtime("onnxruntime").load(engine, LoadOptions()) as plain:
        (expected,) = plain.run(feed).values()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_really_falls_back_is_refused(model: Portable, monkeypatch) -> None:
    nowhere = replace(XNNPACK, name="AzureExecutionProvider", threads="")
    if nowhere.name not in onnxruntime.get_available_providers():
        pytest.skip(f"{nowhere.name} is not there to stand for one that computes nothing")
    with pytest.raises(HwsearchError, match=r"AzureExecutionProvider does not compute Conv:"):
        open_session(model.file("onnx"), nowhere, LoadOptions())
    with pytest.raises(HwsearchError, match=r"does not compute Add, Conv, Relu:.*m\.onnx"):
        open_session(model.file("onnx"), replace(nowhere, shares=False), LoadOptions())
    # Versions before 1.24 cannot tell what fell back.
    old = create_autospec(onnxruntime.InferenceSession, side_effect=onnxruntime.InferenceSession)
    del old.get_provider_graph_assignment_info
    monkeypatch.setattr(onnxruntime, "InferenceSession", old)
    with pytest.raises(HwsearchError, match=r"does not compute a part of this model"):
        open_session(model.file("onnx"), nowhere, LoadOptions())


def test_a_provider_that_does_not_start_is_refused(monkeypatch) -> None:
    fake_session(monkeypatch, ["CPUExecutionProvider"], {})
    with pytest.raises(HwsearchError, match=r"does not start: CPUExecutionProvider would"):
        open_session(Path("m.onnx"), PROVIDERS["onnxruntime-cuda"], LoadOptions())


@each_provider
def test_only_xnnpack_may_share_and_only_what_does_not_multiply(name: str, monkeypatch) -> None:
    provider = PROVIDERS[name]
    names = [provider.name, "CPUExecutionProvider"]
    fake_session(monkeypatch, names, {names[0]: ["Conv"], names[1]: ["Add"]})
    if provider == XNNPACK:
        open_session(Path("m.onnx"), provider, LoadOptions())
        return
    with pytest.raises(HwsearchError, match=f"{provider.name} does not compute Add: another"):
        open_session(Path("m.onnx"), provider, LoadOptions())


def test_compiled_graphs_are_written_in_one_file(monkeypatch, tmp_path: Path) -> None:
    asked = fake_session(monkeypatch, [QNN.name], {QNN.name: ["EPContext"]})
    open_session(Path("m.onnx"), QNN, LoadOptions(), compiled=tmp_path / "engine.onnx")
    entry = asked[0].get_session_config_entry
    assert entry("ep.context_enable") == entry("ep.context_embed_mode") == "1"
    assert entry("ep.context_file_path") == str(tmp_path / "engine.onnx")


def test_a_plugin_is_added_by_its_device(monkeypatch, tmp_path: Path) -> None:
    plugin = SimpleNamespace(get_library_path=lambda: "lib.so", __spec__=SimpleNamespace())
    monkeypatch.setitem(sys.modules, QNN.plugin, plugin)
    registered, device = [], SimpleNamespace(ep_name=QNN.name)
    monkeypatch.setattr(
        onnxruntime,
        "register_execution_provider_library",
        lambda name, library: registered.append((name, library)),
    )
    monkeypatch.setattr(
        onnxruntime, "get_ep_devices", lambda: [SimpleNamespace(ep_name=""), device]
    )
    settings = create_autospec(onnxruntime.SessionOptions, instance=True)
    monkeypatch.setattr(onnxruntime_session, "_settings", lambda *_: settings)
    fake_session(monkeypatch, [QNN.name], {})
    monkeypatch.setattr(onnxruntime_other, "version", lambda name: "2.7.0")
    open_session(Path("m.onnx"), QNN, LoadOptions(precision="int8"))
    open_session(Path("m.onnx"), QNN, LoadOptions(precision="int8"))
    assert registered == [(QNN.name, "lib.so")]
    settings.add_provider_for_devices.assert_called_with(
        [device], QNN.options_for("int8", threads=1)
    )
    onnxruntime_session._register_once.cache_clear()


def test_a_simulator_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [QNN.name])
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(HwsearchError, match=r"QNN.* only simulates.* on x86_64.*hwsearch kit"):
        get_runtime("onnxruntime-qnn")
    monkeypatch.setattr("platform.machine", lambda: "ARM64")
    assert get_runtime("onnxruntime-qnn").name == "onnxruntime-qnn"


def test_numbers_of_the_graph_must_be_those_asked_for(
    model: Portable, tmp_path: Path, monkeypatch
) -> None:
    runtime = on_cpu(monkeypatch, "onnxruntime-openvino", options={}, threads="")
    quantised = quantise(model, tmp_path / "q.onnx", "onnxruntime", seeded_feeds(model))
    with pytest.raises(HwsearchError, match=r"written for fp32, not for int8.*m\.onnx"):
        runtime.build(model, tmp_path / "out", BuildOptions("int8"))
    engine = runtime.build(quantised, tmp_path / "out", BuildOptions("int8"))
    with (
        pytest.raises(HwsearchError, match=r"written for int8, not for fp32.*--precision int8"),
        runtime.load(engine, LoadOptions()),
    ):
        pass
    halved = cast_to_fp16(model, tmp_path / "half.onnx")
    with pytest.raises(HwsearchError, match=r"written for fp16, not for fp32"):
        runtime.build(halved, tmp_path / "out", BuildOptions())
    with pytest.raises(HwsearchError, match=r"unknown precision of onnxruntime-openvino 'fp16'"):
        runtime.build(halved, tmp_path / "out", BuildOptions("fp16"))


def test_what_does_not_multiply_has_every_precision(tmp_path: Path) -> None:
    space = get_space("basic-32")
    export_block(space.lower(space.minimum)[-1], tmp_path / "pool.onnx")
    assert graph_precision(tmp_path / "pool.onnx") == ""


def test_fp16_is_a_matter_of_the_graph_unless_a_property_decides(
    model: Portable, tmp_path: Path
) -> None:
    for name, found in (("onnxruntime-cuda", "fp16"), ("openvino-gpu", "fp32")):
        form = in_precision(
            model, tmp_path / f"{name}.onnx", runtime=name, precision="fp16", feeds=tuple
        )
        assert graph_precision(form.file("onnx")) == found
