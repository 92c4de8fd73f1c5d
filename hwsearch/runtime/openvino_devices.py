"""The devices that OpenVINO may compute on: one by name, never a choice of its own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from openvino import Type

from hwsearch.errors import HwsearchError


@dataclass(frozen=True)
class Device:
    """One device.

    Attributes:
        name: As OpenVINO calls it.
        hints: What is not quantised computes in, by precision.
        driver: What it needs besides the package.
        is_processor: Whether it runs in CPU threads and tells what each layer computes in.
        has_streams: Whether it takes a number of streams.
    """

    name: str
    hints: Mapping[str, Type]
    driver: str = ""
    is_processor: bool = False
    has_streams: bool = True

    def config(self, precision: str, threads: int) -> dict[str, str | int]:
        """Returns the properties of a model for one stream of calls."""
        config: dict[str, str | int] = {
            "INFERENCE_PRECISION_HINT": self.hints[precision].get_type_name(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        if self.has_streams:
            config["NUM_STREAMS"] = 1
        if self.is_processor:
            config["INFERENCE_NUM_THREADS"] = threads
        return config

    def is_named(self, found: str) -> bool:
        """Tells whether a name such as "GPU.0" is this device's."""
        return found.partition(".")[0] == self.name


DEVICES: Mapping[str, Device] = {
    "openvino": Device(
        "CPU", {"fp32": Type.f32, "bf16": Type.bf16, "int8": Type.f32}, is_processor=True
    ),
    "openvino-gpu": Device(
        "GPU", {"fp32": Type.f32, "fp16": Type.f16, "int8": Type.f16}, "Intel's compute runtime"
    ),
    "openvino-npu": Device(
        "NPU", {"fp16": Type.f16, "int8": Type.f16}, "Intel's driver of the NPU", has_streams=False
    ),
}
"""By name of the runtime."""


def require_device(device: Device, found: Iterable[str]) -> None:
    """Refuses a device that is not among those that OpenVINO finds."""
    names = tuple(found)
    if not any(map(device.is_named, names)):
        raise HwsearchError(
            f"OpenVINO finds no {device.name} here, only {', '.join(names) or 'nothing'}",
            fix=f"Install {device.driver}" if device.driver else "Install openvino again",
        )
