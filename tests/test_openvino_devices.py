"""OpenVINO computes on the device that was asked for, or there is one clear error."""

from pathlib import Path
from unittest.mock import create_autospec

import pytest

from hwsearch.errors import HwsearchError
from hwsearch.profiling.recipe import how_to_install
from hwsearch.runtime import get_runtime, runtime_names
from hwsearch.runtime.base import LoadOptions

openvino = pytest.importorskip("openvino")

from hwsearch.runtime.openvino import OpenVinoEngine, require_form  # noqa: E402
from hwsearch.runtime.openvino_devices import DEVICES  # noqa: E402

each_other = pytest.mark.parametrize("name", sorted(set(DEVICES) - {"openvino"}))


@each_other
def test_a_missing_device_is_told_with_those_there(name: str) -> None:
    device, there = DEVICES[name], openvino.Core().available_devices
    if any(map(device.is_named, there)):
        pytest.skip(f"there is a {device.name}")
    with pytest.raises(HwsearchError) as caught:
        get_runtime(name)
    assert caught.value.what == f"OpenVINO finds no {device.name} here, only {', '.join(there)}"
    assert device.driver in caught.value.fix


def test_every_device_is_a_runtime_and_none_chooses_for_itself() -> None:
    assert set(DEVICES) < set(runtime_names())
    assert all(how_to_install(name) for name in DEVICES)
    for name in ("openvino-auto", "openvino-multi", "openvino-hetero"):
        with pytest.raises(HwsearchError, match=r"unknown runtime.*openvino-gpu"):
            get_runtime(name)


@each_other
@pytest.mark.parametrize("found", [["CPU"], ["{}", "CPU"], []])
def test_another_device_than_asked_for_is_refused(
    name: str, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = DEVICES[name]
    core = create_autospec(openvino.Core, instance=True)
    core.get_property.return_value = ["FP32", "FP16", "INT8"]
    compiled = core.compile_model.return_value = create_autospec(
        openvino.CompiledModel, instance=True
    )
    compiled.get_property.return_value = [text.format(f"{device.name}.0") for text in found]
    monkeypatch.setattr("hwsearch.runtime.openvino._core", lambda: core)
    with pytest.raises(HwsearchError, match=f"would run, not {device.name}"):
        OpenVinoEngine(Path("engine.xml"), device, LoadOptions(precision="fp16"))
    assert core.compile_model.call_args.args[1] == device.name


def test_threads_and_streams_are_set_where_the_device_has_them() -> None:
    assert DEVICES["openvino"].config("fp32", 2) == {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": 2,
    }
    assert "INFERENCE_NUM_THREADS" not in DEVICES["openvino-gpu"].config("fp16", 2)
    assert "NUM_STREAMS" not in DEVICES["openvino-npu"].config("int8", 2)


def test_a_quantised_model_is_for_int8_and_another_for_floats(tmp_path: Path) -> None:
    parameter = openvino.opset13.parameter([1, 4], openvino.Type.f32)
    ends = [openvino.opset13.constant(value, openvino.Type.f32) for value in (0.0, 1.0)]
    quantised = openvino.opset13.fake_quantize(parameter, *ends, *ends, 256)
    product = openvino.opset13.matmul(parameter, parameter, False, True)
    for name, node, right, wrong in (
        ("q", quantised, "int8", "fp16"),
        ("p", product, "fp16", "int8"),
    ):
        path = tmp_path / f"{name}.xml"
        openvino.save_model(openvino.Model([node], [parameter], name), path)
        require_form(path, right)
        with pytest.raises(HwsearchError, match=f"would not compute in {wrong}"):
            require_form(path, wrong)
