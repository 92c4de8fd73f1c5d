"""A TensorRT that computes with ONNX's reference, on the memory of the stub CUDA library.

It has only what hwsearch calls; that the true one has it too, and takes the same arguments, is
checked by test_tensorrt_contract.py.
"""

import ctypes
from enum import Enum
from math import prod
from types import SimpleNamespace

import numpy as np
import onnx
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
from onnx.shape_inference import infer_shapes

__version__ = "10.3.0"

failing: set[str] = set()
"""Calls that fail, as TensorRT tells it: by None or False, and a message to the logger."""

configs: list["IBuilderConfig"] = []
"""What builds were told."""

DataType = Enum("DataType", "FLOAT HALF BF16 INT8 INT64 UINT8")
LayerType = Enum("LayerType", "CONVOLUTION MATRIX_MULTIPLY CAST CONSTANT QUANTIZE OTHER")
BuilderFlag = Enum("BuilderFlag", "TF32 VERSION_COMPATIBLE")
HardwareCompatibilityLevel = Enum("HardwareCompatibilityLevel", "NONE AMPERE_PLUS")
NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
ProfilingVerbosity = SimpleNamespace(DETAILED="detailed")
LayerInformationFormat = SimpleNamespace(JSON="json")
TensorIOMode = Enum("TensorIOMode", "INPUT OUTPUT")

_TYPES = {
    TensorProto.FLOAT: DataType.FLOAT,
    TensorProto.FLOAT16: DataType.HALF,
    TensorProto.INT8: DataType.INT8,
    TensorProto.INT64: DataType.INT64,
    TensorProto.UINT8: DataType.UINT8,
}
ILayer = SimpleNamespace
_NUMPY = {DataType.FLOAT: np.float32, DataType.HALF: np.float16, DataType.UINT8: np.uint8}
_LAYERS = {"Conv": "CONVOLUTION", "Gemm": "MATRIX_MULTIPLY", "Cast": "CAST"}
_LAYERS |= {"QuantizeLinear": "QUANTIZE", "MatMul": "MATRIX_MULTIPLY"}


def nptype(dtype: DataType) -> type:
    return _NUMPY[dtype]


class ILogger:
    Severity = Enum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE")

    def __init__(self) -> None:
        self.ready = True


def _fails(logger: ILogger, call: str) -> bool:
    assert logger.ready
    logger.log(ILogger.Severity.WARNING, "nobody wants to read this")
    if call in failing:
        logger.log(ILogger.Severity.ERROR, f"{call}: the GPU\nis on fire")
    return call in failing


def _tensor(value: onnx.ValueInfoProto) -> SimpleNamespace:
    kind = value.type.tensor_type
    shape = tuple(axis.dim_value or -1 for axis in kind.shape.dim)
    return SimpleNamespace(name=value.name, shape=shape, dtype=_TYPES[kind.elem_type])


class INetworkDefinition:
    def __init__(self) -> None:
        self.inputs, self.outputs, self.layers, self.model = [], [], [], None

    def read(self, path: str) -> None:
        self.model = infer_shapes(onnx.load(path), data_prop=True)
        graph = self.model.graph
        self.inputs = [_tensor(value) for value in graph.input]
        self.outputs = [_tensor(value) for value in graph.output]
        found = {value.name: value for value in (*graph.value_info, *graph.output)}
        for node in graph.node:
            tensors = [_tensor(found[name]) for name in node.output if name in found]
            self.layers.append(
                SimpleNamespace(
                    name=node.name,
                    type=LayerType[_LAYERS.get(node.op_type, "OTHER")],
                    num_outputs=len(tensors),
                    get_output=tensors.__getitem__,
                )
            )
        self.num_inputs, self.num_layers = len(self.inputs), len(self.layers)
        self.get_input, self.get_layer = self.inputs.__getitem__, self.layers.__getitem__


class OnnxParser:
    num_errors = 1

    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self.network = network

    def parse_from_file(self, path: str) -> bool:
        try:
            self.network.read(path)
        except Exception:
            return False
        return True

    def get_error(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(desc=lambda: "this is no model")


class ITimingCache(bytes):
    def serialize(self) -> bytes:
        return self + b"+"


class IBuilderConfig:
    def __init__(self) -> None:
        self.flags, self.pools, self.profiles = {BuilderFlag.TF32}, {}, []
        self.set_flag, self.clear_flag = self.flags.add, self.flags.discard
        self.set_memory_pool_limit = self.pools.__setitem__
        self.add_optimization_profile = lambda profile: self.profiles.append(profile) or 0
        self.create_timing_cache = ITimingCache
        configs.append(self)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.cache = cache
        return not cache.startswith(b"damaged")


class Builder:
    def __init__(self, logger: ILogger) -> None:
        self.logger, self.create_builder_config = logger, IBuilderConfig
        if _fails(logger, "Builder"):
            raise TypeError("factory function returned nullptr")

    def create_network(self, flags: int) -> INetworkDefinition:
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
        return INetworkDefinition()

    def create_optimization_profile(self) -> SimpleNamespace:
        shapes = {}
        return SimpleNamespace(
            shapes=shapes, set_shape=lambda name, *three: shapes.__setitem__(name, three)
        )

    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> bytes | None:
        failed = _fails(self.logger, "build_serialized_network")
        return None if failed else b"plan" + network.model.SerializeToString()


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        self.logger, self.engine_host_code_allowed = logger, False

    def deserialize_cuda_engine(self, plan: bytes) -> "ICudaEngine | None":
        if not plan.startswith(b"plan"):
            self.logger.log(ILogger.Severity.ERROR, "magic tag does not match")
            return None
        return ICudaEngine(onnx.load_from_string(plan[4:]), self.logger)


class ICudaEngine:
    def __init__(self, model: onnx.ModelProto, logger: ILogger) -> None:
        self.model, self.logger = model, logger
        self.inputs = [_tensor(value) for value in model.graph.input]
        self.outputs = [_tensor(value) for value in model.graph.output]
        tensors = {tensor.name: tensor for tensor in self.inputs + self.outputs}
        self.num_io_tensors = len(tensors)
        self.get_tensor_name = list(tensors).__getitem__
        self.get_tensor_shape = lambda name: tensors[name].shape
        self.get_tensor_dtype = lambda name: tensors[name].dtype
        self.get_tensor_mode = lambda name: (
            TensorIOMode.INPUT if tensors[name] in self.inputs else TensorIOMode.OUTPUT
        )
        self.create_engine_inspector = lambda: SimpleNamespace(
            get_engine_information=lambda format: '{"Layers": []}'
        )

    def create_execution_context(self) -> "IExecutionContext":
        return IExecutionContext(self)


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self.engine, self.addresses = engine, {}
        self.set_tensor_address = lambda name, memory: not self.addresses.update({name: memory})

    def array(self, tensor: SimpleNamespace) -> np.ndarray:
        """Returns the device memory of a tensor."""
        dtype = np.dtype(nptype(tensor.dtype))
        size = prod(tensor.shape) * dtype.itemsize
        memory = (ctypes.c_char * size).from_address(self.addresses[tensor.name])
        return np.frombuffer(memory, dtype).reshape(tensor.shape)

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert stream_handle
        if _fails(self.engine.logger, "execute_async_v3"):
            return False
        feed = {tensor.name: self.array(tensor) for tensor in self.engine.inputs}
        computed = ReferenceEvaluator(self.engine.model).run(None, feed)
        for tensor, array in zip(self.engine.outputs, computed, strict=True):
            self.array(tensor)[:] = array
        return True
