"""How ONNX Runtime's execution providers other than the CPU's are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Provider:
    """One execution provider.

    Attributes:
        name: As ONNX Runtime calls it.
        install: How to get it.
        precisions: Numbers that engines can compute in, the graph's own.
        options: What it is told always.
        by_precision: What it is told in a precision besides.
        threads: Its option for CPU threads, if it has one.
        quantised_for: Runtime whose quantised graphs it takes.
        plugin: Package that adds it to a plain ONNX Runtime, if there is one.
        machines: Processors that it is real on; empty means all. Elsewhere it simulates.
        memory: Where inputs and outputs stay, as `OrtValue` calls it.
        compiles: Whether an engine is the compiled graph; otherwise it is the ONNX file.
        shares: Whether what does not multiply may stay with the CPU's provider.
    """

    name: str
    install: str
    precisions: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    by_precision: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    threads: str = ""
    quantised_for: str = "onnxruntime"
    plugin: str = ""
    machines: tuple[str, ...] = ()
    memory: str = "cpu"
    compiles: bool = False
    shares: bool = False

    def options_for(self, precision: str, threads: int) -> dict[str, str]:
        """Returns all that it is told."""
        counted = {self.threads: str(threads)} if self.threads else {}
        return {**self.options, **self.by_precision.get(precision, {}), **counted}


_GPU = "pip uninstall onnxruntime; pip install onnxruntime-gpu"

PROVIDERS: Mapping[str, Provider] = {
    "onnxruntime-cuda": Provider(
        "CUDAExecutionProvider",
        _GPU,
        ("fp32", "fp16"),
        # By default products round float32 to 19 bits.
        options={"use_tf32": "0"},
        memory="cuda",
    ),
    # No fp32: the provider has no option against rounding it to 19 bits.
    "onnxruntime-tensorrt": Provider(
        "TensorrtExecutionProvider",
        f"{_GPU} tensorrt",
        ("fp16", "int8"),
        options={"trt_fp16_enable": "1"},
        by_precision={"int8": {"trt_int8_enable": "1"}},
        quantised_for="tensorrt",
        memory="cuda",
        compiles=True,
    ),
    # No fp32: the processor computes float graphs in fp16.
    "onnxruntime-qnn": Provider(
        "QNNExecutionProvider",
        "pip install 'onnxruntime>=1.24' onnxruntime-qnn",
        ("fp16", "int8"),
        # By default the borders of quantised graphs are left to another provider.
        options={"backend_type": "htp", "offload_graph_io_quantization": "0"},
        plugin="onnxruntime_qnn",
        machines=("aarch64", "arm64"),
        compiles=True,
    ),
    "onnxruntime-xnnpack": Provider(
        "XnnpackExecutionProvider",
        "build ONNX Runtime with --use_xnnpack --build_wheel",
        ("fp32",),
        threads="intra_op_num_threads",
        shares=True,
    ),
    "onnxruntime-coreml": Provider(
        "CoreMLExecutionProvider",
        "pip install onnxruntime, on a Mac",
        ("fp32", "fp16"),
        options={"ModelFormat": "MLProgram", "RequireStaticInputShapes": "1"},
    ),
    "onnxruntime-openvino": Provider(
        "OpenVINOExecutionProvider",
        "pip uninstall onnxruntime; pip install onnxruntime-openvino",
        ("fp32", "int8"),
        # Without the precision some processors would compute in bf16.
        options={"device_type": "CPU", "precision": "FP32"},
        threads="num_of_threads",
        quantised_for="openvino",
    ),
}
"""By name of the runtime."""
